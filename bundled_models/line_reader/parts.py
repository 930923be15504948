"""Which lines train the bundled reader, choose its best epoch, and measure it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from pagesort.reading.examples import Example, Examples
from pagesort.reading.split import LineSplit

ENOUGH_HANDS = 5  # of a set of data, for some of them to be kept from training
NEW_HANDS, MOST_NEW = 0.10, 0.16  # of the lines of such a set: what is kept at least and at most
HAND, KEPT_OF_OTHERS = "hand", 3  # the kind of handwriting; of other lines one of so many trains
OTHER_PAGES, MOST_OTHER = 0.04, 0.14  # of the lines that are left: pages by hands that train


def split_by_set(examples: Examples) -> LineSplit:
    """Split every set of data by itself, always alike.

    Whole hands are kept from training to measure on (`test`), and whole pages by hands that train,
    which choose the best epoch (`validation`). Sets of few hands have only the latter.
    """
    sets: dict[str, list[Example]] = {}
    for example in examples.lines:
        sets.setdefault(set_of(example), []).append(example)
    parts: dict[str, str] = {}
    for name, lines in sets.items():
        random = Random(name)
        hands = {line.document for line in lines}
        kept: set[str] = set()
        if len(hands) >= ENOUGH_HANDS:
            kept = _drawn(lines, _document, random, NEW_HANDS, MOST_NEW)
        known = [line for line in lines if line.document not in kept]
        pages = _drawn(known, _page, random, OTHER_PAGES, MOST_OTHER)
        for line in lines:
            if line.document in kept:
                parts[line.name] = "test"
            else:
                parts[line.name] = "validation" if line.page in pages else "train"
    train, validation, test = (
        tuple(line for line in examples.lines if parts[line.name] == part)
        for part in ("train", "validation", "test")
    )
    return LineSplit(train, validation, test, "set of data", "bundled reader")


def mostly_hands(split: LineSplit) -> LineSplit:
    """Let all handwriting train, and of the lines of other kinds every third.

    Typewriting and print are read well long before handwriting is.
    """
    others = [line for line in split.train if line.kind != HAND]
    left_out = {line.name for place, line in enumerate(others) if place % KEPT_OF_OTHERS}
    return replace(split, train=tuple(each for each in split.train if each.name not in left_out))


def _drawn(
    lines: Sequence[Example],
    unit: Callable[[Example], str],
    random: Random,
    share: float,
    most: float,
) -> set[str]:
    """Draw hands or pages until they have a share of the lines, and never more than `most`."""
    sizes: dict[str, int] = {}
    for line in lines:
        sizes[unit(line)] = sizes.get(unit(line), 0) + 1
    names = sorted(sizes)
    random.shuffle(names)
    drawn: set[str] = set()
    count = 0
    for name in names:
        if count > share * len(lines):
            break
        if count + sizes[name] <= most * len(lines):
            drawn.add(name)
            count += sizes[name]
    return drawn


def set_of(line: Example) -> str:
    """The set of data that a line is of."""
    return line.document.partition("/")[0]


def _document(line: Example) -> str:
    return line.document


def _page(line: Example) -> str:
    return line.page
