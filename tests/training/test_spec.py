"""The recipe against torch's own schedulers, and what it refuses."""

import math
import warnings

import pytest
import torch
from pydantic import ValidationError

from resnet_shortcuts.training.recipe import (
    TrainSpec,
    evaluated_images,
    learning_rate,
    learning_rate_course,
    schedule_problem,
    total_steps,
)


def torch_rates(make, lr, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (
            {"kind": "step", "milestones": [0.5, 0.75]},
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [50, 75], gamma=0.1),
        ),
        (
            {"kind": "step", "milestones": [7, 31, 90], "gamma": 0.5},
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [7, 31, 90], gamma=0.5),
        ),
        ({"kind": "cosine"}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100)),
        (
            {"kind": "one-cycle"},
            lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=100, cycle_momentum=False),
        ),
        ({"kind": "constant"}, lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
    ],
)
@pytest.mark.parametrize("total", [100])
def test_the_rate_equals_torchs_schedulers(schedule, make, total):
    spec = TrainSpec(iterations=total, lr=0.2, schedule=schedule)
    ours = [learning_rate(spec, step, total) for step in range(total)]
    assert ours == pytest.approx(torch_rates(make, 0.2, total), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("kind", ["step", "cosine", "one-cycle", "constant"])
@pytest.mark.parametrize("total", [1, 2, 3, 4, 7])
def test_short_runs_have_a_finite_positive_rate_at_every_step(kind, total):
    spec = TrainSpec(iterations=total, schedule={"kind": kind, "milestones": [0.5, 0.75]})
    for step in range(total):
        rate = learning_rate(spec, step, total)
        assert math.isfinite(rate)
        assert 0 < rate <= spec.lr


def test_warm_up_holds_its_rate_and_then_gives_way():
    spec = TrainSpec(epochs=10, lr=0.1, schedule={"warmup_iterations": 4, "warmup_lr": 0.01})
    rates = [learning_rate(spec, step, 20) for step in range(20)]
    assert rates[:4] == [0.01] * 4
    assert rates[4:10] == [0.1] * 6


def test_epochs_and_iterations_count_steps():
    assert total_steps(TrainSpec(epochs=3), 7) == 21
    assert total_steps(TrainSpec(iterations=5), 7) == 5


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"epochs": 1, "iterations": 1},
        {"epochs": -1},
        {"epochs": 0},
        {"epochs": True},
        {"epochs": "3"},
        {"epochs": 1.5},
        {"epochs": 1, "batch_size": 0},
        {"epochs": 1, "lr": math.nan},
        {"epochs": 1, "lr": math.inf},
        {"epochs": 1, "lr": -0.1},
        {"epochs": 1, "lr": "fast"},
        {"epochs": 1, "lr": True},
        {"epochs": 1, "momentum": 1.0},
        {"epochs": 1, "momentum": 0.0, "nesterov": True},
        {"epochs": 1, "nesterov": 1},
        {"epochs": 1, "weight_decay": -1e-4},
        {"epochs": 1, "label_smoothing": 1},
        {"epochs": 1, "learning_rate": 0.1},
        {"epochs": 1, "schedule": {"kind": "steps"}},
        {"epochs": 1, "schedule": {"milestones": [0.5, 10]}},
        {"epochs": 1, "schedule": {"milestones": [0.75, 0.5]}},
        {"epochs": 1, "schedule": {"milestones": [1.5]}},
        {"epochs": 1, "schedule": {"milestones": [0]}},
        {"epochs": 1, "schedule": {"milestones": [True]}},
        {"epochs": 1, "schedule": {"gamma": 0}},
        {"epochs": 1, "schedule": {"warmup_iterations": -1}},
        {"iterations": 100, "schedule": {"milestones": [50, 100]}},
        {"iterations": 100, "schedule": {"warmup_iterations": 100}},
        {"iterations": 100, "schedule": {"kind": "constant", "warmup_iterations": 101}},
        {"epochs": 1, "schedule": {"kind": "cosine", "milestones": [0.1]}},
        {"epochs": 1, "schedule": {"kind": "one-cycle", "gamma": 0.2}},
        {"epochs": 1, "schedule": {"kind": "constant", "milestones": []}},
    ],
)
def test_fault_10_values_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        TrainSpec.model_validate(bad)


def test_an_integer_serves_as_a_rate_and_lists_become_tuples():
    spec = TrainSpec.model_validate({"epochs": 1, "lr": 1, "schedule": {"milestones": [0.5]}})
    assert spec.lr == 1.0
    assert spec.schedule.milestones == (0.5,)
    hash(spec)


