"""What was read of a page as a file: plain text, PAGE XML of 2019, ALTO 4, or a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from xml.etree import ElementTree

import pagesort
from pagesort.reading.layout.xml_tree import tidy
from pagesort.reading.text_line import PageText, Points, TextLine

PAGE_SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
ALTO_SPACE = "http://www.loc.gov/standards/alto/ns-v4#"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
ALTO_SCHEMA = f"{ALTO_SPACE} http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"
PAGE_SCHEMA = f"{PAGE_SPACE} {PAGE_SPACE}/pagecontent.xsd"
NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)  # what an id of XML may be
# Letters that XML has no place for: halves of others, and two that are none.
NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
DECIMALS = 3


@dataclass(frozen=True)
class ReadPage:
    """A page whose lines have texts, with how sure the reader is of each, 0 to 1.

    `image` is the name of the page's image, without its folder; `when` tells when it was read.
    """

    text: PageText
    confidences: tuple[float, ...]
    image: str
    when: datetime

    @property
    def lines(self) -> Iterator[tuple[TextLine, float]]:
        """Each line with its confidence."""
        return zip(self.text.lines, self.confidences, strict=True)

    def blocks(self) -> Iterator[list[tuple[TextLine, float]]]:
        """Lines that follow one another in one region."""
        for _, lines in groupby(self.lines, key=lambda each: each[0].region):
            yield list(lines)


def plain_text(page: ReadPage) -> str:
    """A line of the file for each line, an empty one between regions."""
    blocks = ("".join(f"{_said(line)}\n" for line, _ in block) for block in page.blocks())
    return "\n".join(blocks)


def table(page: ReadPage) -> str:
    """A row a line, cells parted by tabs: its place on the page, confidence and text."""
    rows = ["LINE\tREGION\tLEFT\tTOP\tWIDTH\tHEIGHT\tCONFIDENCE\tTEXT"]
    for number, (line, confidence) in enumerate(page.lines, start=1):
        place = "\t".join(map(str, _box(line.polygon)))
        cells = (number, tidy(line.region), place, f"{confidence:.{DECIMALS}f}", _said(line))
        rows.append("\t".join(map(str, cells)))
    return "\n".join(rows) + "\n"


def page_xml(page: ReadPage) -> str:
    """PAGE XML of 2019, with the reading order."""
    root = _root("PcGts", PAGE_SPACE, PAGE_SCHEMA)
    about = ElementTree.SubElement(root, "Metadata")
    when = page.when.strftime("%Y-%m-%dT%H:%M:%S")
    creator = f"pagesort {pagesort.__version__}"
    for name, text in (("Creator", creator), ("Created", when), ("LastChange", when)):
        ElementTree.SubElement(about, name).text = text
    whole = {
        "imageFilename": _clean(page.image),
        "imageWidth": str(page.text.width),
        "imageHeight": str(page.text.height),
    }
    inside = ElementTree.SubElement(root, "Page", whole)
    blocks = list(page.blocks())
    names = _names(page, blocks)
    if blocks:
        order = ElementTree.SubElement(inside, "ReadingOrder")
        group = ElementTree.SubElement(order, "OrderedGroup", id=next(names))
        regions = [next(names) for _ in blocks]
        for index, name in enumerate(regions):
            ElementTree.SubElement(group, "RegionRefIndexed", index=str(index), regionRef=name)
    for name, block in zip(regions if blocks else (), blocks, strict=True):
        region = ElementTree.SubElement(inside, "TextRegion", id=name)
        _coords(region, "Coords", _around(block))
        for index, (line, confidence) in enumerate(block):
            custom = f"readingOrder {{index:{index};}}"
            element = ElementTree.SubElement(region, "TextLine", id=next(names), custom=custom)
            _coords(element, "Coords", line.polygon)
            _coords(element, "Baseline", line.baseline)
            said = {"conf": f"{confidence:.{DECIMALS}f}"}
            equivalent = ElementTree.SubElement(element, "TextEquiv", said)
            ElementTree.SubElement(equivalent, "Unicode").text = _said(line)
    return _written(root)


def alto(page: ReadPage) -> str:
    """ALTO 4.2, one String a line, as nobody knows where its words are."""
    root = _root("alto", ALTO_SPACE, ALTO_SCHEMA)
    about = ElementTree.SubElement(root, "Description")
    ElementTree.SubElement(about, "MeasurementUnit").text = "pixel"
    source = ElementTree.SubElement(about, "sourceImageInformation")
    ElementTree.SubElement(source, "fileName").text = _clean(page.image)
    blocks = list(page.blocks())
    names = _names(page, blocks)
    _processing(about, page.when)
    layout = ElementTree.SubElement(root, "Layout")
    size = {"WIDTH": str(page.text.width), "HEIGHT": str(page.text.height)}
    inside = ElementTree.SubElement(
        layout, "Page", {"ID": next(names), "PHYSICAL_IMG_NR": "1", **size}
    )
    space = ElementTree.SubElement(inside, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    regions = [next(names) for _ in blocks]
    for name, block in zip(regions, blocks, strict=True):
        place = {"ID": name, **_place(_around(block))}
        element = ElementTree.SubElement(space, "TextBlock", place)
        for line, confidence in block:
            _alto_line(element, line, confidence, next(names))
    return _written(root)


def _alto_line(block: ElementTree.Element, line: TextLine, confidence: float, name: str) -> None:
    """Write a line with its outline, its baseline and its text."""
    place = _place(line.polygon)
    baseline = _corners(line.baseline, " ")
    element = ElementTree.SubElement(block, "TextLine", {"ID": name, "BASELINE": baseline, **place})
    shape = ElementTree.SubElement(element, "Shape")
    ElementTree.SubElement(shape, "Polygon", POINTS=_corners(line.polygon, " "))
    said = {"CONTENT": _said(line), "WC": f"{confidence:.{DECIMALS}f}"}
    ElementTree.SubElement(element, "String", {**said, **place})


def _processing(about: ElementTree.Element, when: datetime) -> None:
    """Say which program wrote the file."""
    step = ElementTree.SubElement(about, "Processing", ID="reading")
    ElementTree.SubElement(step, "processingDateTime").text = when.strftime("%Y-%m-%dT%H:%M:%S")
    software = ElementTree.SubElement(step, "processingSoftware")
    for name, text in (("softwareName", "pagesort"), ("softwareVersion", pagesort.__version__)):
        ElementTree.SubElement(software, name).text = text


FORMATS: Mapping[str, tuple[str, Callable[[ReadPage], str]]] = {
    "txt": (".txt", plain_text),
    "page": (".xml", page_xml),
    "alto": (".alto.xml", alto),
    "tsv": (".tsv", table),
}
"""What a page can be written as: the ending of the file's name, and what makes its content."""


