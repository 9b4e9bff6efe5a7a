"""Stored files at random: whatever they hold, each command over them ends with a documented exit code and, where it
is wrong, names the file or the value. ``make torture`` tries 10,000.
"""

import contextlib
import io
import json
import os
import random

import pytest
import yaml

from resnet_shortcuts import durable
from resnet_shortcuts.cli import main
from resnet_shortcuts.errors import Exit
from resnet_shortcuts.experiments import checkpoints, sealed_files
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.hashing import sha256
from tests.experiments.test_foreign_results import mutated
from tests.experiments.test_store import experiment, store  # noqa: F401 (a fixture)

CASES = 1000 * int(os.environ["RSC_TORTURE"]) if "RSC_TORTURE" in os.environ else 300
COMMANDS = (["runs"], ["runs", "--format", "json"], ["compare"], ["compare", "--format", "json"], ["compare", "stored"])
KINDS = ("run.json", "history.json", "predictions", "plan.json", "config.yaml", "cost", "failed.json", "checkpoint")


def files_of(experiment):  # noqa: F811
    """Fill an experiment with one file of each kind; their paths."""
    from tests.analysis.test_read import report

    ids = [run.run_id for run in experiment.plan().runs]
    stored = [experiment.run_folder(store(experiment, number)) for number in (0, 1, 3, 4)]
    record = {"run_id": ids[2], "science": {}, "labels": {"network": "n", "shortcut": "s", "seed": 0}}
    experiment.note_failure(RunRecord.model_validate({**record, "status": "failed", "reason": "planted"}))
    work = experiment.work_folder(ids[5])
    progress = json.dumps({"format": 1, "step": 1, "epoch": 0}).encode()
    about = {"environment": {"cpu": "x"}, "resumed": [{"step": 1, "changed": {}}], "checkpoints": {"saved": 1}}
    checkpoints.save(work, ids[5], {"state.safetensors": b"x", "progress.json": progress}, about)
    durable.write_file(experiment.folder / "cost" / "a.json", sealed_files.render(report().model_dump(mode="json")))
    paths = (
        stored[0] / "run.json",
        stored[1] / "history.json",
        stored[2] / "predictions.safetensors",
        experiment.folder / "plan.json",
        experiment.folder / "config.yaml",
        experiment.folder / "cost" / "a.json",
        experiment.work_folder(ids[2]) / "failed.json",
        next(work.glob("*.json")),
    )
    return dict(zip(KINDS, paths, strict=True))


def fuzzed(data, path, draw):
    """The bytes of a file with one change: of a byte, of the length, or of a value under a seal that fits."""
    way = draw.choice(("flip", "cut", "value", "value", "value"))
    if way == "value" and path.suffix == ".json" and path.name != "history.json":
        document = json.loads(data)
        document.pop("sha256")
        return sealed_files.render(mutated(document, draw))
    if way == "value" and path.suffix == ".yaml":
        return yaml.safe_dump(mutated(yaml.safe_load(data), draw), sort_keys=False).encode()
    position = draw.randrange(len(data))
    if way == "cut":
        return data[:position]
    return data[:position] + bytes([data[position] ^ 1 << draw.randrange(8)]) + data[position + 1 :]


def sealing(plan, config):
    """The bytes of this plan, sealing this config."""
    document = json.loads(plan)
    document.pop("sha256")
    return sealed_files.render({**document, "config_sha256": sha256(config)})


def run(arguments):
    """Exit code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_over_a_fuzzed_file_ends_in_a_documented_way(experiment, kind, record_property):  # noqa: F811
    paths = files_of(experiment)
    path, draw = paths[kind], random.Random(kind)
    before = {place: place.read_bytes() for place in (path, paths["plan.json"])}
    results = ["--results", str(experiment.results)]
    undamaged = {tuple(command): run([*command, *results]) for command in COMMANDS}
    noticed = 0
    for number in range(CASES // len(KINDS)):
        written = fuzzed(before[path], path, draw)
        path.write_bytes(written)
        if kind == "config.yaml" and number % 2:
            paths["plan.json"].write_bytes(sealing(before[paths["plan.json"]], written))
        command = draw.choice(COMMANDS)
        code, out, err = run([*command, *results])
        case = (command, written, code, err)
        assert code in set(Exit), case
        assert "internal" not in err, case
        assert "Traceback" not in err, case
        noticed += (code, out) != undamaged[tuple(command)][:2]
        if code != Exit.OK:
            printed = "".join((err + out).split())  # a long path is wrapped in a narrow table
            assert any(name in printed for name in (path.name, path.parent.name)), (case, out)
        for place, data in before.items():
            place.write_bytes(data)
    assert noticed, "the change must matter to some command"
    assert run(["runs", *results])[0] == Exit.OK, "and all is well without it"
    record_property("changed files", CASES // len(KINDS))
