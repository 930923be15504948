"""PAGE and ALTO files: what they say of lines, and what is wrong with them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pagesort.common.errors import PageUnreadableError
from pagesort.reading.layout import xml_tree
from pagesort.reading.layout.layout_file import layout_beside, read_layout
from tests.helpers.lines import SHARED, needs_shared

SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/"
COORDS = '<Coords points="10,10 90,10 90,30 10,30"/>'


def page_xml(content: str, version: str = "2019-07-15") -> str:
    """A PAGE file with some content on its page."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<PcGts xmlns="{SPACE}{version}">\n'
        '<Metadata><Creator>t</Creator></Metadata>\n<Page imageFilename="a b.png" '
        f'imageWidth="100" imageHeight="200">\n{content}\n</Page></PcGts>'
    )


def page_line(name: str, text: str, more: str = "") -> str:
    return (
        f'<TextLine id="{name}" {more}>{COORDS}<Baseline points="10,25 90,27"/>'
        f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
    )


def region(name: str, *inside: str, more: str = "") -> str:
    return f'<TextRegion id="{name}" {more}>{COORDS}{"".join(inside)}</TextRegion>'


def alto(content: str, version: int = 4, unit: str = "pixel", before: str = "") -> str:
    """An ALTO file with some content in the space for print."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#">\n<Description>'
        f"<MeasurementUnit>{unit}</MeasurementUnit><sourceImageInformation><fileName>a.jpg"
        f"</fileName></sourceImageInformation></Description>\n{before}\n"
        f'<Layout><Page WIDTH="100" HEIGHT="200">\n'
        f"<PrintSpace>{content}</PrintSpace></Page></Layout></alto>"
    )


def alto_line(name: str, *inside: str, more: str = "") -> str:
    return (
        f'<TextLine ID="{name}" HPOS="10" VPOS="10" WIDTH="80" HEIGHT="20" {more}>'
        f"{''.join(inside)}</TextLine>"
    )


def string(content: str, more: str = "") -> str:
    return f'<String CONTENT="{content}" {more}/>'


def texts(tmp_path: Path, content: str, encoding: str = "utf-8") -> list[str | None]:
    """What the lines of a file say, in reading order."""
    path = tmp_path / "page.xml"
    path.write_bytes(content.encode(encoding))
    return [line.text for line in read_layout(path).lines]


@pytest.mark.parametrize("version", ["2013-07-15", "2016-07-15", "2019-07-15"])
def test_lines_of_page_have_baseline_polygon_text_and_region(tmp_path: Path, version: str) -> None:
    path = tmp_path / "page.xml"
    path.write_text(page_xml(region("r", page_line("l", "Zeile")), version), encoding="utf-8")
    page = read_layout(path)
    assert (page.width, page.height, page.image, page.path) == (100, 200, "a b.png", path)
    (line,) = page.lines
    assert (line.id, line.region, line.text) == ("l", "r", "Zeile")
    assert line.baseline == ((10, 25), (90, 27))
    assert line.polygon == ((10, 10), (90, 10), (90, 30), (10, 30))


def test_page_of_2010_has_its_corners_as_elements(tmp_path: Path) -> None:
    points = '<Coords><Point x="1" y="2"/><Point x="9" y="2"/><Point x="9" y="6"/></Coords>'
    line = f"<TextLine id='l'>{points}<TextEquiv><Unicode>old</Unicode></TextEquiv></TextLine>"
    path = tmp_path / "old.xml"
    path.write_text(page_xml(region("r", line), "2010-03-19"), encoding="utf-8")
    (found,) = read_layout(path).lines
    assert found.polygon == ((1, 2), (9, 2), (9, 6))
    (left, first), (right, last) = found.baseline
    assert (left, right) == (1, 9)
    assert 2 < first < 6
    assert 2 < last < 6


def test_reading_order_of_page_goes_before_the_order_of_the_file(tmp_path: Path) -> None:
    order = (
        '<ReadingOrder><OrderedGroup id="o"><RegionRefIndexed index="1" regionRef="a"/>'
        '<UnorderedGroupIndexed id="u" index="0"><RegionRef regionRef="c"/></UnorderedGroupIndexed>'
        '<RegionRefIndexed index="2" regionRef="gone"/></OrderedGroup></ReadingOrder>'
    )
    regions = "".join(region(name, page_line(f"l{name}", name)) for name in "abc")
    assert texts(tmp_path, page_xml(order + regions)) == ["c", "a", "b"]


def test_lines_and_regions_keep_the_order_that_transkribus_writes(tmp_path: Path) -> None:
    def custom(index: int) -> str:
        return f'custom="structure {{type:p;}} readingOrder {{index:{index};}}"'

    first = region("a", page_line("1", "two", custom(1)), page_line("2", "one", custom(0)))
    regions = region("b", page_line("3", "three"), more=custom(7))
    late = first.replace('id="a"', f'id="a" {custom(2)}', 1)
    assert texts(tmp_path, page_xml(regions + late)) == ["one", "two", "three"]


def test_regions_in_tables_and_in_regions_are_read(tmp_path: Path) -> None:
    cell = f'<TableCell id="c">{COORDS}{page_line("l1", "cell")}</TableCell>'
    table = f'<TableRegion id="t">{COORDS}{cell}{region("n", page_line("l2", "in it"))}'
    assert texts(tmp_path, page_xml(f"{table}</TableRegion>")) == ["cell", "in it"]


def test_text_is_composed_and_tidy(tmp_path: Path) -> None:
    line = page_line("l", "  Pr\u030cı\u0301ma\n\tdva ")
    found = texts(tmp_path, page_xml(region("r", line)))
    assert found == ["P\u0159\u0131\u0301ma dva"]


def test_of_several_readings_the_first_counts_and_words_stand_in_for_none(tmp_path: Path) -> None:
    two = (
        '<TextEquiv index="1"><Unicode>worse</Unicode></TextEquiv>'
        '<TextEquiv index="0"><Unicode>better</Unicode></TextEquiv>'
    )
    word = "<Word id='w{0}'><TextEquiv><Unicode>{1}</Unicode></TextEquiv></Word>"
    words = word.format(1, "two") + word.format(2, "words")
    lines = [
        f"<TextLine id='l{i}'>{COORDS}{each}</TextLine>" for i, each in enumerate((two, words))
    ]
    empty = f"<TextLine id='e'>{COORDS}<TextEquiv><Unicode/></TextEquiv></TextLine>"
    found = texts(tmp_path, page_xml(region("r", *lines, empty)))
    assert found == ["better", "two words", None]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_words_of_alto_become_lines_and_hyphens_stay(tmp_path: Path, version: int) -> None:
    first = alto_line(
        "l1",
        string("ein"),
        "<SP/>",
        string("Bei", 'SUBS_TYPE="HypPart1" SUBS_CONTENT="Beispiel"'),
        '<HYP CONTENT="\u00ad"/>',
    )
    second = alto_line("l2", string("spiel", 'SUBS_TYPE="HypPart2" SUBS_CONTENT="Beispiel"'))
    short = alto_line("l3", string("Dr.", 'SUBS_TYPE="Abbreviation" SUBS_CONTENT="Doktor"'))
    block = f"<TextBlock ID='b'>{first}{second}{short}</TextBlock>"
    assert texts(tmp_path, alto(block, version)) == ["ein Bei-", "spiel", "Dr."]


def test_a_line_of_alto_may_have_a_polygon_a_box_or_only_words(tmp_path: Path) -> None:
    shape = "<Shape><Polygon POINTS='10 10 90 12 90 30 10 28'/></Shape>"
    lines = (
        alto_line("shape", shape, string("a"), more='BASELINE="10 25 90 26"'),
        alto_line("comma", shape.replace("10 10 90 12", "10,10 90,12"), more='BASELINE="24.5"'),
        "<TextLine ID='words'>"
        + string("b", 'HPOS="5" VPOS="50" WIDTH="10" HEIGHT="8"')
        + string("c", 'HPOS="20" VPOS="52" WIDTH="10" HEIGHT="8"')
        + "</TextLine>",
    )
    path = tmp_path / "page.xml"
    block = f"<ComposedBlock><TextBlock ID='b'>{''.join(lines)}</TextBlock></ComposedBlock>"
    path.write_text(alto(block), encoding="utf-8")
    by_id = {line.id: line for line in read_layout(path).lines}
    assert by_id["shape"].polygon == by_id["comma"].polygon
    assert by_id["shape"].baseline == ((10, 25), (90, 26))
    assert by_id["comma"].baseline == ((10, 24.5), (90, 24.5))
    assert by_id["words"].polygon == ((5, 50), (30, 50), (30, 60), (5, 60))


def test_reading_order_of_alto(tmp_path: Path) -> None:
    def block(name: str, more: str = "") -> str:
        return f"<TextBlock ID='{name}' {more}>{alto_line(f'l{name}', string(name))}</TextBlock>"

    linked = block("a", "IDNEXT='c'") + block("b") + block("c")
    assert texts(tmp_path, alto(linked)) == ["a", "c", "b"]
    order = "<ReadingOrder><OrderedGroup ID='o'><ElementRef REF='{0}'/><ElementRef REF='{1}'/>"
    order += "</OrderedGroup></ReadingOrder>"
    plain = block("a") + block("b") + block("c")
    assert texts(tmp_path, alto(plain, before=order.format("c", "a"))) == ["c", "a", "b"]
    assert texts(tmp_path, alto(plain, before=order.format("lb", "la"))) == ["b", "a", "c"]


def test_other_units_and_sizes_are_brought_to_the_image(tmp_path: Path) -> None:
    path = tmp_path / "page.xml"
    block = f"<TextBlock ID='b'>{alto_line('l', string('a'))}</TextBlock>"
    path.write_text(alto(block, unit="mm10"), encoding="utf-8")
    (line,) = read_layout(path).fitted(1000, 2000).lines
    assert line.polygon == ((100, 100), (900, 100), (900, 300), (100, 300))


def test_lines_without_coordinates_get_a_band_as_wide_as_they_are_apart(tmp_path: Path) -> None:
    lines = "".join(
        f'<TextLine id="l{y}"><Baseline points="10,{y} 90,{y}"/></TextLine>' for y in (40, 54, 68)
    )
    path = tmp_path / "page.xml"
    path.write_text(page_xml(region("r", lines)), encoding="utf-8")
    for line, y in zip(read_layout(path).lines, (40, 54, 68), strict=True):
        rows = [row for _, row in line.polygon]
        assert y - 14 < min(rows) < y - 7
        assert y < max(rows) < y + 7


def test_lines_that_say_nothing_of_themselves_get_names(tmp_path: Path) -> None:
    path = tmp_path / "page.xml"
    lines = f"<TextLine>{COORDS}</TextLine>" * 2
    path.write_text(page_xml(region("r", lines)), encoding="utf-8")
    assert [line.id for line in read_layout(path).lines] == ["line_1", "line_2"]


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    content = page_xml(region("r", page_line("l", "é"))).replace("UTF-8", encoding[:10])
    assert texts(tmp_path, content.replace("utf-8-sig", "utf-8"), encoding) == ["é"]


FAULTS = [
    ("<a>\n<b></a>", "mismatched tag", 2),
    ("", "no element found", 1),
    ("text", "syntax error", 1),
    ('<!DOCTYPE a [<!ENTITY x "y">]>\n<a>&x;</a>', "DOCTYPE", 1),
    ("<html/>", "neither PAGE nor ALTO", 1),
    (f'<PcGts xmlns="{SPACE}2019-07-15"/>', "no Page", 1),
    (page_xml("").replace('"100"', '"0"'), "no size", 4),
    (page_xml("").replace('"100"', '"wide"'), '"wide" is no usable number', 4),
    (page_xml(region("r", "\n<TextLine id='l'/>")), "neither Coords nor a Baseline", 6),
    (page_xml(region("r", page_line("l", "a").replace("90,27", "90"))), "no second number", 5),
    (page_xml(region("r", page_line("l", "a").replace("90,27", "nan,1"))), '"nan"', 5),
    (page_xml(region("r", page_line("l", "a").replace("90,27", "1e300,1"))), '"1e300"', 5),
    (alto("").replace("<Page ", "<Pages ").replace("</Page>", "</Pages>"), "0 pages", 2),
    (alto("").replace("</Page>", "</Page>\n<Page/>"), "2 pages, and one is wanted", 7),
    (alto("<TextBlock><TextLine/></TextBlock>"), "neither a place nor a BASELINE", 6),
    (alto("", unit="mm10").replace('WIDTH="100"', ""), "its unit is not the pixel", 5),
]


@pytest.mark.parametrize(("content", "said", "line"), FAULTS)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, content: str, said: str, line: int
) -> None:
    path = tmp_path / "bad ř.xml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PageUnreadableError) as caught:
        read_layout(path)
    assert said in str(caught.value)
    assert f"bad ř.xml, line {line}." in str(caught.value)


def test_size_number_and_depth_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.xml"
    deep = "<TextRegion>" * 200 + "</TextRegion>" * 200
    path.write_text(page_xml(deep), encoding="utf-8")
    with pytest.raises(PageUnreadableError, match="too deep"):
        read_layout(path)
    monkeypatch.setattr(xml_tree, "MOST_ELEMENTS", 5)
    path.write_text(page_xml(region("r") * 9), encoding="utf-8")
    with pytest.raises(PageUnreadableError, match="too many elements"):
        read_layout(path)
    monkeypatch.setattr(xml_tree, "LARGEST", 100)
    with pytest.raises(PageUnreadableError, match="over 100 bytes"):
        read_layout(path)


def test_layout_files_beside_a_page_are_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = tmp_path / "p 1.png"
    assert layout_beside(page) is None
    (tmp_path / "page").mkdir()
    inner = page_xml(region("r", page_line("l", "inner")))
    (tmp_path / "page" / "p 1.xml").write_text(inner, encoding="utf-8")
    (tmp_path / "p 1.xml").write_text("<mets/>", encoding="utf-8")
    found = layout_beside(page)
    assert found is not None
    assert [line.text for line in found.lines] == ["inner"]
    assert "p 1.xml is neither PAGE nor ALTO" in caplog.text


@needs_shared
def test_real_files_give_the_lines_that_they_have() -> None:
    with (SHARED / "xml" / "fixtures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        page = read_layout(SHARED / row["xml"])
        assert (page.width, page.height) == (int(row["xml_width"]), int(row["xml_height"]))
        assert page.image == row["image_name_in_xml"]
        assert len(page.lines) == int(row["lines"])
        assert sum(line.text is not None for line in page.lines) == int(row["lines_with_text"])
    assert len(rows) == 12
