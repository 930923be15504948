"""What the command can do: a module for each kind of action, with its handlers and requests.

A module is imported when a handler of it is asked for: of all these, a call needs one or two.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagesort.cli.actions import (
        audit,
        evaluation,
        folds,
        grouping,
        hub,
        prediction,
        reader,
        reading,
        records,
        review,
        scale,
        search,
        sorting,
        suspects,
        training,
    )
else:  # a type checker knows the modules, and that there are no others

    def __getattr__(name: str) -> ModuleType:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")


__all__ = [
    "audit",
    "evaluation",
    "folds",
    "grouping",
    "hub",
    "prediction",
    "reader",
    "reading",
    "records",
    "review",
    "scale",
    "search",
    "sorting",
    "suspects",
    "training",
]
