"""Child processes run what their parent runs, whatever the working folder holds, and end with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import resnet_shortcuts
from resnet_shortcuts import child_process

PACKAGE = Path(resnet_shortcuts.__file__).parent
CONFIG = """\
data: {source: digits, train_size: 40, test_size: 20}
networks: [{name: cifar-resnet-8, width: 4}]
shortcuts: [plain]
seeds: 1
train: {epochs: 1, batch_size: 20}
run: {device: cpu, precision: fp32, jobs: 1}
cost: {measure: false}
"""
MODULES = ("random", "copy", "torch", "numpy", "pydantic", "PIL", "sitecustomize", "usercustomize")

COSTS = """
from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.cost.cost_request import CostRequest
request = CostRequest(networks={"n": {"name": "cifar-resnet-8", "width": 4}}, shortcuts={"A": "A"}, batch_size=4,
                      seconds=0.1, min_rounds=1, max_rounds=1, passes=(PASS,))
(row,) = run_cost_pass(request).rows
print({"error": row.error, "parameters": row.parameters, "peak": row.peak_memory_bytes, "step": row.step_ms})
assert row.error is None and (row.parameters or row.peak_memory_bytes or row.step_ms)
"""
DECODER = """
import numpy as np
from PIL import Image
from pathlib import Path
from resnet_shortcuts.data.sources import decoder
Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save("OUT.png")
np.lib.format.open_memmap("OUT.npy", "w+", np.uint8, (1, 8, 8, 3))
with decoder.pool(Path("OUT.npy"), 1) as pool:
    pool.decode(0, [Path("OUT.png")])
assert (np.load("OUT.npy") == 77).all()
"""
WORKER = """
import sys
from resnet_shortcuts.cli import main
main(["train", "--config", "tiny.yaml"])
"""
KINDS = {
    "worker": WORKER,
    "cost pass": COSTS.replace("PASS", '"time"'),
    "memory probe": COSTS.replace("PASS", '"memory"'),
    "decoder": DECODER,
}


@pytest.fixture
def hostile(tmp_path):
    """A working folder whose files are named like modules; each leaves a note that it was run."""
    folder = tmp_path / "work"
    folder.mkdir()
    note = f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__ + ' '); raise ImportError('planted')\n"
    for name in MODULES:
        (folder / f"{name}.py").write_text(note)
    (folder / "resnet_shortcuts").mkdir()
    (folder / "resnet_shortcuts" / "__init__.py").write_text(note)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(command, folder, cache, **environment):
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = {**kept, "RSC_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_the_working_folder_is_imported(hostile, cache, kind):
    """Not even where PYTHONPATH has an empty entry, which stands for it; to Python in the parent, too."""
    code = f"import os; os.environ['PYTHONPATH'] = ':' + {str(PACKAGE.parent)!r}\n{KINDS[kind]}"
    done = run([sys.executable, "-P", "-c", code], hostile, cache, PYTHONPATH=str(PACKAGE.parent))
    assert done.returncode == 0, done.stderr
    assert not (hostile.parent / "executed").exists(), (hostile.parent / "executed").read_text()


@pytest.fixture
def copy(tmp_path):
    """A source tree of other code than the one that the tests run."""
    shutil.copytree(PACKAGE, tmp_path / "tree" / "resnet_shortcuts", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "tree" / "resnet_shortcuts" / "words.py").open("a") as file:
        file.write("# another version\n")
    return tmp_path / "tree"


def source_sha256(tree, cache):
    code = "import resnet_shortcuts.source_hash as s; print(s.source_sha256(), s.PACKAGE)"
    sha256, package = run([sys.executable, "-c", code], tree, cache).stdout.split()
    assert package == str(tree / "resnet_shortcuts")
    return sha256


@pytest.mark.parametrize("parent", ["source tree", "PYTHONPATH", "sys.path"])
def test_children_import_the_package_that_the_parent_imported(copy, tmp_path, cache, parent):
    folder = copy if parent == "source tree" else tmp_path
    (folder / "tiny.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "resnet_shortcuts.cli", "train", "--config", "tiny.yaml"]
    if parent == "sys.path":
        command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(copy)!r})\n{WORKER}"]
    done = run(command, folder, cache, **({"PYTHONPATH": str(copy)} if parent == "PYTHONPATH" else {}))
    assert done.returncode == 0, done.stderr
    (record,) = (folder / "results" / "tiny" / "runs").glob("*/run.json")
    code = json.loads(record.read_text())["code"]
    assert code["source_sha256"] == source_sha256(copy, cache)
    assert code["source_sha256"] != source_sha256(PACKAGE.parent, cache)
    assert code["version"] == resnet_shortcuts.__version__


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_whose_code_differs_from_its_parents_refuses(copy, cache, kind):
    (copy / "tiny.yaml").write_text(CONFIG)
    edit = (
        "from resnet_shortcuts import source_hash\n"
        "source_hash.source_sha256()\n"
        "open('resnet_shortcuts/words.py', 'a').write('# edited\\n')\n"
    )
    done = run([sys.executable, "-c", edit + KINDS[kind]], copy, cache)
    assert "the source of resnet_shortcuts was changed while it runs" in done.stderr
    if kind == "worker":
        assert done.returncode == 5
        assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == done.stderr.splitlines()[-1:]
        assert not list((copy / "results").glob("tiny/runs/*"))
    else:
        assert "EnvironmentFault" in done.stderr


@pytest.mark.parametrize("kernel", [True, False])
def test_a_child_ends_with_its_parent_also_where_the_kernel_does_not_see_to_it(kernel):
    code = (
        "import os, time; from resnet_shortcuts import child_process\n"
        f"child_process._kernel_kills_orphans = child_process._kernel_kills_orphans if {kernel} else lambda: False\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    child_process.die_with_parent(parent); print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert not psutil.wait_procs([child], timeout=20)[1]


def test_a_message_keeps_names_of_files_that_are_no_text():
    fault = child_process.Fault(error="DataError", what="cannot read", where="a\udcff\n.png", todo="remove it")
    line = fault.as_line()
    assert line.isascii()
    assert line.count(b"\n") == 1
    error = child_process.Fault.model_validate(json.loads(line)).as_error()
    assert (type(error).__name__, error.where) == ("DataError", "a\udcff\n.png")


def test_a_child_that_dies_says_how_with_the_last_line_of_its_log(monkeypatch):
    monkeypatch.setitem(child_process.SERVICES, "none", "no_such_module")
    adapter = child_process.TypeAdapter(child_process.Fault)
    child = child_process.launch(child_process.Request(kind="none"), adapter)
    assert child.next_event() is None
    assert child.reason() == "process ended with exit code 1: KeyError: 'none'"
    child.close()
