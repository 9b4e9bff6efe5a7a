"""Which shortcut should a residual network use where the dimensions change? Measured side by side.

Everything below is loaded when it is first used; ``import resnet_shortcuts`` alone loads nothing else.

Building: `shortcuts`, `shortcut`, `network`, `convert`, `register`. Measuring: `Experiment`, `load`, `Result`,
`compare`, `cost`, `properties`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_shortcuts.api import (
        Experiment,
        Result,
        compare,
        convert,
        cost,
        load,
        network,
        properties,
        register,
        shortcut,
        shortcuts,
    )

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "Result",
    "__version__",
    "compare",
    "convert",
    "cost",
    "load",
    "network",
    "properties",
    "register",
    "shortcut",
    "shortcuts",
]
_SUBPACKAGES = {"cost", "properties", "shortcuts"}
"""Functions whose subpackage has their name: the subpackage can be called and calls the function (`callable_room`)."""


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
