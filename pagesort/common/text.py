"""Counts, sizes and lists of names as words for people."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 20
"""More names or problems than these are counted in a message, not listed."""


def counted(pages: int) -> str:
    """Return a number of pages in words that agree."""
    return f"{pages} page{'' if pages == 1 else 's'}"


def named(names: Sequence[str]) -> str:
    """Return a list of names for a message: twenty at most, then how many more there are."""
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def size_text(size: float) -> str:
    """Write a number of bytes for people: `571 MB`, `1.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB" if size < 999.5 else f"{size:.0f} TB"


def shown(cell: object) -> str:
    """Return a cell as text that any reader of UTF-8 takes."""
    return str(cell).encode("utf-8", "backslashreplace").decode("utf-8")
