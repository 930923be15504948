"""Lines with their text from tables, from pages with PAGE or ALTO files, and from IAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.reading.examples import Examples, picture_of, pictures_of, read_examples
from pagesort.reading.split import split_lines
from pagesort.reading.synthetic import words_of
from tests.helpers.lines import SHARED, needs_shared, text_page
from tests.reading.conftest import draw_line, write_lines

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="a.png" imageWidth="{width}" imageHeight="{height}"><TextRegion id="r">
{lines}</TextRegion></Page></PcGts>"""
LINE = """<TextLine id="{id}"><Coords points="{polygon}"/><Baseline points="{baseline}"/>
<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"""
IAM = """<?xml version="1.0" encoding="ISO-8859-1"?>
<form id="{form}" writer-id="{writer}" height="100" width="200"><machine-printed-part>
<machine-print-line text="printed"/></machine-printed-part><handwritten-part>
<line id="{form}-00" text="A MOVE" segmentation="ok"><word id="{form}-00-00" text="A">
<cmp x="1" y="2" width="3" height="4"/></word><word id="{form}-00-01" text="MOVE"/></line>
<line id="{form}-01" text="to &quot;stop&quot;" segmentation="err">
<word id="{form}-01-00" text="to"/>
</line></handwritten-part></form>"""


def write_pair(folder: Path, name: str, texts: list[str], scale: int = 1) -> None:
    """Write a drawn page and the PAGE file of its lines, which may be of a larger scan."""
    folder.mkdir(parents=True, exist_ok=True)
    page, lines = text_page(texts)
    Image.fromarray(page).save(folder / f"{name}.png")

    def points(corners) -> str:
        return " ".join(f"{round(x * scale)},{round(y * scale)}" for x, y in corners)

    xml = "".join(
        LINE.format(
            id=line.id,
            polygon=points(line.polygon),
            baseline=points(line.baseline),
            text=line.text,
        )
        for line in lines
    )
    height, width = page.shape
    content = PAGE.format(width=width * scale, height=height * scale, lines=xml)
    (folder / f"{name}.xml").write_text(content, encoding="utf-8")


def write_iam(folder: Path, forms: dict[str, str]) -> None:
    """Write forms (name -> writer) with their lines, words and XML, as IAM lays them out."""
    (folder / "xml").mkdir(parents=True)
    for form, writer in forms.items():
        xml = IAM.format(form=form, writer=writer)
        (folder / "xml" / f"{form}.xml").write_text(xml, encoding="latin-1")
        inner = Path(form.partition("-")[0]) / form
        draw_line(folder / "forms" / f"{form}.png", "A MOVE")
        for line in ("00", "01"):
            draw_line(folder / "lines" / inner / f"{form}-{line}.png", "A")
        for word in ("00-00", "00-01", "01-00"):
            draw_line(folder / "words" / inner / f"{form}-{word}.png", "A")


def texts_of(found: Examples) -> dict[str, str]:
    return {line.name: line.text for line in found.lines}


def test_a_table_with_semicolons_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    draw_line(tmp_path / "á b.png", "x")
    (tmp_path / "t.csv").write_text(
        "\ufeffTEXT;Path;writer\n  Le\u00a0roi ;á b.png;Zoë\n", encoding="utf-8"
    )
    for data in (tmp_path / "t.csv", tmp_path):
        (line,) = read_examples(data).lines
        assert (line.text, line.document) == ("Le roi", "Zoë")


def test_a_table_without_hands_takes_documents_from_names(tmp_path: Path) -> None:
    for name in ("a/letter-1.png", "a/letter-2.png", "b/letter-1.png"):
        draw_line(tmp_path / name, "x")
    rows = "a/letter-1.png,x\na/letter-2.png,x\nb/letter-1.png,x\n"
    (tmp_path / "t.csv").write_text("path,text\n" + rows, encoding="utf-8")
    lines = read_examples(tmp_path / "t.csv").lines
    assert [line.document for line in lines] == ["a/letter", "a/letter", "b/letter"]


@pytest.mark.parametrize("content", [b"path,text\n\xff\xfe,x\n", b"", b"path,words\na.png,x\n"])
def test_another_table_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(PageSortError, match=r"t\.csv"):
        read_examples(tmp_path / "t.csv")


def test_lines_are_cut_out_of_pages_with_page_files_of_any_size(tmp_path: Path) -> None:
    write_pair(tmp_path / "a", "one-1", ["first", "second"])
    write_pair(tmp_path / "b", "two-1", ["first"], scale=3)
    (tmp_path / "a" / "bad.png").write_bytes((tmp_path / "a" / "one-1.png").read_bytes())
    (tmp_path / "a" / "bad.xml").write_text("<PcGts>\n<a></b>", encoding="utf-8")
    found = read_examples(tmp_path)
    assert [(line.text, line.document) for line in found.lines] == [
        ("first", "a/one"),
        ("second", "a/one"),
        ("first", "b/two"),
    ]
    ((name, reason),) = found.left_out
    assert name == "a/bad.png"
    assert "bad.xml, line 2" in reason
    small, _, large = (np.asarray(picture) for picture in pictures_of(found.lines))
    assert small.shape[0] == large.shape[0] == 64
    assert abs(small.shape[1] - large.shape[1]) <= 2
    assert np.abs(small[:, :100].astype(int) - large[:, :100]).mean() < 4
    assert np.array_equal(picture_of(found.lines[0]), small)


