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
    """Yield the pages of a GROUPS table in scan order.

    Their notes name pages at which it is not sure whether an item begins, and with the true
    grouping those at which the two differ.
    """
    true = read_grouping(truth) if truth is not None else None
    items = dict(zip(true.pages, true.groups, strict=True)) if true is not None else {}
    before = before_true = ""
    for row in read_rows(table):
        notes = [row["NOTE"]] if row["NOTE"] else []
        boundary = number(row["BOUNDARY"]) if row["BOUNDARY"] else 1.0
        if UNSURE[0] < boundary < UNSURE[1]:
            notes.append(f"unsure whether an item begins here ({boundary:.0%})")
        item = items.get(row["PATH"], "")
        begins, really = row["GROUP"] != before, item != before_true
        if item and begins != really:
            notes.append("an item begins here" if really else "no item begins here")
        before, before_true = row["GROUP"], item
        problem = row["NOTE"] if row["NOTE"].startswith("cannot be read") else ""
        yield SheetPage(
            file=row["FILE"],
            page=row["PAGE"],
            path=row["PATH"],
            guess=row["CLASS"],
            score=number(row["SCORE"]) if row["SCORE"] else None,
            given=item,
            note="; ".join(notes),
            problem=problem,
            group=int(row["GROUP"]),
        )
