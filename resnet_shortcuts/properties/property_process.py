"""The process that measures properties of strategies from one seed after another, on one thread."""

from typing import Any, Literal

from pydantic import TypeAdapter

from resnet_shortcuts.child_process import Channel, Fault, Message, Request


class PropertyRequest(Request):
    """The properties of registered strategies, from these seeds: see `network_checks.verify_seed`.

    ``decoded`` are the names of those that decoders are fitted for.
    """

    kind: Literal["properties"] = "properties"
    names: tuple[str, ...]
    decoded: tuple[str, ...]
    seeds: tuple[int, ...]
    depths: tuple[int, ...]


class StrategyMeasured(Message):
    """One strategy is measured from one seed."""

    event: Literal["strategy measured"] = "strategy measured"


class SeedMeasured(Message):
    """From one seed, every row, a `PropertyRow` each."""

    event: Literal["seed measured"] = "seed measured"
    seed: int
    rows: list[Any]


EVENTS: TypeAdapter[StrategyMeasured | SeedMeasured | Fault] = TypeAdapter(StrategyMeasured | SeedMeasured | Fault)


def serve(plain: Any, channel: Channel) -> None:
    """Measure what the request asks for."""
    import torch

    from resnet_shortcuts.properties.network_checks import verify_seed

    request = PropertyRequest.model_validate(plain)
    torch.set_num_threads(1)
    for seed in request.seeds:
        rows = verify_seed(
            request.names,
            seed,
            request.depths,
            decoders=request.decoded,
            tell=lambda _: channel.send(StrategyMeasured()),
        )
        channel.send(SeedMeasured(seed=seed, rows=rows))
