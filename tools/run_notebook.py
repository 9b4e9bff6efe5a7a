"""Execute a notebook's code cells in order, as a kernel would, and keep what they show: no Jupyter is needed.

    python -m tools.run_notebook docs/quickstart.ipynb      executes it and writes the outputs into it

A cell shows what it prints and the value of its last expression. An exception ends the run.
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def run(document: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of this execution."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = {**cell, "execution_count": count, "outputs": _outputs("".join(cell["source"]), namespace, count)}
        cells.append(cell)
    return {**document, "cells": cells}


def _outputs(source: str, namespace: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree, printed, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), namespace)  # noqa: S102  # the repository's own notebook
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), namespace)  # noqa: S307
    text = printed.getvalue()
    outputs: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": _lines(text)}] if text else []
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if (html := getattr(value, "_repr_html_", lambda: None)()) is not None:
            data["text/html"] = _lines(html)
        outputs.append({"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": data})
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(path: Path) -> None:
    """Execute the notebook at ``path`` and write its outputs into it."""
    executed = run(json.loads(path.read_text()))
    path.write_text(json.dumps(executed, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
