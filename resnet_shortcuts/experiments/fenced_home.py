"""A home that other machines reach by messages: JSON and bytes go over the wire, never objects of ours.

`FencedHome` lives where the results are and wraps a folder. `RemoteHome` is what the training of a run sees of it on
another machine. Each claim has a fencing token, one higher than the last of that run, and only the newest counts: a
worker that was taken for dead and comes back cannot overwrite what another has done since.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resnet_shortcuts.child_process import Fault
from resnet_shortcuts.errors import EnvironmentFault, IntegrityError, RscError
from resnet_shortcuts.experiments.checkpoints import Checkpoint, Manifest
from resnet_shortcuts.experiments.home import Claim, FolderHome, Home, Superseded
from resnet_shortcuts.experiments.run_job import EVENTS, Left, RunEvent, RunJob
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.store import LOG, Experiment

CHUNK = 64 * 2**20
"""Bytes of a data set that are sent at once."""

Parts = Mapping[str, bytes]
Call = Callable[[str, dict[str, Any], Parts], tuple[dict[str, Any], dict[str, bytes]]]
"""How a remote home asks: a method of `FencedHome`, what is JSON-able, and bytes by name; answered in the same form."""


class HomeFault(EnvironmentFault):
    """The machine that keeps the results cannot go on: its disk is full, for example. Other machines are fine."""


class FencedHome:
    """The folder of an experiment and the decoded data set, for workers on other machines; one call at a time."""

    def __init__(self, experiment: Experiment, dataset: Path) -> None:
        self._events: list[RunEvent] = []
        self._home = FolderHome(experiment, self._events.append)
        self._dataset = dataset
        self._claims: dict[str, Claim] = {}
        self._tokens: Counter[str] = Counter()
        self._stopping = False

    def answer(self, method: str, about: dict[str, Any], parts: Parts) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Do what is asked. Errors are part of the answer, so that nobody has to unpickle them."""
        try:
            answer: tuple[dict[str, Any], dict[str, bytes]] = getattr(self, f"_{method}")(parts, **about)
        except Superseded:
            return {"superseded": True}, {}
        except RscError as error:
            fault = Fault.of(error)
            if isinstance(error, IntegrityError):  # of a newer format, too
                fault = fault.model_copy(update={"error": "IntegrityError"})
            return {"fault": fault.model_dump()}, {}
        return answer

    def events(self) -> list[RunEvent]:
        """What was reported since the last time."""
        events = self._events.copy()
        self._events.clear()
        return events

    def stop(self) -> None:
        """From now on workers are asked to save and leave."""
        self._stopping = True

    def abandon(self, run_id: str) -> None:
        """The worker of this run is lost: whatever it may still send is refused, and the run is free again."""
        if self._claims.pop(run_id, None):
            self._home.release(run_id)

    def _take(self, parts: Parts, run_id: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        self.abandon(run_id)
        claim = self._home.take(run_id)
        if isinstance(claim, Left):
            return {"left": claim.event}, {}
        self._claims[run_id] = claim
        self._tokens[run_id] += 1
        answer: dict[str, Any] = {"token": self._tokens[run_id]}
        if claim.checkpoint is None:
            return answer, {}
        manifest = claim.checkpoint.manifest.model_dump(mode="json")
        return {**answer, "step": claim.checkpoint.step, "manifest": manifest}, claim.checkpoint.state

    def _keep(self, parts: Parts, run_id: str, token: int, about: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        self._home.keep(self._current(run_id, token), parts, about)
        return {}, {}

    def _publish(self, parts: Parts, run_id: str, token: int, record: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        self._home.publish(self._current(run_id, token), RunRecord.model_validate(record), parts)
        return {}, {}

    def _fail(
        self, parts: Parts, run_id: str, token: int, job: dict[str, Any], reason: str
    ) -> tuple[dict[str, Any], Any]:
        claim = self._current(run_id, token)
        with contextlib.suppress(OSError), claim.log.open("ab") as log:
            log.write(parts.get(LOG, b""))
        self._home.fail(RunJob.model_validate(job), reason)
        return {}, {}

    def _release(self, parts: Parts, run_id: str, token: int) -> tuple[dict[str, Any], Any]:
        if self._tokens[run_id] == token:
            self.abandon(run_id)
        return {}, {}

    def _report(self, parts: Parts, events: list[dict[str, Any]]) -> tuple[dict[str, Any], Any]:
        """Also how a worker learns that it is asked to stop."""
        for plain in events:
            event = EVENTS.validate_python(plain)
            if event.event != "ready":
                self._events.append(event)
        return {"stopping": self._stopping}, {}

    def _data(self, parts: Parts, name: str, offset: int) -> tuple[dict[str, Any], dict[str, bytes]]:
        """A part of a file of the decoded data set."""
        path = self._dataset / Path(name).name
        with path.open("rb") as file:
            file.seek(offset)
            return {"size": path.stat().st_size}, {"data": file.read(CHUNK)}

    def _current(self, run_id: str, token: int) -> Claim:
        claim = self._claims.get(run_id)
        if claim is None or self._tokens[run_id] != token:
            raise Superseded(run_id)
        return claim


class RemoteHome(Home):
    """The home of runs as another machine sees it; ``scratch`` is a folder for the logs of runs."""

    def __init__(self, call: Call, scratch: Path) -> None:
        self._call, self._scratch = call, scratch
        self._tokens: dict[str, int] = {}
        self.stopping = False

    def take(self, run_id: str) -> Claim | Left:
        """See `Home`."""
        answer, state = self._ask("take", run_id=run_id)
        if "left" in answer:
            return Left(run_id=run_id, event=answer["left"])
        self._tokens[run_id] = answer["token"]
        checkpoint = None
        if "manifest" in answer:
            checkpoint = Checkpoint(answer["step"], state, Manifest.model_validate(answer["manifest"]))
        return Claim(run_id, checkpoint, self._log(run_id), answer["token"])

    def keep(self, claim: Claim, state: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """See `Home`."""
        self._ask("keep", state, run_id=claim.run_id, token=claim.token, about=dict(about))

    def publish(self, claim: Claim, record: RunRecord, files: Mapping[str, bytes]) -> None:
        """See `Home`."""
        self._ask("publish", files, run_id=claim.run_id, token=claim.token, record=record.to_json())

    def fail(self, job: RunJob, reason: str) -> None:
        """See `Home`."""
        log = self._log(job.run_id)
        parts = {LOG: log.read_bytes()[-(2**20) :]} if log.exists() else {}
        token = self._tokens.get(job.run_id, 0)
        self._ask("fail", parts, run_id=job.run_id, token=token, job=job.model_dump(mode="json"), reason=reason)

    def release(self, run_id: str) -> None:
        """See `Home`."""
        if token := self._tokens.pop(run_id, 0):
            self._ask("release", run_id=run_id, token=token)

    def report(self, event: RunEvent) -> None:
        """See `Home`."""
        self.stopping = self._ask("report", events=[event.model_dump(mode="json")])[0]["stopping"]

    def look(self) -> bool:
        """Ask whether to stop, without an event."""
        self.stopping = self._ask("report", events=[])[0]["stopping"]
        return self.stopping

    def _log(self, run_id: str) -> Path:
        return self._scratch / f"{run_id}.log"

    def _ask(self, method: str, parts: Parts | None = None, /, **about: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
        answer, sent = self._call(method, about, dict(parts or {}))
        if "superseded" in answer:
            raise Superseded(about.get("run_id", ""))
        if "fault" in answer:
            error = Fault.model_validate(answer["fault"]).as_error()
            raise HomeFault(error.what, error.where, error.todo) if isinstance(error, EnvironmentFault) else error
        return answer, sent
