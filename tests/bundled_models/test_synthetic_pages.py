"""Artificial pages: same seed, same page; every label draws; masks and measures tell the truth."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundled_models.synthetic_pages import page as synth
from bundled_models.synthetic_pages.sheet import Sheet
from bundled_models.synthetic_pages.writing import fonts, ink
from bundled_models.synthetic_pages.writing.hand import Hand, spline
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter
from tests.helpers.paths import ROOT

SAMPLES = ROOT / "category_samples"
HEIGHT = 320


@cache
def drawn(label: str, number: int) -> synth.SynthPage:
    """A page that several tests look at."""
    return synth.draw_page(label, synth.page_rng(7, number), HEIGHT)


def pages(label: str, count: int) -> list[synth.SynthPage]:
    return [drawn(label, number) for number in range(count)]


def coverage(label: str, count: int = 5) -> dict[str, float]:
    """Mean share of a page that each region covers."""
    means = np.mean([page.regions.mean(axis=(1, 2)) / 255 for page in pages(label, count)], axis=0)
    return dict(zip(synth.REGIONS, means.tolist(), strict=True))


@pytest.fixture
def only_bundled_fonts(monkeypatch: pytest.MonkeyPatch):
    """The state of a machine on which no font package is installed."""
    caches = (fonts.installed_files, fonts.role_files)
    bundled = fonts.font_folders()[-1]
    monkeypatch.setattr(fonts, "font_folders", lambda: [bundled])
    for kept in caches:
        kept.cache_clear()
    yield
    for kept in caches:
        kept.cache_clear()


def blank_sheet(scale: float = 8.0) -> Sheet:
    return Sheet(np.random.default_rng(3), 210, 297, scale, colour=False)


def ink_box(sheet: Sheet) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of all ink, mm."""
    rows, columns = np.nonzero(np.asarray(sheet.image) < 160)
    s = sheet.scale
    return columns.min() / s, rows.min() / s, columns.max() / s, rows.max() / s


def test_labels_are_the_eleven_categories():
    assert synth.LABELS == (
        "DRAW", "DRAW_L", "LINE_HW", "LINE_P", "LINE_T", "PHOTO",
        "PHOTO_L", "TEXT", "TEXT_HW", "TEXT_P", "TEXT_T",
    )  # fmt: skip


@pytest.mark.parametrize("label", synth.LABELS)
def test_page_has_size_mode_masks_and_ink(label: str):
    for page in pages(label, 2):
        width, height = page.image.size
        assert page.label == label
        assert page.image.mode in ("L", "RGB")
        assert abs(max(width, height) - HEIGHT) <= HEIGHT * 0.02
        assert page.regions.dtype == np.uint8
        assert page.regions.shape == (6, round(height / 16), round(width / 16))
        assert page.regions.any()
        assert np.asarray(page.image.convert("L")).std() > 2


@pytest.mark.parametrize("label", ["DRAW", "LINE_HW", "PHOTO_L", "TEXT"])
def test_same_seed_same_page(label: str):
    first, again = (synth.draw_page(label, synth.page_rng(5, 2), HEIGHT) for _ in range(2))
    other = synth.draw_page(label, synth.page_rng(5, 3), HEIGHT)
    assert first.image.tobytes() == again.image.tobytes()
    assert np.array_equal(first.regions, again.regions)
    assert first.image.tobytes() != other.image.tobytes()


def test_same_seed_same_page_in_another_process_and_order():
    page = synth.draw_page("TEXT_P", synth.page_rng(9, 4), HEIGHT)
    code = (
        "import hashlib; from bundled_models.synthetic_pages import page as synth;"
        "synth.draw_page('LINE_T', synth.page_rng(1, 1), 320);"
        "page = synth.draw_page('TEXT_P', synth.page_rng(9, 4), 320);"
        "print(hashlib.sha256(page.image.tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(page.image.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("label", "region", "over"),
    [
        ("TEXT_T", "type", "hand"),
        ("TEXT_P", "print", "type"),
        ("TEXT_HW", "hand", "print"),
        ("LINE_T", "type", "hand"),
        ("LINE_HW", "table", "drawing"),
        ("LINE_P", "table", "photo"),
        ("DRAW", "drawing", "photo"),
        ("DRAW_L", "table", "photo"),
        ("PHOTO", "photo", "table"),
        ("PHOTO_L", "photo", "hand"),
    ],
)
def test_masks_tell_what_the_label_promises(label: str, region: str, over: str):
    shares = coverage(label)
    assert shares[region] > 0.02
    assert shares[region] > 2 * shares[over]


def test_tabular_pages_are_marked_and_free_ones_are_not():
    for label in ("DRAW_L", "LINE_HW", "LINE_P", "LINE_T", "PHOTO_L"):
        for page in pages(label, 3):
            assert page.regions[synth.REGIONS.index("table")].any(), label
    for label in ("DRAW", "PHOTO", "TEXT", "TEXT_HW", "TEXT_P", "TEXT_T"):
        for page in pages(label, 3):
            assert not page.regions[synth.REGIONS.index("table")].any(), label


