"""Tables that say which pages belong together: true ones, and GROUPS tables, perhaps edited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.tables import read_rows
from pagesort.common.text import named

PAGE_COLUMNS = ("PATH", "FILE")  # the first of them that a table has names the page
ITEM_COLUMNS = ("GROUP", "ITEM")
REMEDY = "It needs the columns file and item, or those of a GROUPS table"


@dataclass(frozen=True)
class Grouping:
    """Pages in the order of a table, and the group of each.

    `pages` are paths, of a document's pages with `#` and the number: `box/scan.pdf#3`.
    """

    path: Path
    pages: tuple[str, ...]
    groups: tuple[str, ...]


def read_grouping(path: Path) -> Grouping:
    """Read a table with `file` and `item`, or a GROUPS table; upper or lower case alike.

    Raises:
        PageSortError: it cannot be read, lacks a column, names a page twice, or leaves out the
            group of one.
    """
    rows = [{key.strip().upper(): cell for key, cell in row.items()} for row in read_rows(path)]
    if not rows:
        raise PageSortError("the table has no rows", where=path, remedy=REMEDY)
    page = next((name for name in PAGE_COLUMNS if name in rows[0]), None)
    item = next((name for name in ITEM_COLUMNS if name in rows[0]), None)
    if page is None or item is None:
        raise PageSortError("columns are missing", where=path, remedy=REMEDY)
    pages = list(_named_pages(rows, page))
    groups = [row[item].strip() for row in rows]
    holes = [name for name, group in zip(pages, groups, strict=True) if not group]
    if holes:
        raise PageSortError(f"no group is given for {named(holes)}", where=path)
    if len(set(pages)) < len(pages):
        doubles = [name for name, count in Counter(pages).items() if count > 1]
        raise PageSortError(f"pages are named twice: {named(doubles)}", where=path)
    return Grouping(path, tuple(pages), tuple(groups))


def name_and_part(page: str) -> tuple[str, int | None]:
    """Split the name of a page into its path and its number in a document."""
    name, mark, part = page.rpartition("#")
    return (name, int(part)) if mark and part.isdecimal() else (page, None)


def _named_pages(rows: list[dict[str, str]], column: str) -> Iterator[str]:
    """Name pages so that those of two tables agree; of documents with the number."""
    paths = [row[column].strip().replace("\\", "/") for row in rows]
    counts = Counter(paths)
    for path, row in zip(paths, rows, strict=True):
        is_part = counts[path] > 1 and row.get("PAGE")
        yield f"{path}#{row['PAGE'].strip()}" if is_part else path


def paired(truth: Grouping, found: Grouping) -> tuple[list[str], list[str], list[str]]:
    """The pages that both tables name, in the order of `found`, and the groups of either.

    Raises:
        PageSortError: they have no page in common.
    """
    true = dict(zip(truth.pages, truth.groups, strict=True))
    both = [
        (page, true[page], group)
        for page, group in zip(found.pages, found.groups, strict=True)
        if page in true
    ]
    if not both:
        raise PageSortError(
            f"the table names other pages than {found.path}: {named(truth.pages[:3])}",
            where=truth.path,
            remedy=f"There they are called {named(found.pages[:3])}",
        )
    pages, ones, others = zip(*both, strict=True)
    return list(pages), list(ones), list(others)
