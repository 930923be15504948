"""Splitting labelled pages into training, validation and test parts that cover the collection."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.errors import PageSortError

logger = logging.getLogger(__name__)

_HELD_OUT = 0.1

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split_data_80_10_10(
    files: Sequence[str | Path],
    labels: Sequence[Any] | np.ndarray,
    random_seed: int,
    max_categ: int | None,
    safe_check: bool = True,
) -> Split:
    """Split pages label by label: a tenth to test, a tenth to validation, the rest to training.

    The pages of a label are taken in alphabetical order, and the two tenths picked from them at
    even steps with a random shift, so that each part covers the whole collection.

    Args:
        files: paths of the pages.
        labels: of each page its index, or its one-hot row.
        random_seed: the same seed and pages give the same split.
        max_categ: at most so many pages a label, spread evenly; None for all.
        safe_check: leave out pages that cannot be read, with a warning each.

    Returns:
        Files of training, validation and test, then their labels in the form they came in.

    Raises:
        PageSortError: `files` and `labels` differ in length, or `max_categ` is no count.
    """
    paths = np.array([str(path) for path in files], dtype=object)
    given = np.asarray(labels)
    if len(paths) != len(given):
        raise PageSortError(f"{len(paths)} pages, but {len(given)} labels")
    if max_categ is not None and max_categ < 1:
        raise PageSortError(f"max_categ is {max_categ}", remedy="Use a number from 1 on")
    classes = given.argmax(axis=1) if given.ndim == 2 else given
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(classes):
        members = sorted(np.flatnonzero(classes == label), key=lambda index: paths[index])
        # Each label draws from its own stream, so that a new label leaves the others' split alone.
        stream = np.random.default_rng([random_seed & 0xFFFFFFFF, zlib.crc32(str(label).encode())])
        if max_categ is not None and len(members) > max_categ:
            members = [members[position] for position in _spread(len(members), max_categ, stream)]
        if safe_check:
            members = [index for index in members if _is_readable(paths[index])]
        for part, indices in zip(parts, _split_one(members, stream), strict=True):
            part.extend(indices)
    kept = [np.array(part, dtype=int) for part in parts]
    originals = np.empty(len(paths), dtype=object)
    originals[:] = list(files)
    train, validation, test = (originals[part] for part in kept)
    return (train, validation, test, *(given[part] for part in kept))


def _split_one(
    members: Sequence[int], stream: np.random.Generator
) -> tuple[list[int], list[int], list[int]]:
    """Training, validation and test members of one label; training is served first.

    One page trains; of two the second is tested on; from three on every part has one.
    """
    count = len(members)
    held_out = max(1, int(count * _HELD_OUT))
    n_test = held_out if count > 1 else 0
    n_validation = held_out if count > 2 else 0
    test = set(_spread(count, n_test, stream))
    rest = [position for position in range(count) if position not in test]
    validation = {rest[position] for position in _spread(len(rest), n_validation, stream)}
    train = [position for position in rest if position not in validation]
    chosen = (train, sorted(validation), sorted(test))
    first, second, third = ([members[position] for position in part] for part in chosen)
    return first, second, third


def _spread(count: int, picks: int, stream: np.random.Generator) -> list[int]:
    """Choose `picks` different positions of `count`, in order, at even steps.

    With a step S the i-th pick lies in the middle of its step, shifted by at most S/4 either way.
    """
    if picks <= 0:
        return []
    if picks >= count:
        return list(range(count))
    step = count / picks
    centres = (np.arange(picks) + 0.5) * step
    shifted = np.floor(centres + stream.uniform(-step / 4, step / 4, size=picks)).astype(int)
    positions = np.clip(shifted, 0, count - 1).tolist()
    # A step under two pages can round two picks onto one page: the later one moves on.
    for index in range(1, picks):
        positions[index] = max(positions[index], positions[index - 1] + 1)
    for index in range(picks - 1, -1, -1):
        positions[index] = min(positions[index], count - picks + index)
    return positions


def _is_readable(path: str) -> bool:
    from pagesort.errors import PageUnreadableError
    from pagesort.images import load_page

    try:
        load_page(Path(path))
    except PageUnreadableError as error:
        logger.warning("left out: %s", error)
        return False
    return True
