"""`--sort_to`: pages into folders of their guesses, by a run and by itself, and back again."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.pages import loader
from pagesort.pages.loader import PageLoader, PageRef
from pagesort.prediction import folder_run
from pagesort.prediction.request import Outcome, Request, check_request
from pagesort.sorting import manifests, placer
from pagesort.sorting.destination import folder_name_problem
from pagesort.sorting.placer import SortedPage, sort_pages
from tests.helpers.brightness import ByBrightness
from tests.helpers.command import read_table
from tests.helpers.pages import flat
from tests.helpers.pdfs import METRE, Sheet, write_pdf

SMALL = (120.0, 160.0)


def draw(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(flat(grey)).save(path)
    return path


def request(place: Path, **more: object) -> Request:
    settings = {
        "folder": place / "scans", "formats": ("png", "pdf", "tif"), "inner": True,
        "tables": place / "tables", "top_n": 1, "raw": False, "max_categ": 10, "batch_size": 4,
        "max_megapixels": 20.0, "resume": False, "sort_to": place / "sorted",
    }  # fmt: skip
    return Request(**(settings | more))


def run(place: Path, **more: object) -> Outcome:
    return folder_run.predict_folder(ByBrightness(), request(place, **more))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode on one thread, so that one process draws PDFs: each takes half a second to start."""
    monkeypatch.setattr(loader, "decoding_threads", lambda: 1)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Pages of a folder with subfolders, a PDF and a TIFF, one page unsure, one unreadable."""
    folder = tmp_path / "scans"
    draw(folder / "a-1.png", 20)
    draw(folder / "a-2.png", 235)
    draw(folder / "b" / "a-1.png", 20)  # the same name and the same content
    draw(folder / "c" / "a-1.png", 22)
    draw(folder / "unsure-7.png", 182)
    (folder / "bad-1.png").write_text("no page")
    sheets = [Sheet(SMALL, scan=flat(grey)) for grey in (235, 20)]
    write_pdf(folder / "doc 1.pdf", [*sheets, Sheet(SMALL, lost=True), Sheet((METRE, METRE))])
    first, second = Image.fromarray(flat(128)), Image.fromarray(flat(20))
    first.save(folder / "t.tif", save_all=True, append_images=[second])
    return folder


SORTED = {
    *("DARK/a-1.png", "DARK/a~2-1.png", "DARK/a~3-1.png", "DARK/doc 1-2.png", "DARK/t-2.png"),
    *("LIGHT/a-2.png", "LIGHT/doc 1-1.png", "MIDDLE/t-1.png", "_review/unsure-7.png"),
}


def test_a_run_sorts_its_pages_and_undo_takes_them_back(tmp_path: Path, scans: Path) -> None:
    before = {path: path.read_bytes() for path in scans.rglob("*.*")}
    done = run(tmp_path, min_score=0.9)
    report, out = done.sorting, tmp_path / "sorted"
    assert report is not None and report.manifest is not None
    assert names(out) == SORTED
    assert (report.placed, report.present) == (9, 0)
    assert report.folders == {"DARK": 5, "LIGHT": 2, "MIDDLE": 1, "_review": 1}
    # A square metre at 300 dpi is beyond the limit, though the model could look at it.
    assert [(ref.page, "too large" in reason) for ref, reason in report.problems] == [(4, True)]
    assert Image.open(out / "DARK" / "doc 1-2.png").size == (500, 667)
    assert (np.asarray(Image.open(out / "MIDDLE" / "t-1.png")) == 128).all()
    assert {path: path.read_bytes() for path in scans.rglob("*.*")} == before
    undone = manifests.undo(out)
    assert undone.taken_back == 9 and not undone.kept
    assert list(out.iterdir()) == []


def test_rows_of_the_table_and_folders_agree(tmp_path: Path, scans: Path) -> None:
    done = run(tmp_path, min_score=0.9)
    table = read_table(done.tables[0])
    folders = {(row["CLASS-1"] if float(row["SCORE-1"]) >= 0.9 else "_review") for row in table}
    assert folders == {name.split("/")[0] for name in SORTED}


@pytest.mark.parametrize("link", ["copy", "hard", "sym"])
def test_a_second_run_puts_nothing_twice(tmp_path: Path, scans: Path, link: str) -> None:
    run(tmp_path, min_score=0.9, link=link)
    out = tmp_path / "sorted"
    assert names(out) == SORTED
    assert (out / "LIGHT" / "a-2.png").is_symlink() == (link == "sym")
    assert (out / "LIGHT" / "a-2.png").samefile(scans / "a-2.png") == (link != "copy")
    report = run(tmp_path, min_score=0.9, link=link).sorting
    assert report is not None and report.manifest is None
    assert (report.placed, report.present) == (0, 9)
    assert names(out) == SORTED
    assert manifests.undo(out).taken_back == 9
    assert (scans / "a-2.png").exists() and list(out.iterdir()) == []


def test_a_page_sorted_before_as_another_class_is_told(tmp_path: Path, scans: Path) -> None:
    run(tmp_path, min_score=0.9)
    report = run(tmp_path, min_score=0.0).sorting
    assert report is not None and names(tmp_path / "sorted") == SORTED
    told = {ref.path.name: reason for ref, reason in report.problems}
    assert "sorted before, as _review" in told["unsure-7.png"] and report.present == 8


def test_undo_says_what_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name in ("a-1.png", "a-2.png"):
        page = SortedPage(PageRef(0, draw(tmp_path / name, 9)), "A")
        sort_pages([page], tmp_path / "out")
    manifests.undo(tmp_path / "out")
    assert "1 page taken back" in caplog.text and "1 earlier sorting is left" in caplog.text
    caplog.clear()
    manifests.undo(tmp_path / "out")
    assert "earlier" not in caplog.text


def test_nothing_is_overwritten(tmp_path: Path, scans: Path) -> None:
    mine = draw(tmp_path / "sorted" / "LIGHT" / "a-2.png", 1)
    (tmp_path / "sorted" / "LIGHT" / "doc 1-1.png").symlink_to(tmp_path / "nowhere")
    before = mine.read_bytes()
    run(tmp_path)
    assert mine.read_bytes() == before
    found = names(tmp_path / "sorted")
    assert {"LIGHT/a~2-2.png", "LIGHT/doc 1~2-1.png"} <= found


def test_a_sorting_that_failed_is_gone_on_with_after_the_tables(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        # As the system does: it names what was to be copied.
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    with monkeypatch.context() as patch:
        patch.setattr(placer.shutil, "copyfile", full)
        with pytest.raises(PageSortError, match=r"the disk is full.*add --resume") as caught:
            run(tmp_path)
    assert caught.value.where == tmp_path / "sorted"
    tables = {path.name: path.read_bytes() for path in (tmp_path / "tables").glob("*.csv")}
    assert len(tables) == 2
    model = ByBrightness()
    monkeypatch.setattr(model, "probabilities", None)  # no page is scored again
    monkeypatch.setattr(PageLoader, "batches", lambda *_: (batch for batch in ()))
    done = folder_run.predict_folder(model, request(tmp_path, resume=True))
    assert done.sorting is not None and done.sorting.placed == 9
    again = {path.name: path.read_bytes() for path in (tmp_path / "tables").glob("*.csv")}
    assert again == tables


def test_what_is_in_the_way_is_found_before_pages_are_scored(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for inside in (file, file / "sorted"):
        with pytest.raises(PageSortError, match="a file is in the way.*Rename or remove it"):
            check_request(request(tmp_path, sort_to=inside))
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "LIGHT").touch()
    check_request(request(tmp_path))
    model = ByBrightness()
    monkeypatch.setattr(model, "probabilities", None)  # no page is scored
    with pytest.raises(PageSortError, match=r"a file is in the way.*sorted/LIGHT\. Rename"):
        folder_run.predict_folder(model, request(tmp_path))


@pytest.mark.parametrize(
    ("link", "call", "code", "expected"),
    [
        ("copy", "touch", errno.EACCES, "cannot be written (Permission denied)"),
        ("copy", "touch", errno.EROFS, "cannot be written (Read-only file system)"),
        ("hard", "hardlink_to", errno.EPERM, "no hard links can be made there"),
        ("sym", "symlink_to", errno.ENOTSUP, "no sym links can be made there"),
    ],
)
def test_a_destination_that_takes_no_pages_is_found_before_pages_are_scored(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch,
    link: str, call: str, code: int, expected: str,
) -> None:  # fmt: skip
    def refuse(path: Path, *_: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        with pytest.raises(PageSortError) as caught:
            check_request(request(tmp_path, link=link))
    line = str(caught.value)
    assert expected in line
    assert "--out" not in line  # a flag of another program
    assert ("--link copy" in line) is (link != "copy")
    check_request(request(tmp_path, link=link))
    assert list((tmp_path / "sorted").iterdir()) == []


def second_disk(place: Path) -> Path:
    """A folder that lies on another disk than the place."""
    for other in (Path("/dev/shm"), Path(tempfile.gettempdir()), Path.home()):
        if other.is_dir() and other.stat().st_dev != place.stat().st_dev:
            return other
    pytest.skip("needs a second disk")


def test_hard_links_to_another_disk_are_found_before_pages_are_scored(
    tmp_path: Path, scans: Path
) -> None:
    with (
        tempfile.TemporaryDirectory(dir=second_disk(tmp_path)) as other,
        pytest.raises(PageSortError, match="another disk.*--link copy or --link sym"),
    ):
        check_request(request(tmp_path, link="hard", sort_to=Path(other) / "sorted"))


def test_a_dry_run_puts_nothing_anywhere_and_resume_does_it(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    check_request(request(tmp_path, dry_run=True))
    planned = run(tmp_path, dry_run=True, min_score=0.6)
    assert not (tmp_path / "sorted").exists()
    assert len(planned.tables) == 2
    assert planned.sorting is not None and planned.sorting.manifest is None
    assert "10 pages would be put into" in caplog.text
    assert "--resume instead of --dry_run" in caplog.text
    model = ByBrightness()
    model.probabilities = None  # no page is scored again
    done = folder_run.predict_folder(model, request(tmp_path, resume=True, min_score=0.6)).sorting
    # One page of the PDF turns out to be too large only when it is drawn for people.
    assert done is not None and (done.placed, done.left_out) == (9, 1)
    assert sum((planned.sorting.folders - done.folders).values()) == 1
    again = run(tmp_path, dry_run=True, min_score=0.6).sorting
    assert again is not None and (again.placed, again.present) == (1, 9)
    assert manifests.undo(tmp_path / "sorted", dry_run=True).taken_back == 9
    assert len(names(tmp_path / "sorted")) == 9


def test_sorting_into_folders_shows_how_far_it_is(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("pagesort.common.progress.FIRST_INTERVAL", 0.0)
    run(tmp_path)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("10 of 10 pages, ") for line in lines)


def test_a_destination_inside_the_folder_is_refused_with_subfolders(
    tmp_path: Path, scans: Path
) -> None:
    for inside in (scans, scans / "sorted", scans / "b" / ".." / "sorted"):
        with pytest.raises(PageSortError, match="elsewhere"):
            check_request(request(tmp_path, sort_to=inside))
    check_request(request(tmp_path, sort_to=scans / "sorted", inner=False))


def test_a_page_that_is_gone_is_told(tmp_path: Path) -> None:
    there = draw(tmp_path / "here-1.png", 1)
    pages = [
        SortedPage(PageRef(0, tmp_path / "gone-1.png"), "A"),
        SortedPage(PageRef(1, there), "A", 0.2),
    ]
    report = sort_pages(pages, tmp_path / "out", min_score=0.5)
    assert names(tmp_path / "out") == {"_review/here-1.png"}
    assert [(ref.index, reason) for ref, reason in report.problems] == [
        (0, "the file is no longer there")
    ]


@pytest.mark.parametrize(
    "label", ["", ".", "..", ".x", "a/b", "a\\b", "a:b", "x\n", "COM1", "nul.txt", "x.", "x ", "a*"]
)
def test_labels_that_no_folder_can_have(tmp_path: Path, label: str) -> None:
    assert folder_name_problem(label) is not None
    model = ByBrightness()
    model.labels = ("DARK", label, "LIGHT")
    with pytest.raises(PageSortError):
        folder_run.predict_folder(model, request(tmp_path))


def test_ordinary_labels_name_folders() -> None:
    for label in ("TEXT_HW", "Mapy a plány", "č", "a.b", "CONSOLE", "x-1 (2)"):
        assert folder_name_problem(label) is None
