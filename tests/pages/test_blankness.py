"""Blank pages are told apart from pages with little or faint writing on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.pages.blankness import BLANK, COLOUR_TARGET, NEARLY_BLANK
from pagesort.pages.loader import Page, PageLoader, PageRef, Preprocessing
from pagesort.prediction import folder_run
from tests.helpers.brightness import ByBrightness
from tests.helpers.paths import ROOT
from tests.prediction.test_update import request

SQUASH = Preprocessing(resize=(416, 296))
CROP = Preprocessing(shortest_edge=224, crop=(224, 224))


def sheet(texture: float = 4, shade: float = 0, ink: float = 0, lines: int = 0) -> Image.Image:
    """A scan of paper, 200 dpi: its texture, uneven light, and lines so much darker than it."""
    rng = np.random.default_rng(0)
    page = 232.0 + rng.normal(0, texture, (2300, 1700)) - np.linspace(0, shade, 1700)
    for top in range(200, 200 + 60 * lines, 60):
        page[top : top + 24, 200:1500][rng.random((24, 1300)) < 0.3] -= ink
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


def note_of(path: Path, preprocessing: Preprocessing = SQUASH) -> str:
    page = PageLoader(preprocessing, workers=1).page(PageRef(0, path))
    assert isinstance(page, Page)
    return page.note


@pytest.mark.parametrize(
    "note, look",
    [
        (BLANK, {}),
        (BLANK, {"texture": 15}),
        (BLANK, {"texture": 6, "shade": 60}),
        (BLANK, {"ink": 20, "lines": 30}),  # shines through from the other side
        (NEARLY_BLANK, {"ink": 180, "lines": 1}),
        ("", {"ink": 180, "lines": 30}),
    ],
)
def test_only_ink_counts(tmp_path: Path, note: str, look: dict[str, float]) -> None:
    sheet(**look).save(tmp_path / "page.png", compress_level=1)  # type: ignore[arg-type]
    notes = [note_of(tmp_path / "page.png", preprocessing) for preprocessing in (SQUASH, CROP)]
    assert notes == [note, note]


def test_no_sample_page_is_noted() -> None:
    pages = sorted((ROOT / "category_samples").rglob("*.png"))
    assert pages and not any(note_of(path) for path in pages)


def test_the_table_says_so_after_a_resumed_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    sheet().save(scans / "a-1.png", compress_level=1)
    sheet(ink=180, lines=30).save(scans / "a-2.png", compress_level=1)
    Image.new("RGB", (1700, 2300), "white").save(scans / "a-3.png")
    monkeypatch.setattr(ByBrightness, "preprocessing", SQUASH)
    (scans / "b-1.png").write_bytes(b"torn")
    asked = request(tmp_path, batch_size=1, top_n=1, raw=False)
    folder_run.predict_folder(ByBrightness(), asked)
    sheet(ink=180, lines=1).save(scans / "b-1.png", compress_level=1)
    again = request(tmp_path, batch_size=1, top_n=1, raw=False, resume=True)
    (table,) = folder_run.predict_folder(ByBrightness(), again).tables
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    assert header[-2:] == ["NOTE", "PATH"]
    assert [row[-2] for row in rows] == [BLANK, "", BLANK, NEARLY_BLANK]


# Patches as such charts have them: skin, sky, leaf, orange, purple, greens, yellows, greys.
PATCHES = (
    "735244", "c29682", "627a9d", "576c43", "8580b1", "67bdaa", "d67e2c", "505ba6",
    "c15a63", "5e3c6c", "9dbc40", "e0a32e", "383d96", "469449", "af363c", "e7c71f",
    "bb5695", "0885a1", "f3f3f2", "c8c8c8", "a0a0a0", "7a7a79", "555555", "343434",
)  # fmt: skip


def board(columns: int, rows: int, side: int, texture: float, light: float = 1.0) -> Image.Image:
    """A chart of patches on black, photographed: noisy, and darker on one side."""
    page = np.full((rows * side + 40, columns * side + 40, 3), 25.0)
    for place, colour in enumerate(PATCHES[: columns * rows]):
        top, left = 20 + place // columns * side, 20 + place % columns * side
        page[top + 8 : top + side - 8, left + 8 : left + side - 8] = list(bytes.fromhex(colour))
    page *= np.linspace(light, 1.0, page.shape[1])[None, :, None]
    page += np.random.default_rng(1).normal(0, texture, page.shape)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("columns, light", [(6, 1.0), (4, 0.6)], ids=["wide", "tall and dim"])
def test_colour_targets_are_told(tmp_path: Path, columns: int, light: float) -> None:
    board(columns, 24 // columns, 150, 6, light).save(tmp_path / "t.png", compress_level=1)
    notes = [note_of(tmp_path / "t.png", preprocessing) for preprocessing in (SQUASH, CROP)]
    assert notes == [COLOUR_TARGET, COLOUR_TARGET]


def test_pages_with_colours_are_no_targets(tmp_path: Path) -> None:
    letter = sheet(ink=180, lines=30).convert("RGB")
    letter.paste(board(12, 2, 100, 6), (200, 2050))  # a strip beside the page
    letter.save(tmp_path / "letter.png", compress_level=1)
    assert note_of(tmp_path / "letter.png") == ""
    rng = np.random.default_rng(2)
    confetti = rng.integers(0, 256, (800, 600, 3)).astype(np.uint8)
    Image.fromarray(confetti).resize((1200, 1600), Image.Resampling.NEAREST).save(
        tmp_path / "c.png", compress_level=1
    )
    assert note_of(tmp_path / "c.png") != COLOUR_TARGET
