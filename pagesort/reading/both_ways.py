"""Lines of which nothing tells the direction, read both ways: one of them makes sense."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pagesort.common.errors import PageSortError
from pagesort.reading.decoding import Reading
from pagesort.reading.line_images import Grey, cut_line
from pagesort.reading.reading_order import in_reading_order
from pagesort.reading.text_line import Points, TextLine

logger = logging.getLogger(__name__)

Read = tuple[TextLine, Reading]

LEVEL, UP, HEAD, DOWN = range(4)  # quarters clockwise by which lines become level
DOUBTED = 0.9  # a page of which the reader is less sure may stand on its head
TRIED = 4  # lines that tell whether it does


class ReadsLines(Protocol):
    """What reads pictures of lines."""

    def read(self, images: Sequence[Grey]) -> list[Reading]:
        """Read grey pictures, uint8 (H, W)."""


def read_lines(reader: ReadsLines, page: Grey, lines: Sequence[TextLine], where: str) -> list[Read]:
    """Read lines whose directions are known.

    Args:
        reader: of pictures of lines.
        page: uint8 (H, W).
        lines: of the page; what cannot be cut out is told and has no text.
        where: what the page is called in messages.

    Returns:
        Each line with its text, and how it was read, in the order given.
    """
    pictures: list[Grey] = []
    places: list[int] = []
    for place, line in enumerate(lines):
        try:
            pictures.append(cut_line(page, line))
            places.append(place)
        except PageSortError as error:
            logger.warning("%s: not read: %s", where, error.what)
    readings = [Reading("", 0.0)] * len(lines)
    for place, reading in zip(places, reader.read(pictures) if pictures else [], strict=True):
        readings[place] = reading
    return [
        (replace(line, text=reading.text), reading)
        for line, reading in zip(lines, readings, strict=True)
    ]


def read_found_lines(
    reader: ReadsLines, page: Grey, lines: Sequence[TextLine], where: str
) -> list[Read]:
    """Read lines as a finder gives them, which takes all to be read from the left or from below.

    Upright lines are read from above, too, and the way that the reader is surer of is kept. On a
    page that lies on its side, that is decided for all of them together, as it is for the lines of
    a page that seems to stand on its head. Such pages are put into the order in which they are read
    when they are turned.

    Args, returns: see `read_lines`; lines are numbered anew.
    """
    upright = [line for line in lines if line.is_upright]
    found = read_lines(reader, page, lines, where)
    above = read_lines(reader, page, [line.reversed() for line in upright], where)
    below = [each for each in found if each[0].is_upright]
    if 2 * len(upright) > len(lines):
        is_above = _surety(above) > _surety(below)
        kept = iter(above if is_above else below)
        quarters = DOWN if is_above else UP
    else:
        kept = iter([max(pair, key=_confidence) for pair in zip(below, above, strict=True)])
        quarters = LEVEL
        level = [each for each in found if not each[0].is_upright]
        if _stands_on_its_head(reader, page, level, where):
            turned = [each[0].reversed() for each in level]
            again = iter(read_lines(reader, page, turned, where))
            found = [each if each[0].is_upright else next(again) for each in found]
            quarters = HEAD
    chosen = [next(kept) if each[0].is_upright else each for each in found]
    return [
        (replace(line, id=f"line_{number}"), reading)
        for number, (line, reading) in enumerate(_in_order(chosen, quarters), start=1)
    ]


def _stands_on_its_head(reader: ReadsLines, page: Grey, level: Sequence[Read], where: str) -> bool:
    """Whether level lines make more sense from the right, as some long ones tell."""
    if not level or _surety(level) > DOUBTED:
        return False
    tried = sorted(level, key=lambda each: -abs(each[0].baseline[-1][0] - each[0].baseline[0][0]))
    tried = tried[:TRIED]
    turned = read_lines(reader, page, [line.reversed() for line, _ in tried], where)
    return _surety(turned) > _surety(tried)


def _confidence(read: Read) -> float:
    return read[1].confidence


def _surety(read: Sequence[Read]) -> float:
    """How sure a reader is of its text, a character of it, so that a line says more than a dash."""
    length = sum(len(reading.text) for _, reading in read)
    return sum(reading.confidence * len(reading.text) for _, reading in read) / max(1, length)


def _in_order(read: Sequence[Read], quarters: int) -> list[Read]:
    """In the order of a page that is turned clockwise by so many quarters."""
    if quarters == LEVEL:
        return list(read)
    turned = [
        replace(line, id=str(place), polygon=_turned(line.polygon, quarters))
        for place, (line, _) in enumerate(read)
    ]
    return [read[int(line.id)] for line in in_reading_order(turned)]


def _turned(points: Points, quarters: int) -> Points:
    for _ in range(quarters):
        points = tuple((-y, x) for x, y in points)
    return points
