"""What Python writes of a contact sheet: pictures, data, and nothing that a name could break."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.review.finished_run import pages_of_table
from pagesort.review.sheet import ASSETS, Sheet, SheetPage, write_sheet
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import colour_page, write_page

__all__ = ["command", "workplace"]  # fixtures

LABELS = ("DRAW", "PHOTO", "TEXT")
HOSTILE = 'a "b" <script>alert(1)</script> \u2028ř'


def make_sheet(tmp_path: Path, **changes: Any) -> Sheet:
    sheet = Sheet(
        folder=tmp_path / "sheet",
        root=tmp_path / "pages",
        labels=LABELS,
        mode="review",
        title="pages",
        run="run-1",
    )
    return replace(sheet, **changes)


def make_pages(tmp_path: Path, scores: Sequence[float], label: str = "TEXT") -> list[SheetPage]:
    pages = []
    for number, score in enumerate(scores, start=1):
        write_page(tmp_path / "pages" / f"doc-{number}.png", seed=number)
        page = SheetPage("doc", str(number), f"doc-{number}.png", label, score, "DRAW", 0.01)
        pages.append(page)
    return pages


def calls(script: Path) -> list[Any]:
    """The arguments of the one call that a script of data consists of."""
    text = script.read_text(encoding="ascii")
    found = re.fullmatch(r"PageSort\.(\w+)\((.*)\);\n", text, re.DOTALL)
    assert found is not None and "<" not in text
    arguments: list[Any] = json.loads(f"[{found[2]}]")
    return arguments


def rows_of(sheet: Sheet) -> list[list[Any]]:
    scripts = sorted((sheet.folder / "data").glob("pages-*.js"))
    return [row for script in scripts for row in calls(script)[1]]


def facts_of(sheet: Sheet) -> dict[str, Any]:
    (facts,) = calls(sheet.folder / "data" / "run.js")
    types = {"label": "<u2", "score": "<u2", "flags": "u1"}
    for name, text in facts.pop("columns").items():
        facts[name] = np.frombuffer(base64.b64decode(text), types.get(name, "<u4")).tolist()
    return dict(facts)


def test_pages_are_by_category_least_certain_first_with_pictures_of_their_own(
    tmp_path: Path,
) -> None:
    pages = make_pages(tmp_path, (0.9, 0.3, 0.6))
    pages[0] = replace(pages[0], guess="DRAW")
    pages.append(SheetPage("doc", "4", "doc-4.png", problem="it is damaged"))
    sheet = make_sheet(tmp_path)
    written = write_sheet(sheet, pages)
    assert (written.index, written.pages, written.without_picture) == (
        sheet.folder / "index.html", 4, 1,
    )  # fmt: skip
    rows = rows_of(sheet)
    assert [row[1] for row in rows] == ["1", "2", "3", "4"]
    facts = facts_of(sheet)
    assert facts["label"] == [0, 2, 2, 0xFFFF] and facts["score"] == [900, 300, 600, 0xFFFF]
    assert facts["flags"] == [0, 0, 0, 1] and facts["order"] == [0, 1, 2, 3]
    assert rows[3][3] == "" and rows[3][10] == "it is damaged"
    for row in rows[:3]:
        with Image.open(sheet.folder / row[3]) as small:
            shown = np.asarray(small.convert("RGB")).astype(int)
        assert np.abs(shown - colour_page(int(row[1])).astype(int)).mean() < 20
        assert (sheet.folder / row[4]).resolve() == (tmp_path / "pages" / row[2]).resolve()


def test_an_audit_holds_no_guess_in_any_file(tmp_path: Path) -> None:
    pages = make_pages(tmp_path, (0.437, 0.912), label="PHOTO_OF_NOBODY")
    sheet = make_sheet(tmp_path, mode="audit")
    write_sheet(sheet, pages)
    assert facts_of(sheet)["score"] == facts_of(sheet)["label"] == [0xFFFF] * 2
    data = "".join(path.read_text() for path in (sheet.folder / "data").iterdir())
    assert "NOBODY" not in data and "0.437" not in data
    assert not re.search(r"(?<![0-9a-f])437(?![0-9a-f])", data)  # names of pictures are hashes


def test_names_are_data_and_never_markup(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "_") + ".png"
    write_page(tmp_path / "pages" / name)
    page = SheetPage(HOSTILE, "1", name, HOSTILE, 0.5, note="line\nbreak</script>")
    sheet = make_sheet(tmp_path, title=HOSTILE)
    write_sheet(sheet, [page])
    (row,) = rows_of(sheet)  # which finds no `<` in the script
    assert row[0] == HOSTILE and row[9] == "line\nbreak</script>"
    assert '"' not in row[4] and "<" not in row[4]
    assert (sheet.folder / "index.html").read_bytes() == (ASSETS / "index.html").read_bytes()


def test_a_second_sheet_uses_pictures_again_until_a_page_changes(tmp_path: Path) -> None:
    pages = make_pages(tmp_path, (0.5, 0.6))
    sheet = make_sheet(tmp_path)
    write_sheet(sheet, pages)
    first = {path: path.stat().st_mtime_ns for path in sheet.folder.glob("thumbnails/*/*")}
    write_page(tmp_path / "pages" / "doc-2.png", seed=9, size=(200, 100))
    write_sheet(sheet, pages)
    second = {path: path.stat().st_mtime_ns for path in sheet.folder.glob("thumbnails/*/*")}
    assert first.items() <= second.items() and len(second) == len(first) + 1
    other = make_sheet(tmp_path, folder=tmp_path / "other")
    for path in (tmp_path / "pages").iterdir():
        path.touch()
    assert not list(tmp_path.rglob("*.part"))
    write_sheet(other, pages)
    assert len(list(other.folder.glob("thumbnails/*/*"))) == 2


def test_what_a_browser_cannot_show_gets_a_larger_picture(tmp_path: Path) -> None:
    write_page(tmp_path / "pages" / "doc-1.tif", size=(1600, 2000))
    sheet = make_sheet(tmp_path)
    write_sheet(sheet, [SheetPage("doc", "1", "doc-1.tif", "TEXT", 0.5)])
    (row,) = rows_of(sheet)
    with Image.open(sheet.folder / row[4]) as large, Image.open(sheet.folder / row[3]) as small:
        assert (large.size, small.size) == ((960, 1200), (288, 360))


@pytest.mark.parametrize("path", ["../outside.png", "/etc/hostname", ""])
def test_a_path_never_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    write_page(tmp_path / "outside.png")
    good = make_pages(tmp_path, (0.5,))
    sheet = make_sheet(tmp_path)
    assert write_sheet(sheet, [*good, SheetPage("o", "1", path, "TEXT")]).without_picture == 1


def test_pages_that_are_all_elsewhere_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    sheet = make_sheet(tmp_path)
    with pytest.raises(PageSortError, match="none of the pages is where it should be"):
        write_sheet(sheet, [SheetPage("doc", "1", "doc-1.png", "TEXT")])
    assert not (sheet.folder / "index.html").exists() and not list(sheet.folder.glob(".*partial"))


def test_the_command_writes_a_sheet_of_a_new_run_and_of_its_table(
    command: Run, tmp_path: Path, workplace: Path
) -> None:
    for number in range(1, 4):
        write_page(tmp_path / "scans" / f"doc-{number}.png", seed=number)
    (tmp_path / "scans" / "doc-9.png").write_text("not a page")
    status, out, err = command("-d", tmp_path / "scans", "--review")
    assert status == 3, err
    table, *_, index = out.splitlines()
    assert "CLASS-2" in read_table(table)[0]
    sheet = make_sheet(tmp_path, folder=Path(index).parent)
    assert [row[1] for row in rows_of(sheet)][-1] == "9"
    facts = facts_of(sheet)
    assert len(facts["labels"]) == 11 and facts["folder"] == str(tmp_path / "scans")
    Path(index).unlink()
    for journal in Path(table).parent.glob("*.sqlite"):
        journal.unlink()  # the record beside the table tells as much
    status, out, err = command("--review", table, model=False)
    assert (status, out.strip()) == (0, index), err
    assert facts_of(sheet) == facts


def test_the_command_says_what_it_needs(command: Run, tmp_path: Path) -> None:
    assert "needs something to do" in error_line(command("--review"), 2)
    assert "is not there" in error_line(command("--review", tmp_path / "no.csv"))
    write_page(tmp_path / "scans" / "doc-1.png")
    table = tmp_path / "result_20260101-1200_tiny_1n_2000c.csv"
    table.write_text("FILE,PAGE,CLASS-1,SCORE-1,NOTE,PATH\ndoc,1,TEXT,0.5,,doc-1.png\n")
    assert "-d FOLDER" in error_line(command("--review", table))
    status, out, err = command("--review", table, "-d", tmp_path / "scans")
    assert status == 0 and Path(out.strip()).is_file(), err
    table.write_text("FILE,PAGE\ndoc,1\n")
    assert "no table of results" in error_line(command("--review", table, "-d", tmp_path / "scans"))


def test_tables_of_votes_and_of_spreadsheets_are_read(tmp_path: Path) -> None:
    table = tmp_path / "result_20260101-1200_VOTE_1n_2000c.csv"
    table.write_text(
        "FILE,PAGE,VOTE,AGREEMENT,one,two,PATH\n"
        "doc,1,TEXT,1.000,TEXT,TEXT,doc-1.png\ndoc,2,TEXT,0.500,TEXT,DRAW,doc-2.png\n"
    )
    assert [(page.guess, page.score, page.other) for page in pages_of_table(table)] == [
        ("TEXT", 1.0, ""), ("TEXT", 0.5, "DRAW"),
    ]  # fmt: skip
    table.write_text(
        "\ufeffFILE;PAGE;CLASS-1;CLASS-2;SCORE-1;SCORE-2;DECISION;NOTE;PATH\r\n"
        "'=1;2;TEXT;DRAW;0,912;0,05;REVIEW;blank;a/1.png\r\n",
        encoding="utf-8",
    )
    (page,) = pages_of_table(table)
    assert page == SheetPage(
        "=1", "2", "a/1.png", "TEXT", 0.912, "DRAW", 0.05, note="blank", needs_review=True
    )
