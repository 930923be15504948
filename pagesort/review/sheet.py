"""The contact sheet: a folder of thumbnails that a person looks through and corrects in a browser.

Every room that wants a person to look at pages makes `SheetPage`s and calls `write_sheet`. What the
person says is exported by the browser as a CSV; `pagesort.review.corrections` reads it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import shutil
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.files import exclusive, translate_unwritable, unfinished, write_whole
from pagesort.common.hardware import decoding_threads
from pagesort.common.parallel import in_order
from pagesort.common.progress import Progress
from pagesort.common.tables import PLAIN, TableForm
from pagesort.pages.image_file import DEFAULT_MAX_MEGAPIXELS
from pagesort.review.sheet_data import CHUNK_PAGES, Columns, chunk_script, script
from pagesort.review.thumbnails import Picture, PictureMaker
from pagesort.sorting.named_pages import page_file

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).with_name("assets")
INDEX = "index.html"
DATA = "data"
NOT_THERE = "the page is not in the folder"

Mode = Literal["review", "audit", "suspects", "groups"]


@dataclass(frozen=True, slots=True)
class RunItem:
    """What one of several runs says of a page.

    Attributes:
        item: the item that the page belongs to, by its name in the run's table; empty where the
            run leaves the page out.
        colour: a number for its colour, alike where the items of runs are.
        mark: `wrong` or `unsure`, of whether an item begins here; empty where it is neither.
    """

    item: str
    colour: int
    mark: str = ""


@dataclass(frozen=True)
class SheetRun:
    """One of several runs whose items a sheet shows: what it is called, and a line about it."""

    name: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class SheetPage:
    """One page of a sheet; all but its name may be left out.

    Attributes:
        file, page, path: FILE, PAGE and PATH, as a table of results writes them.
        guess, score: the model's first guess and its probability.
        second, second_score: its second guess.
        given: the label that the page has already, such as that of its folder.
        other: what another model says of the page; not empty means that the models differ.
        note: what is to be said of the page, such as `nearly blank`.
        problem: why it could not be read; such a page has no picture.
        needs_review: whether the run says that a person should look at it (DECISION).
        group: the item that it belongs to, a number from 1; 0 is none.
        true_item: the item that it really belongs to, where that is known, by the name that it has
            in the table of the true ones; `true_group` is a number for its colour.
    """

    file: str
    page: str
    path: str
    guess: str = ""
    score: float | None = None
    second: str = ""
    second_score: float | None = None
    given: str = ""
    other: str = ""
    note: str = ""
    problem: str = ""
    needs_review: bool = False
    group: int = 0
    true_item: str = ""
    true_group: int = 0
    runs: tuple[RunItem, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """What a sheet is made of, apart from its pages.

    Attributes:
        folder: where it goes: `index.html` and all that this loads. A sheet that is there already
            is written anew, and its pictures are used again.
        root: the folder that PATH is relative to.
        labels: what a page can be called; a person may add further ones in the browser.
        mode: what is asked of the person.
            `review`: pages by guess, least certain first, guesses shown; any page may be corrected
            or confirmed.
            `audit`: no guess is shown nor stands in any file of the sheet; every page must be given
            a label, in the order of `pages`, and progress is counted.
            `suspects`: the given label beside the guess, in the order of `pages`; each is kept or
            corrected.
            `groups`: scan order, that is the order of `pages`, with a colour for each item, at the
            left as it was found and at the right as it really is.
        title: stands above the pages.
        run: names the corrections that a browser keeps: sheets of one run share them, and others
            must have another name. The name of the run's table and a hash of its path will do.
        runs: those that are shown side by side, in the order of `SheetPage.runs`; for groups.
        form: how the browser writes the CSV that it exports.
        max_megapixels: larger pages get no picture.
    """

    folder: Path
    root: Path
    labels: Sequence[str]
    mode: Mode
    title: str
    run: str
    runs: Sequence[SheetRun] = ()
    form: TableForm = PLAIN
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS


@dataclass(frozen=True)
class WrittenSheet:
    """Where the sheet's page is, how many pages it shows, and for how many there is no picture."""

    index: Path
    pages: int
    without_picture: int


