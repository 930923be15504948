"""Lines of pages that lie on a side or stand on their head, and notes up and down a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pagesort.common.paths import MODELS
from pagesort.reading.both_ways import read_found_lines
from pagesort.reading.decoding import Reading
from pagesort.reading.error_rates import errors_of
from pagesort.reading.reader import Reader
from pagesort.reading.text_line import Points, TextLine
from tests.helpers.lines import text_page

TEXTS = ["Thefirstofsomelines", "goesoninanother", "andendshere"]
MOST_WRONG = 0.2  # of a line's characters; read in a wrong direction, nearly all are


def assert_read(read: Sequence[tuple[TextLine, Reading]], texts: Sequence[str]) -> None:
    """These texts in this order, a letter here or there aside."""
    assert len(read) == len(texts)
    for (line, reading), text in zip(read, texts, strict=True):
        assert line.text == reading.text
        assert errors_of(text, reading.text).cer < MOST_WRONG, (text, reading.text)


@pytest.fixture(scope="module")
def reader() -> Reader:
    """The bundled one."""
    return Reader.open(MODELS / "pagesort-reader")


def turned(
    page: np.ndarray, lines: Sequence[TextLine], quarters: int
) -> tuple[np.ndarray, list[TextLine]]:
    """A page turned by quarters against the clock, with its lines as a finder has them.

    That is without texts, read from the left or from below.
    """
    for _ in range(quarters):
        wide = page.shape[1]
        page = np.ascontiguousarray(np.rot90(page))
        lines = [
            replace(
                line,
                baseline=tuple((y, wide - x) for x, y in line.baseline),
                polygon=tuple((y, wide - x) for x, y in line.polygon),
            )
            for line in lines
        ]
    return page, [replace(line, baseline=as_found(line.baseline), text=None) for line in lines]


def as_found(baseline: Points) -> Points:
    (left, top), (right, bottom) = baseline
    is_backwards = bottom - top > abs(right - left) or left - right > abs(bottom - top)
    return (baseline[1], baseline[0]) if is_backwards else baseline


@pytest.mark.parametrize("quarters", range(4))
def test_a_page_that_lies_any_way_is_read_in_its_order(reader: Reader, quarters: int) -> None:
    page, lines = turned(*text_page(TEXTS, (500, 260)), quarters)
    read = read_found_lines(reader, page, lines, "page")
    assert_read(read, TEXTS)
    assert [line.id for line, _ in read] == ["line_1", "line_2", "line_3"]


def test_a_note_down_the_margin_is_read_from_above_and_the_text_beside_it_as_it_lies(
    reader: Reader,
) -> None:
    text, lines = text_page(TEXTS, (500, 340))
    note, (along,) = text_page(["anothernote"], (340, 140))
    note, (down,) = turned(note, [along], 3)
    moved = replace(
        down,
        baseline=tuple((x + 500, y) for x, y in down.baseline),
        polygon=tuple((x + 500, y) for x, y in down.polygon),
    )
    found = [replace(line, text=None) for line in (*lines, moved)]
    read = read_found_lines(reader, np.concatenate([text, note], axis=1), found, "page")
    assert_read(read, [*TEXTS, "anothernote"])
    (upright,) = (line for line, _ in read if line.is_upright)
    (_, top), (_, bottom) = upright.baseline
    assert bottom > top  # it runs down
