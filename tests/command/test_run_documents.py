"""PDF and TIFF files, and sorting into folders, through the command line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pdfs import Sheet, scan_pixels, write_pdf

__all__ = ["command", "workplace"]  # fixtures


@pytest.fixture
def report(workplace: Path) -> Path:
    """A PDF of two scans."""
    sheets = [Sheet(scan=scan_pixels(seed)) for seed in (1, 2)]
    return write_pdf(workplace / "scans" / "zpráva 7.pdf", sheets)


def test_a_pdf_is_a_table_of_its_pages(command: Run, report: Path) -> None:
    before = report.read_bytes()
    status, out, err = command("-f", report, "-tn", "2")
    assert status == 0, err
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header == ["FILE", "PAGE", "CLASS-1", "CLASS-2", "SCORE-1", "SCORE-2"]
    assert [row[:2] for row in rows] == [["zpráva 7", "1"], ["zpráva 7", "2"]]
    assert report.read_bytes() == before
    status, out, _ = command("-d", report.parent, "-ff", "png,pdf", "-tn", "2")
    assert status == 0
    table = read_table(out.splitlines()[0])
    assert [(row["FILE"], row["PAGE"], row["CLASS-1"]) for row in table] == [
        (row[0], row[1], row[2]) for row in rows
    ]


def test_blank_pages_of_a_document_are_told(command: Run, tmp_path: Path) -> None:
    leaves = [Image.new("L", (600, 800), 240) for _ in range(2)]
    leaves[0].save(tmp_path / "leaves.tif", save_all=True, append_images=leaves[1:])
    status, out, err = command("-f", tmp_path / "leaves.tif")
    assert status == 0 and len(out.splitlines()) == 3
    assert f"{tmp_path / 'leaves.tif'}, page 2 is blank: its category means little" in err


def test_an_archive_without_pages_is_told(command: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "nothing.zip", "w") as archive:
        archive.writestr("readme.txt", "no page")
    line = error_line(command("-f", tmp_path / "nothing.zip"), 1)
    assert "the archive holds no page" in line and "nothing.zip" in line


def test_one_damaged_page_of_a_document_fails_alone(command: Run, workplace: Path) -> None:
    pages = [Image.fromarray(scan_pixels(seed, 200, 260)) for seed in (3, 4, 5)]
    path = workplace / "three.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    status, out, _ = command("-f", path)
    assert status == 0
    assert len(out.splitlines()) == 4
    path.write_bytes(path.read_bytes()[:-3000])
    status, out, err = command("-f", path)
    assert status == 3
    assert len(out.splitlines()) == 3
    assert "three.tif, page 3" in err
    (workplace / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    status, out, err = command("-f", "broken.pdf")
    assert (status, out) == (1, "")
    assert "broken.pdf" in err


def test_pages_are_sorted_into_folders_and_taken_back(
    command: Run, workplace: Path, report: Path
) -> None:
    Image.fromarray(np.full((90, 60), 200, np.uint8)).save(report.parent / "single-4.png")
    sort = ("-d", report.parent, "-ff", "png,pdf", "--sort_to", "sorted")
    status, out, err = command(*sort)
    assert status == 0, err
    table, manifest = map(Path, out.splitlines())
    rows = {(row["FILE"], row["PAGE"]): row["CLASS-1"] for row in read_table(table)}
    placed = {path.stem: path.parent.name for path in (workplace / "sorted").glob("*/*.png")}
    assert placed == {f"{file}-{page}": label for (file, page), label in rows.items()}
    assert manifest.parent == workplace / "sorted"
    assert command(*sort)[0] == 0
    assert len(list((workplace / "sorted").glob("*/*.png"))) == 3
    status, out, _ = command("--sort_to", "sorted", "--undo", "--dry_run")
    assert (status, out.split(" out of")[0]) == (0, "3 pages would be taken back")
    status, out, _ = command("--sort_to", "sorted", "--undo")
    assert (status, out.split()[0]) == (0, "3")
    assert not list((workplace / "sorted").glob("*/*.png"))
    assert (report.parent / "single-4.png").exists()
    status, _, err = command(*sort, "--min_score", "1")
    assert status == 0, err
    assert {path.parent.name for path in (workplace / "sorted").glob("*/*.png")} == {"_review"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--undo",), "--undo belongs to --sort_to"),
        (("--sort_to", "x"), "--sort_to needs something to do"),
        (("-f", "a.png", "--link", "hard"), "--link belongs to --sort_to"),
        (("-d", "scans", "--dry_run"), "--dry_run belongs to --sort_to"),
        (("-d", "scans", "--sort_to", "x", "--undo"), "--undo and -d contradict"),
    ],
)
def test_flags_of_sorting_that_make_no_sense(
    command: Run, report: Path, arguments: tuple[str, ...], expected: str
) -> None:
    status, _, err = command(*arguments)
    assert status == 2
    assert expected in err
