"""The three kinds of operation that a strategy is composed of, and the registry of each kind. Needs no torch.

An operation is one object. It knows its name, builds its module, counts its parameters and multiply-adds, and declares
what it does to rank, pixels and gradients. Compositions, networks, counts, ``rsc verify``, documents and pictures all
read these objects, so adding an operation means writing one of them: see ``spatial``, ``channels`` and ``joins``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from resnet_shortcuts.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from resnet_shortcuts.shortcuts.contract import Shortcut
    from resnet_shortcuts.shortcuts.custom_sources import CustomSource
    from resnet_shortcuts.shortcuts.site import Site


def lazy(where: str) -> Callable[..., Any]:
    """Calls what ``MODULE.NAME`` of this room stands for; imported, and torch with it, at the first call."""
    module, name = where.split(".")

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module(f"resnet_shortcuts.shortcuts.{module}"), name)(*arguments, **options)

    return call


@dataclass(frozen=True)
class Properties:
    """What is declared of an operator at the transition from C to 2C channels at stride 2.

    ``rank``, ``coverage`` and ``influence`` are shares of the input values: the rank of the Jacobian, the values with a
    non-zero gradient, and the values that can change the output. ``singular_values`` are the distinct non-zero ones of
    the Jacobian or, with ``spectrum``, the least and the greatest; None where no derivation gives them.
    ``gradient_gain`` is E|J'g|^2 / |g|^2 for white g, ``same_gain`` that of a block whose shape does not change, and
    ``branch_gain`` that of the residual branch there. ``shift`` says whether the spatial mean survives a circular shift
    by one pixel: 'yes', 'interior', 'low-pass half' or 'no'. The ``loose`` ones hold in expectation only (over
    initialisations, inputs or draws), within the relative ``tolerance``.
    """

    linear: bool
    rank: float
    coverage: float
    influence: float
    singular_values: tuple[float, ...] | None
    gradient_gain: float
    shift: str
    spectrum: bool = False
    same_gain: float = 1.0
    branch_gain: float = 1.0
    loose: tuple[str, ...] = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and multiply-adds for each output pixel of one image."""

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


@dataclass(frozen=True)
class Number:
    """A number that a composition may set: its default and the range that is accepted."""

    default: float
    low: float = -1e3
    high: float = 1e3


