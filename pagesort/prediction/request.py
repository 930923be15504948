"""What a run over a folder is asked for, and what can be refused before a model is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagesort.common.addresses import has_secret, is_remote
from pagesort.common.errors import PageSortError
from pagesort.common.files import readable_folder, translate_unwritable, try_writing
from pagesort.common.tables import PLAIN, TableForm
from pagesort.models.protocols import Classifier
from pagesort.pages import remote
from pagesort.prediction.journal import FINISHED_SUFFIX, JOURNAL_SUFFIX, FinishedTables
from pagesort.prediction.likeness import Likeness
from pagesort.prediction.page_list import STANDARD_INPUT, list_named
from pagesort.prediction.scoring import Engine
from pagesort.prediction.shards import Shard
from pagesort.sorting.destination import check_destination
from pagesort.sorting.placer import SortReport
from utils import PassedOver, has_pages, list_pages


@dataclass(frozen=True)
class Request:
    """What to classify and which tables to write.

    `batch_size` pages go through the model and reach the disk together; `max_megapixels` is the
    size of the largest page accepted, in million pixels. With `sort_to`, the pages are put into
    folders there when the tables are written (see `placer.sort_pages` for `link`, `min_score`);
    with `dry_run`, it is only logged how many would go where. What a person says of a page beats
    the guess: `corrected` is its file and its number in a document -> label. A `second` model is
    asked as well, and the table says where it differs.
    Tables name pages by their paths in the folder, or with `absolute_paths` on this machine.
    With `resume` an interrupted run is gone on with, and with `update`, too, an earlier one, to
    which the pages are added that came since. `replaced` tells, by how the names of its tables
    begin, whose content is another one since: paths in the folder; these are scored anew.
    `keep_scores` makes that possible later.
    `accepts` tells of a first guess and its score whether nobody needs to look: the table says so
    in the column DECISION, and `sort_to` leaves the other pages in a folder of their own.
    `slow_hint` says how a long run would be quicker. With a `shard`, only that part of the pages is
    looked at, for `merging.merge_parts` to put all parts together. With a list, the pages `named`
    there are looked at, and no others. `options` are JSON values that are kept with the scores, for
    `--resume` to take up. `likeness` counts the pages that are unlike the model's training pages.
    Each of `beside` is called with the finished tables before the scores are put away, and may
    write more beside them. An `engine` scores the pages in other processes.
    """

    folder: Path
    formats: tuple[str, ...]
    inner: bool
    tables: Path
    top_n: int
    raw: bool
    max_categ: int
    batch_size: int
    max_megapixels: float
    resume: bool
    sort_to: Path | None = None
    link: str = "copy"
    min_score: float = 0.0
    dry_run: bool = False
    corrected: Mapping[tuple[Path, int | None], str] = field(default_factory=dict)
    absolute_paths: bool = False
    form: TableForm = PLAIN
    update: bool = False
    replaced: Callable[[str], Set[str]] | None = None
    second: Classifier | None = None
    keep_scores: bool = True
    accepts: Callable[[str, float], bool] | None = None
    slow_hint: str = ""
    shard: Shard | None = None
    named: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    likeness: Likeness | None = None
    beside: tuple[Callable[[FinishedTables], object], ...] = ()
    engine: Engine | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run has written; `failed` counts the pages that could not be read.

    `sorting` is what became of `sort_to`, None without that.
    """

    tables: tuple[Path, ...]
    failed: int
    sorting: SortReport | None = None


def check_request(request: Request) -> None:
    """Refuse what can be refused before a model is loaded.

    Raises:
        PageSortError: the folder is missing or holds no pages, there is nothing to resume, or
            neither tables nor pages can be put where they are wanted.
    """
    _check_readable_place(request.folder)
    _check_sort_to(request)
    if request.resume or request.update:
        _check_begun(request)
    elif request.named is not None:
        _check_list(request.named, request.folder)
    elif is_remote(request.folder):
        _check_remote(request)
    elif not has_pages(request.folder, request.formats, request.inner):
        raise no_pages(request.folder, request.formats, request.inner)
    check_writable(request.tables)
    if request.sort_to is not None and not request.dry_run:
        link = "copy" if is_remote(request.folder) else request.link
        check_destination(request.sort_to, link, request.folder)


