"""Lines that are found on drawn pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pagesort.common.errors import PageSortError
from pagesort.reading import line_finder
from pagesort.reading.line_finder import LONGER_SIDE, WEIGHTS, LineFinder, shrunk
from pagesort.reading.reading_order import in_reading_order
from pagesort.reading.text_line import Points, TextLine
from tests.helpers.lines import text_page

TEXTS = ["The first of some lines of text", "goes on in the second one", "and ends here"]


@pytest.fixture(scope="module")
def finder() -> LineFinder:
    """The bundled one."""
    return LineFinder.open()


def middle(points: tuple[tuple[float, float], ...]) -> float:
    return float(np.mean([y for _, y in points]))


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_lines_are_found_where_they_are(finder: LineFinder, slope: float) -> None:
    page, true = text_page(TEXTS, (900, 400), slope=slope)
    found = finder.find(page)
    assert len(found) == len(true)
    for ours, theirs in zip(found, true, strict=True):
        assert abs(middle(ours.baseline) - middle(theirs.baseline)) < 10
        fall = ours.baseline[-1][1] - ours.baseline[0][1]
        assert abs(fall - slope * (theirs.baseline[-1][0] - theirs.baseline[0][0])) < 8
        for end in (0, -1):
            assert abs(ours.baseline[end][0] - theirs.baseline[end][0]) < 25


def test_a_page_on_its_side_has_the_lines_of_the_level_one(finder: LineFinder) -> None:
    page, _ = text_page([text.replace(" ", "   ") for text in TEXTS], (900, 400), slope=0.02)
    level = finder.find(page)
    on_side = finder.find(np.ascontiguousarray(np.rot90(page)))
    assert all(line.is_upright for line in on_side)

    def turned(points: Points) -> Points:
        return tuple((y, round(900 - x, 1)) for x, y in points)

    expected = {(turned(line.baseline), turned(line.polygon)) for line in level}
    assert {(line.baseline, line.polygon) for line in on_side} == expected
    assert [line.id for line in on_side] == ["line_1", "line_2", "line_3"]


def test_a_note_up_the_margin_does_not_turn_the_page(finder: LineFinder) -> None:
    page, true = text_page(TEXTS, (900, 400))
    note, _ = text_page(["a note"], (400, 100))
    both = np.concatenate([np.rot90(note), page], axis=1)
    found = finder.find(np.ascontiguousarray(both))
    assert sum(not line.is_upright for line in found) == len(true)
    assert [line.polygon[0][0] < 100 for line in found if line.is_upright] == [True]


def test_a_level_stamp_on_a_page_that_lies_on_its_side_runs_from_the_left(
    finder: LineFinder,
) -> None:
    page, _ = text_page(TEXTS, (900, 400))
    stamp, _ = text_page(["Folio 12"], (400, 120))
    both = np.concatenate([np.rot90(page), stamp], axis=0)
    found = finder.find(np.ascontiguousarray(both))
    assert sum(line.is_upright for line in found) == len(TEXTS)
    level = [line for line in found if not line.is_upright]
    assert level
    assert all(line.baseline[0][0] < line.baseline[-1][0] for line in level)
    # Below the letters: nearer to the lower edge of the outline.
    for line in level:
        ys = [y for _, y in line.polygon]
        assert middle(line.baseline) > (min(ys) + max(ys)) / 2


def test_some_long_notes_do_not_turn_a_page_of_more_level_lines(
    finder: LineFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, true = text_page(["One short", "and two", "then three"], (300, 500))
    texts = ("alongthemarginandmore", "theothernoteislong")
    notes = [np.rot90(text_page([text], (500, 100))[0]) for text in texts]
    both = np.ascontiguousarray(np.concatenate([page, *notes], axis=1))
    looks = []
    look = LineFinder._found
    monkeypatch.setattr(LineFinder, "_found", lambda *a: looks.append(a) or look(*a))
    found = finder.find(both)
    assert len(looks) == 1
    assert [line.is_upright for line in found].count(False) == len(true)
    assert [line.is_upright for line in found].count(True) == len(notes)


def test_rules_are_no_lines_and_part_cells(finder: LineFinder) -> None:
    page, _ = text_page(["left                              right"], (900, 300))
    page = page.copy()
    page[130:133, 40:860] = 30
    page[20:280, 250:253] = 30
    found = finder.find(page)
    assert len(found) == 2
    assert found[0].polygon[1][0] < 260 < found[1].polygon[0][0] + 15


@pytest.mark.parametrize("page", [np.full((50, 900), 255), np.zeros((300, 200)), np.ones((1, 1))])
def test_pages_without_writing_have_no_lines(
    finder: LineFinder, page: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_finder, "LONGER_SIDE", 512)  # a square page takes seconds at more
    assert finder.find(page.astype(np.uint8)) == ()


def box(name: str, left: float, top: float, right: float) -> TextLine:
    outline = ((left, top), (right, top), (right, top + 10), (left, top + 10))
    return TextLine(name, outline[2:], outline)


def test_columns_are_read_one_after_the_other() -> None:
    lines = [
        *(box("title", 0, 0, 200), box("b1", 110, 22, 200), box("a1", 0, 20, 90)),
        *(box("a2", 0, 40, 90), box("b2", 110, 42, 200), box("foot", 0, 80, 200)),
    ]
    ordered = [line.id for line in in_reading_order(lines)]
    assert ordered == ["title", "a1", "a2", "b1", "b2", "foot"]


def test_a_line_that_runs_up_the_page_is_found_and_read_from_below(finder: LineFinder) -> None:
    page, _ = text_page(["Only one line of text"], (900, 300))

    (line,) = finder.find(np.ascontiguousarray(np.rot90(page)))

    (left, low), (right, high) = line.baseline[0], line.baseline[-1]
    assert abs(left - right) < 20 and low - high > 200


@pytest.mark.parametrize("size", [(10, 4000), (3000, 20), (1, 1)])
def test_odd_pages_are_seen_at_the_longer_side(size: tuple[int, int]) -> None:
    assert max(shrunk(np.zeros(size, np.uint8), LONGER_SIDE).shape) == LONGER_SIDE


def test_missing_and_foreign_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="no line finder"):
        LineFinder.open(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"no safetensors")
    with pytest.raises(PageSortError, match="damaged"):
        LineFinder.open(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(PageSortError, match="damaged"):
        LineFinder.open(tmp_path)
