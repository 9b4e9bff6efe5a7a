"""Where a key or a name leads that other tools use: to the right section, or to what to do instead."""

import pytest

from resnet_shortcuts.config.config_schema import schema_of, sections
from resnet_shortcuts.config.experiment_config import Config
from resnet_shortcuts.suggestions import ABSENT_KEYS, KEY_SYNONYMS, SYNONYMS, did_you_mean, nearest
from tests.config.conftest import GOOD, Complaints


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("train.optimizer=adam", "the optimizer is SGD: its keys are train.lr, train.momentum, train.nesterov and "
         "train.weight_decay"),
        ("train.sched=cosine", "did you mean 'schedule'?"),
        ("sched=cosine", "did you mean 'train.schedule'?"),
        ("smoothing=0.1", "did you mean 'train.label_smoothing'?"),
        ("train.smoothing=0.1", "did you mean 'label_smoothing'?"),
        ("aa=rand", "did you mean 'data.augment'?"),
        ("train.num_workers=4", "did you mean 'run.jobs'?"),
        ("weight-decay=5e-4", "it belongs in train (train.weight_decay)"),
        ("max_epochs=3", "did you mean 'train.epochs'?"),
        ("train.momentun=0.9", "did you mean 'momentum'?"),
        ("save_dir=out", "use the option --results"),
        ("cooldown_epochs=10", "valid: name, data, networks, shortcuts, seeds, train, run, cost, compare, "
         "config_format"),
        ("shortcuts=[maxpool]", "did you mean 'max-pad'?"),
        ("shortcuts=[avgpool]", "did you mean 'avg-pad'?"),
        ("shortcuts=[1x1]", "did you mean 'projection'?"),
        ("data.source=CIFAR-10", "did you mean 'cifar10'?"),
        ("networks=[resnet50]", "did you mean 'imagenet-resnet-50'"),
        ("train.schedule.kind=multistep", "did you mean 'step'?"),
        ("run.precision=bfloat16", "did you mean 'bf16'?"),
    ],
)  # fmt: skip
def test_habits_lead_to_the_right_key_or_name(complaints: Complaints, override: str, advice: str) -> None:
    (line,) = complaints(GOOD, override)
    assert f": --set {override}: {advice}" in line


def test_every_synonym_leads_to_a_key_and_hides_none() -> None:
    every = {".".join((*place, key)) for place, keys in sections(schema_of(Config)).items() for key in keys}
    assert set(KEY_SYNONYMS.values()) <= every
    names = {key.rpartition(".")[2] for key in every}
    assert not names & (set(KEY_SYNONYMS) | set(ABSENT_KEYS))


def test_every_synonym_of_a_name_is_a_name_somewhere() -> None:
    from resnet_shortcuts.data.data_config import SOURCES
    from resnet_shortcuts.models.network_config import parse_name
    from resnet_shortcuts.shortcuts.catalogue import words

    values = {"step", "cosine", "one-cycle", "fp32", "bf16", "cuda"}
    for name in {name for names in SYNONYMS.values() for name in names} - {*words(), *SOURCES, *values}:
        parse_name(name)


def test_with_nothing_valid_to_offer_nothing_is_said() -> None:
    assert did_you_mean("x", []) == ""
    assert nearest("x", []) == []
