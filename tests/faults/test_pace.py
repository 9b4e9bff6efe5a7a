"""How often checkpoints are written, on a clock that the test turns, and what a record says of them."""

import random

import pytest

from resnet_shortcuts.experiments.checkpoints import Pace
from tests.faults.rig import make_rig

STEP, EVERY = 0.125, 30.0  # seconds; powers of two keep the clock's sums exact


def train(took, steps):
    """Train for so many steps; the training seconds before each checkpoint, and the seconds that each took."""
    now, since, gaps, spent = 0.0, 0.0, [], []
    pace = Pace(EVERY, clock=lambda: now)
    for _ in range(steps):
        now, since = now + STEP, since + STEP
        if pace.due():
            with pace.saving():
                spent.append(took())
                now += spent[-1]
            gaps.append(since)
            since = 0.0
    assert pace.tally.model_dump() == {"saved": len(spent), "seconds": sum(spent)}
    return gaps, spent


def test_a_cheap_checkpoint_is_written_as_often_as_the_config_asks():
    gaps, _ = train(lambda: 0.5, 10_000)
    assert set(gaps) == {EVERY}
    assert len(gaps) == 10_000 * STEP // EVERY


@pytest.mark.parametrize("seed", range(20))
def test_checkpoints_take_less_than_two_percent_of_the_training_that_follows_them(seed):
    draw = random.Random(seed)
    gaps, spent = train(lambda: 2.0 ** draw.randint(-6, 6), 100_000)
    assert max(spent) > 1, "or the rule was never needed"
    for took, gap in zip(spent, gaps[1:], strict=False):
        assert took <= 0.02 * gap
        assert gap < max(EVERY, 50 * took) + STEP, "no later than the rule asks for"
    assert sum(spent[:-1]) <= 0.02 * sum(gaps[1:])


def test_one_that_fails_is_not_counted():
    pace = Pace(EVERY, clock=lambda: 0.0)
    with pytest.raises(OSError, match="full"), pace.saving():
        raise OSError("full")
    assert pace.tally.model_dump() == {"saved": 0, "seconds": 0}


def test_the_record_counts_checkpoints_and_goes_on_after_a_crash(server, rig, tmp_path, cache):
    server.finish(rig)
    assert tally(rig)["saved"] == 15, "3 epochs of 4 steps: one after each step and one after each epoch"
    crashed = make_rig(tmp_path / "crashed", cache)
    assert server.start(crashed, crash=9).wait() == 1
    server.finish(crashed)
    assert tally(crashed)["saved"] == 14, "all but the one that it was resumed from"
    assert crashed.outcome() == rig.outcome()


def tally(rig):
    run = rig.experiment.run(rig.plan.runs[0].run_id)
    assert 0 < run.checkpoints.seconds <= run.elapsed_seconds + 0.001
    return run.checkpoints.model_dump()
