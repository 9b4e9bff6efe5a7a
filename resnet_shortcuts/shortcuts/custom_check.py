"""Building custom strategies: loading the class, and checking the contract before anything is trained with it."""

import importlib
from functools import cache

import torch

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.shortcuts.custom_sources import CustomShortcut, contract_error, execute, is_current
from resnet_shortcuts.shortcuts.site import Site

_SITES = (Site(4, 4, 1, 0, 3), Site(4, 8, 2, 1, 3), Site(8, 8, 1, 2, 3), Site(4, 8, 2, 1, 3, preactivation=True))


def _error(strategy: Strategy, what: str, cause: BaseException | None = None) -> UsageError:
    line = strategy.custom.line if strategy.custom is not None else 1
    name = strategy.custom.class_name if strategy.custom is not None else strategy.name
    return contract_error(f"shortcut '{name}' {what}", strategy.sources, line, cause)


def _load_class(strategy: Strategy, custom: CustomShortcut) -> type[Shortcut]:
    """The strategy's class. Runs its file. Raises UsageError with file and line if that fails or is not a Shortcut."""
    if custom.registered is None:
        if not is_current(custom.source):
            raise _error(strategy, "changed on disk since the config was read")
        try:
            module = importlib.import_module(custom.module) if custom.module else execute(custom.source)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:  # whatever a user's code raises is reported in one line
            raise _error(strategy, "cannot be imported", error) from error
        loaded = getattr(module, custom.class_name, None)
    else:
        loaded = custom.registered
    if not isinstance(loaded, type) or not issubclass(loaded, Shortcut):
        raise _error(strategy, "is not a subclass of resnet_shortcuts.shortcuts.Shortcut")
    return loaded


def _construct(strategy: Strategy, site: Site) -> Shortcut:
    try:
        if strategy.custom is not None:
            return _load_class(strategy, strategy.custom)(site)
        return strategy.point.build(strategy.name, site)
    except UsageError:
        raise
    except Exception as error:  # a user's code, as above
        raise _error(strategy, f"cannot be built for {site}", error) from error


def _check_site(strategy: Strategy, site: Site) -> None:
    shortcut = _construct(strategy, site)
    if not isinstance(shortcut, Shortcut):
        raise _error(strategy, f"is built as {type(shortcut).__name__}, which is no Shortcut, for {site}")
    if shortcut.reads not in {"raw", "preactivated"}:
        raise _error(strategy, f"says that it reads {shortcut.reads!r}, which is neither 'raw' nor 'preactivated'")
    size = (-(-7 // site.stride), -(-6 // site.stride))
    x = torch.linspace(-1, 1, 2 * site.in_channels * 42).view(2, site.in_channels, 7, 6).requires_grad_()
    residual = torch.linspace(-1, 2, 2 * site.out_channels * size[0] * size[1])
    residual = residual.view(2, site.out_channels, *size).requires_grad_()
    before = (x.detach().clone(), residual.detach().clone())
    try:
        # Copies that are not leaf tensors, so that a change in place is noticed here and not as an error of autograd.
        a, b = x * 1, residual * 1
        y, moved = shortcut(a, b), shortcut(a + 1, b)
        shortcut(a[:1], b[:1])
    except UsageError:
        raise
    except Exception as error:  # a user's code, as above
        raise _error(strategy, f"fails at {site}", error) from error
    problem = _problem(y, residual)
    if problem is None and not (torch.equal(a, before[0]) and torch.equal(b, before[1])):
        problem = "changes its input in place"
    if problem is None:
        gradient = torch.autograd.grad(y.sum(), a, allow_unused=True)[0] if y.requires_grad else None
        reads_input = not torch.equal(y, moved)
        if not y.requires_grad or (reads_input and (gradient is None or not gradient.any())):
            problem = "cuts the gradient"
    if problem is not None:
        raise _error(strategy, f"{problem} at {site}")


def _problem(y: object, residual: torch.Tensor) -> str | None:
    """What is wrong with an output, or None."""
    if not isinstance(y, torch.Tensor):
        return f"returns {type(y).__name__} and no tensor"
    if y.shape != residual.shape:
        return f"returns shape {tuple(y.shape)} where the branch has {tuple(residual.shape)}"
    if y.dtype != residual.dtype:
        return f"returns {y.dtype} where the branch has {residual.dtype}"
    return None if y.isfinite().all() else "gives numbers that are not finite"


@cache
def _check(strategy: Strategy) -> None:
    """Check the contract at small sites, once in a process. Raises UsageError: file, line, what was broken.

    A site that the strategy itself refuses with a UsageError is not checked.
    """
    for site in _SITES:
        # The first shortcut may be built without gradients or on the meta device: the check needs neither.
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
            try:
                _check_site(strategy, site)
            except UsageError as error:
                if any(source.file in error.where for source in strategy.sources):
                    raise


def build_custom(strategy: Strategy, site: Site) -> Shortcut:
    """The shortcut of a custom class, or of a composition with custom operations, after the contract check."""
    _check(strategy)
    return _construct(strategy, site)
