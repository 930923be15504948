"""Corrections of a person: found, sorted by, trained on, evaluated with."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pagesort.cli.actions.training import training_split
from pagesort.cli.settings import read_settings
from pagesort.common.errors import PageSortError
from pagesort.common.tables import TableWriter, excel_form
from pagesort.labelled.folder import read_labelled_folder
from pagesort.review.corrections import page_images, read_corrections
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page
from tests.helpers.pdfs import Sheet, write_pdf

__all__ = ["command", "workplace"]  # fixtures

HEADER = ("FILE", "PAGE", "CLASS", "GUESS", "SCORE", "FOLDER", "PATH")


def write_corrections(
    path: Path,
    folder: Path | str,
    rows: Sequence[tuple[str, int | str, str]],
    for_excel: bool = False,
) -> Path:
    """A table as a sheet saves it: rows are PATH, PAGE and the label that a person gave."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file, excel_form()) if for_excel else csv.writer(file)
        write = writer.write if isinstance(writer, TableWriter) else writer.writerow
        write(HEADER)
        for name, page, label in rows:
            write([Path(name).stem.rpartition("-")[0], page, label, "TEXT", 0.5, str(folder), name])
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three scans of a document, and a PDF of two pages."""
    folder = tmp_path / "my scans"
    for number in range(1, 4):
        write_page(folder / f"doc-{number}.png", size=(90 + number, 120))
    return folder


@pytest.mark.parametrize("for_excel", [False, True])
def test_pages_are_found_by_what_the_table_tells(
    scans: Path, tmp_path: Path, for_excel: bool
) -> None:
    write_pdf(scans / "report.pdf", [Sheet(), Sheet(text="Another")])
    rows = [("doc-2.png", 2, "DRAW"), ("report.pdf", 2, "=PHOTO")]
    table = write_corrections(tmp_path / "c.csv", scans, rows, for_excel)
    found = read_corrections(table)
    assert found.left_out == 0
    assert [(page.path, page.part, page.label) for page in found.pages] == [
        (scans / "doc-2.png", None, "DRAW"), (scans / "report.pdf", 2, "=PHOTO"),
    ]  # fmt: skip
    images, failed = page_images(found.pages, tmp_path / "drawn", 100.0)
    assert failed == 0 and images[1][0].name == "report-2.png" and images[1][0].is_file()
    again, _ = page_images(found.pages, tmp_path / "drawn", 100.0)
    assert again == images


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "nothing.png", ""])
def test_nothing_outside_the_folder_is_found(scans: Path, tmp_path: Path, path: str) -> None:
    write_page(tmp_path / "secret.png")
    rows = [("doc-1.png", 1, "DRAW"), (path, 1, "DRAW")]
    found = read_corrections(write_corrections(tmp_path / "c.csv", scans, rows))
    assert [page.path.name for page in found.pages] == ["doc-1.png"] and found.left_out == 1


def test_what_a_table_lacks_or_contradicts_is_told(scans: Path, tmp_path: Path) -> None:
    rows = [("doc-1.png", 1, "DRAW"), ("doc-1.png", 1, "PHOTO")]
    with pytest.raises(PageSortError, match=r"DRAW \(line 2\) and PHOTO \(line 3\)"):
        read_corrections(write_corrections(tmp_path / "c.csv", scans, rows))
    gone = write_corrections(tmp_path / "c.csv", tmp_path / "gone", rows[:1])
    with pytest.raises(PageSortError, match="names no page that is there"):
        read_corrections(gone)
    assert len(read_corrections(gone, scans).pages) == 1
    (tmp_path / "other").mkdir()
    elsewhere = write_corrections(tmp_path / "c.csv", tmp_path / "other", rows[:1])
    with pytest.raises(PageSortError, match="names no page that is there"):
        read_corrections(elsewhere, scans)
    (tmp_path / "c.csv").write_text("FILE,PAGE,CLASS,PATH\ndoc,1,DRAW,doc-1.png\n")
    with pytest.raises(PageSortError, match="no column FOLDER"):
        read_corrections(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_text("FILE,PAGE,CLASS,PATH\ndoc,1,a/b,doc-1.png\n")
    with pytest.raises(PageSortError, match="names no page that is there"):
        read_corrections(tmp_path / "c.csv", scans)


def test_corrected_pages_join_labelled_ones_and_beat_their_folder(
    scans: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "labelled"
    write_page(folder / "TEXT" / "old-1.png", size=(80, 80))
    write_page(folder / "TEXT" / "doc-3.png", size=(80, 90))  # another page of that name
    (folder / "TEXT" / "copied.png").write_bytes((scans / "doc-1.png").read_bytes())
    corrected = [(scans / "doc-1.png", "DRAW"), (scans / "doc-2.png", "COVER"),
                 (scans / "doc-3.png", "TEXT")]  # fmt: skip
    data = read_labelled_folder(folder, named_by="test", corrected=corrected)
    assert data.labels == ("COVER", "DRAW", "TEXT")
    assert [(page.name, page.path) for page in data.pages] == [
        ("COVER/doc-2.png", scans / "doc-2.png"),
        ("DRAW/copied.png", folder / "TEXT" / "copied.png"),
        ("TEXT/doc-3.png", folder / "TEXT" / "doc-3.png"),
        ("TEXT/doc-3~2.png", scans / "doc-3.png"),
        ("TEXT/old-1.png", folder / "TEXT" / "old-1.png"),
    ]


def test_the_command_trains_on_corrected_pages(
    scans: Path, tmp_path: Path, workplace: Path
) -> None:
    for label in ("DRAW", "TEXT"):
        for number in range(4):
            write_page(
                tmp_path / "labelled" / label / f"{label}{number}-1.png", size=(60, 60 + number)
            )
    table = write_corrections(tmp_path / "c.csv", scans, [("doc-2.png", 2, "TEXT")])
    words = ["--train", "--train_folder", str(tmp_path / "labelled"), "--corrections", str(table)]
    split, lost = training_split(read_settings(words, workplace, workplace))
    pages = (*split.train, *split.validation, *split.test)
    assert lost == 0 and len(pages) == 9
    assert [page.label for page in pages if page.path == scans / "doc-2.png"] == ["TEXT"]


@pytest.mark.slow
def test_the_command_evaluates_with_corrected_pages(
    command: Run, scans: Path, tmp_path: Path
) -> None:
    write_page(tmp_path / "labelled" / "TEXT" / "old-1.png", size=(80, 80))
    (tmp_path / "labelled" / "TEXT" / "wrong-1.png").write_bytes((scans / "doc-1.png").read_bytes())
    rows = [("doc-1.png", 1, "DRAW"), ("doc-2.png", 2, "PHOTO")]
    table = write_corrections(tmp_path / "c.csv", scans, rows)
    status, out, err = command(
        "--eval", "--eval_folder", tmp_path / "labelled", "--corrections", table
    )
    assert status == 0, err
    written = next(line for line in out.splitlines() if "EVAL_table" in line)
    assert {(row["PATH"], row["TRUE"]) for row in read_table(written)} == {
        ("TEXT/old-1.png", "TEXT"),
        ("TEXT/wrong-1.png", "DRAW"),
        ((scans / "doc-2.png").as_posix(), "PHOTO"),
    }


def test_sorting_puts_pages_where_a_person_said_and_undo_takes_that_back(
    command: Run, scans: Path, tmp_path: Path, workplace: Path
) -> None:
    write_pdf(scans / "report.pdf", [Sheet(), Sheet(text="Another")])
    sort = ("-d", scans, "-ff", "png,pdf", "--sort_to", "sorted")
    assert command(*sort)[0] == 0
    before = sorted(path.relative_to(workplace) for path in workplace.glob("sorted/*/*"))
    rows = [("doc-1.png", 1, "COVER"), ("report.pdf", 2, "COVER")]
    table = write_corrections(tmp_path / "c.csv", scans, rows)
    again = ("-d", scans, "--update", "--sort_to", "sorted", "--corrections", table)
    assert command(*again, "--dry_run")[0] == 0
    assert sorted(path.relative_to(workplace) for path in workplace.glob("sorted/*/*")) == before
    status, _, err = command(*again)
    assert status == 0, err
    names = {path.name for path in (workplace / "sorted" / "COVER").iterdir()}
    assert names == {"doc-1.png", "report-2.png"}
    assert len(list(workplace.glob("sorted/*/*"))) == 5
    status, _, err = command(*again)
    assert status == 0, err
    assert len(list(workplace.glob("sorted/*/*"))) == 5
    assert command("--sort_to", "sorted", "--undo", model=False)[0] == 0
    assert sorted(path.relative_to(workplace) for path in workplace.glob("sorted/*/*")) == before


def test_unread_pages_are_put_where_a_person_said(
    command: Run, scans: Path, tmp_path: Path, workplace: Path
) -> None:
    (scans / "doc-2.png").write_bytes(b"\x89PNG torn")
    (scans / "doc-3.png").write_bytes(b"\x89PNG torn, too, and nobody said what it is")
    (scans / "shut.pdf").write_bytes(b"%PDF-1.7 torn")
    rows = [("doc-2.png", 2, "COVER"), ("shut.pdf", "", "PHOTO")]
    table = write_corrections(tmp_path / "c.csv", scans, rows)
    sort = ("-d", scans, "-ff", "png,pdf", "--sort_to", "sorted", "--corrections", table)

    def found() -> dict[str, bytes]:
        paths = [path for path in workplace.glob("sorted/*/*") if path.name != "doc-1.png"]
        return {path.relative_to(workplace / "sorted").as_posix(): path.read_bytes()
                for path in paths}  # fmt: skip

    assert command(*sort)[0] == 3
    wanted = {f"{label}/{name}": (scans / name).read_bytes()
              for label, name in (("COVER", "doc-2.png"), ("PHOTO", "shut.pdf"))}  # fmt: skip
    assert found() == wanted
    write_corrections(table, scans, [("doc-2.png", 2, "TEXT")])
    assert command(*sort, "--resume")[0] == 3
    assert set(found()) == {"TEXT/doc-2.png", "PHOTO/shut.pdf"}
    assert command("--sort_to", "sorted", "--undo", model=False)[0] == 0
    assert found() == wanted


def test_a_corrected_page_is_never_left_for_review(
    command: Run, scans: Path, tmp_path: Path, workplace: Path
) -> None:
    table = write_corrections(tmp_path / "c.csv", scans, [("doc-1.png", 1, "COVER")])
    sort = ("-d", scans, "--sort_to", "sorted", "--min_score", "1", "--corrections", table)
    assert command(*sort)[0] == 0
    found = {path.relative_to(workplace / "sorted").as_posix() for path in
             workplace.glob("sorted/*/*")}  # fmt: skip
    assert found == {"COVER/doc-1.png", "_review/doc-2.png", "_review/doc-3.png"}


def test_the_command_says_what_corrections_need(command: Run, scans: Path, tmp_path: Path) -> None:
    table = write_corrections(tmp_path / "c.csv", scans, [("doc-1.png", 1, "TEXT")])
    assert "needs something to do" in error_line(command("--corrections", table), 2)
    assert "a table of corrections" in error_line(command("-d", scans, "--corrections"), 2)
    missing = ("-d", scans, "--sort_to", "sorted", "--corrections", tmp_path / "no.csv")
    assert "cannot read the table" in error_line(command(*missing))
    assert not os.path.lexists("sorted")
