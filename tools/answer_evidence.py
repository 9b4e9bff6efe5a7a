"""What others published on the question, with protocol: beside our answer, never mixed with it."""

from collections.abc import Iterator

from resnet_shortcuts.analysis.experiment_records import pretty_network
from resnet_shortcuts.analysis.published import data
from resnet_shortcuts.tables import Column, Table, markdown

SETS = (
    ("He et al. 2015, arXiv:1512.03385, Table 3", ("imagenet-resnet-34",)),
    ("He et al. 2015, arXiv:1512.03385, Table 6", ("cifar-resnet-20", "cifar-resnet-56", "cifar-resnet-110")),
    ("He et al. 2016, arXiv:1603.05027, Table 1", ("cifar-resnet-110",)),
    ("raphaelreme/torch-resnet", ("cifar-resnet-20",)),
)
"""Of the package's data file: those that compare shortcuts, or say what full training reaches."""
FURTHER = (
    (
        "raphaelreme/torch-resnet", "PreAct-ResNet-164", "CIFAR-10, last epoch, mixed precision",
        "A 5.52, B 5.61, C failed (90.0)", "C helps at depth 20 and fails here",
    ),
    (
        "mmpretrain, ResNet-50 v1c and v1d (the ResNet-D of 'Bag of Tricks', He T. et al. 2019)", "ResNet-50",
        "ImageNet, top-1, one run each", "accuracy: v1c 77.01, v1d 77.54",
        "averaging before the projection, as D does here",
    ),
    (
        "adobe/antialiased-cnns (Zhang 2019)", "ResNet-18", "ImageNet, top-1", "accuracy: 69.74, with a 2x2 box 71.39",
        "the filter stands at all downsampling, the branch's too, not in the shortcut alone",
    ),
    (
        "apache/mxnet, pull request 2046", "ResNet-56", "CIFAR-10, single runs, best of the last epochs", "",
        "its author came to the paper's accuracy only with a 2x2 kernel without parameters in place of the 1x1 one; "
        "the runs were not repeated, so no figure is quoted",
    ),
    (
        "hongyi-zhang/Fixup (Zhang, Dauphin and Ma 2019), code", "ResNets without batch norm", "CIFAR-10", "",
        "uses option A (a 1x1 average-pool of stride 2, then zeros) throughout; compares no shortcuts, so it has no "
        "figure on the question",
    ),
)  # fmt: skip


def evidence() -> str:
    """The table as Markdown; figures are test errors in percent unless they say otherwise."""
    columns = [
        Column("source", "source", label=True),
        Column("network", "network"),
        Column("protocol", "protocol"),
        Column("figures", "test error, %"),
        Column("remark", "remark"),
    ]
    return markdown([Table("evidence", columns, [*_from_data_file(), *_further()])])


def _from_data_file() -> Iterator[dict[str, str]]:
    for source, networks in SETS:
        for entry in data()["sets"]:
            for network in networks if entry["source"] == source else ():
                rows = [row for row in entry["rows"] if row["network"] == network]
                if rows:
                    figures = ", ".join(_figure(row) for row in rows)
                    who = {"source": source, "network": pretty_network(network)}
                    yield {**who, "protocol": entry["protocol"], "figures": figures}


def _figure(row: dict[str, object]) -> str:
    value = row["text"] if row["error"] is None else f"{row['error']:.2f}"
    spread = f" ± {row['sd']:.2f}" if "sd" in row and "mean" not in row else ""
    return f"{row['shortcut']} {value}{spread}"


def _further() -> Iterator[dict[str, str]]:
    keys = ("source", "network", "protocol", "figures", "remark")
    for entry in FURTHER:
        yield {key: text for key, text in zip(keys, entry, strict=True) if text}
