"""Compact letter display: two names share a letter exactly if they do not differ."""

from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.analysis.letters import letters

unhurried = settings(deadline=None, max_examples=60)  # the machine is shared

NAMES = "abcdefg"
PAIRS = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] < pair[1]))


@unhurried
@given(PAIRS)
def test_shared_letters_say_exactly_what_is_not_shown_to_differ(different: set[tuple[str, str]]) -> None:
    found = letters(NAMES, sorted(different))
    for i, one in enumerate(NAMES):
        for other in NAMES[i + 1 :]:
            shared = bool(set(found[one]) & set(found[other]))
            assert shared == ((one, other) not in different)


@unhurried
@given(PAIRS)
def test_every_name_has_a_letter_and_the_best_has_a(different: set[tuple[str, str]]) -> None:
    found = letters(NAMES, sorted(different))
    assert all(found.values())
    assert found["a"].startswith("a")


def test_the_textbook_case() -> None:
    assert letters("xyz", [("x", "z")]) == {"x": "a", "y": "ab", "z": "b"}
    assert letters("xyz", []) == {"x": "a", "y": "a", "z": "a"}
    assert letters([], []) == {}


def test_more_groups_than_letters_keep_marks_of_their_own() -> None:
    names = [f"n{i}" for i in range(60)]
    apart = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    assert len(set(letters(names, apart).values())) == 60
