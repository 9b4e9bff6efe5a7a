"""``register``: custom strategies and operations that stand beside the built-in ones while this process runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import catalogue
from resnet_shortcuts.shortcuts.custom_sources import CustomShortcut, source_of
from resnet_shortcuts.shortcuts.operations import Kind, Operation, define

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.contract import Shortcut

Class = TypeVar("Class", bound="type[Shortcut]")


@overload
def register(entry: Kind, /) -> Kind: ...
@overload
def register(
    entry: str, /, *, aliases: Sequence[str] = (), summary: str = "", source: str = "", note: str = ""
) -> Callable[[Class], Class]: ...
def register(entry: Any, /, *, aliases: Sequence[str] = (), summary: str = "", source: str = "", note: str = "") -> Any:
    """Add a custom operation or, as a decorator with a name, a custom strategy.

    ``register(SpatialOperation(...))``, and likewise with a ChannelOperation or a Join, returns the operation that
    compositions then find by its name. ``@register("name", aliases=..., summary=..., source=...)`` on a Shortcut class
    makes it one more entry of the catalogue. Both are known by the SHA-256 of the file that registers them, which must
    be the one that defines the class. Raises UsageError where a name is taken. Registering a name again from the same
    file replaces what it stood for.

    Example:
        >>> import resnet_shortcuts as rs
        >>> from resnet_shortcuts.shortcuts import Shortcut
        >>> @rs.register("no-shortcut-of-mine", summary="the branch alone")
        ... class Mine(Shortcut):
        ...     def __init__(self, site):
        ...         super().__init__()
        ...     def forward(self, x, residual):
        ...         return residual + 0 * x.mean()
        >>> "no-shortcut-of-mine" in set(rs.shortcuts().name)
        True
    """
    module = sys._getframe(1).f_globals
    if isinstance(entry, Operation):
        catalogue.check_name(entry.name)
        return define(replace(entry, source=source_of(module, getattr(entry, "build", None))))

    def decorate(cls: Class) -> Class:
        if cls.__module__ != module["__name__"]:
            raise UsageError(f"class {cls.__name__!r} is defined in {cls.__module__}", "register", "register it there")
        custom = CustomShortcut(cls.__name__, source_of(module, cls), registered=cls)
        line = summary or (cls.__doc__ or "custom strategy").strip().splitlines()[0].rstrip(".")
        catalogue.add(
            catalogue.Strategy(
                catalogue.check_name(entry), line, source or custom.source.file, None, tuple(aliases), note, custom
            )
        )
        return cls

    return decorate
