"""`--read`: pages to texts, through the command line, with a reader that knows what is drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.files import write_whole
from pagesort.prediction import journal
from pagesort.reading import line_finder, read_run
from pagesort.reading.decoding import Reading
from pagesort.reading.layout.layout_file import read_layout
from pagesort.reading.reader import Reader
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.lines import text_page

__all__ = ["command", "workplace"]  # fixtures

SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


class StandIn:
    """Reads of every line how wide its picture is."""

    name = "stand-in"
    formats = ("line", "word")

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        return [Reading(f"wide {image.shape[1]}", 0.875) for image in images]


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, which the stand-in is opened for."""
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "reader.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(Reader, "open", staticmethod(lambda *_, **__: StandIn()))
    return folder


def write_page(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    page, _ = text_page(list(texts), (700, 400))
    Image.fromarray(page).save(path)
    return path


def write_layout(path: Path, names: Sequence[str], size: tuple[int, int] = (700, 400)) -> None:
    """A PAGE file with lines below each other."""
    lines = "".join(
        f'<TextLine id="{name}"><Coords points="70,{y} 400,{y} 400,{y + 40} 70,{y + 40}"/>'
        f'<Baseline points="70,{y + 30} 400,{y + 30}"/></TextLine>'
        for y, name in zip(range(60, 400, 60), names, strict=False)
    )
    path.write_text(
        f'<PcGts xmlns="{SPACE}"><Page imageFilename="a" imageWidth="{size[0]}" '
        f'imageHeight="{size[1]}"><TextRegion id="r">{lines}</TextRegion></Page></PcGts>',
        encoding="utf-8",
    )


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lines be looked for on pages of a ninth of the usual size, in a ninth of the time."""
    monkeypatch.setattr(line_finder, "LONGER_SIDE", line_finder.LONGER_SIDE // 3)


def read(command: Run, folder: Path, *more: str | Path) -> tuple[int, str, str]:
    return command("--read", *more, "--reader_path", folder, model=False)


def texts_of(workplace: Path) -> dict[str, str]:
    """What was written of pages, by paths in the folder of the run."""
    (run,) = (path for path in (workplace / "result" / "texts").iterdir() if path.is_dir())
    return {
        path.relative_to(run).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def test_a_page_is_read_line_by_line(command: Run, stand_in: Path, workplace: Path) -> None:
    page = write_page(workplace / "a ř.png", "the first line of it", "and the second one")
    status, out, err = read(command, stand_in, page)
    assert status == 0, err
    lines = out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("wide ") for line in lines)
    texts = texts_of(workplace)
    assert sorted(texts) == ["a ř.txt", "a ř.xml"]
    assert texts["a ř.txt"].splitlines() == lines
    (table,) = (workplace / "result" / "tables").glob("*_LINES.csv")
    rows = read_table(table)
    assert list(rows[0]) == ["FILE", "PAGE", "LINE", "TEXT", "CONFIDENCE", "PATH"]
    assert [(row["LINE"], row["TEXT"]) for row in rows] == list(zip("12", lines, strict=True))
    assert {row["CONFIDENCE"] for row in rows} == {"0.875"}
    assert not list((workplace / "result" / "texts").glob("*.sqlite"))


def test_lines_and_order_come_from_a_layout_file(
    command: Run, stand_in: Path, workplace: Path
) -> None:
    page = write_page(workplace / "p.png", "one line")
    write_layout(workplace / "p.xml", ["upper", "lower"], (1400, 800))
    assert read(command, stand_in, page, "--read_format", "page,alto,tsv")[0] == 0
    assert sorted(texts_of(workplace)) == ["p.alto.xml", "p.tsv", "p.xml"]
    (path,) = (workplace / "result" / "texts").glob("*/p.xml")
    back = read_layout(path)
    assert [line.id for line in back.lines] == ["upper", "lower"]
    assert (back.width, back.height) == (700, 400)
    assert back.lines[0].baseline == ((35, 45), (200, 45))


@pytest.mark.usefixtures("small_pages")
def test_a_folder_with_pages_that_cannot_be_read(
    command: Run, stand_in: Path, workplace: Path
) -> None:
    folder = workplace / "pages"
    write_page(folder / "x" / "1.png", "one")
    write_page(folder / "y" / "1.png", "one")
    write_page(folder / "2.png", "two")
    (folder / "3.png").write_text("text", encoding="utf-8")
    write_page(folder / "4.png", "four")
    (folder / "4.xml").write_text(f'<PcGts xmlns="{SPACE}">\n<Page/></PcGts>', encoding="utf-8")
    write_page(folder / "5.png", "five")
    write_layout(folder / "5.xml", ["a"], (400, 700))
    status, out, err = read(command, stand_in, folder, "--inner")
    assert status == 3, err
    texts, table, failed = map(Path, out.splitlines())
    assert sorted(each for each in texts_of(workplace) if each.endswith(".txt")) == [
        "2.txt",
        "x/1.txt",
        "y/1.txt",
    ]
    assert {row["PATH"] for row in read_table(table)} == {"2.png", "x/1.png", "y/1.png"}
    reasons = {row["PATH"]: row["REASON"] for row in read_table(failed)}
    assert sorted(reasons) == ["3.png", "4.png", "5.png"]
    assert "4.xml, line 2" in reasons["4.png"]
    assert "400 x 700" in reasons["5.png"]
    assert texts.is_dir()


@pytest.mark.usefixtures("small_pages")
def test_pages_that_would_share_a_name_keep_their_endings(
    command: Run, stand_in: Path, workplace: Path
) -> None:
    folder = workplace / "pages"
    for name in ("a.png", "a.jpg", "b.png"):
        write_page(folder / name, "one")
    words = ("-ff", "png,jpg", "--inner", "--read_format", "txt")
    status, _, err = read(command, stand_in, folder, *words)
    assert status == 0
    assert "not used" not in err
    assert sorted(texts_of(workplace)) == ["a.jpg.txt", "a.png.txt", "b.txt"]


@pytest.mark.usefixtures("small_pages")
def test_the_pages_of_a_document_are_numbered(
    command: Run, stand_in: Path, workplace: Path
) -> None:
    pages = [Image.fromarray(text_page([f"page {n}"], (500, 300))[0]) for n in (1, 2)]
    document = workplace / "d.tif"
    pages[0].save(document, save_all=True, append_images=pages[1:])
    status, out, err = read(command, stand_in, document, "--read_format", "txt")
    assert status == 0, err
    assert sorted(texts_of(workplace)) == ["d-0001.txt", "d-0002.txt"]
    assert {row["PAGE"] for row in read_table(out.splitlines()[1])} == {"1", "2"}


@pytest.mark.usefixtures("small_pages")
def test_an_interrupted_run_goes_on_without_reading_twice(
    command: Run, stand_in: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workplace / "pages"
    for number in range(1, 4):
        write_page(folder / f"{number}.png", "one")
    written: list[str] = []

    def stopping(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        if len(written) == 2:
            raise KeyboardInterrupt
        write_whole(path, content)

    monkeypatch.setattr(read_run, "write_whole", stopping)
    status, _, err = read(command, stand_in, folder, "--read_format", "txt")
    assert status == 130
    assert "1 of 3 pages are read" in err
    assert f"--read {folder} --resume" in err
    status, out, err = read(command, stand_in, folder, "--read_format", "txt", "--resume")
    assert status == 0, err
    assert written == ["1.txt", "2.txt", "2.txt", "3.txt"]
    assert sorted(texts_of(workplace)) == ["1.txt", "2.txt", "3.txt"]
    assert [row["PAGE"] for row in read_table(out.splitlines()[1]) if row["LINE"] == "1"] == [
        *"123"
    ]
    (stand_in / "reader.json").write_text("other", encoding="utf-8")
    line = error_line(read(command, stand_in, folder, "--read_format", "txt", "--resume"))
    assert "There is no interrupted run" in line


def test_an_image_may_be_one_line(command: Run, stand_in: Path, workplace: Path) -> None:
    page = workplace / "line.png"
    Image.new("L", (300, 64), 200).save(page)
    status, out, _ = read(command, stand_in, page, "--data_format", "line")
    assert (status, out) == (0, "wide 300\n")
    line = error_line(read(command, stand_in, page, "--data_format", "form"), 2)
    assert "reads line, word, and no form" in line


@pytest.mark.usefixtures("small_pages")
def test_after_sorting_only_some_kinds_are_read(
    command: Run, stand_in: Path, workplace: Path
) -> None:
    folder = workplace / "pages"
    for name in ("a-1.png", "a-2.png"):
        write_page(folder / name, "one")
    plain = command("-d", folder, "--device", "cpu")
    kinds = {row["CLASS-1"] for row in read_table(plain[1].splitlines()[0])}
    config = workplace / "config.txt"
    start = config.read_text(encoding="utf-8")
    kind = sorted(kinds)[0]
    config.write_text(f"{start}[READ]\nlabels = {kind}, NO_SUCH\n", encoding="utf-8")
    status, out, err = command("-d", folder, "--read", "--reader_path", stand_in)
    assert status == 0, err
    assert "no category NO_SUCH" in err
    sorted_table, _, lines = out.splitlines()
    expected = {row["PATH"] for row in read_table(sorted_table) if row["CLASS-1"] == kind}
    assert {row["PATH"] for row in read_table(lines)} == expected
    config.write_text(f"{start}[READ]\nlabels = NO_SUCH\n", encoding="utf-8")
    status, out, err = command("-d", folder, "--read", "--reader_path", stand_in)
    assert status == 0
    assert "nothing is read" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--read",), "-d"),
        (("--read", "a.png", "-d", "pages"), "contradict"),
        (("--read", "a.png", "-f", "b.png"), "contradict"),
        (("--read", "a.png", "--read_format", "docx"), "txt, page, alto or tsv"),
        (("-d", "pages", "--read", "--data_format", "line"), "--read PATH"),
    ],
)
def test_what_makes_no_sense_is_refused(command: Run, words: tuple[str, ...], said: str) -> None:
    assert said in error_line(command(*words, model=False), 2)


def test_bad_paths_get_a_line(command: Run, stand_in: Path, workplace: Path) -> None:
    empty, text = workplace / "empty", workplace / "text.png"
    empty.mkdir()
    text.write_text("no image", encoding="utf-8")
    assert "no pages" in error_line(read(command, stand_in, empty))
    assert "nothing to read" in error_line(read(command, stand_in, workplace / "gone.png"))
    assert str(text) in error_line(read(command, stand_in, text))


def test_long_names_and_letters_case_do_no_harm() -> None:
    pages = [(f"{'ř' * 120}.png", None), ("A.png", None), ("a.jpg", None), ("d/a.png", None)]
    names = read_run.Names(pages)
    assert len(os.fsencode(names.of(pages[0][0], None))) <= read_run.LONGEST_NAME
    assert [names.of(path, None) for path, _ in pages[1:]] == ["A.png", "a.jpg", "a"]


@pytest.mark.usefixtures("small_pages")
def test_runs_of_one_minute_keep_apart(
    command: Run, stand_in: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OneMinute(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> OneMinute:
            return cls(2026, 1, 2, 3, 4, tzinfo=tz)

    monkeypatch.setattr(journal, "datetime", OneMinute)
    for name in ("a.png", "b.png"):
        write_page(workplace / name, "one line of text")
        assert read(command, stand_in, workplace / name)[0] == 0

    folders = (workplace / "result" / "texts").iterdir()
    texts = [[path.stem for path in each.glob("*.txt")] for each in folders]
    assert sorted(texts) == [["a"], ["b"]]
    tables = (workplace / "result" / "tables").glob("*_LINES.csv")
    assert sorted({row["FILE"] for row in read_table(each)}.pop() for each in tables) == ["a", "b"]
