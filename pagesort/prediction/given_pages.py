"""Pages as a script gives them, in files or in memory: read, scored, and put into a data frame."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from PIL import Image

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.models.protocols import Classifier
from pagesort.pages.documents import pages_of
from pagesort.pages.loader import Failure, Page, PageLoader, PageRef
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction.listing import names_of
from pagesort.prediction.scoring import ScoredPage, rows_of, score_pages
from utils import top_guesses

if TYPE_CHECKING:
    import pandas as pd

GivenPage: TypeAlias = str | Path | tuple[str | Path, int] | Image.Image
"""A file; a file of several pages and the number of one of them, from 1; or an image in memory."""

BATCH = 16


def as_list(pages: GivenPage | Sequence[GivenPage]) -> list[GivenPage]:
    """The pages that are given, of which one may stand for itself.

    Raises:
        PageSortError: something among them is no page at all.
    """
    is_numbered = isinstance(pages, tuple) and len(pages) == 2 and isinstance(pages[1], int)
    if isinstance(pages, str | Path | Image.Image) or is_numbered:
        return [pages]  # type: ignore[list-item] # mypy does not follow `is_numbered`
    listed = list(pages)
    for page in listed:
        path = page[0] if isinstance(page, tuple) and len(page) == 2 else page
        if not isinstance(path, str | Path | Image.Image):
            raise PageSortError(
                f"a page is a path, (path, number) or an image of Pillow, and this is a "
                f"{type(page).__name__}",
                remedy="Image.fromarray makes an image of an array of pixels",
            )
    return listed  # type: ignore[return-value] # just checked


def refs_of(page: str | Path | tuple[str | Path, int], first: int = 0) -> list[PageRef]:
    """The pages of a file, or the one that is numbered; `first` is the index of the first.

    Raises:
        PageUnreadableError: the file is missing, a folder, or a document that cannot be opened.
        PageSortError: it has no page of that number.
    """
    path, number = page if isinstance(page, tuple) else (page, None)
    path = Path(path)
    if path.is_dir():
        raise PageUnreadableError(
            "this is a folder, and a page is a file",
            where=path,
            remedy='Give its files, as in sorted(Path("scans").glob("*.png"))',
        )
    if not path.exists():
        raise PageUnreadableError("the page does not exist", where=path)
    parts = [ref.page for ref in pages_of(path)]
    if number is not None:
        if number not in parts and (number, parts) != (1, [None]):
            raise PageSortError(
                f"the file has {len(parts)} pages, and no page {number}",
                where=path,
                remedy="Pages are counted from 1",
            )
        parts = [number if number in parts else None]
    return [PageRef(first + place, path, part) for place, part in enumerate(parts)]


def pixels_of_each(
    preprocessing: Preprocessing, pages: GivenPage | Sequence[GivenPage]
) -> Iterator[np.ndarray]:
    """Prepare each page, uint8 (H, W, 3), one for each that is given.

    Raises:
        PageUnreadableError, PageSortError: as `refs_of`; a document of several pages has no number;
            or a page is damaged.
    """
    with PageLoader(preprocessing) as loader:
        for page in as_list(pages):
            if isinstance(page, Image.Image):
                yield preprocessing.apply(page)
                continue
            refs = refs_of(page)
            if len(refs) != 1:
                path = refs[0].path
                raise PageSortError(
                    f"a document of {len(refs)} pages needs the number of one",
                    where=path,
                    remedy=f"Give ({str(path)!r}, 1) for its first page",
                )
            yield loader.pixels(refs[0].path, refs[0].page)


def predicted(
    model: Classifier,
    pages: GivenPage | Sequence[GivenPage],
    top_n: int,
    unreadable: Literal["raise", "keep"],
) -> pd.DataFrame:
    """Score pages, every page of a document, into a data frame as `CLIP.predict` tells.

    Raises:
        PageUnreadableError: with `raise`, for the first page that cannot be read.
        PageSortError: `top_n` is no possible number of guesses.
    """
    import pandas as pd

    if not 1 <= top_n <= len(model.labels):
        raise PageSortError(
            f"{top_n} guesses are not possible", remedy=f"The model has {len(model.labels)} labels"
        )
    columns = ["FILE", "PAGE"]
    columns += [f"CLASS-{rank}" for rank in range(1, top_n + 1)]
    columns += [f"SCORE-{rank}" for rank in range(1, top_n + 1)]
    rows: list[list[object]] = []
    for name, scores, note in _results(model, as_list(pages)):
        guesses: list[object] = [None] * top_n + [float("nan")] * top_n
        if scores is None:
            if unreadable == "raise":
                raise PageUnreadableError(note, where=name[2] or None)
        else:
            best = top_guesses(scores, top_n)
            guesses = [model.labels[index] for index, _ in best]
            guesses += [float(score) for _, score in best]
        rows.append([*name[:2], *guesses, note, name[2]])
    table = pd.DataFrame(rows, columns=[*columns, "NOTE", "PATH"])
    return table.astype({"PAGE": "Int64", **{name: float for name in columns if name[0] == "S"}})


_Name = tuple[str, int | None, str]  # FILE, PAGE, PATH
_Result = tuple[_Name, np.ndarray | None, str]  # and scores, and note or reason


def _results(model: Classifier, pages: Sequence[GivenPage]) -> Iterator[_Result]:
    """What became of each page, in order: scores and a note, or no scores and the reason."""
    with PageLoader(model.preprocessing) as loader:
        for is_image, several in itertools.groupby(
            pages, lambda page: isinstance(page, Image.Image)
        ):
            if is_image:
                for page in several:
                    assert isinstance(page, Image.Image)
                    seen = Page(PageRef(0, Path()), model.preprocessing.apply(page))
                    (scores,) = rows_of(model.probabilities, [seen], [0], 1)
                    yield _name_of_image(page), scores, ""
            else:
                yield from _results_of_files(model, loader, list(several))


def _results_of_files(
    model: Classifier, loader: PageLoader, pages: Sequence[GivenPage]
) -> Iterator[_Result]:
    refs: list[PageRef] = []
    lost: dict[int, PageUnreadableError] = {}
    for page in pages:
        assert not isinstance(page, Image.Image)
        try:
            refs += refs_of(page, len(refs))
        except PageUnreadableError as error:
            path = Path(page[0] if isinstance(page, tuple) else page)
            lost[len(refs)] = error
            refs.append(PageRef(len(refs), path))
    read = (ref for ref in refs if ref.index not in lost)
    known = [PageRef(place, ref.path, ref.page) for place, ref in enumerate(read)]
    with contextlib.closing(score_pages(model, loader, known, BATCH)) as results:
        for ref in refs:
            if ref.index in lost:
                yield _name_of(ref), None, lost[ref.index].what
                continue
            result: ScoredPage | Failure = next(results)
            if isinstance(result, Failure):
                yield _name_of(ref), None, result.reason
            else:
                yield _name_of(ref), result.scores, result.note


def _name_of(ref: PageRef) -> _Name:
    file, page = names_of(str(ref.path), ref.page)
    return file, int(page) if page else None, str(ref.path)


def _name_of_image(page: Image.Image) -> _Name:
    """By the file that Pillow opened, if it did."""
    path = str(getattr(page, "filename", "") or "")
    return _name_of(PageRef(0, Path(path))) if path else ("", None, "")
