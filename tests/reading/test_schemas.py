"""What is written keeps to the rules of PAGE XML of 2019-07-15 and of ALTO 4.2.

The schemas are not at hand, so that the rules on what this program writes are stated here. Files of
all the kinds below were found valid by the schemas themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from pagesort.reading.text_line import TextLine
from tests.reading.test_writers import LINES, line, read_page, written

SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
NAME = r"[A-Za-z_][\w.-]*"
COUNT = r"\d+"
SHARE = r"0\.\d+|1\.0+"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
POINTS = r"\d+,\d+( \d+,\d+)+"
CORNERS = r"\d+ \d+( \d+ \d+)+"
ANY = r"(?s).*"


@dataclass(frozen=True)
class Rule:
    """Children as a pattern over their names, attributes with the pattern of their values."""

    children: str = ""
    attributes: str = ""
    text: str = ""

    def allows(self, element: ElementTree.Element) -> bool:
        inside = "".join(f"{local(child)} " for child in element)
        wanted = dict(pair.split("=") for pair in self.attributes.split())
        return (
            re.fullmatch(self.children, inside) is not None
            and element.attrib.keys() - {SCHEMA_LOCATION} == wanted.keys()
            and all(
                re.fullmatch(globals()[kind], element.attrib[name]) for name, kind in wanted.items()
            )
            and (
                len(element) > 0
                or re.fullmatch(self.text or r"\s*", element.text or "") is not None
            )
        )


PAGE = {
    "PcGts": Rule("Metadata Page "),
    "Metadata": Rule("Creator Created LastChange "),
    "Creator": Rule(text=ANY),
    "Created": Rule(text=TIME),
    "LastChange": Rule(text=TIME),
    "Page": Rule(
        "(ReadingOrder (TextRegion )+)?", "imageFilename=ANY imageWidth=COUNT imageHeight=COUNT"
    ),
    "ReadingOrder": Rule("OrderedGroup "),
    "OrderedGroup": Rule("(RegionRefIndexed )+", "id=NAME"),
    "RegionRefIndexed": Rule("", "index=COUNT regionRef=NAME"),
    "TextRegion": Rule("Coords (TextLine )+", "id=NAME"),
    "TextLine": Rule("Coords Baseline TextEquiv ", "id=NAME custom=ANY"),
    "Coords": Rule("", "points=POINTS"),
    "Baseline": Rule("", "points=POINTS"),
    "TextEquiv": Rule("Unicode ", "conf=SHARE"),
    "Unicode": Rule(text=ANY),
}
PLACE = "HPOS=COUNT VPOS=COUNT WIDTH=COUNT HEIGHT=COUNT"
ALTO = {
    "alto": Rule("Description Layout "),
    "Description": Rule("MeasurementUnit sourceImageInformation Processing "),
    "MeasurementUnit": Rule(text="pixel"),
    "sourceImageInformation": Rule("fileName "),
    "fileName": Rule(text=ANY),
    "Processing": Rule("processingDateTime processingSoftware ", "ID=NAME"),
    "processingDateTime": Rule(text=TIME),
    "processingSoftware": Rule("softwareName softwareVersion "),
    "softwareName": Rule(text=ANY),
    "softwareVersion": Rule(text=ANY),
    "Layout": Rule("Page "),
    "Page": Rule("PrintSpace ", "ID=NAME PHYSICAL_IMG_NR=COUNT WIDTH=COUNT HEIGHT=COUNT"),
    "PrintSpace": Rule("(TextBlock )*", PLACE),
    "TextBlock": Rule("(TextLine )+", f"ID=NAME {PLACE}"),
    "TextLine": Rule("Shape String ", f"ID=NAME BASELINE=CORNERS {PLACE}"),
    "Shape": Rule("Polygon "),
    "Polygon": Rule("", "POINTS=CORNERS"),
    "String": Rule("", f"CONTENT=ANY WC=SHARE {PLACE}"),
}
RULES = {"page": PAGE, "alto": ALTO}
EDGES = ((-5.0, -3.0), (300.0, 12.0), (90.4, 300.0))


def local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        (),
        [line(name, "a") for name in ("1 no", "same", "same", "pagesort_0", "line_1", "", "ř")],
        [line("signs", "a\x00\ud800\ufffe\x0b b"), line("none", None), line("empty", "")],
        [TextLine("edges", EDGES, EDGES, "a", "")],
    ],
    ids=["usual", "none", "names", "signs", "edges"],
)
@pytest.mark.parametrize("kind", list(RULES))
def test_every_element_keeps_to_the_schema(kind: str, lines: list[TextLine]) -> None:
    root = ElementTree.fromstring(written(read_page(*lines, image='a\x00"<\n ř.png'), kind))
    spaces = {element.tag.partition("}")[0] for element in root.iter()}
    assert len(spaces) == 1
    broken = [local(each) for each in root.iter() if not RULES[kind][local(each)].allows(each)]
    assert broken == []
    names = [each.get("id") or each.get("ID") for each in root.iter()]
    known = [name for name in names if name]
    assert len(known) == len(set(known))
    referred = {each.get("regionRef") for each in root.iter() if each.get("regionRef")}
    assert referred <= set(known)