def test_size_follows_height():
    small, large = (
        synth.draw_page("LINE_P", synth.page_rng(2, 1), height).image.size for height in (200, 400)
    )
    assert max(large) == pytest.approx(2 * max(small), abs=6)
    assert small[0] / small[1] == pytest.approx(large[0] / large[1], rel=0.03)


def test_unknown_label_is_refused():
    with pytest.raises(KeyError):
        synth.draw_page("MAP", synth.page_rng(1, 1), HEIGHT)


def test_typewriter_keeps_its_pitch():
    sheet = blank_sheet()
    machine = Typewriter(sheet, pitch=2.54, density=1.0)
    assert machine.put(20, 50, "n" * 40) == pytest.approx(40 * 2.54)
    left, top, right, bottom = ink_box(sheet)
    assert right - left == pytest.approx(40 * 2.54, abs=4)
    assert left == pytest.approx(20, abs=1.5)
    assert 47 < top < bottom < 51


def test_print_is_as_wide_as_it_says_and_wraps():
    sheet = blank_sheet()
    face = Print(sheet, "serif", 10)
    end = face.paragraph(30, 40, 100, ["nádoba"] * 60)
    left, top, right, bottom = ink_box(sheet)
    assert left >= 29
    assert right <= 131
    assert top > 34
    assert bottom < end
    assert end > 40 + 3 * face.leading


def test_fill_lines_keeps_words_and_room():
    lines = ink.fill_lines(["aa", "bbb", "cccc", "ddddd"], 9, indent=2)
    assert lines == ["  aa bbb", "cccc", "ddddd"]


@pytest.mark.parametrize("seed", range(6))
def test_handwriting_stays_on_its_line(seed: int):
    sheet = Sheet(np.random.default_rng(seed), 210, 297, 8.0, colour=False)
    hand = Hand(sheet, size=2.5, colour=(0, 0, 0))
    hand.paragraph(20, 60, 120, ["popelnice"] * 40)
    left, top, right, _ = ink_box(sheet)
    assert left > 8
    assert right < 175
    assert top > 45


def test_two_people_write_differently():
    written = []
    for seed in (1, 2):
        sheet = Sheet(np.random.default_rng(seed), 100, 40, 8.0, colour=False)
        Hand(sheet, size=2.5, colour=(0, 0, 0)).put(10, 20, "museum")
        written.append(np.asarray(sheet.image))
    assert (written[0] != written[1]).sum() > 200


def test_spline_passes_through_its_points():
    points = np.array([[0, 0], [1, 2], [3, 1], [4, 4]], float)
    curve = spline(points)
    for point in points:
        assert np.abs(curve - point).sum(axis=1).min() < 1e-9


@pytest.mark.parametrize("label", synth.LABELS)
@pytest.mark.usefixtures("only_bundled_fonts")
def test_draws_without_any_installed_font(label: str):
    assert fonts.pick_font("hand", np.random.default_rng(1)) is None
    page = synth.draw_page(label, synth.page_rng(3, 3), HEIGHT)
    assert np.asarray(page.image.convert("L")).std() > 2


def test_fonts_without_carons_get_plain_letters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fonts, "has_czech", lambda path: False)
    fonts.drawable.cache_clear()
    assert fonts.drawable("any", "Řehák ščť") == "Rehak sct"
    fonts.drawable.cache_clear()


def test_every_font_names_a_package_that_the_command_installs():
    for role, families in fonts.FAMILIES.items():
        assert families, role
        for stem, package in families:
            assert package in (fonts.__doc__ or ""), stem


def test_command_writes_pages_by_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "drawn pages"
    assert synth.main(["--out", str(out), "--pages", "1", "--seed", "4", "--height", "160"]) == 0
    assert sorted(path.name for path in out.iterdir()) == list(synth.LABELS)
    assert [path.name for path in sorted((out / "DRAW").iterdir())] == ["synth04_draw_1-1.png"]
    assert "11 pages" in capsys.readouterr().out


def test_greys_make_palette_pages():
    ramp = Image.linear_gradient("L")
    reduced = synth.with_greys(ramp, 16)
    assert reduced.mode == "P"
    difference = np.asarray(reduced.convert("L"), int) - np.asarray(ramp, int)
    assert np.abs(difference).max() <= 9
    assert len(np.unique(np.asarray(reduced))) == 16


def test_category_samples_hold_three_scan_sized_pages_a_label():
    files = sorted(SAMPLES.glob("*/*.png"))
    assert sorted({path.parent.name for path in files}) == list(synth.LABELS)
    assert all(len(list((SAMPLES / label).glob("*.png"))) == 3 for label in synth.LABELS)
    assert sum(path.stat().st_size for path in files) < 9_000_000
    for path in files:
        with Image.open(path) as page:
            assert 1600 <= max(page.size) <= 1800, path
