"""ALTO of the versions 2 to 4, as libraries, ABBYY, eScriptorium and kraken write it."""

from __future__ import annotations

from collections.abc import Iterator

from pagesort.reading.layout.shapes import baseline_in, box, has_area, with_polygons
from pagesort.reading.layout.xml_tree import Element, XmlFile, tidy
from pagesort.reading.text_line import PageText, Points, TextLine
from pagesort.records.layout_files import ALTO_SPACES

MARGINS = ("TopMargin", "LeftMargin", "PrintSpace", "RightMargin", "BottomMargin")  # as read
GROUPS = ("OrderedGroup", "UnorderedGroup")
KEPT = frozenset(
    (
        *("Description", "MeasurementUnit", "sourceImageInformation", "fileName"),
        *("ReadingOrder", *GROUPS, "ElementRef", "Layout", "Page", *MARGINS, "ComposedBlock"),
        *("TextBlock", "TextLine", "Shape", "Polygon", "String", "SP", "HYP"),
    )
)
HYPHEN = "-"


def is_alto(root: Element) -> bool:
    """Whether a file is ALTO."""
    return root.name == "alto" and ALTO_SPACES.fullmatch(root.space) is not None


def count_pages(root: Element) -> int:
    """How many pages an ALTO file tells of."""
    return len(_pages(root))


def _pages(root: Element) -> list[Element]:
    layout = root.first("Layout")
    return [] if layout is None else list(layout.all("Page"))


def page_text(file: XmlFile, number: int | None = None) -> PageText:
    """The lines of a page of an ALTO file in reading order.

    That is the order of `ReadingOrder` (since 4.3), else of the links from block to block, else of
    the file. A line's text is what stands on it: of a word that goes on in the next line its part
    with the hyphen, of an abbreviation its letters, never `SUBS_CONTENT`. Sizes in tenths of
    millimetres or in 1/1200 inch stay so, for `PageText.fitted` to bring to pixels.

    Args:
        file: a file that `is_alto`.
        number: which page of it, from 1; needed if it holds several.

    Raises:
        PageUnreadableError: what is wrong, with its line.
    """
    pages = _pages(file.root)
    if number is None and len(pages) > 1:
        raise file.fault(f"it holds {len(pages)} pages, and one is wanted", pages[1])
    if not 1 <= (number or 1) <= len(pages):
        raise file.fault(f"it holds {len(pages)} pages, and not page {number or 1}", file.root)
    page = pages[(number or 1) - 1]
    width, height = (
        file.number(page, name) if page.get(name) else 0.0 for name in ("WIDTH", "HEIGHT")
    )
    unit = file.root.first("Description", "MeasurementUnit")
    if min(width, height) < 1 and unit is not None and unit.text.strip() not in ("", "pixel"):
        raise file.fault("Page has no WIDTH and HEIGHT, and its unit is not the pixel", page)
    lines: list[TextLine] = []
    for block in _blocks_in_order(file.root, page):
        found = [
            _line(file, element, block, len(lines) + place)
            for place, element in enumerate(block.all("TextLine"))
        ]
        lines += with_polygons(found, height)
    ordered = _lines_in_order(file.root, lines)
    image = file.root.first("Description", "sourceImageInformation", "fileName")
    name = image.text.strip() if image is not None else ""
    return PageText(file.path, round(width), round(height), tuple(ordered), name)


def _blocks_in_order(root: Element, page: Element) -> list[Element]:
    parts = sorted(
        (part for part in page.children if part.name in MARGINS),
        key=lambda part: MARGINS.index(part.name),
    )
    blocks = [block for part in parts for block in _blocks(part)]
    by_id = {block.get("ID"): block for block in reversed(blocks) if block.get("ID")}
    said = [by_id[name] for name in _references(root) if name in by_id]
    placed: dict[int, Element] = {}
    for block in said + blocks:
        # A block may name the next one, which may stand anywhere.
        while id(block) not in placed:
            placed[id(block)] = block
            block = block if said else by_id.get(block.get("IDNEXT"), block)
    return list(placed.values())


def _blocks(parent: Element) -> Iterator[Element]:
    for child in parent.children:
        if child.name == "TextBlock":
            yield child
        elif child.name == "ComposedBlock":
            yield from _blocks(child)


def _lines_in_order(root: Element, lines: list[TextLine]) -> list[TextLine]:
    """Bring lines that the reading order names one by one into that order."""
    by_id = {line.id: line for line in reversed(lines)}
    said = [by_id[name] for name in _references(root) if name in by_id]
    chosen = {line.id for line in said}
    return said + [line for line in lines if line.id not in chosen] if said else lines


def _references(root: Element) -> list[str]:
    order = root.first("ReadingOrder")
    return list(dict.fromkeys(_named(order))) if order is not None else []


def _named(group: Element) -> Iterator[str]:
    for child in group.children:
        if child.name == "ElementRef":
            yield child.get("REF")
        elif child.name in GROUPS:
            yield from _named(child)


def _line(file: XmlFile, element: Element, block: Element, number: int) -> TextLine:
    polygon = _polygon(file, element)
    said = element.get("BASELINE").replace(",", " ").split()
    if len(said) == 1 and polygon:  # before version 4: how far down
        level = file.number(element, "BASELINE")
        edges = [x for x, _ in polygon]
        baseline: Points = ((min(edges), level), (max(edges), level))
    else:
        baseline = file.points(element, "BASELINE") if len(said) > 1 else ()
    if len(baseline) < 2:
        if not polygon:
            raise file.fault("a TextLine has neither a place nor a BASELINE", element)
        baseline = baseline_in(polygon)
    name = element.get("ID") or f"line_{number + 1}"
    return TextLine(name, baseline, polygon, _text(element), block.get("ID"))


def _polygon(file: XmlFile, line: Element) -> Points:
    """A line's outline, or its box, or the one around its words."""
    shape = line.first("Shape", "Polygon")
    polygon = file.points(shape, "POINTS") if shape is not None else ()
    if has_area(polygon):
        return polygon
    for elements in ([line], list(line.all("String"))):
        corners = [corner for each in elements for corner in _box(file, each)]
        if corners:
            across, down = zip(*corners, strict=True)
            left, top = min(across), min(down)
            polygon = box(left, top, max(across) - left, max(down) - top)
            if has_area(polygon):
                return polygon
    return ()


def _box(file: XmlFile, element: Element) -> Points:
    names = ("HPOS", "VPOS", "WIDTH", "HEIGHT")
    if not all(element.get(name) for name in names):
        return ()
    return box(*(file.number(element, name) for name in names))


def _text(line: Element) -> str | None:
    words = [each.get("CONTENT") for each in line.all("String")]
    text = tidy(" ".join(words))
    hyphen = line.first("HYP")
    if text and hyphen is not None:
        sign = tidy(hyphen.get("CONTENT")) or HYPHEN
        text = text if text.endswith(sign) else text + sign
    return text or None
