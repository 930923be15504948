"""Single layouts of text and forms: each draws, fits its sheet and notes what it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bundled_models.synthetic_pages.layouts import blanks, memos, mixtures, texts, typed
from bundled_models.synthetic_pages.scanning import paper
from bundled_models.synthetic_pages.sheet import REGIONS, Sheet
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Typewriter
from tests.helpers.sheets import inked, marked


def new_sheet(seed: int, size: tuple[float, float] = (210, 297)) -> Sheet:
    return Sheet(np.random.default_rng(seed), *size, 3.0, colour=False)


@pytest.mark.parametrize("size", [(210, 297), (297, 210), (148, 210)])
@pytest.mark.parametrize("name", ["_title", "_letter", "_slip", "_hanging_list", "_dialogue"])
def test_typed_layouts_are_typed_and_no_tables(name: str, size: tuple[float, float]):
    sheet = new_sheet(4, size)
    getattr(typed, name)(sheet, Typewriter(sheet, density=1.0))
    assert "type" in marked(sheet)
    assert not marked(sheet) & {"table", "photo", "drawing"}
    assert 0.001 < inked(sheet) < 0.4


@pytest.mark.parametrize("name", ["_few_words", "_address_page", "_entries", "_written_page"])
def test_written_layouts_are_handwriting_and_no_tables(name: str):
    for seed in range(3):
        sheet = new_sheet(seed)
        getattr(texts, name)(sheet)
        assert "hand" in marked(sheet)
        assert not marked(sheet) & {"table", "photo", "type"}
        assert inked(sheet) > 0.001


def test_few_words_are_large():
    heights = []
    for seed in range(8):
        sheet = new_sheet(seed)
        texts._few_words(sheet)
        boxes = [box for region, box in sheet.marks if REGIONS[region] == "hand"]
        heights.append(max(low - top for _, top, _, low in boxes) / sheet.image.height)
    assert np.median(heights) > 0.04


@pytest.mark.parametrize("form", [blanks.context_sheet, blanks.evidence_card])
def test_forms_without_an_answer_hold_print_only(form):
    for seed in range(3):
        sheet = new_sheet(seed)
        form(sheet, None, 0.0)
        assert {"print", "table"} <= marked(sheet) <= {"print", "table", "hand"}


@pytest.mark.parametrize(("tool", "region"), [(Typewriter, "type"), (Hand, "hand")])
@pytest.mark.parametrize("form", [blanks.context_sheet, blanks.evidence_card])
def test_forms_are_filled_by_the_tool(form, tool, region: str):
    sheet = new_sheet(2)
    form(sheet, tool(sheet), 0.9)
    assert {"print", "table", region} <= marked(sheet)


def test_observations_are_rows_and_heads_in_print_and_figures_by_hand():
    for seed in range(4):
        sheet = new_sheet(seed)
        blanks.observation_sheet(sheet)
        assert marked(sheet) == {"print", "table", "hand"}
        ((x0, _, x1, low),) = (box for region, box in sheet.marks if REGIONS[region] == "table")
        figures = [box for region, box in sheet.marks if REGIONS[region] == "hand"]
        assert len(figures) > 25
        # All but the date above, which may stand anywhere.
        assert all(x0 <= left < x1 and bottom < low + 20 for left, _, _, bottom in figures[1:])


@pytest.mark.parametrize("seed", range(6))
def test_a_program_is_typed_text_however_its_paper_is_pulled(seed: int):
    sheet = new_sheet(seed)
    memos.program(sheet, Typewriter(sheet, density=1.0))
    assert marked(sheet) == {"type"}
    assert 0.001 < inked(sheet) < 0.3


def test_lines_of_a_program_stand_at_many_depths():
    lines = memos.nested_lines(np.random.default_rng(2), 60)
    depths = {len(line) - len(line.lstrip()) for line in lines if line}
    assert len(lines) == 60 and len(depths) > 5 and max(depths) < 40


def test_a_needle_printer_prints():
    sheet = new_sheet(1)
    blanks.dot_matrix(sheet)
    assert {"print", "table"} <= marked(sheet)
    assert "type" not in marked(sheet)


def test_a_register_sheet_is_a_form_in_pen():
    sheet = new_sheet(1)
    blanks.register_sheet(sheet, Hand(sheet, size=2.2))
    assert marked(sheet) == {"print", "table", "hand"}


@pytest.mark.parametrize("kind", dict.fromkeys(mixtures._KINDS))
def test_mixtures_mix(kind):
    sheet = new_sheet(6)
    kind(sheet, Hand(sheet), 15, 170, 20)
    assert len(marked(sheet) & {"print", "type", "hand"}) >= 2
    assert "table" not in marked(sheet)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_move_with_a_page_laid_on_a_table(mode: str):
    page = Image.new(mode, (160, 240), "white")
    mask = Image.new("L", (20, 30), 255)
    canvas, (moved,), box = paper._on_a_table(np.random.default_rng(2), page, [mask], 0.0)
    left, top, right, bottom = box
    assert (right - left, bottom - top) == page.size
    assert np.asarray(canvas.convert("L"))[top:bottom, left:right].min() == 255
    assert moved.size == (canvas.width // 8, canvas.height // 8)
    assert moved.getbbox() == (left // 8, top // 8, min(left // 8 + 20, moved.width),
                               min(top // 8 + 30, moved.height))  # fmt: skip
