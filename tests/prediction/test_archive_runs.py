"""Runs over archives: as over folders of the same content and name."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pagesort.prediction import folder_run
from pagesort.prediction.merging import MergeRequest, merge_parts
from pagesort.prediction.request import Request, check_request
from pagesort.prediction.shards import Shard
from pagesort.sorting.manifests import undo
from tests.helpers.brightness import ByBrightness
from tests.helpers.command import Run, command, error_line, read_table, workplace

__all__ = ["command", "workplace"]  # fixtures

FORMATS = ("png", "zip", "tar")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two folders that are called as archives are, and a page of its own."""
    folder = tmp_path / "unpacked"
    for place, name in enumerate(("box 1/a ř.zip", "b.tar.gz")):
        (folder / name / "inner").mkdir(parents=True)
        for number in range(1, 8):
            grey = 30 * number + 7 * place
            Image.new("L", (30, 40), grey).save(folder / name / f"inner/p-{number}.png")
        (folder / name / "torn.png").write_bytes(b"no picture")
    Image.new("L", (9, 9)).save(folder / "single.png")
    return folder


@pytest.fixture
def packed(scans: Path, tmp_path: Path) -> Path:
    """The same, but that the archives are ones."""
    folder = tmp_path / "packed"
    (folder / "box 1").mkdir(parents=True)
    shutil.copy(scans / "single.png", folder)
    inside = scans / "box 1/a ř.zip"
    with zipfile.ZipFile(folder / "box 1/a ř.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in inside.rglob("*.png"):
            archive.write(path, path.relative_to(inside).as_posix())
    with tarfile.open(folder / "b.tar.gz", "w:gz") as tar:
        tar.add(scans / "b.tar.gz", ".")
    return folder


def request(folder: Path, **more: object) -> Request:
    settings = {
        "folder": folder, "formats": FORMATS, "inner": True,
        "tables": folder.parent / f"result of {folder.name}", "top_n": 2, "raw": True,
        "max_categ": 2000, "batch_size": 4, "max_megapixels": 9.0, "resume": False,
    }  # fmt: skip
    return Request(**(settings | more))


def sort(folder: Path, **more: object) -> list[Path]:
    asked = request(folder, **more)
    check_request(asked)
    return list(folder_run.predict_folder(ByBrightness(), asked).tables)


def test_tables_are_those_of_the_unpacked_folders(scans: Path, packed: Path) -> None:
    tables = sort(packed)
    for ours, theirs in zip(tables, sort(scans), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    paths = [row["PATH"] for row in read_table(tables[0])]
    assert "box 1/a ř.zip/inner/p-3.png" in paths and len(paths) == 15
    assert {row["PATH"] for row in read_table(tables[2])} == {
        *("box 1/a ř.zip/torn.png", "b.tar.gz/torn.png")
    }


def test_parts_merge_to_the_same_tables(scans: Path, packed: Path) -> None:
    parts = tuple(sort(packed, shard=Shard(n, 3))[0] for n in (1, 2, 3))
    request = MergeRequest(parts, parts[0].parent, 2, True, 2000, processes=1, pages_at_once=4)
    merged = merge_parts(request)
    for ours, theirs in zip(merged.tables, sort(scans), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def test_lists_name_archives_and_pages_in_them(packed: Path, tmp_path: Path) -> None:
    named = tmp_path / "list.txt"
    named.write_text("box 1/a ř.zip/inner/p-2.png\nb.tar.gz\nb.tar.gz/gone.png\n", encoding="utf-8")
    result, _, failed = sort(packed, named=named)
    assert len(read_table(result)) == 8
    assert [row["REASON"] for row in read_table(failed)][0] == "it is no longer in its archive"


def test_pages_of_archives_are_sorted_into_folders_as_copies(packed: Path, tmp_path: Path) -> None:
    before = (packed / "b.tar.gz").read_bytes()
    target = tmp_path / "sorted"
    sort(packed, sort_to=target, link="hard")
    placed = sorted(target.rglob("*.png"))
    assert len(placed) == 15
    sort(packed, sort_to=target, link="hard")  # what is there already stays as it is
    assert sorted(target.rglob("*.png")) == placed
    with Image.open(next(target.rglob("p-1.png"))) as page:
        assert page.size == (30, 40)
    assert undo(target).taken_back == 15
    assert (packed / "b.tar.gz").read_bytes() == before


def test_pages_that_come_into_an_archive_are_added(packed: Path) -> None:
    sort(packed)
    for torn in (packed / "b.tar.gz", packed / "box 1/a ř.zip"):
        assert torn.exists()
    page = io.BytesIO()
    Image.new("L", (9, 9), 200).save(page, "PNG")
    with zipfile.ZipFile(packed / "box 1/a ř.zip", "a") as archive:
        archive.writestr("inner/new.png", page.getvalue())
    rows = read_table(sort(packed, update=True)[0])
    assert len(rows) == 16 and any(row["PATH"].endswith("new.png") for row in rows)


def test_a_damaged_archive_is_one_line_of_the_failed_pages(packed: Path) -> None:
    whole = (packed / "b.tar.gz").read_bytes()
    (packed / "b.tar.gz").write_bytes(b"Dear reader")
    failed = read_table(sort(packed)[2])
    assert ("b.tar.gz", "archive") in {(row["PATH"], row["REASON"].split()[1]) for row in failed}
    (packed / "b.tar.gz").write_bytes(whole)
    assert len(read_table(sort(packed, update=True)[0])) == 15


def test_archives_that_nobody_asked_for_are_passed_over_with_a_word(
    packed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read_table(sort(packed, formats=("png",))[0])
    assert [row["PATH"] for row in rows] == ["single.png"]
    assert "add -ff png,tar,zip" in caplog.text


def test_one_archive_is_shown_as_a_table(command: Run, packed: Path) -> None:
    status, out, err = command("-f", packed / "box 1/a ř.zip")
    assert status == 3, err
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[:2] for row in rows] == [["FILE", "PAGE"], *(["p", str(n)] for n in range(1, 8))]
    status, out, err = command("-f", packed / "box 1/a ř.zip/inner/p-3.png")
    assert status == 0, err
    assert out.splitlines()[0].endswith("p-3.png")
    line = error_line(command("-f", packed / "box 1/a ř.zip/none.png"))
    assert "does not exist" in line
