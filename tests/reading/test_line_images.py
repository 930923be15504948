"""Lines cut out of pages and levelled."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.reading.line_images import NARROWEST, WIDEST, cut_line
from pagesort.reading.text_line import PageText, TextLine
from tests.helpers.lines import SHARED, needs_shared, text_page

TEXT = ["Levelled and cut out along its course"]


def ink_rows(picture: np.ndarray) -> np.ndarray:
    """How much ink each row has, as a share of all of it."""
    ink = np.maximum(np.median(picture) - picture.astype(float), 0).sum(axis=1)
    return ink / ink.sum()


@pytest.mark.parametrize("slope", [0.12, -0.12])
def test_a_falling_or_rising_line_looks_like_a_level_one(slope: float) -> None:
    texts, size = TEXT, (900, 400)
    level, (line,) = text_page(texts, size)
    page, (tilted,) = text_page(texts, size, slope=slope)
    if slope < 0:  # room for a line that rises out of the page
        page = np.pad(page, ((100, 0), (0, 0)), constant_values=215)
        tilted = TextLine(
            tilted.id,
            tuple((x, y + 100) for x, y in tilted.baseline),
            tuple((x, y + 100) for x, y in tilted.polygon),
        )
    straight, turned = cut_line(level, line), cut_line(page, tilted)
    assert turned.shape[0] == straight.shape[0] == 64
    assert np.abs(ink_rows(straight) - ink_rows(turned)).sum() < 0.2


def test_a_strongly_curved_line_is_followed() -> None:
    level, (line,) = text_page(TEXT, (900, 300))
    columns = np.arange(900)
    sag = np.round(60 * np.sin(np.pi * columns / 900)).astype(int)
    page = np.full_like(level, 215)
    for column in columns:
        page[sag[column] :, column] = level[: 300 - sag[column], column]
    (left, base), (right, _) = line.baseline
    places = np.linspace(left, right, 30)
    bent = [(float(x), base + 60 * float(np.sin(np.pi * x / 900))) for x in places]
    upper = tuple((x, y - 32.0) for x, y in bent)
    lower = tuple((x, y + 10.0) for x, y in reversed(bent))
    picture = cut_line(page, TextLine("l", tuple(bent), upper + lower))
    assert np.abs(ink_rows(cut_line(level, line)) - ink_rows(picture)).sum() < 0.25


def test_what_lies_outside_of_the_polygon_is_paper() -> None:
    page, lines = text_page(["first line", "second line", "third line"])
    page = page.copy()
    page[:80] = 0  # a black bar that the box around the polygon meets
    line = lines[0]
    picture = cut_line(page, TextLine("l", line.baseline, ((75, 95), (300, 60), (300, 120))))
    assert abs(int(picture[2, 2]) - 215) < 5


@pytest.mark.parametrize(
    ("polygon", "width"),
    [
        (((10, 10), (15, 10), (15, 60), (10, 60)), NARROWEST),
        (((0, 10), (890, 10), (890, 15), (0, 15)), WIDEST),
    ],
)
def test_very_narrow_and_very_long_lines_stay_in_bounds(
    polygon: tuple[tuple[float, float], ...], width: int
) -> None:
    page, _ = text_page(TEXT)
    assert cut_line(page, TextLine("l", polygon[2:], polygon)).shape == (64, width)


@pytest.mark.parametrize(
    "polygon",
    [(), ((5, 5), (9, 9)), ((2000, 2000), (2100, 2000), (2100, 2050)), ((1e30, -1e30),) * 3],
)
def test_a_line_outside_of_the_page_is_refused(polygon: tuple[tuple[float, float], ...]) -> None:
    page, _ = text_page(TEXT)
    with pytest.raises(PageSortError, match="outside of the page.*: lost"):
        cut_line(page, TextLine("lost", ((0, 0), (9, 9)), polygon))


def test_lines_fit_a_smaller_copy_of_their_page() -> None:
    page, lines = text_page(TEXT)
    small = np.asarray(Image.fromarray(page).resize((450, 350), Image.Resampling.BOX))
    text = PageText(SHARED, 900, 700, lines).fitted(450, 350)
    whole, shrunk = cut_line(page, lines[0]), cut_line(small, text.lines[0])
    assert abs(whole.shape[1] - shrunk.shape[1]) < 0.1 * whole.shape[1]
    assert np.abs(ink_rows(whole) - ink_rows(shrunk)).sum() < 0.3


@needs_shared
def test_lines_look_like_those_that_readers_are_trained_on() -> None:
    with (SHARED / "lines.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["page"] == "Lettre247"]
    folder = SHARED / "pages" / "lathrop-stanford"
    page = np.asarray(Image.open(folder / "Lettre247.jpg").convert("L"))
    lines = json.loads((folder / "Lettre247.json").read_text(encoding="utf-8"))["lines"]
    compared = 0
    for row in rows:
        line = next(line for line in lines if line["text"] == row["text"])
        ours = cut_line(page, TextLine("l", line["baseline"], line["polygon"]))
        with Image.open(SHARED / row["path"]) as image:
            theirs = np.asarray(image.resize(ours.shape[::-1]), dtype=float)
            assert abs(image.width / ours.shape[1] - 1) < 0.08
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.7
        compared += 1
    assert compared >= 8
