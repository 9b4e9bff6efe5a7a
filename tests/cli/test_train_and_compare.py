import csv
import json
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from resnet_shortcuts import locks

COLUMNS = [
    "network", "shortcut", "runs", "failed", "accuracy_mean", "accuracy_sd", "parameters", "multiply_adds",
    "saved_bytes", "peak_memory_bytes", "step_ms", "train_seconds",
]  # fmt: skip


def compared(rsc, *arguments):
    done = rsc("compare", "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_training_ends_with_the_table_and_leaves_tables_beside_the_runs(trained):
    assert "stride-pad" in trained.first.stdout
    assert "plain" in trained.first.stdout
    folder = trained.folder / "results" / "tiny"
    assert {"config.yaml", "plan.json", "table.md", "table.csv", "table.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert len(list((folder / "runs").iterdir())) == 4
    lines = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert {line["shortcut"]: line["verdict"] for line in lines} == {
        row["shortcut"]: row["verdict"] for row in json.loads((folder / "table.json").read_text())["verdicts"]
    }


def test_compare_answers_on_one_screen_as_train_did_and_details_has_the_rest(trained):
    screen = trained("compare", COLUMNS="80").stdout.splitlines()
    assert len(screen) <= 24
    assert screen[-1] == "More: rsc compare tiny --details"
    first = trained("compare").stdout.splitlines()[:-1]
    assert trained.first.stdout.splitlines()[: len(first)] == first
    details = trained("compare", "tiny", "--details").stdout
    assert details.startswith("\n".join(first))
    assert all(words in details for words in ("Rule: ", "what each strategy costs", "test accuracy of each strategy"))


def test_train_and_plan_say_how_many_go_side_by_side(trained):
    assert "4 runs, 4 to train, one run at a time" in trained.first.stderr
    assert "one run at a time" in trained("plan", "--config", "tiny.yaml").stderr
    assert "2 runs side by side" in trained("plan", "--config", "tiny.yaml", "--set", "run.jobs=2").stderr


def test_the_tables_accuracies_are_those_of_the_stored_predictions(trained):
    document = compared(trained)
    assert (document["schema"], document["kind"]) == (1, "compare")
    by_shortcut = {row["shortcut"]: row for row in document["rows"]}
    accuracies = {}
    for run in (trained.folder / "results" / "tiny" / "runs").iterdir():
        labels = json.loads((run / "run.json").read_text())["labels"]
        answers = load_file(run / "predictions.safetensors")
        right = 100 * float(np.mean(answers["predictions"] == answers["labels"]))
        accuracies.setdefault(labels["shortcut"], []).append(right)
    assert set(by_shortcut) == {"plain", "stride-pad"}
    for shortcut, values in accuracies.items():
        assert by_shortcut[shortcut]["accuracy_mean"] == pytest.approx(np.mean(values))
        assert by_shortcut[shortcut]["accuracy_sd"] == pytest.approx(np.std(values, ddof=1))
        assert by_shortcut[shortcut]["runs"] == 2


def test_the_columns_are_the_documented_ones_and_unmeasured_is_null(trained):
    for row in compared(trained)["rows"]:
        assert [key for key in row if key in COLUMNS] == COLUMNS
        assert row["step_ms"] is None
        assert row["parameters"] == 75_002


def test_a_second_train_trains_nothing_and_changes_no_run(trained):
    before = {path: path.stat().st_mtime_ns for path in (trained.folder / "results").rglob("runs/*/*")}
    again = trained("train", "--config", "tiny.yaml")
    assert again.returncode == 0
    assert "0 to train" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (trained.folder / "results").rglob("runs/*/*")} == before


def test_plan_tells_what_is_done_and_trains_nothing(trained):
    done = trained("plan", "--config", "tiny.yaml", "--set", "seeds=3", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["runs_done"], row["runs_to_do"]) for row in rows] == [(2, 1), (2, 1)]
    assert all(row["seconds"] > 0 for row in rows)
    assert len(list((trained.folder / "results" / "tiny" / "runs").iterdir())) == 4


