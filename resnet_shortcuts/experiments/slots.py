"""Where the workers of a sweep may run: how many on each device, and what becomes of a device that fails."""

from collections import Counter
from collections.abc import Iterable


class Slots:
    """``jobs`` slots on each device. A device that fails loses all, one whose memory is short loses one at a time."""

    def __init__(self, devices: Iterable[str], jobs: int) -> None:
        self._slots = dict.fromkeys(devices, jobs)

    def place(self, busy: Iterable[str]) -> str | None:
        """The device with the most free slots, the first of several; None where none is free.

        ``busy`` names the device of each worker.
        """
        taken = Counter(busy)
        device = max(self._slots, key=lambda name: self._slots[name] - taken[name], default=None)
        return device if device is not None and self._slots[device] > taken[device] else None

    def shrink(self, device: str) -> int:
        """Take a slot from a device that has more than one; how many are left, 0 where it has only one."""
        if self._slots.get(device, 0) < 2:
            return 0
        self._slots[device] -= 1
        return self._slots[device]

    def retire(self, device: str) -> bool:
        """Use this device no more; whether another is left."""
        self._slots.pop(device, None)
        return bool(self._slots)
