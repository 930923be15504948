"""Packages that only some features need, and that not everybody has installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from pagesort.common.errors import PageSortError


def optional_package(
    name: str, needed_for: str, requirements: str, instead: str = ""
) -> ModuleType:
    """Import a package of an optional feature.

    Args:
        name: the package, which is also its name in registries.
        needed_for: what cannot be done without it, as in `writing .parquet`.
        requirements: the file that installs it.
        instead: what else the person can do, as in `name a .npz file`.

    Raises:
        PageSortError: it is not installed; the line says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        other = f", or {instead}" if instead else ""
        raise PageSortError(
            f"{needed_for} takes a package that is not installed ({name})",
            remedy=f"python3 -m pip install -r {requirements}{other}",
        ) from None
