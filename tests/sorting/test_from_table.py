"""`prepare.py sort` and `move_single`: tables as people write them, any padding, undo."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from data_scripts import prepare
from pagesort.sorting import manifests, placer
from tests.helpers.killed import do_and_kill
from tests.helpers.paths import ROOT
from utils import SORTED_MARK, list_pages

PREPARE = ROOT / "data_scripts" / "prepare.py"
Run = Callable[..., tuple[int, str, str]]


def draw(path: Path, grey: int) -> Path:
    """Write a small page that is known by its grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 9), grey).save(path)
    return path


def grey(path: Path) -> int:
    with Image.open(path) as image:
        return int(image.getpixel((0, 0)))


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Pages of four documents: padded, in another padding, flat, and a one-pager."""
    folder = tmp_path / "pages"
    for number in (1, 2, 10):
        draw(folder / "CTX19" / f"CTX19-{number:03d}.png", number)
        draw(folder / "Zpráva č. 2" / f"Zpráva č. 2-{number}.png", 20 + number)
    draw(folder / "flat-7.png", 40)
    draw(folder / "onepagers" / "single-1.png", 50)
    return folder


@pytest.fixture
def sort(tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Sort by a table given as bytes or text: (exit status, stdout, stderr)."""

    def run(table: bytes | str | None, *arguments: str) -> tuple[int, str, str]:
        command = ["sort"]
        if table is not None:
            path = tmp_path / "table.csv"
            path.write_bytes(table.encode() if isinstance(table, str) else table)
            command += [str(path), str(pages)]
        status = prepare.main([*command, "--out", str(tmp_path / "out"), *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def sorted_pages(folder: Path) -> dict[str, int]:
    """What lies in the folders of the classes: name → grey."""
    found = (path for path in folder.glob("*/*") if path.suffix == ".png")
    return {path.relative_to(folder).as_posix(): grey(path) for path in sorted(found)}


def problems(folder: Path) -> list[list[str]]:
    path = folder / "sort_PROBLEMS.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


TABLE = """FILE,PAGE,CLASS
CTX19,1,TEXT_P
CTX19,10,PHOTO
Zpráva č. 2,02,TEXT_P
flat,07,DRAW
single,1,TEXT_HW
"""
SORTED = {
    "DRAW/flat-7.png": 40,
    "PHOTO/CTX19-010.png": 10,
    "TEXT_HW/single-1.png": 50,
    "TEXT_P/CTX19-001.png": 1,
    "TEXT_P/Zpráva č. 2-2.png": 22,
}


def _quoted(text: str) -> str:
    lines = (",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines())
    return "\n".join(lines)


@pytest.mark.parametrize(
    "table",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("cp1250"),
        TABLE.encode("utf-16"),
        TABLE.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace("\n", "\r").encode(),
        ("sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n")).encode("cp1250"),
        TABLE.replace(",", " , ").replace("\n", "  \n").encode(),
        _quoted(TABLE).encode(),
        TABLE.replace("\n", "\n\n").strip().encode(),
        TABLE.replace("FILE,PAGE,CLASS", " file ,Page,Class").encode(),
        TABLE.replace("CLASS", "VOTE").encode(),
        TABLE.replace(",1,", ",1.0,").replace(",10,", ",0010,").encode(),
        TABLE.replace("CTX19,", "CTX19.pdf,").replace("flat,07", "flat-7.png,").encode(),
        "\n".join(f"x,{line},0.9" for line in TABLE.splitlines())
        .replace("x,FILE,PAGE,CLASS,0.9", "NOTE,FILE,PAGE,CLASS-1,SCORE-1")
        .encode(),
    ],
    ids=[
        *("plain", "bom", "cp1250", "utf16", "semicolons", "tabs", "cr", "sep", "blanks", "quoted"),
        *("empty_lines", "header", "vote", "floats", "endings", "result_table"),
    ],
)
def test_tables_of_all_kinds_are_understood(tmp_path: Path, sort: Run, table: bytes) -> None:
    status, out, err = sort(table)
    assert (status, problems(tmp_path / "out")) == (0, []), err
    assert sorted_pages(tmp_path / "out") == SORTED
    assert Path(out.strip()).name.startswith("manifest_")


def test_quoted_names_with_commas_and_unicode_forms(tmp_path: Path, pages: Path, sort: Run) -> None:
    draw(pages / "a, b" / "a, b-3.png", 60)
    draw(pages / "Pr\u030cíloha-1.png", 61)  # as a Mac writes its names
    assert sort('FILE;PAGE;CLASS\n"a, b";3;X\nPříloha;1;Y\n')[0] == 0
    assert set(sorted_pages(tmp_path / "out").values()) == {60, 61}


def test_what_cannot_be_sorted_is_listed(tmp_path: Path, pages: Path, sort: Run) -> None:
    draw(pages / "twice-1.png", 70)
    draw(pages / "twice-01.png", 71)
    draw(pages / "report-24.png", 72)
    table = """FILE,PAGE,CLASS
CTX19,1,TEXT_P
CTX19,001,TEXT_P
CTX19,2,TEXT_P
CTX19,2,PHOTO
CTX19,3,PHOTO
nowhere,1,PHOTO
CTX19,x,PHOTO
,1,PHOTO
flat,7,../../etc
flat,7,a/b
flat,7,
flat,7,..
flat,7,CON
flat,7,a\\b
twice,1,PHOTO
report-24,1,PHOTO
single
"""
    status, _, err = sort(table)
    assert status == 3
    told = {int(row[0]): row[4] for row in problems(tmp_path / "out")}
    words = {
        3: "double of line 2", 4: "contradiction: TEXT_P (line 4), PHOTO (line 5)",
        5: "contradiction", 6: "not found", 7: "not found", 8: "whole number", 9: "FILE is empty",
        10: "no folder", 11: "no folder", 12: "empty", 13: "cannot name a folder", 14: "device",
        15: "no folder", 16: "several pages", 17: "not found", 18: "empty",
    }  # fmt: skip
    assert told.keys() == words.keys()
    for line, word in words.items():
        assert word in told[line], line
    assert sorted_pages(tmp_path / "out") == {"TEXT_P/CTX19-001.png": 1}
    assert "line 7 (nowhere, 1, PHOTO): page not found" in err
    assert sort(TABLE)[0] == 0 and problems(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("page.jpg,1", {"page.jpg"}),
        ("page.png,1", {"page.png"}),
        ("page.bmp,1", None),
        ("multi.tif,2", {"multi-2.png"}),
        ("multi.tif,3", None),
        ("multi.pdf,2", None),
        ("multi,1", {"multi-1.png"}),
        ("multi,", {"multi-1.png"}),
        ("Scan ,1", {"Scan 1.png"}),
        ("Scan 1.png,", {"Scan 1.png"}),
        ("deep/er/leaf,3", {"leaf-03.png"}),
        ("deep/er/leaf-03.png,3", {"leaf-03.png"}),
        ("deep\\er\\leaf-03.png,", {"leaf-03.png"}),
        ("leaf-03.png,3", {"leaf-03.png"}),
        ("deep/leaf-03.png,3", None),
        ("../outside-1.png,1", None),
        ("single.tif,1", {"single.tif"}),
        ("single.tif,2", None),
    ],
)
def test_a_row_takes_the_file_that_it_names_and_no_other(
    tmp_path: Path, pages: Path, sort: Run, row: str, names: set[str] | None
) -> None:
    for number, name in enumerate(("page.jpg", "page.png", "Scan 1.png", "deep/er/leaf-03.png")):
        draw(pages / name, 60 + number)
    draw(tmp_path / "outside-1.png", 70)
    sheets = [Image.new("L", (8, 9), grey) for grey in (80, 90)]
    sheets[0].save(pages / "multi.tif", save_all=True, append_images=sheets[1:])
    sheets[0].save(pages / "single.tif")
    status, _, err = sort(f"FILE,PAGE,CLASS\n{row},X\n")
    found = {path.name for path in (tmp_path / "out").glob("X/*")}
    assert (status, found) == ((3, set()) if names is None else (0, names)), err
    assert ("page not found" in err) == (names is None)
    if "multi" in row and names:
        assert grey(tmp_path / "out" / "X" / min(names)) == (90 if "2" in row else 80)


