"""One share of a plan: what one task of a job array trains."""

import re
from dataclasses import dataclass
from typing import Self

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments.plan import Plan


@dataclass(frozen=True)
class Share:
    """The share ``number`` (from 1) of ``count``: every ``count``-th run, so that each share has all kinds of runs."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The share that ``3/40`` names. Raises UsageError."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        share = cls(int(match[1]), int(match[2])) if match else None
        if share is None or not 1 <= share.number <= share.count:
            raise UsageError(f"'{text[:40]}' is not a share", "--only", "give I/N, with I from 1 to N, such as 3/40")
        return share

    def of(self, plan: Plan) -> Plan:
        """The plan with the runs of this share only; those of all shares together are the plan's."""
        return Plan.model_validate({**dict(plan), "runs": plan.rows[self.number - 1 :: self.count]})

    def __str__(self) -> str:
        return f"share {self.number} of {self.count}"
