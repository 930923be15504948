"""What tables say of pages: their documents, their paths, and the form for spreadsheets."""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data_scripts import prepare
from pagesort.common.tables import TableForm, TableWriter, number, read_rows
from tests.helpers.command import Run, command, read_table, workplace
from tests.helpers.pdfs import Sheet, scan_pixels, write_pdf
from tests.helpers.plots import no_plots

__all__ = ["command", "workplace", "no_plots"]  # fixtures


def draw(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 50), 90).save(folder / name)
    return folder


def cells(path: str | Path) -> list[list[str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def columns(path: str | Path, *names: str) -> list[list[str]]:
    return [[row[name] for name in names] for row in read_table(path)]


def test_documents_of_one_name_stay_whole_and_apart(command: Run, tmp_path: Path) -> None:
    names = ["a/letter-1.png", "a/letter-2.png", "b/letter-2.png", "b/letter-3.png"]
    names += ["only-1.png", "sub/mixed-1.png", "sub/mixed-2.jpg"]
    folder = draw(tmp_path / "scans", *names, "both/card-1.jpg", "both/card-1.png")
    for place in ("c", "d"):
        (folder / place).mkdir()
        sheets = [Sheet(scan=scan_pixels(seed, 60, 80)) for seed in (1, 2)]
        write_pdf(folder / place / "report.pdf", sheets)
    pages = [Image.new("L", (40, 50), grey) for grey in (10, 200)]
    pages[0].save(folder / "d" / "report.tif", save_all=True, append_images=pages[1:])
    status, out, err = command("-d", folder, "--inner", "-ff", "png,jpg,pdf,tif", "--raw")
    assert status == 0, err
    table, raw = out.splitlines()
    expected = [
        ["a/letter", "1", "a/letter-1.png"], ["a/letter", "2", "a/letter-2.png"],
        ["b/letter", "2", "b/letter-2.png"], ["b/letter", "3", "b/letter-3.png"],
        ["both/card.jpg", "1", "both/card-1.jpg"], ["both/card.png", "1", "both/card-1.png"],
        ["c/report", "1", "c/report.pdf"], ["c/report", "2", "c/report.pdf"],
        ["d/report.pdf", "1", "d/report.pdf"], ["d/report.pdf", "2", "d/report.pdf"],
        ["d/report.tif", "1", "d/report.tif"], ["d/report.tif", "2", "d/report.tif"],
        ["mixed", "1", "sub/mixed-1.png"], ["mixed", "2", "sub/mixed-2.jpg"],
        ["only", "1", "only-1.png"],
    ]  # fmt: skip
    assert columns(table, "FILE", "PAGE", "PATH") == expected
    assert sorted(columns(raw, "FILE", "PAGE", "PATH")) == expected
    assert cells(table)[0][-1] == cells(raw)[0][-1] == "PATH"


def test_paths_are_whole_where_that_is_asked_for(command: Run, workplace: Path) -> None:
    folder = draw(workplace / "scans", "in/p-1.png")
    (folder / "broken-2.png").write_bytes(b"no page")
    status, out, _ = command("-d", "scans", "--inner", "--absolute_paths")
    result, failed = out.splitlines()
    assert status == 3
    assert columns(result, "PATH") == [[f"{folder.resolve().as_posix()}/in/p-1.png"]]
    assert columns(failed, "FILE", "PAGE", "PATH") == [
        ["broken", "2", f"{folder.resolve().as_posix()}/broken-2.png"]
    ]
    assert cells(failed)[0] == ["FILE", "PAGE", "REASON", "PATH"]


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible there")
def test_odd_names_break_no_table(command: Run, tmp_path: Path) -> None:
    names = ["r\ro-1.png", "two\nlines-1.png", 'q"u,o-1.png', "=cmd()-1.png", " b -1.png"]
    folder = draw(tmp_path / "scans", *names)
    status, out, err = command("-d", folder, "--raw")
    assert status == 0, err
    for table in out.splitlines():
        assert {len(row) for row in cells(table)} == {len(cells(table)[0])}
        assert {path for (path,) in columns(table, "PATH")} == set(names)
        assert {file for (file,) in columns(table, "FILE")} == {name[:-6] for name in names}


@pytest.mark.skipif(sys.platform != "linux", reason="the locale is told by the environment there")
@pytest.mark.parametrize(
    ("language", "comma"),
    [("cs_CZ.UTF-8", True), ("de_DE", True), ("en_GB.UTF-8", False), ("C", False)],
)
def test_the_form_for_excel(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, comma: bool
) -> None:
    names = ["=1+1-1.png", "-2-1.png", "'@x-1.png", "plain-1.png"]
    folder = draw(tmp_path / "scans", *names)
    (folder / "+bad-1.png").write_bytes(b"no page")
    monkeypatch.setenv("LC_ALL", language)
    status, out, err = command("-d", folder, "--csv_excel", "--raw")
    assert status == 3, err
    mark = ";" if comma else ","
    for path in map(Path, out.splitlines()):
        text = path.read_bytes().decode("utf-8")
        assert text.startswith(f"\ufeffFILE{mark}PAGE{mark}")
        rows = list(csv.reader(text[1:].splitlines(), delimiter=mark))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]
    result, raw, failed = (list(read_rows(Path(path))) for path in out.splitlines())
    for table in (result, raw):
        assert {row["PATH"] for row in table} == set(names)
        assert {row["FILE"] for row in table} == {"=1+1", "-2", "'@x", "plain"}
    assert [row["PATH"] for row in failed] == ["+bad-1.png"]
    assert all(("," in row["SCORE-1"]) == comma for row in result)
    # It holds what the plain form holds.
    plain = list(read_rows(Path(command("-d", folder)[1].splitlines()[0])))
    assert [number(row["SCORE-1"]) for row in plain] == [number(row["SCORE-1"]) for row in result]
    assert [row["CLASS-1"] for row in plain] == [row["CLASS-1"] for row in result]


@pytest.mark.usefixtures("no_plots")
def test_excel_tables_of_an_evaluation_and_a_vote(
    command: Run, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "cs_CZ.UTF-8")
    for label in ("TEXT", "PHOTO"):
        draw(tmp_path / "labelled" / label, "p-1.png", "=q-2.png")
    arguments = ("--eval", "--eval_folder", tmp_path / "labelled", "--csv_excel")
    status, out, err = command(*arguments, "--absolute_paths")
    assert status == 0, err
    (table,) = (Path(line) for line in out.splitlines() if "EVAL_table" in line)
    rows = list(read_rows(table))
    root = (tmp_path / "labelled").resolve().as_posix()
    assert Counter(row["PATH"].rpartition("/")[0] for row in rows) == {
        f"{root}/PHOTO": 2,
        f"{root}/TEXT": 2,
    }
    assert [row["FILE"] for row in rows] == ["=q", "=q", "p", "p"]
    assert b"'=q;2;" in table.read_bytes() and list(rows[0])[-2:] == ["TRUE", "PATH"]


def test_a_table_for_excel_reads_back_as_it_was_written(tmp_path: Path) -> None:
    texts = ["=a", "'=a", "''=a", "'a", "\tx", "\rx", "a;b", 'a"b', "-", "", "ř\n"]
    for form in (TableForm(), TableForm(";", ",", True), TableForm("\t", ".", True)):
        path = tmp_path / "t.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = TableWriter(file, form)
            for row in (["FILE", "SCORE"], *([text, 0.125] for text in texts)):
                writer.write(row)
        rows = list(read_rows(path))
        assert [row["FILE"] for row in rows] == texts
        assert {number(row["SCORE"]) for row in rows} == {0.125}


def mixed_scans(folder: Path) -> dict[tuple[str, int | None], bytes]:
    """Scans that are easily taken for one another; the bytes of those that are one page."""
    names = ["page.png", "page.jpg", "Scan 1.png", "a/p-1.png", "b/p-1.png", "b/p-01.png"]
    names += ["=x-1.png", " b-2.png", "Příloha č. 3.png"]
    if sys.platform == "linux":
        names.append("caf\udce9-1.png")
    draw(folder)
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 50), 100 + place).save(folder / name)
    for inside, first in (("", 20), ("a", 40)):
        for ending, base, pages in (("tif", first, 3), ("pdf", first + 10, 2)):
            sheets = [Image.new("L", (40, 50), base + page) for page in range(pages)]
            path = folder / inside / f"multi.{ending}"
            sheets[0].save(path, save_all=True, append_images=sheets[1:])
    return {(name, None): (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("form", [(), ("--csv_excel",), ("--absolute_paths",)])
def test_every_table_sorts_exactly_the_pages_that_it_names(
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: tuple[str, ...],
) -> None:
    monkeypatch.setenv("LC_ALL", "cs_CZ.UTF-8")
    folder = tmp_path / "scans"
    single = mixed_scans(folder)
    status, out, err = command("-d", folder, "--inner", "-ff", "png,jpg,tif,pdf", "--raw", *form)
    assert status == 0, err
    result, raw = map(Path, out.splitlines())
    rows = list(read_rows(result))
    assert len(rows) == len(single) + 10
    for table in (result, raw):
        target = tmp_path / f"sorted by {table.stem}"
        status = prepare.main(["sort", str(table), str(folder), "--out", str(target)])
        assert status == 0, capsys.readouterr().err
        expected: Counter[tuple[str, object]] = Counter()
        for row in rows:
            path = row["PATH"].removeprefix(f"{folder.resolve()}/").replace("\\udce9", "\udce9")
            if (path, None) in single:
                expected[row["CLASS-1"], single[path, None]] += 1
            else:
                base = (40 if path.startswith("a/") else 20) + (10 if path.endswith("pdf") else 0)
                expected[row["CLASS-1"], base + int(row["PAGE"]) - 1] += 1
        assert Counter(map(content, target.glob("*/*"))) == expected


def content(path: Path) -> tuple[str, object]:
    """The class of a sorted page, and its grey if it was drawn, else its bytes."""
    with Image.open(path) as image:
        value = image.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    is_drawn = isinstance(value, int | float) and value < 60
    return path.parent.name, round(value) if is_drawn else path.read_bytes()


def test_folders_of_systems_and_sorted_pages_hold_no_pages(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw(tmp_path / "scans", "p-1.png", "in/p-2.png", "._p-1.png", "in/._p-2.png")
    for name in ("@eaDir/p-1.png", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"):
        draw(folder, f"in/{name}/thumb-1.png")
    draw(folder, "lost+found/x-1.png", ".hidden/x-1.png", "in/$Recycle.Bin/y-1.png")
    _, out, _ = command("-d", folder, "--inner")
    sort = ["sort", out.strip(), str(folder)]
    assert prepare.main(sort) == 0
    capsys.readouterr()
    assert len(list((folder / "sorted").glob("*/*.png"))) == 2
    status, out, err = command("-d", folder, "--inner")
    assert status == 0 and columns(out.strip(), "PATH") == [["in/p-2.png"], ["p-1.png"]]
    assert f"Folder left out: {folder / 'sorted'} (pages were sorted into it)" in err


def test_a_folder_that_cannot_be_read_is_listed_among_the_failures(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw(tmp_path / "scans", "p-1.png", "vol-3/p-2.png", "vol-4/p-3.png")
    scandir = os.scandir

    def closed(path: str | Path = ".") -> object:
        if Path(path).name == "vol-3":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        status, out, err = command("-d", folder, "--inner")
    assert status == 3, err
    result, failed = out.splitlines()
    assert columns(result, "PATH") == [["p-1.png"], ["vol-4/p-3.png"]]
    assert columns(failed, "FILE", "PAGE", "PATH") == [["vol-3", "", "vol-3"]]
    ((reason,),) = columns(failed, "REASON")
    assert reason == "the folder cannot be read, nor the pages in it (permission denied)"
    # Once it is open, its pages are new ones.
    status, out, err = command("-d", folder, "--inner", "--resume")
    assert status == 3 and "1 pages are new since the run began" in err
    assert "start a new run" in columns(out.splitlines()[1], "REASON")[0][0]


def test_scans_of_other_kinds_are_named(command: Run, tmp_path: Path) -> None:
    folder = draw(tmp_path / "scans", "p-1.png", "a.jpg", "b.JPEG", "in/c.jpg", "in/d.tiff")
    (folder / "report.pdf").write_bytes(b"%PDF-1.4")
    (folder / "notes.txt").write_text("no scan")
    _, _, err = command("-d", folder, "--inner")
    assert "not looked at: 3 jpg, 1 pdf, 1 tif (to read them, too, add -ff png,jpg,pdf,tif)" in err
    _, _, err = command("-d", folder)
    assert "not looked at: 2 jpg, 1 pdf (" in err
    status, out, err = command("-d", folder, "--inner", "-ff", "png,jpg,tif")
    assert status == 0 and "not looked at: 1 pdf (" in err
    assert len(columns(out.strip(), "PATH")) == 5
    _, out, err = command("-d", folder, "-ff", "jpeg")
    assert columns(out.strip(), "PATH") == [["a.jpg"], ["b.JPEG"]]
    assert "not looked at: 1 pdf, 1 png (" in err
    _, _, err = command("-d", folder, "-ff", "png,jpg,tif,pdf", "--inner")
    assert "not looked at" not in err
