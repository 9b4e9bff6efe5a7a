"""One epoch of a training history, as stored in history.json and in checkpoints. Free of torch."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class EpochRecord(BaseModel):
    """What is known after an epoch. Accuracies are in percent; None where an accuracy was not evaluated.

    ``epoch`` counts from 1, ``step`` is the number of optimizer steps so far, ``learning_rate`` that of the last one.
    ``validation_accuracy`` is set only where a validation split is held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_accuracy: float | None
    validation_accuracy: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as plain data; ``validation_accuracy`` is left out where it was never set."""
        return self.model_dump(exclude_unset=True)
