"""The tables of groups and of items, a row at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from pagesort.common.tables import TableForm, TableWriter
from pagesort.common.text import shown

GROUPS_COLUMNS = (
    "FILE", "PAGE", "PATH", "GROUP", "PAGES", "BOUNDARY", "CLASS", "SCORE", "NOTE",
)  # fmt: skip
ITEMS_COLUMNS = (
    "GROUP", "PAGES", "KINDS", "BOUNDARY", "FIRST-FILE", "FIRST-PAGE", "FIRST-PATH", "LAST-FILE",
    "LAST-PAGE", "LAST-PATH", "UNREAD",
)  # fmt: skip
LONGEST_KINDS = 30_000  # letters; spreadsheet programs take 32,767 in a cell


@dataclass(frozen=True)
class GroupedPage:
    """A page as tables tell it.

    Attributes:
        file, page, path: as in the other tables of results.
        boundary: the probability that an item begins here; None where it is not known.
        kind, score: its first guess; empty where the page could not be read.
        note: `blank` and the like, or why it could not be read.
        unread: whether it could not be read.
    """

    file: str
    page: str
    path: str
    boundary: float | None
    kind: str = ""
    score: float | None = None
    note: str = ""
    unread: bool = False


class GroupTables:
    """Writes both tables; items are added in the order of their first pages.

    Args:
        groups, items: files opened as UTF-8 with `newline=""`.
        form: how cells are written.
    """

    def __init__(self, groups: IO[str], items: IO[str], form: TableForm) -> None:
        self._groups = TableWriter(groups, form)
        self._items = TableWriter(items, form)
        self._groups.write(GROUPS_COLUMNS)
        self._items.write(ITEMS_COLUMNS)

    def add_pages(self, pages: Sequence[GroupedPage], groups: Sequence[int]) -> None:
        """Write pages in scan order; all pages of these groups are among them."""
        sizes: dict[int, int] = {}
        for group in groups:
            sizes[group] = sizes.get(group, 0) + 1
        for page, group in zip(pages, groups, strict=True):
            self._groups.write(
                [
                    shown(page.file), page.page, shown(page.path), group, sizes[group],
                    _number(page.boundary), page.kind, _number(page.score), page.note,
                ]
            )  # fmt: skip

    def add_item(self, group: int, pages: Sequence[GroupedPage]) -> None:
        """Write one item, all of whose pages these are."""
        first, last = pages[0], pages[-1]
        self._items.write(
            [
                group, len(pages), kinds_of([page.kind or "?" for page in pages]),
                _number(first.boundary), shown(first.file), first.page, shown(first.path),
                shown(last.file), last.page, shown(last.path), sum(page.unread for page in pages),
            ]
        )  # fmt: skip


def kinds_of(kinds: Sequence[str]) -> str:
    """Write kinds of pages as runs: `TEXT_T×3 PHOTO`; of very many the last ones are counted."""
    parts: list[str] = []
    length = 0
    runs = [(kind, len(list(run))) for kind, run in itertools.groupby(kinds)]
    for place, (kind, count) in enumerate(runs):
        part = f"{kind}×{count}" if count > 1 else kind
        length += len(part) + 1
        if length > LONGEST_KINDS:
            return " ".join([*parts, f"and {len(runs) - place} more runs"])
        parts.append(part)
    return " ".join(parts)


def _number(value: float | None) -> object:
    return "" if value is None else round(float(value), 3)
