"""The one door to torchvision.

PyPI's torchvision is built for CUDA on Linux; beside a CPU build of torch its compiled part cannot load, and the
import fails because nobody declared the operators ``torchvision::nms`` and ``torchvision::qnms`` (pytorch/vision#9085).
Declaring them is right only there: where the compiled part loads, a second declaration is an error. So this module
decides by trying.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import torch

_declared: list[torch.library.Library] = []


def _compiled_part_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True
    folder = Path(spec.submodule_search_locations[0])
    compiled = [path for path in folder.glob("_C.*") if path.suffix in {".so", ".pyd"}]
    try:
        for path in compiled:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(compiled)


def plain_import_works() -> bool:
    """Whether ``import torchvision`` works without this module: its compiled part fits this torch."""
    return _compiled_part_loads()


def import_torchvision() -> ModuleType:
    """torchvision, importable beside a CPU build of torch too. Raises ImportError where it is not installed."""
    if not _declared and not _compiled_part_loads():
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _declared.append(library)
    import torchvision

    module: ModuleType = torchvision
    return module
