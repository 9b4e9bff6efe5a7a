"""Subpackages that can be called: ``resnet_shortcuts.shortcuts`` is a subpackage and a function of the public API.

Importing a subpackage binds its name in the package, so a function of the same name there would disappear. The
subpackage calls the function of `resnet_shortcuts.api` instead.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """A module that calls the function of its own name in `resnet_shortcuts.api`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function of the public API, see ``help(resnet_shortcuts.api)``."""
        package, _, name = self.__name__.rpartition(".")
        return getattr(import_module(f"{package}.api"), name)(*arguments, **options)


def make_callable(name: str) -> None:
    """Let the module of this name be called."""
    sys.modules[name].__class__ = CallableRoom
