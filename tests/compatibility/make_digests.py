"""Adds this machine's digests to step_digests.json, with the package that PYTHONPATH leads to (see README.md)."""

import json
import tempfile
from pathlib import Path

import torch

from tests.compatibility.cases import CASES, CASES_BY_PRECISION
from tests.compatibility.internals import HERE, bf16_here, hardware

if __name__ == "__main__":
    torch.set_num_threads(1)
    path = HERE / "step_digests.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as cache:
        found: dict[str, dict[str, dict[str, str]]] = {}
        for precision, name in CASES_BY_PRECISION:
            if precision == "fp32" or bf16_here():
                found.setdefault(precision, {})[name] = CASES[name].train(Path(cache), precision)[0]
        stored[hardware()] = found
    path.write_text(json.dumps(stored, indent=1) + "\n")