def test_pictures_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    write_pair(tmp_path / "small", "one-1", ["first"])
    write_pair(tmp_path / "large", "two-1", ["first"])
    page = tmp_path / "large" / "two-1.png"
    with Image.open(page) as image:
        width, height = image.size
        image.resize((2 * width, 2 * height)).save(page)
    found = read_examples(tmp_path, max_megapixels=2 * width * height / 1e6)
    assert [line.document for line in found.lines] == ["small/one"]
    ((name, reason),) = found.left_out
    assert name.startswith("large/two-1")
    assert "above the limit" in reason


@needs_shared
def test_real_pages_with_their_xml_give_lines() -> None:
    found = read_examples(SHARED / "xml")
    assert len(found.lines) > 200
    assert len({line.page for line in found.lines}) == 12


def test_iam_gives_lines_words_and_forms(tmp_path: Path) -> None:
    write_iam(tmp_path, {"a01-000u": "000", "b02-001": "001"})
    lines = read_examples(tmp_path, "line")
    assert texts_of(lines)["a01-000u-01"] == 'to "stop"'
    assert len(lines.lines) == 4
    assert {line.document for line in lines.lines} == {"000", "001"}
    words = read_examples(tmp_path, "word")
    assert texts_of(words) == {
        "a01-000u-00-00": "A",
        "a01-000u-00-01": "MOVE",
        "b02-001-00-00": "A",
        "b02-001-00-01": "MOVE",
    }
    assert [name for name, _ in words.left_out] == ["a01-000u-01-00", "b02-001-01-00"]
    forms = read_examples(tmp_path, "form")
    assert texts_of(forms)["b02-001"] == 'A MOVE\nto "stop"'


def test_the_lists_of_iam_are_its_split(tmp_path: Path) -> None:
    write_iam(tmp_path, {"a01-000u": "000", "b02-001": "001", "c03-002": "002", "d04-003": "003"})
    splits = tmp_path / "splits"
    splits.mkdir()
    (splits / "train.uttlist").write_text("a01-000u\n", encoding="utf-8")
    (splits / "validation.uttlist").write_text("b02-001-00\nb02-001-01\n", encoding="utf-8")
    with pytest.raises(PageSortError, match="test missing"):
        read_examples(tmp_path)
    (splits / "test.uttlist").write_text("c03-002\n", encoding="utf-8")
    found = read_examples(tmp_path)
    split = split_lines(found, tmp_path / "stats", seed=1, test_size=0.1)
    assert [
        {line.page for line in part} for part in (split.train, split.validation, split.test)
    ] == [
        {"a01-000u"},
        {"b02-001"},
        {"c03-002"},
    ]
    assert [name for name, _ in found.left_out] == ["d04-003-00", "d04-003-01"]


@pytest.mark.parametrize(
    "xml", ["<form id='../../x'/>", "<form", "<!DOCTYPE form><form id='a01-000u'/>"]
)
def test_a_wrong_file_of_iam_is_told_with_its_line(tmp_path: Path, xml: str) -> None:
    write_iam(tmp_path, {"a01-000u": "000", "b02-001": "001"})
    (tmp_path / "xml" / "a01-000u.xml").write_text(xml, encoding="utf-8")
    found = read_examples(tmp_path)
    assert {line.page for line in found.lines} == {"b02-001"}
    assert "a01-000u.xml, line 1" in found.left_out[0][1]


def test_lines_that_are_added_join_their_document(tmp_path: Path) -> None:
    rows = [(f"{hand}/{number}.png", "x", hand) for hand in "abcdef" for number in range(3)]
    table = write_lines(tmp_path, rows)
    stats = tmp_path / "stats"
    before = split_lines(read_examples(table), stats, seed=7, test_size=0.2)
    held = before.validation[0].document
    write_lines(tmp_path, [*rows, (f"{held}/new.png", "x", held)])
    after = split_lines(read_examples(table), stats, seed=7, test_size=0.2)
    assert f"{held}/new.png" in {line.name for line in after.validation}
    assert {line.name for line in before.train} == {line.name for line in after.train}


def test_one_hand_is_split_by_page_and_one_page_not_at_all(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = []
    for page in range(10):
        for number in range(2):
            draw_line(tmp_path / f"{page}-{number}.png", "x")
            rows.append(f"{page}-{number}.png,x,me,{page}")
    table.write_text("\n".join(["path,text,hand,page", *rows]), encoding="utf-8")
    split = split_lines(read_examples(table), tmp_path / "s", seed=1, test_size=0.1)
    assert split.by == "page"
    pages = [{line.page for line in part} for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in pages] == [8, 1, 1]
    assert len(set().union(*pages)) == 10
    table.write_text("\n".join(["path,text,hand,page", *rows[:2]]), encoding="utf-8")
    alone = split_lines(read_examples(table), tmp_path / "s", seed=1, test_size=0.1)
    assert (len(alone.train), alone.by) == (2, "all")


def test_words_are_found_only_where_the_gaps_between_them_are_clear(tmp_path: Path) -> None:
    draw_line(tmp_path / "clear.png", "one   two   three")
    picture = np.asarray(Image.open(tmp_path / "clear.png"))
    words = words_of(picture, "one two three")
    assert [word.text for word in words] == ["one", "two", "three"]
    assert [word.left for word in words[1:]] == [word.right for word in words[:-1]]
    assert all((picture[:, word.left + 1] > 200).all() for word in words)
    assert len(words_of(picture, "on e two three")) == 1
    assert len(words_of(picture, "onetwothree")) == 1
