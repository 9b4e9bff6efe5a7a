"""What is read of GPUs, with a program in the place of nvidia-smi that prints what real ones print."""

import os

import pytest
import torch

from resnet_shortcuts import gpus, machine
from resnet_shortcuts.cost import cost_environment
from resnet_shortcuts.cost.cost_request import CostRequest, report_key
from resnet_shortcuts.errors import EnvironmentFault, UsageError, is_device_fault, is_gpu_out_of_memory
from resnet_shortcuts.experiments.health import examine, runs_on

TWO = """\
NVIDIA H100 80GB HBM3, 81559, 570.86.15, GPU-aaaa, 9.0, 412, 0, Enabled, 1980, 700.00, Disabled
NVIDIA H100 80GB HBM3, 81559, 570.86.15, GPU-bbbb, 9.0, 70000, 98, Disabled, 1980, 700.00, Disabled
"""
TWO_LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""
DIVIDED = """\
NVIDIA H100 80GB HBM3, 81559, 570.86.15, GPU-aaaa, 9.0, 412, [N/A], Enabled, 1980, 700.00, Enabled
"""
DIVIDED_LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-1111)
  MIG 3g.40gb     Device  1: (UUID: MIG-2222)
"""


@pytest.fixture
def nvidia(tmp_path, monkeypatch):
    """A machine with a driver, and with an nvidia-smi that prints these texts."""

    def install(query: str, listed: str) -> None:
        (tmp_path / "query").write_text(query)
        (tmp_path / "listed").write_text(listed)
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\ncase "$1" in -L) cat {tmp_path}/listed ;; *) cat {tmp_path}/query ;; esac\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(gpus, "DRIVER_PLACES", [str(program)])
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        machine.hardware.cache_clear()

    yield install
    machine.hardware.cache_clear()


def test_what_the_driver_tells_of_each_gpu(nvidia):
    nvidia(TWO, TWO_LISTED)
    first, second = gpus.states()
    assert (first.name, first.memory_mib, first.driver, first.uuid) == (
        "NVIDIA H100 80GB HBM3",
        81559,
        "570.86.15",
        "GPU-aaaa",
    )
    assert (first.compute_capability, first.max_clock_mhz, first.power_limit_w) == ((9, 0), 1980, 700.0)
    assert (first.persistence, second.persistence) == (True, False)
    assert (first.busy_percent, second.busy_percent) == (0, 98)
    assert not first.mig


def test_a_driver_of_windows_seen_from_linux_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER_PLACES", [str(tmp_path / "none")])
    assert not gpus.driver_present()
    (tmp_path / "dxg").touch()
    monkeypatch.setattr(gpus, "DRIVER_PLACES", [str(tmp_path / "none"), str(tmp_path / "dxg")])
    assert gpus.driver_present()


def test_the_cuda_version_of_torch_is_read_without_importing_it():
    assert gpus.torch_cuda_version() == torch.version.cuda


@pytest.mark.parametrize(
    ("visible", "listed", "count", "expected"),
    [
        (None, TWO_LISTED, 2, ["0", "1"]),
        ("1", TWO_LISTED, 1, ["1"]),
        ("GPU-bbbb,GPU-aaaa", TWO_LISTED, 2, ["GPU-bbbb", "GPU-aaaa"]),
        (None, DIVIDED_LISTED, 1, ["MIG-1111", "MIG-2222"]),
        ("MIG-2222", DIVIDED_LISTED, 1, ["MIG-2222"]),
        ("", TWO_LISTED, 0, []),
    ],
)
def test_each_worker_can_be_shown_one_gpu_or_slice(nvidia, monkeypatch, visible, listed, count, expected):
    nvidia(TWO, listed)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.selectors(count) == expected


def keys(devices):
    for device in devices:
        request = CostRequest(networks={"N": "cifar-resnet-20"}, shortcuts={"A": "A"}, device=device)
        yield report_key(request, cost_environment.hardware(request))


def test_costs_of_equal_gpus_have_one_key_and_those_of_a_slice_another(nvidia):
    nvidia(TWO, TWO_LISTED)
    of_two = set(keys(["cuda", "cuda:0", "cuda:1"]))
    nvidia(TWO.splitlines()[0] + "\n", TWO_LISTED.splitlines()[0] + "\n")
    of_one = set(keys(["cuda"]))
    nvidia(DIVIDED, DIVIDED_LISTED)
    first, second = keys(["cuda:0", "cuda:1"])
    assert of_two == of_one
    assert len(of_one | {first, second}) == 3


def test_a_gpu_that_works_for_others_makes_times_untrustworthy(nvidia):
    nvidia(TWO, TWO_LISTED)
    request = CostRequest(networks={"N": "cifar-resnet-20"}, shortcuts={"A": "A"}, device="cuda:1")
    assert cost_environment.busy_gpu(request) == 98
    assert cost_environment.busy_gpu(request.model_copy(update={"device": "cpu"})) is None


def test_doctor_says_what_does_not_fit_and_the_remedy(nvidia, tmp_path):
    nvidia(TWO, TWO_LISTED)
    (row,) = [row for row in examine(tmp_path, None) if row["what"].startswith("GPU")]
    if torch.version.cuda is None:
        assert row["state"] == "wrong"
        assert row["found"] == "NVIDIA driver 570.86.15, but the installed torch is a CPU build"
        assert "install the CUDA build" in row["todo"]
        assert "CPU build" in machine.blind_gpu_warning()
        with pytest.raises(EnvironmentFault, match="the installed torch is a CPU build"):
            machine.resolve_devices("cuda")


@pytest.mark.parametrize(
    ("capability", "targets", "fits"),
    [
        ((7, 0), ["sm_75", "sm_80", "sm_90", "compute_90"], False),  # a V100, with a torch that has left it behind
        ((9, 0), ["sm_75", "sm_80", "sm_90"], True),
        ((8, 9), ["sm_80", "sm_90"], True),
        ((8, 0), ["sm_86"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((12, 0), ["sm_90"], False),
        ((10, 3), ["sm_100", "sm_120"], True),
    ],
)
def test_machine_code_runs_from_its_minor_version_on_and_ptx_on_all_later_gpus(capability, targets, fits):
    assert runs_on(capability, targets) == fits


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: all CUDA-capable devices are busy or unavailable",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: unspecified launch failure",
    ],
)
def test_a_gpu_that_failed_is_told_from_a_run_that_failed(text):
    assert is_device_fault(RuntimeError(text))
    assert not is_gpu_out_of_memory(RuntimeError(text))
    assert not is_device_fault(ValueError(text))


def test_what_is_the_runs_own_fault_is_not_the_gpus():
    assert not is_device_fault(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_device_fault(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert is_gpu_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert not is_gpu_out_of_memory(MemoryError())


def test_devices_that_are_not_devices_are_refused():
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        machine.resolve_devices("gpu")
    assert machine.resolve_devices("auto") == ("cpu",)
