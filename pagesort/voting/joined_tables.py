"""Tables of several models to one: the same pages in the same order, joined row by row."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unwritable, whole_text
from pagesort.common.tables import PLAIN, TableForm, TableWriter, number, read_rows

COLUMNS = ("FILE", "PAGE", "VOTE", "AGREEMENT")
FAILED_COLUMNS = ("FILE", "PAGE", "REASON")

# A model's first guess for a page and its score; None where the model could not read the page.
Ballot = tuple[str, float] | None
Decide = Callable[[Sequence[Ballot]], tuple[str, float]]

_AGAIN = "Start the vote again without --resume"


@dataclass
class VoteCount:
    """What a vote found: pages by their class, and pages on which all models agree."""

    categories: Counter[str] = field(default_factory=Counter)
    unanimous: int = 0


@dataclass(frozen=True)
class _Row:
    """A row's place in the order of all tables, and its cells by column."""

    key: tuple[str, int, str, str]
    cells: dict[str, str]


def join_results(
    results: Sequence[Path | None],
    names: Sequence[str],
    target: Path,
    decide: Decide,
    form: TableForm = PLAIN,
) -> VoteCount:
    """Write the table of votes: FILE, PAGE, VOTE, AGREEMENT, each model's class, and PATH.

    The tables are read side by side, one row of each at a time, so that memory does not grow with
    the number of pages. A page that a table lacks leaves that model's cell empty.

    Args:
        results: each model's result table, sorted by FILE, then PAGE; None where it has none.
        names: the models' names, which become columns.
        target: replaced when the new table is complete.
        decide: makes class and agreement of the models' ballots.

    Raises:
        PageSortError: a table cannot be read or is in another order, or `target` cannot be written.
    """
    count = VoteCount()
    with _written(target) as file, contextlib.ExitStack() as stack:
        writer = TableWriter(file, form)
        writer.write([*COLUMNS, *names, "PATH"])
        tables = [stack.enter_context(contextlib.closing(_rows(path))) for path in results]
        for rows in _side_by_side(tables):
            present = next(row for row in rows if row is not None)
            ballots = [_ballot(row, path) for row, path in zip(rows, results, strict=True)]
            label, agreement = decide(ballots)
            classes = [ballot[0] if ballot else "" for ballot in ballots]
            row = [present.cells["FILE"], present.cells["PAGE"], label]
            row.append(f"{agreement:.3f}".replace(".", form.decimal))
            writer.write([*row, *classes, present.cells.get("PATH", "")])
            count.categories[label] += 1
            count.unanimous += set(classes) == {label}
    return count


def join_failures(
    failures: Sequence[Path | None], names: Sequence[str], target: Path, form: TableForm = PLAIN
) -> int:
    """Write the table of pages that some model could not read, with the first reason and by whom.

    Returns:
        The number of such pages; without any there is no table, and an earlier one is removed.

    Raises:
        PageSortError: as `join_results`.
    """
    if not any(failures):
        target.unlink(missing_ok=True)
        return 0
    number = 0
    with _written(target) as file, contextlib.ExitStack() as stack:
        writer = TableWriter(file, form)
        writer.write([*FAILED_COLUMNS, "MODELS", "PATH"])
        tables = [stack.enter_context(contextlib.closing(_rows(path))) for path in failures]
        for rows in _side_by_side(tables):
            failed = [name for name, row in zip(names, rows, strict=True) if row is not None]
            cells = next(row for row in rows if row is not None).cells
            row = [cells[column] for column in FAILED_COLUMNS]
            writer.write([*row, "; ".join(failed), cells.get("PATH", "")])
            number += 1
    return number


def _ballot(row: _Row | None, path: Path | None) -> Ballot:
    if row is None:
        return None
    try:
        return row.cells["CLASS-1"], number(row.cells["SCORE-1"])
    except (KeyError, ValueError, TypeError) as error:
        raise PageSortError(
            f"the row of {row.cells['FILE']}, page {row.cells['PAGE']}, has no class with a score",
            where=path,
            remedy=_AGAIN,
        ) from error


def _side_by_side(tables: Sequence[Iterator[_Row]]) -> Iterator[list[_Row | None]]:
    """Yield the rows of one page from all tables, page after page; None from those without it."""
    heads = [next(table, None) for table in tables]
    if len({"PATH" in row.cells for row in heads if row is not None}) > 1:
        raise PageSortError(
            "the models' tables are of two versions of this program, one without PATH",
            remedy=_AGAIN,
        )
    while waiting := [row.key for row in heads if row is not None]:
        first = min(waiting)
        rows = [row if row is not None and row.key == first else None for row in heads]
        yield rows
        heads = [
            head if row is None else next(table, None)
            for head, row, table in zip(heads, rows, tables, strict=True)
        ]


def _rows(path: Path | None) -> Generator[_Row]:
    """Read a table row by row, insisting on the order in which this program writes it."""
    if path is None:
        return
    before: tuple[str, int, str, str] | None = None
    try:
        for cells in read_rows(path, _AGAIN):
            page = cells["PAGE"]
            key = (cells["FILE"], len(page), page, cells.get("PATH", ""))
            if before is not None and key < before:
                raise PageSortError(
                    "the table is not sorted by FILE and PAGE any more", where=path, remedy=_AGAIN
                )
            before = key
            yield _Row(key, cells)
    except (KeyError, TypeError) as error:
        raise PageSortError(
            f"a model's table cannot be read ({error})", where=path, remedy=_AGAIN
        ) from error


@contextlib.contextmanager
def _written(target: Path) -> Iterator[IO[str]]:
    """Write a table as a whole or not at all."""
    kept = "The models' tables are kept; free some space, and go on with --resume"
    with (
        translate_unwritable(target, "the votes cannot be written", remedy=kept),
        whole_text(target) as file,
    ):
        yield file
