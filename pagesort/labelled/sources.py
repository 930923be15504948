"""From which archive, data set or printer a labelled page comes, as far as a table tells."""

from __future__ import annotations

import csv
from pathlib import Path

from pagesort.common.errors import PageSortError

SOURCES_FILE = "sources.csv"


def read_sources(folder: Path) -> dict[str, str]:
    """Page name -> source, as a table `sources.csv` with `path` and `source` in the folder tells.

    Raises:
        PageSortError: it cannot be read, or has no such columns.
    """
    path = folder / SOURCES_FILE
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"path", "source"} <= set(rows.fieldnames or ()):
                raise ValueError("no columns path and source")
            return {row["path"]: row["source"] or "" for row in rows if row["path"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise PageSortError(
            f"the sources of the pages cannot be read ({error})",
            where=path,
            remedy="It is a table with the columns path (LABEL/page.png) and source",
        ) from error
