"""What is stored of one run: the content of ``run.json`` and, for a run that crashed, of ``failed.json``.

Formats 1 to 3 have the same keys; format 3 may have more. A key added later raises no format number: what this version
does not know is kept.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from resnet_shortcuts.experiments.sealed_files import FORMAT

DEFAULT_RECIPE = "default"
"""The label of the recipe where a config has only one."""

RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""The first 16 hexadecimal digits of the hash of a run's science."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Stored(BaseModel):
    """A part of a record: a value, checked strictly, that keeps the keys of newer versions."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class ListedFile(Stored):
    """A file beside the record: its length and its hash."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Labels(Stored):
    """What tables call the run; ``recipe`` names one of several recipes of the experiment."""

    network: str
    shortcut: str
    seed: int
    recipe: str = DEFAULT_RECIPE


class Resume(Stored):
    """A session that went on from a checkpoint, and which execution settings had changed: [before, then]."""

    step: int
    changed: dict[str, list[Any]] = {}


class CheckpointTally(Stored):
    """How many checkpoints were saved, and the seconds that they took together."""

    saved: int = 0
    seconds: float = 0.0


class Epoch(Stored):
    """An epoch of the history: its number from 1, percent right of training (as augmented) and test images."""

    epoch: int
    step: int | None = None
    learning_rate: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    validation_accuracy: float | None = None


class Code(Stored):
    """The code that trained: this package's version, the SHA-256 of its source, its git commit."""

    version: str
    source_sha256: str | None = None
    commit: str | None = None


class Host(Stored):
    """The machine that trained; its hardware is in the environment."""

    name: str


class RunRecord(Stored):
    """One run that ended: 'done', 'diverged' or 'failed' (crashed or out of memory; has no files).

    ``science`` is what the id hashes: strategy, network, data, recipe, seed, precision, format. ``environment`` says
    where and with what it ran (its hardware: `machine.Hardware.recorded`). ``test_accuracy`` (after the last epoch;
    None unless done) and ``train_error`` (of the images as augmented, during the last epoch; None without an epoch) are
    percent. ``elapsed_seconds`` is the wall time of all sessions together; the machine was shared, so it is not a cost.
    ``losses`` counts workers that were lost from outside, ``data_warnings`` says what was wrong with the data,
    ``weights`` describes the stored weights, ``files`` lists every file beside the record.
    """

    format: int = FORMAT
    run_id: RunId
    science: dict[str, Any]
    labels: Labels
    status: Literal["done", "diverged", "failed"]
    reason: str = ""
    steps: Annotated[int, Field(ge=0)] | None = None
    test_accuracy: Annotated[float, Field(ge=0, le=100)] | None = None
    train_error: Annotated[float, Field(ge=0, le=100)] | None = None
    digests: dict[str, str] = {}
    data_vouched: str = ""
    environment: dict[str, Any] = {}
    resumed: list[Resume] = []
    elapsed_seconds: Annotated[float, Field(ge=0)] | None = None
    checkpoints: CheckpointTally = CheckpointTally()
    files: dict[str, ListedFile] = {}
    code: Code | None = None
    host: Host | None = None
    data_warnings: list[str] = []
    losses: int = 0
    weights: dict[str, Any] | None = None

    @property
    def network(self) -> str:
        """The name of the network, as tables show it."""
        return self.labels.network

    @property
    def shortcut(self) -> str:
        """The name of the strategy, as tables show it."""
        return self.labels.shortcut

    @property
    def recipe(self) -> str:
        """The name of the recipe, as tables show it."""
        return self.labels.recipe

    @property
    def seed(self) -> int:
        """The seed of everything drawn at random."""
        return self.labels.seed

    def to_json(self) -> dict[str, Any]:
        """Every key that was given, JSON-able."""
        return self.model_dump(mode="json", exclude_unset=True)
