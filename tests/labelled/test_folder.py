"""Folders of labelled pages: what counts as a page, what is told, and the digests of pages."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.labelled.folder import (
    TRAINED_PAGES_FILE,
    LabelledFolder,
    page_digest,
    page_pixels,
    read_labelled_folder,
    read_trained_pages,
    write_trained_pages,
)
from pagesort.pages.loader import PageLoader, load_page
from pagesort.pages.preprocessing import Preprocessing
from tests.helpers.pages import DAMAGES, write_page

SETTING = "[TRAIN] FOLDER_PAGES"


def fill(folder: Path, **counts: int) -> Path:
    """Pages `<label>/<label>doc-<number>.png`, which all differ."""
    for label, count in counts.items():
        for number in range(count):
            size = (20 + number, 30 + ord(label[0]) % 20)
            write_page(folder / label / f"{label}doc-{number}.png", number, size)
    return folder


def read(folder: Path, **options: object) -> LabelledFolder:
    return read_labelled_folder(folder, named_by=SETTING, **options)


def test_labels_are_the_subfolders_and_pages_come_in_order(tmp_path: Path) -> None:
    for name in ("b ř – x/report-10.png", "b ř – x/report-9.JPG", "A-1/007.png", "A-1/x_2.tif"):
        write_page(tmp_path / name)
    for name in (".hidden/a.png", "A-1/.b.png"):
        write_page(tmp_path / name)
    (tmp_path / "A-1" / "notes.txt").write_text("no page")
    data = read(tmp_path)
    assert data.labels == ("A-1", "b ř – x")
    assert [(page.label, page.document, page.name) for page in data.pages] == [
        ("A-1", "007", "A-1/007.png"),
        ("A-1", "x", "A-1/x_2.tif"),
        ("b ř – x", "report", "b ř – x/report-10.png"),
        ("b ř – x", "report", "b ř – x/report-9.JPG"),
    ]
    assert [page.path for page in data.pages] == [tmp_path / page.name for page in data.pages]
    assert data.left_out == ()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_pages_and_labels(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", C=2)
    folder = fill(tmp_path / "data", A=1)
    (folder / "B").symlink_to(elsewhere / "C", target_is_directory=True)
    (folder / "A" / "link-3.png").symlink_to(elsewhere / "C" / "missing.png")
    data = read(folder)
    assert Counter(page.label for page in data.pages) == {"A": 2, "B": 2}
    assert [reason for _, reason in read(folder, safe=True).left_out] == [
        "the file is no longer there"
    ]


def test_a_cap_keeps_even_steps_of_each_label(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "A").mkdir(exist_ok=True)
        (tmp_path / "A" / f"d-{number:02}.png").touch()
    write_page(tmp_path / "B" / "e-1.png")
    kept = [page.name for page in read(tmp_path, max_categ=5).pages]
    assert kept == [
        "A/d-02.png",
        "A/d-06.png",
        "A/d-10.png",
        "A/d-14.png",
        "A/d-18.png",
        "B/e-1.png",
    ]
    assert len(read(tmp_path, max_categ=19).pages) == 20
    with pytest.raises(PageSortError, match="max_categ is 0"):
        read(tmp_path, max_categ=0)


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def _images_without_labels(folder: Path) -> None:
    write_page(folder / "a.png")
    write_page(folder / "b.jpg")


def _a_level_too_deep(folder: Path) -> None:
    for part in ("test", "train"):
        write_page(folder / part / "TEXT" / "a.png")


def _no_images(folder: Path) -> None:
    (folder / "TEXT").mkdir()
    (folder / "TEXT" / "a.pdf").write_text("")


def _empty_label(folder: Path) -> None:
    write_page(folder / "TEXT" / "a.png")
    (folder / "DRAW").mkdir()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_no_folder, "not there"),
        (_file, "this is a file"),
        (lambda folder: None, "no subfolders"),
        (_images_without_labels, "2 images lie directly in the folder"),
        (_a_level_too_deep, "folders of pages (test, train)"),
        (_no_images, "no subfolder holds a page (TEXT)"),
        (_empty_label, "there is no page of DRAW"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_folder_of_labels_is_told(tmp_path: Path, damage, told: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    damage(folder)
    with pytest.raises(PageSortError) as error:
        read(folder)
    assert told in error.value.what
    assert error.value.where == folder or str(error.value.where) == str(folder)
    assert error.value.remedy
    if damage is _a_level_too_deep:
        assert str(folder / "train") in error.value.remedy
    elif damage is not _empty_label:
        assert SETTING in error.value.remedy


def test_an_empty_label_may_be_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _empty_label(tmp_path)
    data = read(tmp_path, empty_ok=True)
    assert data.labels == ("DRAW", "TEXT")
    assert "labels without a page: DRAW" in caplog.text


def test_images_of_no_label_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, A=1)
    write_page(tmp_path / "stray.png")
    write_page(tmp_path / "A" / "older" / "deep.png")
    assert len(read(tmp_path).pages) == 1
    assert "1 images lie beside the labels' folders" in caplog.text
    assert "only pages directly in a label's folder count: A" in caplog.text


def test_a_page_under_two_labels_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, A=3, B=3)
    read(tmp_path)
    assert "several labels" not in caplog.text
    shutil.copy(tmp_path / "A" / "Adoc-1.png", tmp_path / "A" / "copy.png")
    (tmp_path / "A" / "empty.png").touch()
    (tmp_path / "B" / "void.png").touch()
    read(tmp_path)
    assert "several labels" not in caplog.text
    shutil.copy(tmp_path / "A" / "Adoc-1.png", tmp_path / "B" / "other.png")
    # of one size and beginning, but another page
    sound = (tmp_path / "A" / "Adoc-2.png").read_bytes()
    (tmp_path / "B" / "alike.png").write_bytes(sound[:-30] + b"?" + sound[-29:])
    assert len(read(tmp_path).pages) == 11
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].endswith("A/Adoc-1.png, A/copy.png, B/other.png")


def test_a_check_leaves_out_broken_pages_and_tells_twenty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, A=3, B=2)
    for number in range(30):
        (tmp_path / "B" / f"broken-{number:02}.png").write_text("no page")
    assert len(read(tmp_path).pages) == 35
    data = read(tmp_path, safe=True)
    assert [page.name for page in data.pages] == [
        *(f"A/Adoc-{number}.png" for number in range(3)),
        *(f"B/Bdoc-{number}.png" for number in range(2)),
    ]
    assert len(data.left_out) == 30
    assert "not an image" in data.left_out[0][1]
    assert caplog.text.count("left out: ") == 20
    assert "30 pages are left out in all" in caplog.text
    for path in (tmp_path / "B").glob("Bdoc*"):
        path.unlink()
    with pytest.raises(PageSortError, match="no page of B that can be read"):
        read(tmp_path, safe=True)


def test_pixels_travel_with_their_page(tmp_path: Path) -> None:
    fill(tmp_path, A=30)
    broken = {}
    for name in ("empty.png", "cut_short.png", "corrupt.png"):
        damage, reason = DAMAGES[name]
        damage(tmp_path / "A" / f"Adoc-1{name}")
        broken[f"A/Adoc-1{name}"] = reason
    pages = read(tmp_path).pages
    preprocessing = Preprocessing(resize=(12, 10))
    seen = list(page_pixels(iter(pages), PageLoader(preprocessing, workers=3)))
    assert [page for page, _ in seen] == list(pages)
    for page, pixels in seen:
        if page.name in broken:
            assert broken[page.name] in pixels
        else:
            assert np.array_equal(pixels, preprocessing.apply(load_page(page.path)))
    stopped = page_pixels(pages, PageLoader(preprocessing))
    next(stopped)
    stopped.close()
    assert list(page_pixels([], PageLoader(preprocessing))) == []


def test_a_digest_is_of_the_bytes_alone(tmp_path: Path) -> None:
    path = write_page(tmp_path / "a.png")
    copy = tmp_path / "elsewhere.jpg"
    shutil.copy(path, copy)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert page_digest(path) == page_digest(str(copy)) == expected
    assert page_digest(write_page(path, 1)) != expected
    for wrong in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(PageUnreadableError):
            page_digest(wrong)


def test_trained_pages_are_written_and_read(tmp_path: Path) -> None:
    pages = read(fill(tmp_path / "data", A=3, B=2)).pages
    pages[1].path.unlink()
    model = tmp_path / "model"
    model.mkdir()
    assert read_trained_pages(model) == frozenset()
    path = write_trained_pages(model, [*pages, pages[0]])
    assert path == model / TRAINED_PAGES_FILE
    lines = path.read_text().splitlines()
    assert lines == sorted(page_digest(page.path) for page in pages if page is not pages[1])
    assert read_trained_pages(model) == frozenset(lines)
    assert [each.name for each in model.iterdir()] == [TRAINED_PAGES_FILE]


@pytest.mark.parametrize("content", [b"0123456789abcdeg\n", b"\xff\xfe", b"too short\n"])
def test_a_damaged_list_of_trained_pages_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TRAINED_PAGES_FILE).write_bytes(content)
    with pytest.raises(PageSortError) as error:
        read_trained_pages(tmp_path)
    assert error.value.where == tmp_path / TRAINED_PAGES_FILE
    assert error.value.remedy


def test_a_list_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    pages = read(fill(tmp_path / "data", A=1)).pages
    with pytest.raises(PageSortError, match="cannot be written"):
        write_trained_pages(tmp_path / "gone", pages)


def test_many_pages_are_listed_without_delay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two thousand pages of one size: each is looked at a fixed number of times."""
    caplog.set_level(logging.WARNING)
    for label in "AB":
        (tmp_path / label).mkdir()
        for number in range(1000):
            (tmp_path / label / f"d{number}.png").write_bytes(f"{label}{number:05}".encode())
    assert len(read(tmp_path).pages) == 2000
    assert caplog.text == ""
