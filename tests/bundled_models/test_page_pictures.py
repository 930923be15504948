"""Real pictures in artificial pages: found where installed, and done without elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundled_models.synthetic_pages import page as synth
from bundled_models.synthetic_pages.pictures import found_pictures as pictures
from bundled_models.synthetic_pages.pictures.found_pictures import Source
from bundled_models.synthetic_pages.pictures.photographs import place_photograph
from bundled_models.synthetic_pages.sheet import Sheet

PICTURED = ("DRAW", "DRAW_L", "PHOTO", "PHOTO_L")


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch):
    """Sets what is installed, and forgets it again."""

    def install(*found: Source) -> None:
        monkeypatch.setattr(pictures, "SOURCES", found)
        pictures.pictures.cache_clear()

    yield install
    pictures.pictures.cache_clear()


def green_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (0, 200, 0)).save(path)


@pytest.mark.parametrize("label", PICTURED)
def test_draws_without_any_installed_picture(label: str, sources):
    sources()
    page = synth.draw_page(label, synth.page_rng(4, 1), 240)
    region = "drawing" if label.startswith("DRAW") else "photo"
    assert page.regions[synth.REGIONS.index(region)].any()


def test_files_and_members_are_listed_by_name_without_relief_maps(tmp_path: Path, sources):
    for name in ("b.jpg", "a.png", "rock_nm.png"):
        green_photo(tmp_path / "files" / name)
    (tmp_path / "files" / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "pack.pk3", "w") as archive:
        archive.write(tmp_path / "files" / "a.png", "earth/soil.png")
        archive.write(tmp_path / "files" / "a.png", "earth/soil_nm.png")
        archive.write(tmp_path / "files" / "a.png", "sky/cloud.png")
    sources(
        Source("first", "CC0-1.0", "photo", tmp_path / "files", ("*",)),
        Source("second", "CC0-1.0", "ground", tmp_path / "pack.pk3", ("earth/*",)),
        Source("absent", "CC0-1.0", "object", tmp_path / "none", ("*",)),
    )
    assert [found.file.name for found in pictures.pictures("photo")] == ["a.png", "b.jpg"]
    assert [found.member for found in pictures.pictures("ground")] == ["earth/soil.png"]
    assert pictures.missing_packages() == ["absent"]
    crop = pictures.some_crop(np.random.default_rng(1), "ground", (20, 10))
    assert crop is not None
    assert crop.size == (20, 10)
    assert np.abs(np.asarray(crop, int) - (0, 200, 0)).max() <= 4
    assert pictures.some_picture(np.random.default_rng(1), "object") is None


def test_photographs_are_marked_where_they_lie():
    sheet = Sheet(np.random.default_rng(2), 100, 100, 4.0, colour=False)
    place_photograph(sheet, (20, 30, 70, 80))
    assert (synth.REGIONS.index("photo"), (80.0, 120.0, 280.0, 320.0)) in sheet.marks
    darkness = 255 - np.asarray(sheet.image, np.float32)
    assert darkness[120:320, 80:280].mean() > 10 * max(0.1, darkness[:80].mean())


def test_every_source_names_a_package_that_the_command_installs_and_a_licence():
    for source in pictures.SOURCES:
        assert source.package in (pictures.__doc__ or "")
        assert source.kind in pictures.KINDS
        assert source.licence
        assert "NC" not in source.licence
