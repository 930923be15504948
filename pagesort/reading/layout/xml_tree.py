"""An XML file as a tree of the elements that matter, each with the line it stands in.

The files come from anywhere: a DOCTYPE, which entities need, is refused, and size, depth and the
number of elements have bounds.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from pagesort.common.errors import PageUnreadableError
from pagesort.reading.text_line import Points

LARGEST = 50_000_000  # bytes of a file; a page of dense print has some two millions
MOST_ELEMENTS = 500_000
DEEPEST = 100
FARTHEST = 1e6  # pixels, or tenths of millimetres, that a corner may lie from the page's
SEPARATORS = re.compile(r"[\s,]+")
SOFT_HYPHEN = "\u00ad"


@dataclass
class Element:
    """One element: `name` and `space` of its tag, and the `line` of the file it begins in."""

    name: str
    space: str
    attributes: Mapping[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """The children of a name."""
        return (child for child in self.children if child.name == name)

    def first(self, *names: str) -> Element | None:
        """What is found by going down to the first child of each name in turn."""
        found: Element | None = self
        for name in names:
            found = next(found.all(name), None) if found is not None else None
        return found

    @property
    def text(self) -> str:
        """The letters directly in the element."""
        return "".join(self.texts)

    def get(self, name: str) -> str:
        """An attribute, empty if there is none."""
        return self.attributes.get(name, "")


@dataclass(frozen=True)
class XmlFile:
    """A file that was read, and how its faults are told."""

    path: Path
    root: Element

    def fault(self, what: str, element: Element) -> PageUnreadableError:
        """Say what is wrong with an element, and where it stands."""
        return _fault(self.path, what, element.line)

    def number(self, element: Element, name: str, text: str | None = None) -> float:
        """The finite number in an attribute, or in a text of it."""
        said = element.get(name) if text is None else text
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if not abs(value) <= FARTHEST:
            raise self.fault(f'{element.name} {name}: "{said[:40]}" is no usable number', element)
        return value

    def points(self, element: Element, name: str) -> Points:
        """The corners in an attribute, written as `x,y x,y` or `x y x y`; none if it is missing."""
        parts = [part for part in SEPARATORS.split(element.get(name)) if part]
        if len(parts) % 2:
            raise self.fault(f"{element.name} {name}: a corner has no second number", element)
        values = [self.number(element, name, part) for part in parts]
        return tuple(zip(values[::2], values[1::2], strict=True))


def read_tree(path: Path, kept: Collection[str]) -> XmlFile:
    """Read a file, leaving out all elements that are not `kept`, with what lies in them.

    Raises:
        PageUnreadableError: it cannot be read, is no XML, has a DOCTYPE, or is too large; the
            message names the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        reason = f"the layout file cannot be read ({error.strerror})"
        raise PageUnreadableError(reason, where=path) from error
    if len(data) > LARGEST:
        raise PageUnreadableError(f"the layout file has over {LARGEST:,} bytes", where=path)
    builder = _Builder(path, frozenset(kept))
    return XmlFile(path, builder.build(data))


def tidy(text: str) -> str:
    """A line's text in composed letters (NFC), without breaks and control characters."""
    shown = text.replace(SOFT_HYPHEN, "-")
    shown = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in shown)
    return unicodedata.normalize("NFC", " ".join(shown.split()))


def _fault(path: Path, what: str, line: int) -> PageUnreadableError:
    return PageUnreadableError(
        f"the layout file cannot be used ({what})",
        where=f"{path}, line {line}",
        remedy="Mend that line, or take the file away",
    )


class _Builder:
    """Grows the tree while the parser reads."""

    def __init__(self, path: Path, kept: frozenset[str]) -> None:
        self._path, self._kept = path, kept
        self._parser = expat.ParserCreate(namespace_separator="\n")
        self._open: list[Element] = []
        self._root: Element | None = None
        self._skipped = 0  # how deep the parser is in an element that is left out
        self._count = 0

    def build(self, data: bytes) -> Element:
        parser = self._parser
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._letters
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            what = expat.errors.messages.get(error.code, "wrong XML")
            raise _fault(self._path, f"not valid XML: {what}", error.lineno) from error
        except (LookupError, ValueError) as error:
            raise _fault(self._path, f"not valid XML: {error}", self._line) from error
        assert self._root is not None, "the parser refuses a file without an element"
        return self._root

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition("\n")
        if self._skipped or (self._open and name not in self._kept):
            self._skipped += 1
            return
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= DEEPEST:
            raise _fault(self._path, "too many elements, or too deep in each other", self._line)
        element = Element(name, space, attributes, self._line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
        else:
            self._open.pop()

    def _letters(self, letters: str) -> None:
        if not self._skipped and self._open:
            self._open[-1].texts.append(letters)

    def _refuse(self, *_: Any) -> None:
        what = "a DOCTYPE, which may name other files or grow without end"
        raise _fault(self._path, what, self._line)