def test_a_path_beats_the_name_and_nothing_outside_is_taken(
    tmp_path: Path, pages: Path, sort: Run
) -> None:
    draw(pages / "a" / "p-1.png", 1)
    draw(pages / "b" / "p-1.png", 2)
    draw(tmp_path / "secret-1.png", 3)
    table = f"""FILE,PAGE,CLASS,PATH
p,1,X,b/p-1.png
p,1,Y,a/p-1.png
flat,7,Z,{pages.resolve()}/flat-7.png
secret,1,Z,{tmp_path}/secret-1.png
secret,1,Z,../secret-1.png
CTX19,1,Z,gone/CTX19-001.png
single,1,TEXT_HW,
"""
    status, _, err = sort(table)
    assert status == 3 and err.count("page not found") == 3
    assert sorted_pages(tmp_path / "out") == {
        "X/p-1.png": 2, "Y/p-1.png": 1, "Z/flat-7.png": 40, "TEXT_HW/single-1.png": 50,
    }  # fmt: skip


def test_a_table_that_is_none_is_refused(tmp_path: Path, sort: Run) -> None:
    for table in ("", "a,b,c\n1,2,3\n", "FILE,PAGE\nx,1\n"):
        status, _, err = sort(table)
        assert status == 1 and "FILE, PAGE and CLASS" in err
    assert sort(None)[0] == 2
    assert prepare.main(["sort", str(tmp_path / "none.csv"), str(tmp_path / "pages")]) == 1
    assert prepare.main(["sort", str(tmp_path / "table.csv"), str(tmp_path / "none")]) == 1
    assert not (tmp_path / "out").exists()


