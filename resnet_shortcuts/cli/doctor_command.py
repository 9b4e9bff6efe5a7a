"""``rsc doctor``: what this machine and installation can do, what is wrong, and what to do about it."""

from resnet_shortcuts.cli.options import DEFAULT_RESULTS, DataRoot, Debug, Format, On, Output, Results
from resnet_shortcuts.cli.output import chosen_format, show
from resnet_shortcuts.errors import Exit
from resnet_shortcuts.tables import Column, Table

COLUMNS = (
    Column("state", "state"),
    Column("what", "what"),
    Column("found", "found", wrap=True),
    Column("todo", "what to do", wrap=True),
)


def doctor(
    on: On = "local",
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> int:
    """Show versions, devices, threads and data found; say what is wrong (exit 5) and what to do.

    With --on, the nodes of a Ray cluster as well.
    """
    from resnet_shortcuts.experiments.health import examine

    chosen = chosen_format(format_, output)
    rows = examine(results, data_root)
    if on != "local":
        from resnet_shortcuts.experiments.ray_cluster import connected

        with connected(on) as cluster:
            rows += cluster.findings()
    show([Table("doctor", COLUMNS, rows)], chosen, output)
    return Exit.ENVIRONMENT if any(row["state"] == "wrong" for row in rows) else Exit.OK
