"""A user's own shortcut: loading the class, and holding it to the contract before anything is trained with it."""

import importlib
import importlib.util
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.contract import Shortcut, Site
from resnet_shortcuts.shortcuts.custom_sources import Plugin, read_source

_SITES = (Site(4, 4, 1, 0, 3), Site(4, 8, 2, 1, 3), Site(8, 8, 1, 2, 3), Site(4, 8, 2, 1, 3, preactivation=True))


def _line_in(path: str, error: BaseException) -> int | None:
    """The last line of ``path`` that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return lines[-1] if lines else None


def _fault(plugin: Plugin, what: str, error: BaseException | None = None) -> UsageError:
    line = (_line_in(plugin.path, error) if error is not None else None) or plugin.line
    cause = f" ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})" if error else ""
    return UsageError(
        f"shortcut '{plugin.class_name}' {what}{cause}", f"{plugin.path}:{line}", "docs/shortcuts.md has the contract"
    )


def _execute(plugin: Plugin) -> ModuleType:
    if plugin.module is not None:
        return importlib.import_module(plugin.module)
    name = f"resnet_shortcuts_plugin_{plugin.sha256[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, plugin.path)
    if spec is None or spec.loader is None:
        raise _fault(plugin, "is in a file that is no Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs, as an import statement does, so that dataclasses and pickling find it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load_class(plugin: Plugin) -> type[Shortcut]:
    """The plugin's class. Runs its file. Raises UsageError with file and line if that fails or it is no Shortcut."""
    if read_source(Path(plugin.path))[1] != plugin.sha256:
        raise _fault(plugin, "changed on disk since the config was read")
    try:
        module = _execute(plugin)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises is an error in it, told in one line
        raise _fault(plugin, "cannot be imported", error) from error
    found = getattr(module, plugin.class_name, None)
    if not isinstance(found, type) or not issubclass(found, Shortcut):
        raise _fault(plugin, "is not a subclass of resnet_shortcuts.shortcuts.Shortcut")
    return found


def _construct(plugin: Plugin, site: Site) -> Shortcut:
    try:
        return load_class(plugin)(site)
    except UsageError:
        raise
    except Exception as error:  # a stranger's code, as above
        raise _fault(plugin, f"cannot be built for {site}", error) from error


def _check_site(plugin: Plugin, site: Site) -> None:
    shortcut = _construct(plugin, site)
    if shortcut.reads not in {"raw", "preactivated"}:
        raise _fault(plugin, f"says that it reads {shortcut.reads!r}, which is neither 'raw' nor 'preactivated'")
    size = (-(-7 // site.stride), -(-6 // site.stride))
    x = torch.linspace(-1, 1, 2 * site.in_channels * 42).view(2, site.in_channels, 7, 6).requires_grad_()
    residual = torch.linspace(-1, 2, 2 * site.out_channels * size[0] * size[1])
    residual = residual.view(2, site.out_channels, *size).requires_grad_()
    given = (x.detach().clone(), residual.detach().clone())
    try:
        # Copies that no longer are leaves, so that a change in place is seen here and not as an error of autograd.
        a, b = x * 1, residual * 1
        y, moved = shortcut(a, b), shortcut(a + 1, b)
        shortcut(a[:1], b[:1])
    except UsageError:
        raise
    except Exception as error:  # a stranger's code, as above
        raise _fault(plugin, f"fails at {site}", error) from error
    if not isinstance(y, torch.Tensor):
        raise _fault(plugin, f"returns {type(y).__name__} and no tensor at {site}")
    if y.shape != residual.shape:
        raise _fault(plugin, f"returns shape {tuple(y.shape)} where the branch has {tuple(residual.shape)} at {site}")
    if y.dtype != residual.dtype:
        raise _fault(plugin, f"returns {y.dtype} where the branch has {residual.dtype} at {site}")
    if not (torch.equal(a, given[0]) and torch.equal(b, given[1])):
        raise _fault(plugin, f"changes its input in place at {site}")
    if not y.isfinite().all():
        raise _fault(plugin, f"gives numbers that are not finite at {site}")
    gradient = torch.autograd.grad(y.sum(), a, allow_unused=True)[0] if y.requires_grad else None
    reads_input = not torch.equal(y, moved)
    if not y.requires_grad or (reads_input and (gradient is None or not gradient.any())):
        raise _fault(plugin, f"cuts the gradient at {site}")


@cache
def check_plugin(plugin: Plugin) -> None:
    """Hold a plugin to the contract at small sites, once a process. Raises UsageError: file, line, what was broken.

    A site that the plugin refuses with a UsageError of its own is left to it.
    """
    load_class(plugin)
    for site in _SITES:
        # Whoever builds the first shortcut may do so without gradients or on the meta device: the check needs neither.
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
            try:
                _check_site(plugin, site)
            except UsageError as error:
                if plugin.path in error.where:
                    raise


def build_plugin(plugin: Plugin, site: Site) -> Shortcut:
    """The plugin's shortcut for this site, after the contract check."""
    check_plugin(plugin)
    return _construct(plugin, site)
