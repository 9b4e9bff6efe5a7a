"""What surrounds the process is hostile or broken: limits, folders, names, settings of other programs."""

import os
import shlex
import subprocess

import pytest

HOSTILE = r"""
data: {source: digits, train_size: 60, test_size: 40}
networks: [{name: cifar-resnet-8, width: 4}]
shortcuts: [A, {spatial: max, channels: pad, name: 'a$\frac{$b'}, {spatial: blur3, channels: pad, name: '=1+cmd|calc'}]
seeds: 1
train: {epochs: 1, batch_size: 20}
cost: {measure: false}
"""


@pytest.mark.parametrize("limit", [9, 12, 16, 20])
def test_few_file_descriptors_end_with_a_line_or_do(rsc, limit):
    command = shlex.join(rsc.command("train", "--config", rsc.config(), "--set", "seeds=1", "--jobs", "1"))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -n {limit}; {command}"],
        cwd=rsc.folder, env=rsc.environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stderr
    assert "internal" not in done.stderr
    assert (done.returncode == 0) == ("error: " not in done.stderr)


@pytest.mark.parametrize("cache", ["/proc/nope", "/dev/null", "/dev/null/below"])
def test_a_cache_that_cannot_be_made_is_one_line(rsc, cache):
    done = rsc("train", "--config", rsc.config(), RSC_CACHE=cache)
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("error: ")
    assert (done.stderr.count("\n"), cache in done.stderr) == (1, True), done.stderr


def test_a_results_folder_whose_name_is_no_text_is_read_and_written_about(trained, tmp_path):
    folder = os.fsdecode(b"r\xe9s")
    shutil_copy = ["cp", "-r", trained.folder / "results", tmp_path / folder]
    subprocess.run(shutil_copy, check=True)
    missing = next(iter((tmp_path / folder / "tiny" / "runs").iterdir()))
    missing.rename(tmp_path / "elsewhere")
    for command in (["runs"], ["compare"], ["compare", "-o", tmp_path / "x.md"], ["compare", "-o", tmp_path / "x.csv"]):
        done = trained(*command, "--results", tmp_path / folder)
        assert done.returncode == 0, done.stderr
    assert "stride-pad" in (tmp_path / "x.md").read_text()


@pytest.mark.parametrize("settings", ["text.usetex: True\n", "no such thing\x00\n"])
def test_another_programs_settings_and_hostile_names_leave_tables_and_figures_whole(rsc, settings):
    (rsc.folder / "matplotlibrc").write_text(settings)
    done = rsc("train", "--config", rsc.config(HOSTILE), "--jobs", "0")
    assert done.returncode == 0, done.stderr
    folder = rsc.folder / "results" / "tiny"
    assert {"table.csv", "table.md", "accuracy-vs-cost.svg", "accuracy-vs-cost.png"} <= {
        path.name for path in folder.iterdir()
    }
    assert ",=1+cmd" not in (folder / "table.csv").read_text()
