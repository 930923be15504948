"""Which lines train, validate and test: by document or hand, or by page, never line by line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledFolder
from pagesort.labelled.page import LabelledPage
from pagesort.labelled.split_files import ANEW, PageSplit, open_split
from pagesort.labelled.splits import PARTS
from pagesort.reading.examples import Example, Examples

logger = logging.getLogger(__name__)

FEWEST = 3  # documents, or else pages, for three parts
ANY_KIND = "lines"


@dataclass(frozen=True)
class LineSplit:
    """Lines to train on, to choose the best weights by, and to measure on.

    `by` is what stays on one side: `document`, `page`, or `all` where too few pages are there to
    split; `fingerprint` stands for names, sizes and settings.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    by: str
    fingerprint: str


def split_lines(examples: Examples, stats: Path, *, seed: int, test_size: float) -> LineSplit:
    """Split lines as their data say, or as an earlier run has done, or anew; it is written down.

    Of three documents or hands on, all lines of one fall on one side. Of fewer, all lines of a page
    do; of fewer than three pages, all lines train.

    Args:
        stats: the folder of split files.
        test_size: share of the lines that is measured on, and as much to validate, below 0.5.

    Raises:
        PageSortError: the file of the split is damaged, or cannot be written.
    """
    lines = examples.lines
    if any(example.part for example in lines):
        return _given(lines)
    for by, unit in (("document", _document), ("page", _page)):
        if len({unit(example) for example in lines}) >= FEWEST:
            if by == "page":
                logger.warning(
                    "fewer than %d documents or hands: split by page, so that figures say nothing "
                    "of other hands",
                    FEWEST,
                )
            return _opened(examples, unit, by, stats, seed, test_size)
    logger.warning("fewer than %d pages: all lines train, and the last epoch counts", FEWEST)
    return LineSplit(lines, (), (), "all", "all")


def _opened(
    examples: Examples,
    unit: Callable[[Example], str],
    by: str,
    stats: Path,
    seed: int,
    test_size: float,
) -> LineSplit:
    kinds = _kinds(examples.lines, unit)
    pages = [
        LabelledPage(example.path, kinds.get(example.kind, ANY_KIND), unit(example), example.name)
        for example in examples.lines
    ]
    labels = tuple(sorted({page.label for page in pages}))
    source = examples.source
    split = open_split(
        LabelledFolder(source, labels, tuple(pages)),
        stats,
        seed=seed,
        test_size=test_size,
        by="document",
        max_categ=None,
        unit="lines",
    )
    _check_apart(split)
    by_name = {example.name: example for example in examples.lines}
    train, validation, test = (
        tuple(by_name[page.name] for page in getattr(split, part)) for part in PARTS
    )
    return LineSplit(train, validation, test, by, split.fingerprint)


def _check_apart(split: PageSplit) -> None:
    """Refuse a file of an earlier run in which a document lies on two sides by now."""
    sides = [{page.document for page in getattr(split, part)} for part in PARTS]
    if len(set().union(*sides)) < sum(map(len, sides)):
        raise PageSortError(
            "the documents of these lines are others than when they were split",
            where=split.path,
            remedy=ANEW,
        )


def _kinds(lines: Sequence[Example], unit: Callable[[Example], str]) -> dict[str, str]:
    """The kinds that have documents enough for three parts; the others are split together."""
    units: dict[str, set[str]] = {}
    for example in lines:
        units.setdefault(example.kind, set()).add(unit(example))
    large = {kind: kind or ANY_KIND for kind, found in units.items() if len(found) >= FEWEST}
    rest = set().union(*(found for kind, found in units.items() if kind not in large))
    # Too few to be split even together: they go with the others.
    return large if not rest or len(rest) >= FEWEST else {}


def _given(lines: Sequence[Example]) -> LineSplit:
    parts = (tuple(each for each in lines if each.part == part) for part in PARTS)
    train, validation, test = parts
    logger.info(
        "the split of the data: %d lines train, %d validate, %d test",
        len(train), len(validation), len(test),
    )  # fmt: skip
    return LineSplit(train, validation, test, "given", "given")


def _document(example: Example) -> str:
    return example.document


def _page(example: Example) -> str:
    return example.page or (str(example.path) if example.line else "")
