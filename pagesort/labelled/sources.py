"""From which archive, data set or printer a labelled page comes, as far as a table tells."""

from __future__ import annotations

import csv
from pathlib import Path

from pagesort.common.files import translate_unreadable

SOURCES_FILE = "sources.csv"


def read_sources(folder: Path) -> dict[str, str]:
    """Page name -> source, as a table `sources.csv` with `path` and `source` in the folder tells.

    Raises:
        PageSortError: it cannot be read, or has no such columns.
    """
    path = folder / SOURCES_FILE
    remedy = "It is a table with the columns path (LABEL/page.png) and source"
    faults = (ValueError, csv.Error)
    with translate_unreadable(path, "the sources of the pages cannot be read", remedy, faults):
        try:
            file = path.open(encoding="utf-8-sig", newline="")
        except FileNotFoundError:
            return {}
        with file:
            rows = csv.DictReader(file)
            if not {"path", "source"} <= set(rows.fieldnames or ()):
                raise ValueError("no columns path and source")
            return {row["path"]: row["source"] or "" for row in rows if row["path"]}
