"""Which documents and sources a model was trained on, so that an evaluation can set them apart.

Pages of one document look alike, and so do those of one archive or printer: figures from pages
whose neighbours were trained on promise too much.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.files import translate_unreadable, write_whole
from pagesort.labelled.folder import LabelledPage

TRAINED_NAMES_FILE = "trained_names.txt"

_DIGITS = 16
_KINDS = ("document", "source")
_LINE = re.compile(r"(?P<kind>document|source) (?P<digest>[0-9a-f]{16})")
_REMEDY = "Fetch or train the model again"


@dataclass(frozen=True)
class TrainedNames:
    """Digests of the names of the documents and sources that a model was trained on."""

    documents: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[str], sources: Iterable[str] = ()) -> TrainedNames:
        """Digest names; a number alone, and no name, tell nothing apart and are left out."""
        digests = [
            frozenset(_digest(name) for name in names if name and not name.isdecimal())
            for names in (documents, sources)
        ]
        return cls(*digests)

    def __or__(self, other: TrainedNames) -> TrainedNames:
        return TrainedNames(self.documents | other.documents, self.sources | other.sources)

    def __bool__(self) -> bool:
        return bool(self.documents or self.sources)

    def know(self, page: LabelledPage) -> bool:
        """Whether a page's document or source was trained on."""
        return _digest(page.document) in self.documents or _digest(page.source) in self.sources


NO_NAMES = TrainedNames()


def write_trained_names(folder: str | Path, names: TrainedNames) -> Path:
    """Write the digests into a model's folder, a line each: `document` or `source`, 16 hex digits.

    Raises:
        PageSortError: the file cannot be written.
    """
    path = Path(folder) / TRAINED_NAMES_FILE
    lines = [
        f"{kind} {digest}\n"
        for kind, digests in zip(_KINDS, (names.documents, names.sources), strict=True)
        for digest in sorted(digests)
    ]
    write_whole(path, "".join(lines))
    return path


def read_trained_names(folder: str | Path) -> TrainedNames:
    """The digests that a model's folder holds; none where it tells nothing.

    Raises:
        PageSortError: the file is damaged or cannot be read.
    """
    path = Path(folder) / TRAINED_NAMES_FILE
    found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    what = "the list of trained documents cannot be read"
    with translate_unreadable(path, what, _REMEDY, (ValueError,)):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return NO_NAMES
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{line[:40]!r} is no document or source")
            found[match["kind"]].add(match["digest"])
    return TrainedNames(*(frozenset(found[kind]) for kind in _KINDS))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