def test_a_table_that_cannot_be_looked_up_is_one_line(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / f"{'x' * 300}.csv"
    assert prepare.main(["sort", str(table), str(pages)]) == 1
    err = capsys.readouterr().err
    assert "cannot be used (file name too long)" in err and str(table) in err
    assert "unexpected" not in err and len(err.splitlines()) == 1


def test_sorting_twice_does_nothing_twice(tmp_path: Path, sort: Run) -> None:
    for how in ([], ["--move"]):
        sort(TABLE, *how)
        before = sorted(path.name for path in (tmp_path / "out").rglob("*"))
        status, out, err = sort(TABLE, *how)
        assert (status, out) == (0, ""), err
        assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == before
        assert sort(None, "--undo")[0] == 0
        assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("how", [[], ["--move"], ["--link", "hard"], ["--link", "sym"]])
def test_undo_takes_back_what_was_done(
    tmp_path: Path, pages: Path, sort: Run, how: list[str]
) -> None:
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(pages.rglob("*.png"))}

    before = state()
    draw(tmp_path / "out" / "DRAW" / "of somebody else-1.png", 99)
    assert sort(TABLE, *how)[0] == 0
    assert sorted_pages(tmp_path / "out") == SORTED | {"DRAW/of somebody else-1.png": 99}
    assert (state() == before) == (how != ["--move"])
    status, _, err = sort(None, "--undo", "--dry_run")
    assert status == 0 and "5 pages would be taken back" in err
    assert len(sorted_pages(tmp_path / "out")) == 6
    status, _, err = sort(None, "--undo")
    assert status == 0 and "5 pages taken back" in err
    assert state() == before
    assert sorted_pages(tmp_path / "out") == {"DRAW/of somebody else-1.png": 99}
    status, _, err = sort(None, "--undo")
    assert status == 1 and "no sorting to take back" in err


