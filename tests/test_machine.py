"""Facts about the machine, compared with what the system says by other ways."""

import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from resnet_shortcuts import machine
from resnet_shortcuts.errors import EnvironmentFault, UsageError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")


def test_importing_it_imports_no_torch() -> None:
    code = "import sys; from resnet_shortcuts import machine; machine.environment(); machine.resolve_device('cpu');"
    code += "machine.resolve_precision('auto', 'cpu'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@linux
def test_cores_follow_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    code += "from resnet_shortcuts import machine; print(machine.cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert 1 <= machine.cores() <= len(os.sched_getaffinity(0))


@linux
def test_flags_and_model_are_those_of_proc_cpuinfo() -> None:
    text = Path("/proc/cpuinfo").read_text()
    line = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    assert line is not None
    assert machine.cpu_flags() == set(line[1].split())
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    assert machine.cpu_model() == (model[1].strip() if model else platform.processor() or platform.machine())


def test_bf16_on_the_cpu_agrees_with_torch() -> None:
    import torch

    says = [torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()]
    if platform.machine() == "x86_64":
        assert machine.bf16_supported("cpu") == any(says)


def test_auto_precision_is_what_the_hardware_has() -> None:
    expected = "bf16" if machine.bf16_supported("cpu") else "fp32"
    assert machine.resolve_precision("auto", "cpu") == expected
    assert machine.resolve_precision("fp32", "cpu") == "fp32"
    assert machine.resolve_precision("bf16", "cpu") == "bf16"
    with pytest.raises(UsageError, match="unknown precision 'fp8'"):
        machine.resolve_precision("fp8", "cpu")


def test_slow_bf16_is_allowed_and_warned_of() -> None:
    assert (machine.precision_warning("bf16", "cpu") is None) == machine.bf16_supported("cpu")
    assert machine.precision_warning("auto", "cpu") is None
    assert machine.precision_warning("fp32", "cpu") is None


def test_fault_53_a_gpu_that_is_not_there_is_no_silent_cpu() -> None:
    import torch

    if torch.cuda.is_available():
        assert machine.resolve_device("auto") == "cuda"
        assert machine.resolve_device("cuda:0") == "cuda:0"
    else:
        assert machine.resolve_device("auto") == "cpu"
        with pytest.raises(EnvironmentFault, match="device 'cuda' is not there"):
            machine.resolve_device("cuda")
    with pytest.raises(EnvironmentFault, match="device 'cuda:99' is not there"):
        machine.resolve_device("cuda:99")
    assert machine.resolve_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        machine.resolve_device("gpu")


def test_memory_is_at_most_the_machines() -> None:
    assert 2**28 < machine.memory_bytes() <= psutil.virtual_memory().total


def test_tcmalloc_is_a_library_or_nothing() -> None:
    found = machine.tcmalloc_path()
    assert found is None or (found.is_file() and "tcmalloc" in found.name)


def test_the_environment_is_json_and_names_the_versions() -> None:
    facts = json.loads(json.dumps(machine.environment("cpu"), allow_nan=False))
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["torch"] == version("torch")
    assert facts["device"] == "cpu"
    assert facts["cores"] == machine.cores()
    assert facts["commit"] is None or re.fullmatch(r"[0-9a-f]{40,64}(\+changes)?", facts["commit"])


@linux
def test_the_hardware_tells_steppings_of_one_name_apart() -> None:
    here = machine.hardware()
    assert here.cores == machine.cores()
    text = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    for key in ("cpu family", "stepping"):
        found = re.search(rf"^{key}\s*: (.*)$", text, re.MULTILINE)
        assert found is None or found[1] in (here.processor_id or "").split("-")
    other = here.model_copy(update={"processor_id": "25-1-1"})
    assert not here.agrees(other)
    assert here.agrees(machine.Hardware.model_validate_json(here.model_dump_json()))


OLD_RUN = {
    "cpu": "AMD EPYC", "cpu_flags": ["avx2"], "cores": 2, "memory_bytes": 25276063744, "device": "cpu", "gpu": None,
    "packages": {"torch": "2.13.0+cpu"}, "preloaded": "/usr/lib/libtcmalloc_minimal.so.4",
}  # fmt: skip
OLD_COST = {"device": "AMD EPYC", "cores": 2, "memory_format": "channels_last", "allocator": "tcmalloc",
            "torch": "2.13.0+cpu", "threads": 1}  # fmt: skip


def test_what_older_versions_recorded_is_compared_by_what_they_knew() -> None:
    run, cost = machine.Hardware.recorded(OLD_RUN), machine.Hardware.recorded(OLD_COST)
    now = machine.Hardware(
        processor="AMD EPYC", processor_id="25-17-1", flags=["avx2"], cores=2, memory_gib=24, gpus=[],
        allocator="tcmalloc", torch="2.13.0+cpu",
    )  # fmt: skip
    assert run.agrees(cost)
    assert now.agrees(run)
    assert now.agrees(cost)
    for changed in ({"cores": 4}, {"allocator": "glibc"}, {"torch": "2.12.0"}):
        assert not now.model_copy(update=changed).agrees(run), changed
        assert not now.model_copy(update=changed).agrees(cost), changed
    assert not now.model_copy(update={"memory_gib": 48}).agrees(run)
    assert not now.model_copy(update={"processor": "AMD EPYC 9654"}).agrees(run)
    for ill in ({"hardware": 3}, {"cpu": [1], "packages": 2}, {"device": {}, "cores": "two"}):
        assert machine.Hardware.recorded(ill) == machine.Hardware()
    assert machine.Hardware.recorded({"hardware": now.model_dump()}) == now
    h100 = machine.Gpu(name="H100", memory_mib=81559, driver="570.1")
    assert machine.Hardware(gpus=[h100]).agrees(machine.Hardware.recorded({**OLD_RUN, "gpu": "H100"}))
    assert not machine.Hardware(gpus=[h100]).agrees(machine.Hardware(gpus=[h100.model_copy(update={"driver": "580"})]))


def test_load_average_is_three_numbers() -> None:
    assert len(machine.load_average()) == 3
    assert all(value >= 0 for value in machine.load_average())
