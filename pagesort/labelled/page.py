"""One labelled page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils import page_name


@dataclass(frozen=True)
class LabelledPage:
    """One page of a training or evaluation folder.

    `document` is the FILE that its name tells; `name` is its place below the folder, with `/`:
    `TEXT/report-3.png`; `source` is what a table `sources.csv` in the folder tells, or nothing.
    """

    path: Path
    label: str
    document: str
    name: str
    source: str = ""


def document_of(path: Path) -> str:
    """The document of a page in a label's folder: its FILE.

    FILE of a name of digits alone is its folder, which is the label here and no document.
    """
    return path.stem if path.stem.isdecimal() else page_name(path)[0]
