"""Groups as the pages of a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pagesort.common.tables import number, read_rows
from pagesort.grouping.truth import read_grouping
from pagesort.review.sheet import SheetPage

UNSURE = 0.3, 0.7
"""Probabilities of a boundary between which a person should look."""


def sheet_pages(table: Path, truth: Path | None = None) -> Iterator[SheetPage]:
    """Yield the pages of a GROUPS table in scan order, with the true items where they are known.

    Their notes name pages at which it is not sure whether an item begins, and with the true
    grouping those at which the two differ.
    """
    found = read_grouping(table)
    true = read_grouping(truth) if truth is not None else None
    items = dict(zip(true.pages, true.groups, strict=True)) if true is not None else {}
    numbers: dict[str, int] = {}  # of true items: a group's, so that colours agree, or a new one
    taken: set[int] = set()
    before = before_true = ""
    for name, row in zip(found.pages, read_rows(table), strict=True):
        item = items.get(name, "")
        if item and item not in numbers:
            group = int(row["GROUP"])
            is_free = group not in taken
            numbers[item] = group if is_free else len(found.pages) + len(numbers) + 1
            taken.add(group)
        begins, really = row["GROUP"] != before, item != before_true
        # Beside a page that the true grouping leaves out, nobody knows.
        is_wrong = bool(item and (before_true or not before)) and begins != really
        before, before_true = row["GROUP"], item
        problem = row["NOTE"] if row["NOTE"].startswith("cannot be read") else ""
        notes = [] if problem else [row["NOTE"], _doubt(row["BOUNDARY"])]
        if is_wrong:
            notes.append("an item begins here" if really else "no item begins here")
        yield SheetPage(
            file=row["FILE"],
            page=row["PAGE"],
            path=row["PATH"],
            guess=row["CLASS"],
            score=number(row["SCORE"]) if row["SCORE"] else None,
            note="; ".join(filter(None, notes)),
            problem=problem,
            group=int(row["GROUP"]),
            true_item=item,
            true_group=numbers.get(item, 0),
        )


def _doubt(cell: str) -> str:
    """What is to be said of the probability that an item begins here, if it is not clear."""
    boundary = number(cell) if cell else 1.0
    is_unsure = UNSURE[0] < boundary < UNSURE[1]
    return f"unsure whether an item begins here ({boundary:.0%})" if is_unsure else ""
