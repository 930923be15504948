"""The texts beside pages: which are found, which are left aside, and what is made of them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pagesort.grouping import page_texts
from pagesort.grouping.page_texts import PageTexts
from pagesort.grouping.text_features import NAMES, PLACES, describe_text, text_features
from pagesort.pages.loader import PageRef

ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout>
<Page WIDTH="90" HEIGHT="90">
<PrintSpace><TextBlock><TextLine HPOS="5" VPOS="5" WIDTH="80" HEIGHT="9"><String CONTENT="Dear"/>
<String CONTENT="Sir,"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>"""
PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{version}">
<Page imageFilename="a.png" imageWidth="90" imageHeight="90"><TextRegion id="r"><TextLine id="l">
<Coords points="5,5 80,5 80,14 5,14"/><TextEquiv><Unicode>Dear Sir,</Unicode></TextEquiv></TextLine>
</TextRegion></Page></PcGts>"""
SAID = "Something that is said on this page, and is long enough to count."


def lines_beside(folder: Path, name: str, content: str | bytes, page: int | None = None) -> object:
    """What is read of the page `a b.png` in a folder with one more file."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return PageTexts().lines(PageRef(0, folder / "a b.png", page))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a b.txt", "\ufeffDear  Sir,\r\n\n\f"),
        ("a b.png.txt", "\n Dear Sir, \n"),
        ("a b.xml", ALTO),
        ("alto/a b.xml", ALTO),
        ("a b.xml", PAGE.format(version="2013-07-15")),
        ("page/a b.xml", PAGE.format(version="2019-07-15")),
    ],
)
def test_a_text_is_found_beside_its_page(tmp_path: Path, name: str, content: str) -> None:
    assert lines_beside(tmp_path, name, content) == ["Dear Sir,"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a b.txt", b"\xff\xfebroken", "no text in UTF-8"),
        ("a b.txt", b"\x00\x01", "no text in UTF-8"),
        ("a b.txt", b"x" * 200, "over 100 bytes"),
        ("a b.xml", "<alto", "not valid XML"),
        ("a b.xml", f'<!DOCTYPE a [<!ENTITY e "x">]>{ALTO}', "DOCTYPE"),
    ],
)
def test_a_text_that_cannot_be_used_is_told_and_left_aside(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str | bytes,
    said: str,
) -> None:
    monkeypatch.setattr(page_texts, "LARGEST", 100)
    with caplog.at_level(logging.WARNING):
        assert lines_beside(tmp_path, name, content) is None
    assert [said in record.message for record in caplog.records] == [True]


def test_other_files_are_no_texts_of_a_page(tmp_path: Path) -> None:
    assert lines_beside(tmp_path, "a c.txt", "Dear Sir,") is None
    assert lines_beside(tmp_path, "a b.txt", " \n\f") is None


def test_pages_of_a_document_are_told_apart_by_form_feeds(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("one\n\ftwo\n\f", encoding="utf-8")
    texts = PageTexts()
    found = [texts.lines(PageRef(0, tmp_path / "b.pdf", page)) for page in (1, 2, 3)]
    assert found == [["one"], ["two"], None]


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["- 12 -", SAID], [12]),
        ([SAID, SAID, "Page 3/7"], [3]),
        (["14 ANNUAL REPORT", SAID], [14]),
        ([SAID, "ANNUAL REPORT 15"], [15]),
        ([SAID, SAID], []),
        ([SAID] * 4 + ["7"] + [SAID] * 4, []),
    ],
)
def test_numbers_of_pages_are_found_at_head_and_foot(lines: list[str], numbers: list[int]) -> None:
    found = describe_text(lines)[PLACES["numbers"]]
    assert [int(number) for number in found if number] == numbers


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("My dear Sir,", "salutes"),
        ("Vážený pane,", "salutes"),
        ("Sehr geehrter Herr Müller!", "salutes"),
        ("I am, Sir, yours truly", "closes"),
        ("Veuillez agréer, Monsieur,", "closes"),
        ("S úctou", "closes"),
        ("the sirens of the desirable deal", ""),
    ],
)
def test_words_of_letters_are_found(line: str, name: str) -> None:
    found = describe_text([line, SAID] if name != "closes" else [SAID, line])
    told = {each for each in ("salutes", "closes") if found[PLACES[each]][0]}
    assert told == ({name} if name else set())


def test_gaps_tell_how_pages_go_on() -> None:
    pages = [
        ["ANNUAL REPORT", SAID, "of the", "1"],
        ["ANNUAL REPORT", "society and of its members, " + SAID, "2"],
        None,
        ["Sehr geehrter Herr Müller,", "wir haben Ihren Brief vom Montag erhalten.", "1"],
    ]
    features, known = text_features(stacked(pages))
    column = {name: features[:, place] for place, name in enumerate(NAMES)}
    assert known.tolist() == [False, True, False, False]
    assert column["page numbers: goes on"][1] == 1
    assert column["sentences: both"][1] == 1
    assert column["running heads: unlike the one before"][1] < 0.3
    features, known = text_features(stacked([pages[0], pages[1], pages[3]]))
    column = {name: features[:, place] for place, name in enumerate(NAMES)}
    assert known.tolist() == [False, True, True]
    assert column["page numbers: is 1"].tolist()[1:] == [0, 1]
    assert column["letter forms: salutation here"][2] == 1
    near = column["letters: letters unlike the page before"]
    assert near[2] > near[1] + 0.3


def stacked(pages: list[list[str] | None]) -> np.ndarray:
    """What is made of the texts of some pages, one below the other."""
    return np.stack([describe_text(lines) for lines in pages])
