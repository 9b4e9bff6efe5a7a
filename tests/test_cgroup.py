"""Limits of control groups, read from small copies of what Linux shows under /proc and /sys."""

import pytest

from resnet_shortcuts.cgroup import cpu_quota, memory_limit


@pytest.fixture
def machine(tmp_path):
    """Writes files below a root: ``machine({"proc/self/cgroup": "..."})``."""

    def write(files: dict[str, str]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return write


def test_no_control_groups_limit_nothing(tmp_path):
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None


def test_version_2_of_the_processs_own_slice(machine):
    slice_ = "sys/fs/cgroup/user.slice/user-1000.slice/run.scope"
    root = machine({
        "proc/self/cgroup": "0::/user.slice/user-1000.slice/run.scope",
        f"{slice_}/cpu.max": "150000 100000",
        f"{slice_}/memory.max": "4294967296",
        "sys/fs/cgroup/cpu.max": "max 100000",
    })  # fmt: skip
    assert cpu_quota(root) == 1.5
    assert memory_limit(root) == 2**32


def test_a_group_above_may_grant_less(machine):
    root = machine({
        "proc/self/cgroup": "0::/a/b",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000",
        "sys/fs/cgroup/a/b/memory.max": "8000",
        "sys/fs/cgroup/a/cpu.max": "200000 100000",
        "sys/fs/cgroup/a/memory.max": "5000",
    })  # fmt: skip
    assert cpu_quota(root) == 2
    assert memory_limit(root) == 5000


def test_version_2_within_a_container(machine):
    root = machine({
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cpu.max": "50000 100000",
        "sys/fs/cgroup/memory.max": "max",
    })  # fmt: skip
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) is None
    machine({"proc/self/cgroup": "0::/../../outside"})
    assert cpu_quota(root) == 0.5


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_version_1(machine, mount):
    root = machine({
        "proc/self/cgroup": "5:memory:/slurm/job_1\n3:cpu,cpuacct:/slurm/job_1\n1:name=systemd:/init.scope",
        f"sys/fs/cgroup/{mount}/slurm/job_1/cpu.cfs_quota_us": "400000",
        f"sys/fs/cgroup/{mount}/slurm/job_1/cpu.cfs_period_us": "100000",
        f"sys/fs/cgroup/{mount}/cpu.cfs_quota_us": "-1",
        f"sys/fs/cgroup/{mount}/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/slurm/memory.limit_in_bytes": "1000000",
    })  # fmt: skip
    assert cpu_quota(root) == 4
    assert memory_limit(root) == 1_000_000


def test_version_1_in_a_container_that_sees_its_group_as_the_root(machine):
    root = machine({
        "proc/self/cgroup": "5:memory:/docker/abc\n3:cpu:/docker/abc",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "777",
    })  # fmt: skip
    assert cpu_quota(root) == 2
    assert memory_limit(root) == 777


def test_both_versions_at_once_and_nonsense(machine):
    root = machine({
        "proc/self/cgroup": "0::/x\n4:memory:/x\nnonsense\n",
        "sys/fs/cgroup/unified/x/cpu.max": "300000 100000",
        "sys/fs/cgroup/x/cpu.max": "no numbers",
        "sys/fs/cgroup/x/memory.max": "",
        "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "42",
    })  # fmt: skip
    assert cpu_quota(root) == 3
    assert memory_limit(root) == 42
