"""The pages of a finished run, as its tables tell of them."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.common.tables import FAILED_ENDING, read_rows, share
from pagesort.prediction.journal_files import folder_of_table
from pagesort.prediction.result_tables import REVIEW
from pagesort.review.sheet import SheetPage

RESULT = re.compile(r"(?:result_|VOTE_)?(?P<run>.+?)(?:_\d+n)?_(?:\d+c|RAW)")
NO_GUESSES = {"FILE", "PAGE", "PATH", "NOTE", "TRUE", "DECISION", "AGREEMENT", "VOTE"}
"""Columns of a table of votes that are not a model's."""


def name_of_run(table: Path) -> str:
    """What a run is called for people: `20260101-1200_pagesort-small`."""
    found = RESULT.fullmatch(table.stem)
    return found["run"] if found else table.stem


def key_of_run(table: Path) -> str:
    """What stands for a run in a browser's memory: another table has another one."""
    place = str(table.resolve()).encode("utf-8", "surrogatepass")
    return f"{name_of_run(table)}-{hashlib.sha256(place).hexdigest()[:8]}"


def folder_of_run(table: Path) -> Path:
    """The folder whose pages a table lists.

    Raises:
        PageSortError: nothing tells it.
    """
    folder = folder_of_table(table, name_of_run(table)) or _recorded_folder(table)
    if folder is None:
        raise PageSortError(
            "nothing beside the table tells where its pages are",
            where=table,
            remedy="Add -d FOLDER, the folder of the pages",
        )
    return folder


def _recorded_folder(table: Path) -> Path | None:
    pages = _record(table).get("pages")
    folder = pages.get("folder") if isinstance(pages, dict) else None
    return Path(folder) if isinstance(folder, str) else None


def labels_of_run(table: Path) -> list[str]:
    """What the model of a run could have said, as the record beside its table tells; else none."""
    counts = _record(table).get("counts")
    categories = counts.get("categories") if isinstance(counts, dict) else None
    return list(categories) if isinstance(categories, dict) else []


def _record(table: Path) -> Mapping[str, Any]:
    """Where a table comes from; empty where nothing beside it tells that."""
    with contextlib.suppress(OSError, PageSortError):
        return read_json(table.with_suffix(".json"))
    return {}


def pages_of_table(table: Path) -> Iterator[SheetPage]:
    """Yield the pages of a result table, and of the table of failed pages beside it.

    Raises:
        PageSortError: it cannot be read, or is no table of results.
    """
    yield from (_page(row, table) for row in read_rows(table))
    failed = table.with_name(f"{name_of_run(table)}{FAILED_ENDING}")
    if failed != table and failed.is_file():
        for row in read_rows(failed):
            yield SheetPage(
                row.get("FILE", ""),
                row.get("PAGE", ""),
                row.get("PATH", ""),
                problem=row.get("REASON") or "it could not be read",
            )


def _page(row: Mapping[str, str], table: Path) -> SheetPage:
    guess = row.get("CLASS-1") or row.get("VOTE", "")
    if not guess or "FILE" not in row:
        raise PageSortError(
            "this is no table of results: it has no column CLASS-1 or VOTE",
            where=table,
            remedy="Name the table whose name begins with result_",
        )
    others = ""
    if "VOTE" in row:
        models = (row[name] for name in row if name not in NO_GUESSES)
        others = ", ".join(dict.fromkeys(each for each in models if each and each != guess))
    elif row.get("DISAGREE"):  # a second model
        others = row.get("OTHER-CLASS", "")
    return SheetPage(
        file=row["FILE"],
        page=row.get("PAGE", ""),
        path=row.get("PATH", ""),
        guess=guess,
        score=share(row.get("SCORE-1") or row.get("AGREEMENT", "")),
        second=row.get("CLASS-2", ""),
        second_score=share(row.get("SCORE-2", "")),
        other=others,
        note=row.get("NOTE", ""),
        needs_review=row.get("DECISION") == REVIEW,
    )
