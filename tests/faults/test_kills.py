"""Real processes killed at random and at every instant of a write, then resumed: the end is bit-identical."""

import random
import time

import pytest

from resnet_shortcuts.experiments.run_states import list_runs
from tests.faults.rig import TORTURE, YAML, make_rig


@pytest.mark.parametrize("round_", range(20 * TORTURE))
def test_fault_47_killed_at_random_moments_and_resumed(server, rig, uninterrupted, round_, record_property):
    draw = random.Random(round_)
    kills = 0
    for _ in range(draw.randint(1, 5)):
        child = server.start(rig)
        child.wait_for("ready")
        time.sleep(draw.random() ** 2 * 0.4)
        if any(event["event"] == "done" for event in child.events()):
            child.wait()
            break
        child.kill()
        child.wait()
        kills += 1
        assert list_runs(rig.experiment)[0].state in {"planned", "interrupted", "done"}
    server.finish(rig)
    record_property("kills", kills)
    assert rig.outcome() == uninterrupted


def test_fault_47_killed_at_every_system_call_of_the_durable_writer(server, tmp_path, cache, record_property):
    shorter = ("train.epochs=1", "train.batch_size=50")
    reference = make_rig(tmp_path / "reference", cache, YAML, *shorter)
    calls = tmp_path / "calls"
    server.finish(reference, calls=str(calls))
    expected, count = reference.outcome(), int(calls.read_text())
    assert count > 30
    for k in range(1, count + 1):
        rig = make_rig(tmp_path / str(k), cache, YAML, *shorter)
        assert server.start(rig, kill_at=k).wait() == -9, f"call {k} of {count} was never reached"
        events = server.finish(rig)
        assert events[-1]["event"] in {"done", "elsewhere"}, (k, events)
        assert rig.outcome() == expected, f"killed at call {k}"
        assert not rig.experiment.work_folder(rig.plan.runs[0].run_id).exists()
    record_property("killed at calls", count)


def test_fault_46_sigterm_saves_at_the_next_step_and_the_run_goes_on_from_there(server, rig, uninterrupted):
    rarely = rig.config.run.model_copy(update={"checkpoint_seconds": 3600.0})
    child = server.start(rig, slow=0.05, setup={"run": rarely})
    time.sleep(0.3)
    child.kill(15)
    child.wait()
    assert child.events()[-1]["event"] == "stopped"
    work = rig.experiment.work_folder(rig.plan.runs[0].run_id)
    assert len(list(work.glob("checkpoint-*.json"))) == 1
    assert list_runs(rig.experiment)[0].state == "interrupted"
    server.finish(rig)
    assert rig.outcome() == uninterrupted
    assert rig.experiment.run(rig.plan.runs[0].run_id).resumed[0].step > 0


def test_every_step_can_be_resumed_from(server, rig, uninterrupted):
    """One SIGTERM a step: the run crawls to its end, and the end is the same."""
    for _ in range(40):
        child = server.start(rig, slow=0.01)
        child.wait_for("ready")
        child.kill(15)
        child.wait()
        if child.events()[-1]["event"] in {"done", "elsewhere"}:
            break
    server.finish(rig)
    assert len(rig.experiment.run(rig.plan.runs[0].run_id).resumed) >= 5
    assert rig.outcome() == uninterrupted


def test_no_more_than_two_checkpoints_are_kept(server, rig):
    child = server.start(rig, crash=11)
    child.wait()
    work = rig.experiment.work_folder(rig.plan.runs[0].run_id)
    assert sorted(path.name for path in work.glob("checkpoint*")) == [
        "checkpoint-000000000009-000002.json",
        "checkpoint-000000000009-000002.safetensors",
        "checkpoint-000000000010-000002.json",
        "checkpoint-000000000010-000002.safetensors",
    ]
