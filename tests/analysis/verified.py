"""What `rsc verify` would measure, from the table of properties, with an error that each seed brings along."""

from collections.abc import Mapping, Sequence

from resnet_shortcuts.properties.property_row import DECODED, WIDTHS

ON = ("smooth field", "real images", "activations before layer2.0, after 100 steps")
DECODED_ON = ("smooth field", "sparse field", *ON[1:])
BLOCKS = ("block information, v1.5", "block information, v1")
STEM = "cifar-resnet-56, at initialisation"
Table = Mapping[tuple[str, str, str], object]
# `strategies.md`, properties of the transition operators; what is estimated is given an error in `verify_rows`
TABLE: Table = {
    ("stride-pad", "linear", "random"): True,
    ("stride-pad", "rank / n", "random"): 0.25,
    ("stride-pad", "coverage", "random"): 0.25,
    ("stride-pad", "influence", "random"): 0.25,
    ("stride-pad", "singular values", "random"): [1.0],
    ("stride-pad", "gradient gain", "random"): 0.5,
    ("stride-pad", "gradient norm, stem", STEM): 1.6,
    ("max-pad", "rank / n", "random"): 0.163,
    ("avg-pad", "linear", "random"): True,
    ("avg-pad", "rank / n", "random"): 0.25,
    ("avg-pad", "coverage", "random"): 1.0,
    ("avg-pad", "gradient gain", "random"): 0.125,
    ("avg-pad", "gradient norm, stem", STEM): 1.68,
    **{
        (name, what, on): explained
        for name, values in {
            "stride-pad": (0.89, 0.53, 0.92),
            "max-pad": (0.86, 0.46, 0.86),
            "avg-pad": (0.92,) * 3,
        }.items()
        for what in ("information", *BLOCKS)
        for on, explained in zip(ON, values, strict=True)
    },
    **{
        (name, DECODED.format(width), on): explained
        for name, values in {"stride-pad": (0.88, 0.79, 0.64, 0.93), "max-pad": (0.85, 0.77, 0.57, 0.88)}.items()
        for width in WIDTHS
        for on, explained in zip(DECODED_ON, values, strict=True)
    },
}
ERRORS = [0.004, -0.003, 0.001, -0.004, 0.002]  # of each seed: what a fresh network or split changes


def verify_rows(table: Table, errors: Sequence[float] = ERRORS) -> list[dict[str, object]]:
    """A row a seed; what is estimated is off by the seed's error: all of it for option A, half for others."""
    return [
        {"strategy": name, "property": what, "on": on, "measured": off(name, what, measured, error), "seed": seed}
        for (name, what, on), measured in table.items()
        for seed, error in enumerate(errors)
    ]


def off(name: str, what: str, measured: object, error: float) -> object:
    estimated = any(word in what for word in ("information", "norm", "decoded"))
    share = error if name == "stride-pad" else error / 2
    return measured * (1 + share) if estimated and isinstance(measured, float) else measured


VERIFY = verify_rows(TABLE)