def _names(page: ReadPage, blocks: Sequence[object]) -> Iterator[str]:
    """Names for the group or page, for each block, and for each line, all different.

    A line keeps the name that it came with where XML takes it and no other line has it.
    """
    ours = [f"pagesort_{number}" for number in range(len(blocks) + 1)]
    taken = set(ours)
    yield from ours
    for number, line in enumerate(page.text.lines, start=1):
        name = line.id if NAME.fullmatch(line.id) else f"line_{number}"
        while name in taken:
            name = f"{name}_{number}"
        taken.add(name)
        yield name


def _root(name: str, space: str, schema: str) -> ElementTree.Element:
    return ElementTree.Element(
        name, {"xmlns": space, "xmlns:xsi": INSTANCE, "xsi:schemaLocation": schema}
    )


def _written(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    content = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{content}\n'


def _said(line: TextLine) -> str:
    return _clean(tidy(line.text or ""))


def _clean(text: str) -> str:
    return NO_XML.sub("\ufffd", "".join(sign for sign in text if sign >= " "))


def _coords(parent: ElementTree.Element, name: str, points: Points) -> None:
    ElementTree.SubElement(parent, name, points=_corners(points, ","))


def _corners(points: Points, between: str) -> str:
    """Corners as whole pixels of the page, which PAGE wants."""
    return " ".join(f"{max(0, round(x))}{between}{max(0, round(y))}" for x, y in points)


def _box(points: Points) -> tuple[int, int, int, int]:
    """Left, top, width and height of what goes around points."""
    across, down = zip(*points, strict=True)
    left, top = max(0, round(min(across))), max(0, round(min(down)))
    return left, top, max(0, round(max(across))) - left, max(0, round(max(down))) - top


def _place(points: Points) -> dict[str, str]:
    return dict(zip(("HPOS", "VPOS", "WIDTH", "HEIGHT"), map(str, _box(points)), strict=True))


def _around(block: Sequence[tuple[TextLine, float]]) -> Points:
    points = [point for line, _ in block for point in line.polygon]
    left, top, width, height = _box(tuple(points))
    right, bottom = left + width, top + height
    return (left, top), (right, top), (right, bottom), (left, bottom)