def write_sheet(sheet: Sheet, pages: Iterable[SheetPage]) -> WrittenSheet:
    """Write a contact sheet; it opens from the disk, without a server or a network.

    A million pages take about 500 MB of memory while they are put in order. Their pictures are kept
    when this is stopped, and the same call goes on.

    The browser's CSV has the columns FILE, PAGE, CLASS (what the person says), GUESS, SCORE (what
    was guessed, or in suspects given; empty in an audit), FOLDER (`root`) and PATH.

    Raises:
        PageSortError: it cannot be written, or none of its pages is where it should be.
        Stopped: a person has stopped it.
    """
    if sheet.mode == "audit":
        pages = [_without_guess(page) for page in pages]
    listed = list(pages)
    order = _reading_order(listed, sheet)
    labels = list(dict.fromkeys([*sheet.labels, *filter(None, map(shown_label, listed))]))
    index = sheet.folder / INDEX
    with translate_unwritable(sheet.folder):
        sheet.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(sheet.folder), unfinished(sheet.folder / DATA) as data:
            data.mkdir()
            columns = Columns(labels)
            try:
                without = _write_pages(sheet, listed, order, columns, data)
            except KeyboardInterrupt:
                raise Stopped("the pictures made so far are kept") from None
            write_whole(data / "documents.js", columns.documents_script())
            facts = {
                "mode": sheet.mode,
                "title": sheet.title,
                "run": sheet.run,
                "folder": str(sheet.root.resolve()),
                "labels": labels,
                "runs": [[run.name, run.about] for run in sheet.runs],
                "form": [sheet.form.delimiter, sheet.form.decimal, sheet.form.is_for_excel],
            }
            write_whole(data / "run.js", script("run", facts | columns.packed()))
            _replace_folder(data, sheet.folder / DATA)
            _write_assets(sheet.folder)
    return WrittenSheet(index, len(listed), without)


def shown_label(page: SheetPage) -> str:
    """What a page is called until a person says otherwise."""
    return page.given or page.guess


def _without_guess(page: SheetPage) -> SheetPage:
    return SheetPage(page.file, page.page, page.path, note=page.note, problem=page.problem)


def _reading_order(pages: Sequence[SheetPage], sheet: Sheet) -> Sequence[int]:
    """The places of the pages as the sheet shows them at first."""
    if sheet.mode != "review":
        return range(len(pages))
    rank = {label: place for place, label in enumerate(sheet.labels)}

    def key(place: int) -> tuple[bool, int, str, float]:
        page = pages[place]
        score = 0.0 if page.score is None else page.score
        return bool(page.problem), rank.get(page.guess, len(rank)), page.guess, score

    return sorted(range(len(pages)), key=key)


def _write_pages(
    sheet: Sheet, pages: Sequence[SheetPage], order: Sequence[int], columns: Columns, data: Path
) -> int:
    """Make all pictures and write what is told of the pages; how many have no picture."""
    without = missing = 0
    rows: list[list[object]] = []
    numbers = itertools.count()
    with PictureMaker(sheet.folder, sheet.max_megapixels) as maker:
        pictures = _pictures(maker, sheet.root, [pages[place] for place in order])
        with contextlib.closing(pictures), Progress(len(pages), 0) as progress:
            for place, (page, picture) in zip(order, pictures, strict=True):
                columns.add(page, place, shown_label(page))
                rows.append(_row(page, picture))
                without += not picture.small
                missing += picture.problem == NOT_THERE
                if len(rows) == CHUNK_PAGES:
                    write_whole(*chunk_script(data, next(numbers), rows))
                    rows.clear()
                progress.advance(1, page.path)
    if missing and missing == len(pages):
        raise PageSortError(
            "none of the pages is where it should be",
            where=sheet.root,
            remedy="Say with -d where their folder is now",
        )
    if rows:
        write_whole(*chunk_script(data, next(numbers), rows))
    return without


def _pictures(
    maker: PictureMaker, root: Path, pages: Sequence[SheetPage]
) -> Generator[tuple[SheetPage, Picture]]:
    def picture(page: SheetPage) -> Picture:
        if page.problem:
            return Picture(problem=page.problem)
        source = page_file(root, page.path)
        if source is None:
            return Picture(problem=NOT_THERE)
        return maker.picture(page.path, source, int(page.page or 1))

    return in_order(pages, picture, decoding_threads(), maker.close)


def _row(page: SheetPage, picture: Picture) -> list[object]:
    """What is shown of a page once it is looked at; `assets/data.js` names these cells."""
    return [
        page.file,
        page.page,
        page.path,
        picture.small,
        picture.large,
        page.guess,
        page.second,
        page.second_score,
        page.other,
        page.note,
        picture.problem,
        page.true_item,
        page.true_group,
        [[run.item, run.colour, run.mark] for run in page.runs],
    ]


def _write_assets(folder: Path) -> None:
    """Write what is the same for all sheets, last of all the page that one opens."""
    (folder / ASSETS.name).mkdir(exist_ok=True)
    for asset in sorted(ASSETS.iterdir()):
        if asset.name != INDEX:
            write_whole(folder / ASSETS.name / asset.name, asset.read_bytes())
    write_whole(folder / INDEX, (ASSETS / INDEX).read_bytes())


def _replace_folder(new: Path, old: Path) -> None:
    """Put a folder in the place of another."""
    with unfinished(old) as away:
        if old.exists():
            old.replace(away)
        new.replace(old)
        shutil.rmtree(away, ignore_errors=True)
