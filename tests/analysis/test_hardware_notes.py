"""Accuracies of runs on unlike hardware are pooled, and the comparison says so."""

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.judging import hardware_notes

NEWER = {"processor": "AMD EPYC", "processor_id": "25-1-1", "cores": 2, "memory_gib": 24, "allocator": "glibc"}


def notes_of(*environments):
    runs = [RunRecord("resnet-20", "A", seed, environment=each) for seed, each in enumerate(environments)]
    return hardware_notes(ExperimentRecord("x", Regime(), runs))


def test_equal_or_unknown_hardware_is_not_mentioned():
    older = {"cpu": "AMD EPYC", "cores": 2, "memory_bytes": 24 * 2**30}  # knows less, and nothing that differs
    assert notes_of() == []
    assert notes_of({"hardware": NEWER}, {"hardware": dict(NEWER)}, older, {}, {"commit": "a"}) == []


def test_unlike_hardware_is_named_with_its_runs():
    other = {**NEWER, "processor": "Intel Xeon", "processor_id": "6-143-8"}
    assert notes_of({"hardware": NEWER}, {"hardware": other}, {"hardware": NEWER}) == [
        "Accuracies of runs on unlike hardware are pooled: 2 runs on AMD EPYC (25-1-1), 2 cores, 24 GiB; "
        "1 run on Intel Xeon (6-143-8), 2 cores, 24 GiB."
    ]


def test_hardware_of_one_name_is_told_apart():
    (note,) = notes_of({"hardware": NEWER}, {"hardware": {**NEWER, "allocator": "tcmalloc"}})
    assert "24 GiB (allocator glibc); 1 run on" in note
    assert note.endswith("24 GiB (allocator tcmalloc).")