def _check_readable_place(folder: Path) -> None:
    """Refuse a folder here that cannot be read, and an address that nobody should see in tables."""
    if not is_remote(folder):
        readable_folder(folder, "Check -d or [INPUT] FOLDER_INPUT")
    elif has_secret(folder):
        raise PageSortError(
            "the address holds a password or a query, which tables would show",
            where=folder,
            remedy="Leave it out; what reads such places takes keys from its own settings",
        )


def _check_remote(request: Request) -> None:
    """Refuse a place that cannot be listed, or without pages."""
    pages = remote.list_pages(request.folder, request.formats, request.inner, PassedOver())
    if next(pages, None) is None:
        raise PageSortError(
            f"no pages with the extension {', '.join(request.formats)}",
            where=request.folder,
            remedy="Name another place, other extensions with -ff, or add --inner",
        )


def _check_list(named: Path, folder: Path) -> None:
    """Refuse a list without pages; what comes through a pipe can be read once only."""
    if named != STANDARD_INPUT and next(list_named(named, folder), None) is None:
        raise no_names(named)


def no_names(named: Path) -> PageSortError:
    """Say of a list that it names no pages."""
    return PageSortError("the list names no pages", where=named, remedy="Write a path a line")


def _check_begun(request: Request) -> None:
    """Refuse to go on where no run has left a journal."""
    suffixes = (JOURNAL_SUFFIX, FINISHED_SUFFIX) if request.update else (JOURNAL_SUFFIX,)
    if not any(any(request.tables.glob(f"*{suffix}")) for suffix in suffixes):
        kind, flag = ("earlier", "--update") if request.update else ("interrupted", "--resume")
        raise PageSortError(
            f"there is no {kind} run to go on with",
            where=request.tables,
            remedy=f"Leave out {flag} to start one",
        )


def _check_sort_to(request: Request) -> None:
    """Refuse a destination whose pages the next run would take for new ones."""
    if request.sort_to is None or not request.inner:
        return
    if request.folder.resolve() in (request.sort_to.resolve(), *request.sort_to.resolve().parents):
        raise PageSortError(
            "the pages cannot be sorted into the folder that they are read from",
            where=request.sort_to,
            remedy="Name a folder elsewhere with --sort_to",
        )


def no_pages(folder: Path, formats: tuple[str, ...], inner: bool) -> PageSortError:
    """Say what a folder without pages holds instead: pages in subfolders, or other scans."""
    what = f"no pages with the extension {', '.join(formats)}"
    here, below = PassedOver(), PassedOver()
    list(list_pages(folder, formats, False, here))
    inside = sum(1 for _ in list_pages(folder, formats, True, below))
    if inside:
        return PageSortError(
            f"{what} in the folder itself, but {inside} in its subfolders",
            where=folder,
            remedy="Add --inner to read them",
        )
    others = below.others if inner else here.others or below.others
    if others:
        is_here = inner or here.others
        place, flag = ("", "") if is_here else (" in its subfolders", "--inner ")
        return PageSortError(
            f"{what}, but {counts_of(others)}{place}",
            where=folder,
            remedy=f"Add {flag}-ff {','.join(sorted(others))} to read them",
        )
    return PageSortError(
        what, where=folder, remedy="Name another folder, or other extensions with -ff"
    )


def check_writable(tables: Path) -> None:
    """Try out that a file can be written where the tables shall be, before hours are spent."""
    remedy = "Set [OUTPUT] FOLDER_RESULTS to a folder that can be written"
    with translate_unwritable(tables, "cannot write tables", remedy=remedy):
        try_writing(tables)


def counts_of(kinds: Counter[str]) -> str:
    """Write how many scans of which kinds there are, the most frequent first."""
    most_first = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in most_first)