@pytest.mark.parametrize("width", [60, 80, 140])
def test_tables_are_as_wide_as_columns_says(trained, width):
    done = trained("compare", COLUMNS=str(width))
    assert done.returncode == 0, done.stderr
    lengths = [len(line) for line in done.stdout.splitlines() if not line.lstrip().startswith("rsc ")]
    assert width / 2 < max(lengths) <= width
    wide = [len(line) for line in trained("compare", COLUMNS="").stdout.splitlines()]
    assert 80 < max(wide) <= 100


@pytest.mark.parametrize("arguments", [("--format", "csv"), ("-o", "table.csv")])
def test_claims_do_not_vanish_in_a_csv(trained, arguments):
    done = trained("compare", "--claims", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: CSV is one table and cannot hold the claims: --claims: ")
    assert "json" in line
    assert not (trained.folder / "table.csv").exists()


def test_an_alias_and_its_name_are_one_run(trained):
    done = trained("plan", "--config", "tiny.yaml", "--set", "shortcuts=[option-a, no-shortcut]", "--format", "json")
    assert [row["runs_to_do"] for row in json.loads(done.stdout)["rows"]] == [0, 0], done.stderr


def test_an_interrupted_sweep_saves_and_compare_says_what_trains_the_rest(rsc):
    config = rsc.config()
    process = subprocess.Popen(
        rsc.command("train", "--config", config, "--set", "train.epochs=300", "--jobs", "1"),
        cwd=rsc.folder, env=rsc.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    work = rsc.folder / "results" / "tiny" / "work"
    deadline = time.monotonic() + 60
    while not work.is_dir() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "the same command" in err
    done = rsc("compare")
    assert done.returncode == 2
    assert "none of its runs is finished" in done.stderr
    assert "rsc train --config results/tiny/config.yaml" in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 143, "terminated")],
)
def test_a_signal_during_the_cost_pass_ends_with_a_line_and_no_process_left(trained, number, code, what):
    command = trained.command("train", "--config", "tiny.yaml", "--set", "cost={measure: true, seconds: 600}")
    process = subprocess.Popen(
        command, cwd=trained.folder, env=trained.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    said = []
    while not any("measuring costs" in line for line in said):
        said.append(process.stderr.readline())
    while not (measuring := psutil.Process(process.pid).children()):
        time.sleep(0.05)
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == code, rest
    (line,) = [line for line in rest.splitlines() if line.startswith("error:")]
    assert line == f"error: {what}: finished runs are kept: the same command goes on where it was"
    assert "Traceback" not in rest
    assert not psutil.wait_procs(measuring, timeout=20)[1]


def test_another_plan_under_the_same_name_is_refused_while_one_is_trained(rsc):
    arguments = ("train", "--config", rsc.config(), "--jobs", "0")
    first = subprocess.Popen(
        rsc.command(*arguments, "--set", "train.epochs=3000"),
        cwd=rsc.folder, env=rsc.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "4 to train" in first.stderr.readline()
    plan = rsc.folder / "results" / "tiny" / "plan.json"
    before = plan.read_bytes()
    second = rsc(*arguments)
    assert second.returncode == 75
    reason = "another plan named tiny is being trained: results/tiny: wait for its end, or --set name=ANOTHER"
    assert second.stderr == f"error: {reason}\n"
    assert plan.read_bytes() == before
    first.send_signal(signal.SIGTERM)
    first.communicate()
    assert rsc(*arguments).returncode == 0, "and trained when that one has ended"


def test_two_cost_passes_never_run_at_once(rsc, shared_cache):
    lock = locks.try_lock(shared_cache / "cost-pass.lock")
    command = ("cost", "--network", "cifar-resnet-8", "--shortcut", "A", "--measure", "--seconds", "1")
    process = subprocess.Popen(
        rsc.command(*command, "--batch-size", "8", "--device", "cpu"),
        cwd=rsc.folder, env=rsc.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "waiting for another cost pass on this machine to end\n"
    assert not psutil.Process(process.pid).children()
    lock.release()
    table, _ = process.communicate()
    assert process.returncode == 0
    assert "stride-pad" in table


def test_nothing_stored_is_told_with_the_command_that_changes_it(rsc):
    done = rsc("compare")
    assert done.returncode == 2
    assert "rsc train --config" in done.stderr


def test_a_wrong_experiment_gets_the_nearest_name(trained):
    done = trained("compare", "tinny")
    assert done.returncode == 2
    assert "'tiny'" in done.stderr


@pytest.mark.parametrize(("suffix", "mark"), [(".md", "| ---"), (".csv", "network,shortcut"), (".json", '"schema": 1')])
def test_output_takes_its_format_from_the_extension(trained, suffix, mark):
    target = trained.folder / f"out{suffix}"
    done = trained("compare", "-o", target)
    assert done.returncode == 0
    assert done.stdout == ""
    assert mark in target.read_text()


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "--config", "tiny.yaml"],
        ["runs"],
        ["doctor"],
        ["shortcuts"],
        ["cost", "--config", "tiny.yaml"],
    ],
)
def test_every_list_can_be_written_to_a_file(trained, command):
    printed = trained(*command, "--format", "json")
    for suffix in (".json", ".txt", ".md", ".csv", ".tex"):
        target = trained.folder / f"list{suffix}"
        done = trained(*command, "-o", target)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert f"wrote {target}" in done.stderr
        content = target.read_text()
        if suffix == ".json":
            assert json.loads(content).keys() == json.loads(printed.stdout).keys()
            assert len(json.loads(content)["rows"]) == len(json.loads(printed.stdout)["rows"])
        else:
            assert {".md": "\n| --- |", ".tex": "% needs"}.get(suffix, "") in content
            plain = content.replace("\\", "")  # what Markdown and LaTeX escape
            assert all(next(iter(row.values())) in plain for row in json.loads(printed.stdout)["rows"])
            if suffix == ".csv":
                assert len(list(csv.DictReader(content.splitlines()))) == len(json.loads(printed.stdout)["rows"])
    assert trained(*command, "-o", "list.docx").returncode == 2


