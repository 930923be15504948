"""Pages that a person has looked at, among the pages of a labelled folder."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pagesort.labelled.page import LabelledPage, document_of

logger = logging.getLogger(__name__)


def join_corrected(
    pages: Sequence[LabelledPage], corrected: Sequence[tuple[Path, str]]
) -> list[LabelledPage]:
    """Add the pages that a person has looked at; where one is there already, its label goes.

    A page is there already if a file of the same content is, whatever it is called.

    Args:
        corrected: image files and their labels.

    Returns:
        All pages, label by label, by name.
    """
    if not corrected:
        return list(pages)
    joined = list(pages)
    by_size = _by_size(pages)
    names = {page.name for page in pages}
    changed = added = 0
    for path, label in corrected:
        places = list(_same(path, joined, by_size))
        for place in places:
            if joined[place].label != label:
                name = _free_name(names, label, joined[place].path)
                joined[place] = replace(joined[place], label=label, name=name)
                changed += 1
        if not places:
            name = _free_name(names, label, path)
            joined.append(LabelledPage(path, label, document_of(path), name))
            added += 1
    logger.info("corrections: %d pages added, %d labels changed", added, changed)
    return sorted(joined, key=lambda page: (page.label, page.name))


def _by_size(pages: Sequence[LabelledPage]) -> Mapping[int, list[int]]:
    """Size in bytes -> places of the pages of that size."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, page in enumerate(pages):
        with contextlib.suppress(OSError):  # what cannot be read is told where it is read
            places[page.path.stat().st_size].append(place)
    return places


def _same(
    path: Path, pages: Sequence[LabelledPage], by_size: Mapping[int, Sequence[int]]
) -> Iterator[int]:
    """The places of pages of the same content as a file."""
    with contextlib.suppress(OSError):
        for place in by_size.get(path.stat().st_size, ()):
            if filecmp.cmp(path, pages[place].path, shallow=False):
                yield place


def _free_name(names: set[str], label: str, path: Path) -> str:
    """A page's name under its label, which no other has."""
    for number in itertools.count(1):
        stem = path.stem if number == 1 else f"{path.stem}~{number}"
        name = f"{label}/{stem}{path.suffix}"
        if name not in names:
            names.add(name)
            return name
    raise AssertionError  # numbers do not end
