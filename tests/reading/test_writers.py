"""What was read, written and read again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pagesort.reading.layout.layout_file import read_layout
from pagesort.reading.layout.writers import FORMATS, ReadPage
from pagesort.reading.text_line import PageText, TextLine

OUTLINE = ((10.0, 10.0), (90.0, 12.0), (90.0, 30.0), (10.0, 28.0))
BASELINE = ((10.0, 25.0), (50.0, 26.0), (90.0, 27.0))


def read_page(*lines: TextLine, image: str = "a & b ř.png") -> ReadPage:
    """A page of a hundred by two hundred pixels."""
    text = PageText(Path("a.png"), 100, 200, lines)
    return ReadPage(text, (0.5,) * len(lines), image, datetime(2026, 1, 2, 3, 4, 5))


def line(name: str, text: str | None, region: str = "") -> TextLine:
    return TextLine(name, BASELINE, OUTLINE, text, region)


def written(page: ReadPage, kind: str) -> str:
    return FORMATS[kind][1](page)


LINES = (
    line("l1", 'Größe <&> "so"', "r1"),
    line("l2", "zweite-", "r1"),
    line("l3", "o\u0301 third", "r2"),
    line("l4", "again in the first", "r1"),
)


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_lines_come_back_as_they_were_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(written(read_page(*LINES), kind), encoding="utf-8")
    back = read_layout(path)
    assert (back.width, back.height, back.image) == (100, 200, "a & b ř.png")
    texts = ['Größe <&> "so"', "zweite-", "ó third", "again in the first"]
    assert [each.text for each in back.lines] == texts
    assert [each.id for each in back.lines] == ["l1", "l2", "l3", "l4"]
    for each in back.lines:
        assert (each.baseline, each.polygon) == (BASELINE, OUTLINE)
    regions = [each.region for each in back.lines]
    assert regions[0] == regions[1]
    assert len(set(regions)) == 3


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_names_are_all_different_and_such_as_xml_takes(kind: str) -> None:
    odd = [line(name, "a") for name in ("1 no", "same", "same", "pagesort_0", "line_1", "")]
    root = ElementTree.fromstring(written(read_page(*odd), kind))
    names = [each.get("id") or each.get("ID") for each in root.iter()]
    counted = Counter(name for name in names if name)
    assert max(counted.values()) == 1
    assert all(name[0].isalpha() and " " not in name for name in counted)
    assert len([name for name in names if name]) >= 8


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_page_without_lines_can_be_written(kind: str, tmp_path: Path) -> None:
    content = written(read_page(), kind)
    if kind in ("page", "alto"):
        path = tmp_path / "a.xml"
        path.write_text(content, encoding="utf-8")
        assert read_layout(path).lines == ()
    else:
        assert len(content.splitlines()) == (1 if kind == "tsv" else 0)


def test_plain_text_parts_regions() -> None:
    expected = 'Größe <&> "so"\nzweite-\n\nó third\n\nagain in the first\n'
    assert written(read_page(*LINES), "txt") == expected


def test_a_table_has_a_row_a_line() -> None:
    header, *rows = (row.split("\t") for row in written(read_page(*LINES), "tsv").splitlines())
    assert header == ["LINE", "REGION", "LEFT", "TOP", "WIDTH", "HEIGHT", "CONFIDENCE", "TEXT"]
    assert rows[0] == ["1", "r1", "10", "10", "80", "20", "0.500", 'Größe <&> "so"']
    assert len(rows) == 4


@pytest.mark.parametrize("kind", list(FORMATS))
def test_letters_that_files_cannot_hold_do_no_harm(kind: str) -> None:
    odd = line("l", "a\x00b\tc\nd\ud800e\ufffef")
    content = written(read_page(odd, image="\udcff\x01.png"), kind)
    content.encode("utf-8")
    assert "a b c d\ufffde\ufffdf" in content
    if kind in ("page", "alto"):
        ElementTree.fromstring(content)


def test_corners_outside_of_the_page_are_brought_to_its_edge(tmp_path: Path) -> None:
    out = replace(line("l", "a"), polygon=((-5.0, -3.0), (90.0, 12.0), (90.0, 30.0)))
    path = tmp_path / "a.xml"
    path.write_text(written(read_page(out), "page"), encoding="utf-8")
    assert read_layout(path).lines[0].polygon[0] == (0.0, 0.0)


def test_the_files_tell_how_sure_the_reader_is() -> None:
    page = read_page(line("l", "a"))
    assert 'conf="0.500"' in written(page, "page")
    assert 'WC="0.500"' in written(page, "alto")
