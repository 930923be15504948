"""Layouts by the noun of their module: each marks what its label promises and draws something."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bundled_models.synthetic_pages.layouts import figures, identities, listings, memos, stamps
from bundled_models.synthetic_pages.pictures import (
    charts,
    engravings,
    mounts,
    townplans,
    workdrawings,
)
from bundled_models.synthetic_pages.scanning import copies, grounds
from bundled_models.synthetic_pages.sheet import Sheet, side_by_side
from bundled_models.synthetic_pages.writing.ink import Typewriter
from tests.helpers.sheets import inked, marked

BOX = (20.0, 30.0, 190.0, 200.0)


def new_sheet(seed: int, size: tuple[float, float] = (210, 297)) -> Sheet:
    return Sheet(np.random.default_rng(seed), *size, 3.0, colour=seed % 2 == 1)


@pytest.mark.parametrize("layout", [memos.memo, memos.message, memos.program, memos.treatise])
def test_office_typescripts_are_typed_and_no_tables(layout):
    for seed in range(4):
        sheet = new_sheet(seed)
        layout(sheet, Typewriter(sheet, density=1.0))
        assert "type" in marked(sheet)
        assert not marked(sheet) & {"table", "photo", "drawing"}
        assert inked(sheet) > 0.001


def test_office_marks_leave_no_table_or_picture():
    for seed in range(8):
        sheet = new_sheet(seed)
        stamps.office_marks(sheet, 3.0)
        assert not marked(sheet) & {"table", "photo", "drawing"}


def test_bars_cover_typed_lines_only():
    sheet = new_sheet(3)
    Typewriter(sheet, density=1.0).lines(20, 60, ["a" * 60] * 30)
    before = np.asarray(sheet.image.convert("L"))
    stamps.bars(sheet)
    changed = np.argwhere(np.asarray(sheet.image.convert("L")) != before) / sheet.scale
    assert len(changed)
    assert changed[:, 0].min() > 50
    assert changed[:, 1].min() > 18


@pytest.mark.parametrize("size", [(210, 297), (297, 210), (148, 105)])
@pytest.mark.parametrize(
    "layout",
    [
        listings.typed_figures,
        listings.list_of_documents,
        listings.questionnaire,
        listings.report_form,
        listings.library_card,
    ],
)
def test_typed_lists_are_typed_tables(layout, size: tuple[float, float]):
    for seed in range(3):
        sheet = new_sheet(seed, size)
        layout(sheet, Typewriter(sheet, density=1.0))
        assert {"type", "table"} <= marked(sheet)
        assert not marked(sheet) & {"photo", "drawing"}


def test_line_printer_types_in_columns():
    sheet = new_sheet(2, (297, 210))
    listings.line_printer(sheet)
    assert {"type", "table"} <= marked(sheet)


@pytest.mark.parametrize("size", [(210, 297), (297, 210)])
@pytest.mark.parametrize(
    "layout",
    [
        figures.statistics,
        figures.logarithms,
        figures.timetable,
        figures.directory,
        figures.almanac,
        figures.blank_register,
    ],
)
def test_printed_figures_are_printed_tables(layout, size: tuple[float, float]):
    for seed in range(2):
        sheet = new_sheet(seed, size)
        layout(sheet)
        assert marked(sheet) == {"print", "table"}
        assert inked(sheet) > 0.002


@pytest.mark.parametrize("picture", [*dict.fromkeys(charts.CHARTS), engravings.engraving,
                                     engravings.painting, townplans.town_plan,
                                     townplans.tinted_map, workdrawings.part_views])  # fmt: skip
def test_pictures_are_drawings_within_their_box(picture):
    for seed in range(3):
        sheet = new_sheet(seed)
        picture(sheet, BOX)
        assert "drawing" in marked(sheet)
        assert not marked(sheet) & {"table", "photo"}
        assert inked(sheet) > 0.002


@pytest.mark.parametrize("page", [charts.figure_page, engravings.engraved_page, townplans.map_page])
def test_pages_of_drawings_hold_no_table(page):
    for seed in range(3):
        sheet = new_sheet(seed)
        page(sheet)
        assert "drawing" in marked(sheet)
        assert not marked(sheet) & {"table", "photo"}


@pytest.mark.parametrize(
    "layout",
    [
        identities.registration,
        identities.framed_card,
        identities.two_views,
        identities.deposited,
    ],
)
@pytest.mark.parametrize("size", [(210, 297), (210, 148)])
def test_papers_with_a_portrait_are_photographs_in_tables(layout, size: tuple[float, float]):
    for seed in range(3):
        sheet = new_sheet(seed, size)
        layout(sheet)
        assert {"photo", "table"} <= marked(sheet)


@pytest.mark.parametrize("layout", [mounts.studio_card, mounts.film_print, mounts.screened_plate])
def test_mounted_photographs_are_no_tables(layout):
    for seed in range(3):
        sheet = new_sheet(seed)
        layout(sheet)
        assert "photo" in marked(sheet)
        assert "table" not in marked(sheet)


def faint_page(edge: int) -> Image.Image:
    """Grey paper with a few lines of pale ink, on black that shows `edge` pixels wide round it."""
    field = np.full((400, 300), 215, np.uint8)
    field[60:300:20, 40:200:3] = 150
    field[:edge], field[400 - edge :], field[:, :edge], field[:, 300 - edge :] = 0, 0, 0, 0
    return Image.fromarray(field)


@pytest.mark.parametrize("edge", [0, 20])
@pytest.mark.parametrize("copy", [copies.photocopied, copies.photostat, copies.microfilmed])
def test_faint_writing_survives_copying(copy, edge: int):
    for seed in range(5):
        out = np.asarray(copy(np.random.default_rng(seed), faint_page(edge)), float)
        assert out.shape == (400, 300)
        lines, between = out[60:300:20, 40:200:3].mean(), out[70:300:20, 40:200:3].mean()
        assert abs(lines - between) > 10
        assert (lines > between) == (copy is copies.photostat)


def test_masks_follow_a_page_onto_the_cloth():
    for seed in range(5):
        page = Image.new("L", (320, 480), 250)
        mask = Image.new("L", (40, 60))
        mask.paste(255, (10, 20, 30, 40))
        placed, (moved,), box = grounds.on_cloth(np.random.default_rng(seed), page, [mask])
        assert placed.width > page.width
        assert (box[2] - box[0], box[3] - box[1]) == page.size
        rows, columns = np.nonzero(np.asarray(moved) > 127)
        assert columns.mean() * 8 == pytest.approx((box[0] + box[2]) / 2, abs=20)
        assert rows.mean() * 8 == pytest.approx((box[1] + box[3]) / 2, abs=24)


def test_an_open_book_keeps_both_pages_and_their_marks():
    left, right = (new_sheet(seed, (150, 210)) for seed in (2, 4))
    left.mark("print", 20, 30, 100, 40)
    right.mark("hand", 20, 30, 100, 40)
    right.frame(20, 30, 100, 40, 0, fill=(0, 0, 0))
    both = side_by_side(left, right)
    assert both.width == 300
    assert marked(both) == {"print", "hand"}
    (_, (x0, _, x1, _)) = both.marks[1]
    assert (x0 / both.scale, x1 / both.scale) == pytest.approx((170, 250), abs=0.5)
    field = np.asarray(both.image)
    assert field[both.image.height // 6, round(200 * both.scale)] < 10
    assert field[-5, both.image.width // 2] < field[-5, both.image.width // 4] == 255


def test_tones_of_an_engraving_are_kept_from_hard_copying():
    toned = [new_sheet(2), new_sheet(2)]
    engravings.engraving(toned[0], BOX)
    townplans.tinted_map(toned[1], BOX)
    assert all(sheet.toned for sheet in toned)
    plain = new_sheet(2)
    charts.line_chart(plain, BOX)
    assert not plain.toned
