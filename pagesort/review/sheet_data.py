"""What a contact sheet's scripts hold: columns of all pages, packed, and rows in chunks.

A browser may not read files beside a page that it opened from the disk, but it runs scripts from
there. So all data is scripts, each one call of a function of `assets/data.js`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagesort.review.sheet import SheetPage

CHUNK_PAGES = 500
NONE = 0xFFFF
FAILED, DIFFERS, NOTED, NEEDS_REVIEW = 1, 2, 4, 8
"""Bits of a page's flags."""
KEY_LETTERS = 10
"""60 bits: among a million pages, two share a key once in two million sheets."""


class Columns:
    """What filters and counts need to know of every page, about 25 bytes a page.

    Keys name pages in the browser's memory, so that corrections survive the adding of pages.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._places = {label: place for place, label in enumerate(labels)}
        self._documents: dict[str, int] = {}
        self._keys: list[str] = []
        self._labels, self._scores, self._flags = array("H"), array("H"), array("B")
        self._document, self._order, self._groups = array("I"), array("I"), array("I")

    def add(self, page: SheetPage, place: int, label: str) -> None:
        """Add the next page: `place` is its place in scan order, `label` what it is called."""
        name = f"{page.path}\0{page.page}".encode("utf-8", "surrogatepass")
        digest = base64.urlsafe_b64encode(hashlib.sha256(name).digest())
        self._keys.append(digest[:KEY_LETTERS].decode("ascii"))
        self._labels.append(self._places.get(label, NONE))
        self._scores.append(NONE if page.score is None else round(1000 * page.score))
        flags = ((FAILED, page.problem), (DIFFERS, page.other), (NOTED, page.note),
                 (NEEDS_REVIEW, page.needs_review))  # fmt: skip
        self._flags.append(sum(bit for bit, is_set in flags if is_set))
        self._document.append(self._documents.setdefault(page.file, len(self._documents)))
        self._order.append(place)
        self._groups.append(page.group)

    def packed(self) -> dict[str, object]:
        """Name -> values, little-endian in base64; keys one after the other."""
        columns = {
            "label": self._labels,
            "score": self._scores,
            "flags": self._flags,
            "document": self._document,
            "order": self._order,
        }
        if any(self._groups):
            columns["group"] = self._groups
        return {
            "pages": len(self._keys),
            "chunk": CHUNK_PAGES,
            "keys": "".join(self._keys),
            "columns": {name: _packed(values) for name, values in columns.items()},
        }

    def documents_script(self) -> str:
        """The script that holds the documents' names."""
        return script("documents", list(self._documents))


def _packed(values: array[int]) -> str:
    if memoryview(array("H", [1])).tobytes()[0] == 0:
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


def script(function: str, *arguments: object) -> str:
    """A call of a function of the sheet; only ASCII, and without `<`, so that nothing closes it."""
    texts = [json.dumps(each, separators=(",", ":")).replace("<", "\\u003c") for each in arguments]
    return f"PageSort.{function}({','.join(texts)});\n"


def chunk_script(data: Path, number: int, rows: Sequence[Sequence[object]]) -> tuple[Path, str]:
    """The file and the script of some pages that lie together."""
    return data / f"pages-{number:05d}.js", script("chunk", number, rows)
