"""Grouping piles with odd names, documents, and pages that cannot be read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image

import run
from pagesort.grouping.sheet import GroupsSheet
from tests.grouping.test_group_run import COLOURS, draw_page
from tests.helpers.command import Run, command, error_line, read_table, workplace

__all__ = ["command", "workplace"]  # fixtures

ODD = ("-x.png", "=1+1.png", "a page 2.png", "a page 10.png", "řeka 1.png")
POSIX_ONLY = ("new\nline.png", 'q"uote, comma.png', "tab\t.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a PDF and a TIFF of three pages each, pages with odd names, and broken files."""
    folder = tmp_path_factory.mktemp("příliš") / "a pile"
    folder.mkdir()
    names = [*ODD, *(POSIX_ONLY if os.name != "nt" else ())]
    for place, name in enumerate(names):
        draw_page(folder / name, COLOURS[place // 4], place % 4 == 0, place)
    pages = []
    for place in range(3):
        draw_page(folder / "page.png", COLOURS[place // 2], place % 2 == 0, place)
        pages.append(Image.open(folder / "page.png").convert("RGB"))
    (folder / "page.png").unlink()
    for name in ("ř scan.tif", "b document.pdf"):  # saving as PDF changes the images
        pages[0].save(folder / name, save_all=True, append_images=pages[1:])
    (folder / "0 broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "z broken.png").write_text("no image", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def truth(folder: Path) -> Path:
    """The true items of the documents."""
    rows = [f"{file},{page},letter {1 + page // 3}" for page in (1, 2, 3)
            for file in ("b document.pdf", "ř scan.tif")]  # fmt: skip
    path = folder.parent / "truth.csv"
    path.write_text("\n".join(["file,page,item", *rows]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def groups(folder: Path, tiny_model_folder: Path) -> Path:
    """The table of groups of one run."""
    work = folder.parent / "work"
    work.mkdir()
    (work / "config.txt").write_text("[OUTPUT]\nFOLDER_RESULTS = result\n", encoding="utf-8")
    words = ["--group", "-d", str(folder), "-ff", "png,pdf,tif", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        assert run.main([*words, "--model_path", str(tiny_model_folder)]) == 3
    return next((work / "result" / "tables").glob("*_GROUPS.csv"))


def test_every_page_has_its_row_whatever_it_is_called(folder: Path, groups: Path) -> None:
    rows = read_table(groups)
    paths = [row["PATH"] for row in rows]
    assert set(paths) == {path.name for path in folder.iterdir()}
    assert paths.index("a page 2.png") < paths.index("a page 10.png")
    for name in ("b document.pdf", "ř scan.tif"):
        assert [row["PAGE"] for row in rows if row["PATH"] == name] == ["1", "2", "3"]
    numbers = [int(row["GROUP"]) for row in rows]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, numbers[-1] + 1))


def test_pages_that_cannot_be_read_keep_their_places(groups: Path) -> None:
    rows = read_table(groups)
    broken = [row for row in rows if row["NOTE"].startswith("cannot be read: ")]
    assert [row["PATH"] for row in broken] == ["0 broken.pdf", "z broken.png"]
    assert {(row["BOUNDARY"], row["CLASS"], row["SCORE"]) for row in broken} == {("", "", "")}
    assert (rows[0]["GROUP"], rows[-1]["GROUP"]) == (rows[1]["GROUP"], rows[-2]["GROUP"])


def test_a_sheet_knows_the_true_items_of_pages_of_documents(groups: Path, truth: Path) -> None:
    pages = list(GroupsSheet([groups], truth).pages())
    known = [(page.file, page.page, page.true_item) for page in pages if page.true_item]
    assert known == [
        (file, str(number), f"letter {1 + number // 3}")
        for file in ("b document", "ř scan")
        for number in (1, 2, 3)
    ]
    assert {page.given for page in pages} == {""}
    unread = [page for page in pages if page.problem]
    assert len(unread) == 2
    assert not any(page.note for page in unread), "the problem is said once"


def test_a_sheet_marks_where_groups_and_true_items_part(tmp_path: Path) -> None:
    table, truth = tmp_path / "groups.csv", tmp_path / "truth.csv"
    header = "FILE,PAGE,PATH,GROUP,PAGES,BOUNDARY,CLASS,SCORE,NOTE\n"
    found = [(1, 1.0), (1, 0.1), (2, 0.9), (2, 0.4), (3, 0.8)]
    rows = [f"{n},{n},{n}.png,{g},1,{b},TEXT,0.5,\n" for n, (g, b) in enumerate(found, start=1)]
    table.write_text(header + "".join(rows), encoding="utf-8")
    truth.write_text("file,item\n1.png,a\n2.png,b\n3.png,b\n4.png,b\n", encoding="utf-8")
    pages = list(GroupsSheet([table], truth).pages())
    first, second, *_, unknown = (page.true_group for page in pages)
    assert (first, unknown) == (1, 0), "the colour of the group that begins there"
    assert second not in {0, 1, 2, 3}, "that of no group, as one is taken"
    assert [page.true_group for page in pages[1:4]] == [second] * 3
    assert [page.note for page in pages] == [
        "", "an item begins here", "no item begins here",
        "unsure whether an item begins here (40%)", "",
    ]  # fmt: skip


def test_pages_that_all_fail_are_one_item(command: Run, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_text("no image", encoding="utf-8")
    status, output, errors = command("--group", "-d", tmp_path)
    assert status == 3
    assert "2 pages in 1 item, 2 could not be read" in errors
    groups, items = map(read_table, output.splitlines())
    assert [(row["GROUP"], row["CLASS"]) for row in groups] == [("1", ""), ("1", "")]
    assert [(row["KINDS"], row["UNREAD"]) for row in items] == [("?×2", "2")]


def test_results_that_cannot_be_written_are_told_at_once(
    command: Run, folder: Path, workplace: Path
) -> None:
    (workplace / "result").write_text("a file", encoding="utf-8")
    words = ("--group", "-d", folder, "-ff", "png,pdf,tif")
    said = error_line(command(*words, model=False))
    assert re.search(r"a file is in the way of the folder.*FOLDER_RESULTS", said), said


def test_a_truth_that_is_none_is_told_before_the_run(
    command: Run, folder: Path, workplace: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("page,thing\n1.png,1\n", encoding="utf-8")
    words = ("--group", "-d", folder, "-ff", "png,pdf,tif")
    for table, said in ((truth, "columns are missing"), (tmp_path / "none.csv", "No such file")):
        assert said in error_line(command(*words, "--compare", table, model=False))
    assert not list(workplace.rglob("*.csv"))
