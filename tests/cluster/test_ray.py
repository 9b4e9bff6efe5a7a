"""Sweeps on a real Ray cluster of two nodes: equal to local ones, whatever is killed meanwhile."""

import os
import signal

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.cluster.conftest import LONG, checkpoints, outcomes, wait_until
from tests.faults.rig import make_rig


@pytest.fixture
def rig(tmp_path, cache):
    return make_rig(tmp_path, cache, LONG)


def end(process, code, seconds=150):
    """What the process printed, after it ended with this code."""
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, said
    return said


def train(ray_nodes, folder, *arguments):
    return ray_nodes.rsc(folder, "train", "--config", "config.yaml", *arguments)


def workers():
    """Processes that train a run for the cluster."""
    return [each for each in psutil.process_iter(["cmdline"]) if "ray::_train" in " ".join(each.info["cmdline"] or ())]


def test_two_nodes_give_the_results_of_one_machine_and_ctrl_c_saves(ray_nodes, rig, reference, tmp_path):
    first = train(ray_nodes, tmp_path)
    wait_until(lambda: len(checkpoints(rig)) == 2, "two nodes train")
    first.send_signal(signal.SIGINT)
    assert "interrupted: " in end(first, 130)
    wait_until(lambda: not workers(), "the workers have left")
    said = end(train(ray_nodes, tmp_path), 0)
    assert "4 to train, 2 runs side by side, fp32 on cpu of 2 nodes of the Ray cluster" in said
    assert outcomes(rig) == reference
    assert any(rig.experiment.run(run.run_id).resumed for run in rig.plan.runs)
    assert "0 to train" in end(train(ray_nodes, tmp_path), 0)


def test_a_killed_node_costs_no_more_than_since_the_last_checkpoint(ray_nodes, rig, reference, tmp_path):
    sweep = train(ray_nodes, tmp_path)
    wait_until(lambda: len(checkpoints(rig)) == 2, "two nodes train")
    ray_nodes.remove(ray_nodes.second)
    try:
        said = end(sweep, 0)
    finally:
        ray_nodes.second = ray_nodes.add()
    assert "lost with its worker on" in said
    assert outcomes(rig) == reference
    assert any(rig.experiment.run(run.run_id).resumed for run in rig.plan.runs), (
        "from its checkpoint, on the other node"
    )


def test_a_killed_driver_leaves_nothing_training_and_the_same_command_goes_on(ray_nodes, rig, reference, tmp_path):
    sweep = train(ray_nodes, tmp_path)
    wait_until(lambda: len(checkpoints(rig)) == 2, "two nodes train")
    sweep.kill()
    sweep.wait()
    wait_until(lambda: not workers(), "workers end with their driver", 20)
    end(train(ray_nodes, tmp_path), 0)
    assert outcomes(rig) == reference
    assert any(rig.experiment.run(run.run_id).resumed for run in rig.plan.runs)


def test_without_the_right_token_nothing_runs_and_the_error_says_what_to_check(ray_nodes, rig, tmp_path):
    wrong = ray_nodes.rsc(tmp_path, "train", "--config", "config.yaml", RAY_AUTH_TOKEN="w" * 32)
    without = ray_nodes.rsc(tmp_path, "train", "--config", "config.yaml", RAY_AUTH_MODE="disabled")
    (line,) = [line for line in end(wrong, 5).splitlines() if line.startswith("error: ")]
    assert "cannot join the Ray cluster" in line
    assert "check that the token is the same" in line
    assert "must ask for a token" in end(without, 5)
    assert not rig.experiment.finished_ids()


IMAGES = """
name: pictures
data: {source: image-folder, resolution: 16}
networks: [{name: cifar-resnet-8, width: 8}]
shortcuts: [projection]
seeds: 4
train: {epochs: 2, batch_size: 4, lr: 0.05}
run: {device: cpu, precision: fp32}
cost: {measure: false}
"""


def draw(root, seed):
    """A data set of two classes."""
    generator = np.random.default_rng(seed)
    for part, count in (("train", 8), ("test", 4)):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")


def test_a_node_with_other_data_is_left_out_and_one_without_data_gets_them_from_home(ray_nodes, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    draw(ours, 1)
    draw(theirs, 2)
    (tmp_path / "config.yaml").write_text(IMAGES)
    other = ray_nodes.add(env_vars={**os.environ, "RSC_DATA_ROOT": str(theirs)})
    empty = tmp_path / "empty"
    empty.mkdir()
    cache = tmp_path / "node-cache"
    ray_nodes.remove(ray_nodes.second)
    ray_nodes.second = ray_nodes.add(env_vars={**os.environ, "RSC_DATA_ROOT": str(empty), "RSC_CACHE": str(cache)})
    try:
        said = end(train(ray_nodes, tmp_path, "--data-root", str(ours)), 0)
        assert "trained 4 runs" in said, "as many as nodes, so that each is given one"
        assert list(cache.glob("data/fetched-*/manifest.json")), "sent to the node that has none"
        (line,) = [line for line in said.splitlines() if "is left out" in line]
        assert "the data on this machine have content" in line
    finally:
        ray_nodes.remove(other)


def test_doctor_shows_the_nodes(ray_nodes, tmp_path):
    said = end(ray_nodes.rsc(tmp_path, "doctor", "--format", "csv"), 0)
    assert f"{ray_nodes.address}: " in said
    assert ", token, Ray " in said
    assert said.count("1 run at a time") == 2