def test_keys_that_a_schedule_ignores_do_not_change_what_is_hashed():
    one = TrainSpec(epochs=1, schedule={"kind": "cosine", "milestones": [0.5, 0.75], "gamma": 0.1})
    other = TrainSpec(epochs=1, schedule={"kind": "cosine"})
    assert one.identity() == other.identity()
    assert one.identity() != TrainSpec(epochs=1, schedule={"kind": "constant"}).identity()


@pytest.mark.parametrize(
    ("schedule", "total", "problem"),
    [
        ({"milestones": [50, 99], "milestones_in": "iterations"}, 100, None),
        (
            {"milestones": [50, 100], "milestones_in": "iterations"},
            100,
            "schedule.milestones: read as iterations, 100 is not before the end of the run (100 steps)",
        ),
        ({"milestones": [0.5, 0.99]}, 1, None),
        ({"milestones": []}, 1, None),
        ({"warmup_iterations": 99}, 100, None),
        ({"warmup_iterations": 100}, 100, "schedule.warmup_iterations: 100 is the whole run (100 steps)"),
        ({"kind": "cosine", "warmup_iterations": 9}, 5, "schedule.warmup_iterations: 9 is more than the run (5 steps)"),
    ],
)
def test_a_schedule_that_reaches_past_the_end_is_a_problem(schedule, total, problem):
    spec = TrainSpec(epochs=1, schedule=schedule)
    found = schedule_problem(spec, total)
    assert (f"{found.where}: {found.what}" if found else None) == problem
    used = {learning_rate(spec, step, total) for step in range(total)}
    bounds = [m for m in spec.schedule.milestones if isinstance(m, int)]
    if bounds:
        assert (len(used) == len(bounds) + 1) == (problem is None), "each milestone has a step of its own"


@pytest.mark.parametrize(
    ("steps", "every", "held_out", "images"),
    [
        (12, 1, 0, 3 * 50),  # 3 epochs of 4 steps, the test images after each
        (12, 2, 0, 2 * 50),  # after epochs 2 and 3
        (12, 3, 0, 50),
        (12, 100, 0, 50),
        (16, 2, 0, 2 * 50),  # after epochs 2 and 4
        (9, 2, 0, 2 * 50),  # the third epoch is cut short
        (1, 1, 0, 50),
        (12, 1, 60, 3 * 60 + 50),  # held out: the test images are looked at once, at the end
        (12, 2, 60, 2 * 60 + 50),
        (12, 100, 60, 60 + 50),
    ],
)
def test_images_that_all_evaluations_look_at_by_hand(steps, every, held_out, images):
    assert evaluated_images(steps, 4, every, test_images=50, validation_images=held_out) == images


@pytest.mark.parametrize(
    ("schedule", "rows"),
    [
        ({"kind": "constant"}, [(0, 0, 0.2)]),
        (
            {"milestones": [0.5, 0.75], "warmup_iterations": 8, "warmup_lr": 0.01},
            [(0, 0, 0.01), (0.8, 8, 0.2), (5, 50, 0.02), (7.5, 75, 0.002)],
        ),
        ({"milestones": [5, 9]}, [(0, 0, 0.2), (5, 50, 0.02), (9, 90, 0.002)]),
        ({"milestones": []}, [(0, 0, 0.2)]),
    ],
)
def test_the_course_of_the_rate_by_hand(schedule, rows):
    course = learning_rate_course(TrainSpec(epochs=10, lr=0.2, schedule=schedule), 100, 10)
    assert [(point.epoch, point.step) for point in course] == [row[:2] for row in rows]
    assert [point.rate for point in course] == pytest.approx([row[2] for row in rows])


@pytest.mark.parametrize("kind", ["step", "cosine", "one-cycle", "constant"])
@pytest.mark.parametrize("total", [1, 2, 5, 100])
def test_the_course_starts_at_the_start_and_holds_peak_and_end(kind, total):
    spec = TrainSpec(iterations=total, lr=0.2, schedule={"kind": kind})
    course = learning_rate_course(spec, total, 7)
    rates = [learning_rate(spec, step, total) for step in range(total)]
    assert course[0].step == 0
    assert [point.step for point in course] == sorted({point.step for point in course})
    assert all(point.rate == rates[point.step] for point in course)
    assert max(point.rate for point in course) == pytest.approx(max(rates), rel=0.01)
    assert course[-1].rate == rates[-1]
