from resnet_shortcuts.suggestions import did_you_mean, nearest

KNOWN = ["stride-pad", "avg-pad", "max-pad", "projection", "projection-all", "A"]


def test_a_typo_finds_its_word():
    assert nearest("max-pda", KNOWN)[0] == "max-pad"
    assert nearest("Projction", KNOWN)[0] == "projection"


def test_a_part_of_a_name_finds_the_name():
    assert "projection-all" in nearest("all", KNOWN)


def test_case_is_not_a_mistake_worth_losing_a_suggestion_for():
    assert nearest("MAX-PAD", KNOWN) == ["max-pad", *nearest("MAX-PAD", KNOWN)[1:]]


def test_with_nothing_close_all_valid_names_are_listed():
    assert did_you_mean("zzzzzz", KNOWN) == "valid: " + ", ".join(KNOWN)