@dataclass(frozen=True, eq=False)
class Operation:
    """What every operation has: a name, one line that describes it and, if a user registered it, its source file."""

    kind: ClassVar[str]

    name: str
    summary: str
    source: CustomSource | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class SpatialOperation(Operation):
    """Shrinks (N, C, H, W) to (N, C, ceil(H/s), ceil(W/s)); acts only where the stride s is not 1.

    ``build(site)`` is the operation by itself, every channel treated alike; an operation that exists only together with
    the 1x1 convolution after it has no ``build``. ``convolution(site, norm)`` merges the two, with batch normalisation
    where ``norm`` is true; without it, a convolution follows what ``build`` gives. ``passes`` is false for 'none'.

    ``formula`` and ``convolution_formula`` spell it out; ``cost(site, norm)`` counts the operation by itself and
    ``weights(stride)`` the weights that the merged convolution has for each pair of channels.

    A separable linear operation states its ``taps`` along one side (the window starts (len - 1) // 2 pixels before
    pixel s * i, and ``reflects`` or cuts off at the border), from which everything else follows. Others state their
    ``window``, the offsets (row, column) from pixel (2i, 2j) of the pixels that can reach output pixel (i, j) at stride
    2, and their ``properties(size)``, followed by zero channels on size x size pixels. ``chooses(image)`` gives the
    pixels that an operation selects from an image (8 x 8), once for each output that they reach; ``learned`` says that
    the window's weights are. ``explained`` is the share of variance that can be decoded linearly from a smooth field of
    16 x 16 pixels with correlation 0.9, where it is known from simulation.
    """

    kind: ClassVar[str] = "spatial"

    build: Callable[[Site], nn.Module] | None = None
    convolution: Callable[[Site, bool], nn.Module] | None = None
    passes: bool = True
    formula: str = ""
    convolution_formula: str = "conv1x1"
    cost: Callable[[Site, bool], Cost] = lambda site, norm: Cost()
    weights: Callable[[int], int] = lambda stride: 1
    taps: tuple[int, ...] = ()
    reflects: bool = False
    window: tuple[tuple[int, int], ...] = ()
    chooses: Callable[[Sequence[Sequence[float]]], list[tuple[int, int]]] | None = None
    learned: bool = False
    properties: Callable[[int], Properties] | None = None
    explained: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelOperation(Operation):
    """Turns C_in channels into C_out at the resolution that the spatial operation left, without parameters.

    ``build(site)`` is its module where the number of channels changes. ``refuses(site)`` gives the reason why a site
    cannot be served, and ``limit`` says in words which sites are. ``declare`` turns the properties of the spatial
    operation followed by zero channels into those of the spatial operation followed by this one. ``zeros`` says where
    zero channels are put, ``invertible`` that the spatial operation's output can be decoded from this one's.
    ``norm`` is None unless it is a convolution, for which see `channels.ConvolvingOperation`.
    """

    kind: ClassVar[str] = "channels"
    convolves: ClassVar[bool] = False

    build: Callable[[Site], nn.Module] | None = None
    refuses: Callable[[Site], str | None] = lambda site: None
    limit: str = ""
    cost: Callable[[Site], Cost] = lambda site: Cost()
    declare: Callable[[Properties], Properties] | None = None
    zeros: Literal["", "end", "both sides"] = ""
    invertible: bool = False
    norm: bool | None = None

    def goes_with(self, spatial: SpatialOperation) -> bool:
        """Whether the two can be composed."""
        return spatial.build is not None

    def problem_at(self, site: Site) -> str | None:
        """Why this site cannot be served, or None."""
        if not site.changes_channels:
            return None
        if site.out_channels < site.in_channels:
            return "which has fewer channels at its output than at its input"
        return self.refuses(site)

    def operation(self, spatial: SpatialOperation, site: Site, everywhere: bool) -> nn.Module | None:
        """The module of both operations at a site, or None where nothing is to be done."""
        from torch import nn

        steps = [spatial.build(site)] if site.changes_size and spatial.build is not None else []
        steps += [self.build(site)] if site.changes_channels and self.build is not None else []
        return nn.Sequential(*steps) if len(steps) > 1 else next(iter(steps), None)

    def cost_with(self, spatial: SpatialOperation, site: Site, everywhere: bool) -> Cost:
        """The cost of both operations at a site."""
        of_spatial = spatial.cost(site, False) if site.changes_size else Cost()
        return of_spatial + self.cost(site) if site.changes_channels else of_spatial

    def formula(self, spatial: SpatialOperation) -> str:
        """What both compute from ``x`` where the size changes."""
        return f"{self.name}({spatial.formula or f'{spatial.name}(x)'})"


@dataclass(frozen=True, eq=False, kw_only=True)
class Join(Operation):
    """Combines the shortcut with the residual branch.

    ``build(operation, site, scale, branch_scale, **options)`` gives the Shortcut, ``operation`` being what the shortcut
    does to ``x`` (None: nothing). ``options`` are the numbers that it reads from a composition. ``formula`` is a format
    string of ``carried``, ``branch`` and the options. ``declare(properties, options)`` turns the properties of the
    operator into those of the join. ``adds`` says that both parts arrive whole, ``carries_unchanged`` that the shortcut
    does, ``closed`` that the branch is multiplied by a learned factor that starts at 0.
    """

    kind: ClassVar[str] = "join"

    build: Callable[..., Shortcut]
    formula: str
    options: Mapping[str, Number] = field(default_factory=dict)
    cost: Callable[[Site], Cost] = lambda site: Cost()
    declare: Callable[[Properties, Mapping[str, float]], Properties] | None = None
    adds: bool = False
    carries_unchanged: bool = False
    closed: bool = False


Kind = TypeVar("Kind", bound=Operation)
REGISTRY: dict[str, dict[str, Operation]] = {"spatial": {}, "channels": {}, "join": {}}
"""Every operation by its kind and name, in the order of definition."""


def define(operation: Kind) -> Kind:
    """Add an operation to the registry. Raises UsageError where another file's operation has its name."""
    known = REGISTRY[operation.kind].setdefault(operation.name, operation)
    files = {None if each.source is None else each.source.file for each in (known, operation)}
    if known is not operation and (None in files or len(files) > 1):
        raise UsageError(f"the name {operation.name!r} is taken", f"{operation.kind} operations", "choose another name")
    REGISTRY[operation.kind][operation.name] = operation
    return operation


def operations(kind: type[Kind]) -> dict[str, Kind]:
    """The operations of one kind by name, in the order of definition."""
    return {name: operation for name, operation in REGISTRY[kind.kind].items() if isinstance(operation, kind)}
