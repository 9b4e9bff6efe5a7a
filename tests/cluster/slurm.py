"""A real SLURM of one controller and two nodes on this machine, started by this user, stopped with the tests."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
NODES = ("n1", "n2")

_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if program(name) is None]


def program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Slurm:
    """The cluster; ``environment`` lets the programs of SLURM find it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        values = {"host": socket.gethostname(), "ports": free_ports(3), "user": getpass.getuser(), "folder": folder}
        config = folder / "slurm.conf"
        config.write_text(_CONFIG.format(**values))
        (folder / "state").mkdir()
        self.environment = {**os.environ, "SLURM_CONF": str(config)}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": key, **{name: self.folder / f"munge.{name}" for name in ("socket", "pid-file")}}
        files |= {name: self.folder / f"munge.{name}" for name in ("log-file", "seed-file")}
        self._launch("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items()))
        self._wait("munge", lambda: (self.folder / "munge.socket").exists())
        self._launch("slurmctld", "-D", "-c")
        for node in NODES:
            self._launch("slurmd", "-D", "-N", node)
        self._wait("two idle nodes", lambda: self.ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2)

    def _launch(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            command = [program(name), *arguments]
            self._processes.append(
                subprocess.Popen(command, env=self.environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
            )

    def _wait(self, what: str, holds, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.out"))
                raise AssertionError(f"no {what} within {seconds} s:\n{logs}")
            time.sleep(0.2)

    def ask(self, name: str, *arguments: str) -> str:
        command = [program(name), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def submit(self, script: Path) -> str:
        """Submit a batch script from its folder; the id of the job."""
        command = [program("sbatch"), "--parsable", script.name]
        done = subprocess.run(
            command, env=self.environment, cwd=script.parent, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def wait_for(self, job: str, seconds: float = 120) -> None:
        """Wait until no task of the job is left."""
        self._wait(f"end of job {job}", lambda: not self.ask("squeue", "-h", "-j", job).strip(), seconds)

    def stop(self) -> None:
        self.ask("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
