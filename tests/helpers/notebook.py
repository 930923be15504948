"""A notebook in a test: its cells run one after the other, without a kernel."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any


def read_notebook(path: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook, in order."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_cells(cells: list[dict[str, Any]]) -> list[str]:
    """Run code cells in one namespace: what each prints, and its last expression as text."""
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs = []
    for number, cell in enumerate(cells, 1):
        tree = ast.parse("".join(cell["source"]), f"cell {number}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {number}", "exec"), names)
            value = None
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
        outputs.append(printed.getvalue() + ("" if value is None else f"{value!r}\n"))
    return outputs


def stored_output(cell: dict[str, Any]) -> str:
    """What a cell of the notebook file shows, as text."""
    texts = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return "\n".join("".join(text).rstrip("\n") for text in texts)
