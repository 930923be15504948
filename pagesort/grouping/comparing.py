"""Groupings beside the true one: figures, a JSON file, and a table of both."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    translate_unwritable,
    whole_text,
    write_json,
)
from pagesort.common.tables import PLAIN, TableForm, TableWriter
from pagesort.common.text import counted, named, shown
from pagesort.grouping.metrics import Agreement, agreement
from pagesort.grouping.truth import Grouping, paired, read_grouping

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """The figures of each table, and the files that hold them."""

    figures: dict[str, Agreement]
    files: tuple[Path, Path]

    def lines(self) -> list[str]:
        """All figures as lines for a person."""
        return [
            line
            for name, found in self.figures.items()
            for line in (f"{name}", *(f"  {each}" for each in found.lines()))
        ]


def compare(
    truth: Path, tables: Sequence[Path], target: Path, form: TableForm = PLAIN
) -> Comparison:
    """Compare GROUPS tables with the true grouping.

    Args:
        truth: a table with `file` and `item`, or a GROUPS table that a person has corrected.
        tables: GROUPS tables.
        target: what names the two files that are written: `<target>.json` with the figures, and
            `<target>.csv` with a row for each page, a column for each table, and in WRONG the
            number of tables that let an item begin there where none does, or the reverse.
        form: how cells are written.

    Raises:
        PageSortError: a table cannot be read or names other pages, or nothing can be written.
    """
    true = read_grouping(truth)
    groupings = dict(zip(_names(tables), map(read_grouping, tables), strict=True))
    figures = {}
    wrong: Counter[str] = Counter()
    for name, found in groupings.items():
        pages, ones, others = paired(true, found)
        _log_left_out(true, found, set(pages))
        figures[name] = agreement(ones, others)
        wrong.update(_wrong_starts(pages, ones, others))
    files = target.with_name(f"{target.name}.json"), target.with_name(f"{target.name}.csv")
    content = {"truth": str(truth), "tables": {n: f.rounded() for n, f in figures.items()}}
    with translate_unwritable(target, "the comparison cannot be written", RESULTS_ELSEWHERE):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(files[0], content)
    _write_table(files[1], true, groupings, wrong, form)
    return Comparison(figures, files)


def _names(tables: Sequence[Path]) -> list[str]:
    """What columns call the tables: with their folders where their names alone are the same."""
    stems = [table.stem for table in tables]
    if len(set(stems)) == len(stems):
        return stems
    return [table.with_suffix("").as_posix() for table in tables]


def _wrong_starts(pages: Sequence[str], true: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Yield the pages at which an item begins in one of two groupings only."""
    for place in range(1, len(pages)):
        begins = (each[place] != each[place - 1] for each in (true, found))
        if len(set(begins)) > 1:
            yield pages[place]


def _log_left_out(true: Grouping, found: Grouping, both: set[str]) -> None:
    for one, other in ((true, found), (found, true)):
        missing = [page for page in one.pages if page not in both]
        if missing:
            logger.warning(
                "%s of %s not in %s and left out: %s",
                counted(len(missing)),
                one.path,
                other.path,
                named(missing[:3]),
            )


def _write_table(
    target: Path,
    true: Grouping,
    groupings: dict[str, Grouping],
    wrong: Counter[str],
    form: TableForm,
) -> None:
    """Write a row for each page: true group, that of each table, how many of these are wrong.

    The order is that of the first table, and then of what further ones and the true one add.
    """
    columns = [dict(zip(each.pages, each.groups, strict=True)) for each in groupings.values()]
    truth = dict(zip(true.pages, true.groups, strict=True))
    pages = dict.fromkeys(page for each in (*groupings.values(), true) for page in each.pages)
    with (
        translate_unwritable(target, "the comparison cannot be written", RESULTS_ELSEWHERE),
        whole_text(target) as file,
    ):
        writer = TableWriter(file, form)
        writer.write(["PATH", "TRUE", *groupings, "WRONG"])
        for page in pages:
            cells = [column.get(page, "") for column in (truth, *columns)]
            known = wrong[page] if page in truth else ""
            writer.write([shown(page), *map(shown, cells), known])