def test_an_unknown_extension_or_a_contradiction_is_refused(trained):
    assert trained("compare", "-o", "x.docx").returncode == 2
    contradiction = trained("compare", "-o", "x.csv", "--format", "json")
    assert contradiction.returncode == 2
    assert "contradict" in contradiction.stderr
    assert not (trained.folder / "x.csv").exists()


def test_fault_56_a_closed_pipe_an_ascii_terminal_and_no_colour(trained):
    command = trained.command("compare", "--format", "json")
    with subprocess.Popen(
        command, cwd=trained.folder, env=trained.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 0
    plain = trained("compare", PYTHONIOENCODING="ascii", LC_ALL="C", NO_COLOR="1")
    assert plain.returncode == 0
    assert plain.stdout.isascii()
    assert "\x1b" not in plain.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", [["compare"], ["compare", "--format", "json"], ["shortcuts"], ["runs"]])
def test_fault_51_a_full_disk_behind_standard_output(trained, command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            trained.command(*command), cwd=trained.folder, env=trained.environment, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert done.stderr.splitlines() == ["error: cannot write: standard output: No space left on device"]


def test_the_command_for_missing_runs_trains_them_where_compare_looks(rsc):
    results = rsc.folder / "else where"
    assert rsc("train", "--config", rsc.config(), "--results", results).returncode == 0
    run = next((results / "tiny" / "runs").iterdir())
    shutil.rmtree(run)
    done = rsc("compare", "--results", results)
    (command,) = [line for line in done.stdout.splitlines() if line.startswith("rsc train")]
    again = rsc(*shlex.split(command)[1:])
    assert again.returncode == 0, again.stderr
    assert "1 to train" in again.stderr
    assert run.is_dir()


def test_a_damaged_run_is_to_do(rsc):
    assert rsc("train", "--config", rsc.config()).returncode == 0
    record = next((rsc.folder / "results" / "tiny" / "runs").iterdir()) / "run.json"
    record.write_text(record.read_text().replace('"test_accuracy": ', '"test_accuracy": 1'))
    listed = rsc("compare")
    assert listed.returncode == 4
    assert "stride-pad" in listed.stdout
    planned = json.loads(rsc("plan", "--config", "tiny.yaml", "--format", "json").stdout)
    assert sum(row["runs_to_do"] for row in planned["rows"]) == 1
    assert "1 to train" in rsc("train", "--config", "tiny.yaml").stderr


@pytest.mark.parametrize("command", [["compare"], ["runs"], ["report", "-o", "page.html"]])
def test_an_edited_plan_is_told_in_one_line_by_whatever_reads_it(trained, command):
    plan = trained.folder / "results" / "tiny" / "plan.json"
    whole = plan.read_bytes()
    plan.write_bytes(whole.replace(b'"plain"', b'"plein"', 1))
    assert plan.read_bytes() != whole
    try:
        done = trained(*command)
    finally:
        plan.write_bytes(whole)
    assert (done.returncode, done.stdout) == (4, "")
    reason, todo = "its hash does not fit its content", "the same 'rsc train' again writes it anew"
    assert done.stderr.splitlines() == [f"error: damaged or edited plan ({reason}): results/tiny/plan.json: {todo}"]
    assert not (trained.folder / "page.html").exists()


def test_a_folder_in_place_of_the_plan_is_told(rsc):
    plan = rsc.folder / "results" / "tiny" / "plan.json"
    plan.mkdir(parents=True)
    for command in (["compare"], ["runs"], ["compare", "tiny"], ["runs", plan.parent]):
        done = rsc(*command)
        assert done.returncode == 4
        assert len(done.stderr.splitlines()) == 1
        assert "damaged plan (a folder has its name)" in done.stderr
        assert "tiny/plan.json: remove the folder" in done.stderr


def test_fault_16_the_output_folder_is_a_file(rsc):
    (rsc.folder / "results").write_text("not a folder")
    done = rsc("train", "--config", rsc.config())
    assert done.returncode == 2
    assert "is a file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_fault_14_a_missing_config_creates_nothing(rsc):
    done = rsc("train", "--config", "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert list(rsc.folder.iterdir()) == []


def test_every_error_of_a_config_is_told_at_once_with_its_line(rsc):
    bad = """\
name: bad
data: {source: digits, trian_size: 5}
networks: [cifar-resnet-21]
shortcuts: [A, maxpad]
seeds: no
train: {epochs: -1, batch_size: 0}
"""
    path = rsc.config(bad)
    done = rsc("train", "--config", path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    for line, word in (
        (2, "train_size"),
        (3, "cifar-resnet-20"),
        (4, "max-pad"),
        (5, "seed"),
        (6, "epochs"),
        (6, "batch_size"),
    ):
        assert any(f":{line}" in text and word in text for text in lines), (line, word, done.stderr)
    assert not (rsc.folder / "results").exists()


def test_a_gpu_that_is_not_there_is_no_silent_cpu(rsc):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = rsc("train", "--config", rsc.config(), "--set", "run.device=cuda")
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1
    assert not (rsc.folder / "results").exists()


def test_runs_lists_states_and_prune_needs_yes_off_a_terminal(trained):
    listed = json.loads(trained("runs", "--format", "json").stdout)
    assert [row["state"] for row in listed["rows"]] == ["done"] * 4
    work = trained.folder / "results" / "tiny" / "work" / "0123456789abcdef"
    work.mkdir(parents=True)
    (work / "log.txt").write_text("as a worker that was killed leaves it\n")
    refused = trained("runs", "--prune")
    assert refused.returncode == 2
    assert work.exists()
    assert trained("runs", "--prune", "--yes").returncode == 0
    assert not work.exists()
    assert len(list((trained.folder / "results" / "tiny" / "runs").iterdir())) == 4


def test_a_run_that_diverges_is_named_and_the_others_go_on(rsc):
    done = rsc("train", "--config", rsc.config(), "--set", "train.lr=1000", "--set", "train.epochs=6")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "diverged" in done.stderr
    rows = compared(rsc)["rows"]
    assert sum(row["failed"] for row in rows) >= 1
