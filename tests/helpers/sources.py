"""Python files as trees, each read once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def tree_of(path: Path) -> ast.Module:
    """What a file says."""
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements right inside of a node: all bodies of a function, an `if`, a `try`, …

    Imports stand among these, and few of a file's nodes are statements.
    """
    for part in ("body", "orelse", "handlers", "finalbody", "cases"):
        inside = getattr(tree, part, ())
        yield from inside if isinstance(inside, list) else ()
