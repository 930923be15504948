"""PAGE XML of 2010 to 2019, as Transkribus, eScriptorium, kraken and OCR-D write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pagesort.reading.layout.shapes import baseline_in, has_area, with_polygons
from pagesort.reading.layout.xml_tree import Element, XmlFile, tidy
from pagesort.reading.text_line import PageText, Points, TextLine
from pagesort.records.layout_files import PAGE_SPACE

REGIONS = (
    *("TextRegion", "TableRegion", "GraphicRegion", "ImageRegion", "LineDrawingRegion"),
    *("ChartRegion", "SeparatorRegion", "MathsRegion", "ChemRegion", "MusicRegion", "AdvertRegion"),
    *("NoiseRegion", "UnknownRegion", "CustomRegion", "MapRegion", "TableCell"),
)
GROUPS = ("OrderedGroup", "OrderedGroupIndexed", "UnorderedGroup", "UnorderedGroupIndexed")
REFERENCES = ("RegionRef", "RegionRefIndexed")
KEPT = frozenset(
    (
        *(*REGIONS, *GROUPS, *REFERENCES, "Page", "ReadingOrder", "TextLine", "Coords", "Point"),
        *("Baseline", "Word", "TextEquiv", "Unicode", "PlainText"),
    )
)
OWN_ORDER = re.compile(r"readingOrder\s*\{\s*index\s*:\s*(\d{1,6})\s*;?\s*\}")  # Transkribus
LAST = 10**7  # the place of what has none


def is_page_xml(root: Element) -> bool:
    """Whether a file is PAGE XML."""
    return root.name == "PcGts" and PAGE_SPACE.fullmatch(root.space) is not None


def page_text(file: XmlFile) -> PageText:
    """The lines of a PAGE file in reading order.

    Where the file says nothing of the order of regions, and of lines in one, it is the order in
    which they stand in the file. Regions that its reading order leaves out come last.

    Raises:
        PageUnreadableError: what is wrong, with its line.
    """
    page = file.root.first("Page")
    if page is None:
        raise file.fault("it has no Page", file.root)
    width, height = (file.number(page, name) for name in ("imageWidth", "imageHeight"))
    if min(width, height) < 1:
        raise file.fault("Page has no size", page)
    lines: list[TextLine] = []
    for region in _in_order(page):
        found = [
            _line(file, element, region, len(lines) + number)
            for number, element in enumerate(_lines_in_order(region))
        ]
        lines += with_polygons(found, height)
    name = page.get("imageFilename")
    return PageText(file.path, round(width), round(height), tuple(lines), name)


def _in_order(page: Element) -> list[Element]:
    """All regions of a page, those in others, too, as they are read."""
    regions = list(_regions(page))
    by_id = {region.get("id"): region for region in reversed(regions) if region.get("id")}
    order = page.first("ReadingOrder")
    said: dict[str, None] = dict.fromkeys(_references(order)) if order is not None else {}
    if said:
        first = [by_id[name] for name in said if name in by_id]
        return first + [region for region in regions if region.get("id") not in said]
    return _sorted(regions)


def _regions(parent: Element) -> Iterator[Element]:
    for child in parent.children:
        if child.name in REGIONS:
            yield child
            yield from _regions(child)


def _references(group: Element) -> Iterator[str]:
    """The ids that a group of the reading order names, one after the other."""
    children: Iterable[Element] = group.children
    if group.name.startswith("OrderedGroup"):
        children = sorted(children, key=lambda child: _index(child.get("index")))
    for child in children:
        if child.get("regionRef"):
            yield child.get("regionRef")
        if child.name in GROUPS:
            yield from _references(child)


def _lines_in_order(region: Element) -> Sequence[Element]:
    return _sorted(list(region.all("TextLine")))


def _sorted(elements: list[Element]) -> list[Element]:
    """Sort elements by the place that they tell of themselves, if all of them do."""
    places = [_place(element) for element in elements]
    if LAST in places:
        return elements
    order = sorted(range(len(elements)), key=lambda number: places[number])
    return [elements[number] for number in order]


def _place(element: Element) -> int:
    own = OWN_ORDER.search(element.get("custom"))
    return int(own[1]) if own else _index(element.get("index"))


def _index(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else LAST


def _line(file: XmlFile, element: Element, region: Element, number: int) -> TextLine:
    polygon = _corners(file, element, "Coords")
    polygon = polygon if has_area(polygon) else ()
    baseline = _corners(file, element, "Baseline")
    if len(baseline) < 2:
        if not polygon:
            raise file.fault("a TextLine has neither Coords nor a Baseline", element)
        baseline = baseline_in(polygon)
    name = element.get("id") or f"line_{number + 1}"
    return TextLine(name, baseline, polygon, _text(element), region.get("id"))


def _corners(file: XmlFile, element: Element, name: str) -> Points:
    found = element.first(name)
    if found is None:
        return ()
    if found.get("points"):
        return file.points(found, "points")
    # As schemas before 2013 have it.
    return tuple((file.number(each, "x"), file.number(each, "y")) for each in found.all("Point"))


def _text(line: Element) -> str | None:
    """What a line says: its own text, else that of its words; None if nobody has written any."""
    own = _own_text(line)
    if own:
        return own
    words = (_own_text(word) for word in _sorted(list(line.all("Word"))))
    return " ".join(filter(None, words)) or None


def _own_text(element: Element) -> str:
    """The text of an element; of several readings the first by their index."""
    readings = sorted(element.all("TextEquiv"), key=lambda each: _index(each.get("index")))
    for reading in readings[:1]:
        for name in ("Unicode", "PlainText"):
            found = reading.first(name)
            if found is not None and found.text.strip():
                return tidy(found.text)
    return ""