def test_undo_leaves_alone_what_was_changed(tmp_path: Path, pages: Path, sort: Run) -> None:
    out = tmp_path / "out"
    sort(TABLE)
    draw(out / "DRAW" / "flat-7.png", 99)
    (pages / "onepagers" / "single-1.png").unlink()
    (out / "TEXT_P" / "CTX19-001.png").unlink()
    status, _, err = sort(None, "--undo")
    assert status == 3 and "it was changed since" in err and "its original is gone" in err
    assert f"{out / 'TEXT_P' / 'CTX19-001.png'} (it is not where it was put)" in err
    assert sorted_pages(out) == {"DRAW/flat-7.png": 99, "TEXT_HW/single-1.png": 50}
    (manifest,) = out.glob("*.csv")
    assert len(manifest.read_text(encoding="utf-8").splitlines()) == 1 + 3 + 1  # header, end
    assert sort(None, "--undo")[0] == 3  # these three stay in the manifest
    draw(pages / "onepagers" / "single-1.png", 50)
    for name, folder in (("flat-7.png", "DRAW"), ("CTX19/CTX19-001.png", "TEXT_P")):
        (out / folder).mkdir(exist_ok=True)
        shutil.copy(pages / name, out / folder)
    assert sort(None, "--undo")[0] == 0
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("how", [[], ["--move"], ["--link", "hard"], ["--link", "sym"]])
def test_undo_waits_for_a_folder_that_was_renamed(
    tmp_path: Path, pages: Path, sort: Run, how: list[str]
) -> None:
    before = {path: path.read_bytes() for path in pages.rglob("*.png")}
    out = tmp_path / "out"
    sort(TABLE, *how)
    (out / "TEXT_P").rename(out / "printed")
    status, _, err = sort(None, "--undo")
    assert status == 3 and "3 pages taken back" in err and "2 left alone" in err
    for name in ("CTX19-001.png", "Zpráva č. 2-2.png"):
        assert f"{out / 'TEXT_P' / name} (it is not where it was put)" in err
    (manifest,) = out.glob("manifest_*.csv")
    assert f"delete {manifest} to forget it" in err
    assert sort(None, "--undo")[0] == 3 and manifest.exists()
    (out / "printed").rename(out / "TEXT_P")
    assert sort(None, "--undo")[0] == 0
    assert {path: path.read_bytes() for path in pages.rglob("*.png")} == before
    assert list(out.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_undo_leaves_alone_what_it_cannot_look_at(tmp_path: Path, sort: Run) -> None:
    out = tmp_path / "out"
    sort(TABLE, "--move")
    (out / "PHOTO").rename(tmp_path / "aside")
    (out / "PHOTO").symlink_to(out / "PHOTO")  # as closed to everybody as a folder can be
    status, _, err = sort(None, "--undo")
    assert status == 3 and "it cannot be looked at" in err and "1 left alone" in err
    (out / "PHOTO").unlink()
    (tmp_path / "aside").rename(out / "PHOTO")
    assert sort(None, "--undo")[0] == 0 and list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
@pytest.mark.parametrize("plain_sorts", [False, True])
def test_undo_finds_the_names_of_a_session_with_another_locale(
    tmp_path: Path, pages: Path, plain_sorts: bool
) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    draw(pages / "Dvořák-1.png", 80)
    (tmp_path / "t.csv").write_text("FILE,PAGE,CLASS\nDvořák,1,kresba\nflat,7,kresba\n", "utf-8")
    command = [sys.executable, str(PREPARE), "sort", "--out", str(tmp_path / "out")]

    def run(environment: dict[str, str], *arguments: str) -> int:
        return subprocess.run(
            [*command, *arguments], env=os.environ | environment, check=False
        ).returncode

    if plain_sorts:  # there, the table's name is not found in the first place
        assert run(plain, "--move", str(tmp_path / "t.csv"), str(pages)) in (0, 3)
        assert run({}, "--undo") == 0
    else:
        assert run({}, "--move", str(tmp_path / "t.csv"), str(pages)) == 0
        assert run(plain, "--undo") == 0
    assert grey(pages / "Dvořák-1.png") == 80 and grey(pages / "flat-7.png") == 40
    assert list((tmp_path / "out").glob("kresba")) == []


def test_undo_moves_nothing_over_another_page(tmp_path: Path, pages: Path, sort: Run) -> None:
    sort(TABLE, "--move")
    draw(pages / "flat-7.png", 98)
    status, _, err = sort(None, "--undo")
    assert status == 3 and "something is at its old place" in err
    assert grey(pages / "flat-7.png") == 98
    assert sorted_pages(tmp_path / "out") == {"DRAW/flat-7.png": 40}


def test_undo_goes_back_run_by_run(tmp_path: Path, sort: Run) -> None:
    sort("FILE,PAGE,CLASS\nflat,7,A\n")
    sort("FILE,PAGE,CLASS\nflat,7,A\nsingle,1,B\n")
    assert sort(None, "--undo")[0] == 0
    assert sorted_pages(tmp_path / "out") == {"A/flat-7.png": 40}
    assert sort(None, "--undo")[0] == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_another_page_is_never_overwritten(tmp_path: Path, sort: Run) -> None:
    draw(tmp_path / "out" / "DRAW" / "flat-7.png", 99)
    assert sort(TABLE)[0] == 0
    assert sorted_pages(tmp_path / "out") == SORTED | {
        "DRAW/flat-7.png": 99,
        "DRAW/flat~2-7.png": 40,
    }


def test_a_manifest_cannot_lead_undo_out_of_its_folder(tmp_path: Path, sort: Run) -> None:
    sort(TABLE)
    outside = draw(tmp_path / "pages" / "victim.png", 1)
    manifest = next((tmp_path / "out").glob("manifest_*.csv"))
    digest = manifests.file_digest(outside)
    for target in ("../pages/victim.png", str(outside), "DRAW/../../pages/victim.png"):
        text = "ACTION,TARGET,SOURCE,SIZE,SHA256\n"
        text += f"copy,{target},{outside},{outside.stat().st_size},{digest}\n"
        manifest.write_text(text)
        status, _, err = sort(None, "--undo")
        assert status == 1 and "damaged" in err
        assert outside.exists()


def test_dry_run_prints_and_does_nothing(tmp_path: Path, sort: Run) -> None:
    status, out, _ = sort(TABLE + "gone,1,X\n", "--dry_run")
    assert status == 3
    assert len(out.splitlines()) == 5
    assert out.splitlines()[0].endswith(str(tmp_path / "out" / "TEXT_P" / "CTX19-001.png"))
    assert not (tmp_path / "out").exists()


def test_pages_sorted_before_are_not_looked_for_in_the_sorted_ones(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE)
    assert prepare.main(["sort", str(table), str(pages)]) == 0
    assert sorted_pages(pages / "sorted") == SORTED
    assert prepare.main(["sort", str(table), str(pages)]) == 0
    assert "0 pages put into" in capsys.readouterr().err
    assert prepare.main(["sort", "--undo", "--out", str(pages / "sorted")]) == 0
    table.write_text("FILE,PAGE,CLASS\nsingle,1,PHOTO\n")
    assert prepare.main(["sort", "--move", str(table), str(pages)]) == 0
    table.write_text("FILE,PAGE,CLASS\nsingle,1,DRAW\n")
    assert prepare.main(["sort", "--move", str(table), str(pages)]) == 0
    assert sorted_pages(pages / "sorted") == {"DRAW/single-1.png": 50}


def test_a_folder_that_pages_were_sorted_into_is_no_folder_of_pages(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE)
    before = list(list_pages(pages, "png", inner=True))
    assert prepare.main(["sort", str(table), str(pages)]) == 0
    assert list(list_pages(pages, "png", inner=True)) == before
    # Who names it, means it.
    assert len(list(list_pages(pages / "sorted", "png", inner=True))) == len(SORTED)
    capsys.readouterr()
    assert prepare.main(["sort", "--undo", "--out", str(pages / "sorted")]) == 0
    assert list((pages / "sorted").iterdir()) == []
    # A folder that held something before may hold pages of somebody's own.
    draw(pages / "sorted" / "mine-1.png", 90)
    assert prepare.main(["sort", str(table), str(pages)]) == 0
    assert pages / "sorted" / "mine-1.png" in list(list_pages(pages, "png", inner=True))


def test_links_that_cannot_be_made_are_told(
    tmp_path: Path, sort: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, _source: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    status, _, err = sort(TABLE, "--link", "hard")
    assert status == 1 and "no hard links can be made there" in err and "--link copy" in err
    assert sort(None, "--undo")[0] == 0


def test_a_move_to_another_disk_is_whole(
    tmp_path: Path, sort: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if "pages" in self.parts and "out" in Path(target).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert sort(TABLE, "--move")[0] == 0
    assert sorted_pages(tmp_path / "out") == SORTED
    assert [path.name for path in (tmp_path / "out").glob(".*")] == [SORTED_MARK]


def test_a_full_disk_leaves_no_half_copy(
    tmp_path: Path, sort: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:20])
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(placer.shutil, "copyfile", fill)
        status, _, err = sort(TABLE)
    assert status == 1 and "the disk is full" in err
    assert sorted_pages(tmp_path / "out") == {}
    assert {path.name for path in (tmp_path / "out").glob(".*")} <= {SORTED_MARK}
    assert sort(TABLE)[0] == 0 and sorted_pages(tmp_path / "out") == SORTED


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
@pytest.mark.parametrize("how", [[], ["--move"]])
def test_a_killed_sorting_can_be_gone_on_with_and_undone(tmp_path: Path, how: list[str]) -> None:
    pages, out = tmp_path / "pages", tmp_path / "out"
    pages.mkdir()
    lines = ["FILE,PAGE,CLASS"]
    for number in range(60):
        (pages / f"d-{number}.png").write_bytes(str(number).encode() * 50)
        lines.append(f"d,{number},C{number % 3}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    sort = ("sort", tmp_path / "t.csv", pages, "--out", out, *how)
    do_and_kill([50], tmp_path, *sort)
    written = list(out.glob("C*/*"))
    assert 5 < len(written) < 60
    assert all(path.read_bytes() == path.name[2:-4].encode() * 50 for path in written)
    do_and_kill([0], tmp_path, *sort)
    assert len(list(out.glob("C*/*"))) == 60
    assert prepare.main(["sort", "--undo", "--out", str(out)]) == 0  # what the second one placed
    (manifest,) = out.glob("manifest_*.csv")
    do_and_kill([5], tmp_path, "undo", out)
    assert b"undoing" in manifest.read_bytes()
    assert prepare.main(["sort", "--undo", "--out", str(out)]) == 0
    assert os.listdir(out) == []  # noqa: PTH208 - hidden files count too
    assert len(list(pages.iterdir())) == 60


def test_single_pages_move_and_the_others_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    draw(folder / "one" / "one-1.png", 1)
    draw(folder / "noted" / "noted-1.png", 2)
    (folder / "noted" / "note.txt").write_text("kept")
    draw(folder / "two" / "two-1.png", 3)
    draw(folder / "two" / "two-2.png", 4)
    draw(folder / "clash" / "clash-1.png", 5)
    draw(folder / "onepagers" / "clash-1.png", 6)
    (folder / "none").mkdir()
    before = sorted(folder.rglob("*"))
    assert prepare.main(["move_single", str(folder), "--dry_run"]) == 3
    assert sorted(folder.rglob("*")) == before
    assert prepare.main(["move_single", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4 and "is there already" in err
    assert {path.name: grey(path) for path in (folder / "onepagers").iterdir()} == {
        "one-1.png": 1,
        "noted-1.png": 2,
        "clash-1.png": 6,
    }
    assert not (folder / "one").exists() and (folder / "noted" / "note.txt").exists()
    assert (folder / "none").exists() and len(list((folder / "two").iterdir())) == 2
    assert prepare.main(["move_single", str(tmp_path / "nowhere")]) == 1


def test_the_first_page_of_an_unfinished_document_is_not_single(tmp_path: Path) -> None:
    from tests.helpers.pdfs import Sheet, write_pdf

    write_pdf(tmp_path / "long.pdf", [Sheet((90, 90))] * 3)
    assert prepare.main(["pdf2png", str(tmp_path)]) == 0
    for number in (2, 3):
        (tmp_path / "long" / f"long-{number}.png").unlink()
    assert prepare.main(["move_single", str(tmp_path)]) == 3
    assert (tmp_path / "long" / "long-1.png").exists()


@pytest.mark.parametrize("cell", ["9" * 5000, "1" * 200_000])
def test_endless_cells_are_told_without_a_traceback(sort: Run, cell: str) -> None:
    status, _, err = sort(f"FILE,PAGE,CLASS\nflat,{cell},TEXT\n")
    assert status in (1, 3) and "Traceback" not in err and "unexpected" not in err
    status, _, err = sort(cell * 50)
    assert status == 1 and "does not name the columns" in err


def test_blanks_before_quotation_marks(tmp_path: Path, sort: Run) -> None:
    table = '"FILE", "PAGE", "CLASS"\n"flat", "7", "TEXT"\n'
    assert sort(table)[0] == 0
    assert sorted_pages(tmp_path / "out") == {"TEXT/flat-7.png": 40}


def test_an_open_quotation_mark_is_named(tmp_path: Path, sort: Run) -> None:
    status, _, err = sort('FILE,PAGE,CLASS\nsingle,1,TEXT\n"flat,7,TEXT\nCTX19,1,TEXT\n')
    assert status == 3 and "a quotation mark opens" in err
    assert sorted_pages(tmp_path / "out") == {"TEXT/single-1.png": 50}


def test_a_document_and_the_name_of_its_file_can_contradict(tmp_path: Path, sort: Run) -> None:
    status, _, err = sort("FILE,PAGE,CLASS\nflat.pdf,7,TEXT\nflat,7,DRAW\n")
    assert status == 3 and "contradiction: TEXT (line 2), DRAW (line 3)" in err
    assert sorted_pages(tmp_path / "out") == {}


def test_folders_in_names_as_result_tables_write_them(
    tmp_path: Path, pages: Path, sort: Run
) -> None:
    draw(pages / "ř" / "x" / "page-1.png", 60)
    draw(pages / "other" / "page-01.png", 70)
    assert sort("FILE,PAGE,CLASS\nř/x/page,1,TEXT\nother/page,1,DRAW\n")[0] == 0
    assert sorted_pages(tmp_path / "out") == {"TEXT/page-1.png": 60, "DRAW/page-01.png": 70}


@pytest.mark.parametrize("how", [[], ["--link", "sym"], ["--move"]])
def test_a_page_of_another_class_now_moves_there(
    tmp_path: Path, pages: Path, sort: Run, how: list[str]
) -> None:
    draw(pages / "again" / "flat-7.png", 40)  # of the same name and content, and sorted, too
    table = "FILE,PAGE,CLASS,PATH\n,7,{},flat-7.png\n,7,TEXT,again/flat-7.png\n"
    assert sort(table.format("TEXT"), *how)[0] == 0
    before = {"TEXT/flat-7.png": 40, "TEXT/flat~2-7.png": 40}
    assert sorted_pages(tmp_path / "out") == before
    now = tmp_path / "out" / "TEXT" / "flat-7.png"
    _, out, _ = sort(table.format("DRAW"), *how, "--dry_run")
    assert f"{now}\t{tmp_path / 'out' / 'DRAW' / 'flat-7.png'}" in out.splitlines()
    for label in ("DRAW", "PHOTO"):
        status, _, err = sort(table.format(label), *how)
        assert status == 0 and "1 page of them moved there from another folder" in err
        after = {f"{label}/flat-7.png": 40, "TEXT/flat~2-7.png": 40}
        assert sorted_pages(tmp_path / "out") == after
    assert sort(table.format("PHOTO"), *how)[0] == 0
    assert sorted_pages(tmp_path / "out") == after
    for _ in range(2):
        assert sort(None, "--undo")[0] == 0
    assert sorted_pages(tmp_path / "out") == before
    assert sort(None, "--undo")[0] == 0
    assert grey(pages / "flat-7.png") == grey(pages / "again" / "flat-7.png") == 40


def test_a_page_that_also_lies_where_it_belongs_is_told(tmp_path: Path, sort: Run) -> None:
    assert sort("FILE,PAGE,CLASS\nflat,7,TEXT\n")[0] == 0
    draw(tmp_path / "out" / "DRAW" / "flat-7.png", 40)
    status, _, err = sort("FILE,PAGE,CLASS\nflat,7,DRAW\n")
    assert status == 3 and "it is also in TEXT; remove it there" in err
    assert [problem[0] for problem in problems(tmp_path / "out")] == ["2"]
    assert sorted_pages(tmp_path / "out") == {"DRAW/flat-7.png": 40, "TEXT/flat-7.png": 40}


def test_a_move_that_was_noted_and_never_made_is_made(tmp_path: Path, sort: Run) -> None:
    assert sort("FILE,PAGE,CLASS\nflat,7,TEXT\n")[0] == 0
    out = tmp_path / "out"
    (manifest,) = out.glob("manifest_*.csv")
    header = manifest.read_text().splitlines()[0]
    killed = f"{header}\nmove,DRAW/flat-7.png,{out / 'TEXT' / 'flat-7.png'},75,\n"
    (out / "manifest_20990101-000000.csv").write_text(killed)
    assert sort("FILE,PAGE,CLASS\nflat,7,DRAW\n")[0] == 0
    assert sorted_pages(out) == {"DRAW/flat-7.png": 40}


def test_a_class_that_is_too_long_stops_no_others(tmp_path: Path, sort: Run) -> None:
    status, _, err = sort(f"FILE,PAGE,CLASS\nflat,7,{'ř' * 150}\nsingle,1,TEXT\n")
    assert status == 3 and "too long" in err
    assert sorted_pages(tmp_path / "out") == {"TEXT/single-1.png": 50}


def test_a_file_in_the_way_of_a_class_is_named(tmp_path: Path, sort: Run) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "TEXT").write_text("mine")
    status, _, err = sort("FILE,PAGE,CLASS\nflat,7,TEXT\n")
    assert status == 1 and "a file is in the way" in err and str(tmp_path / "out" / "TEXT") in err


def test_the_folder_of_the_pages_is_refused_as_the_destination(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    table = tmp_path / "t.csv"
    table.write_text("FILE,PAGE,CLASS\na,1,A\n")
    for out in (tmp_path / "in", tmp_path):
        arguments = ["sort", str(table), str(tmp_path / "in"), "--out", str(out)]
        assert prepare.main(arguments) == 2
        err = capsys.readouterr().err
        assert "--out must not be" in err and len(err.splitlines()) == 1
    assert list((tmp_path / "in").iterdir()) == []
