"""Options of searching pages by what they look like."""

from __future__ import annotations

from pagesort.cli.options.option import FOLDER_ACTIONS, SEARCH, Option
from pagesort.cli.value_types import FILE, PATH, SWITCH, TEXT, share, whole

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "find", TEXT, None, "the pages that fit a description, such as \"a map with a legend\": "
        "of a folder with -d or --dir, else of all folders looked at before",
        flags=("--find",), audience=SEARCH,
    ),
    Option(
        "similar", PATH, None, "the same for pages that look like this one; letters.pdf:3 is page "
        "3 of a document", flags=("--similar",), audience=SEARCH,
    ),
    Option(
        "nearest", whole(1), 20, "how many pages --find and --similar show",
        "SEARCH", "nearest", ("--nearest",), SEARCH, used_by=("find", "similar"),
    ),
    Option(
        "duplicates", SWITCH, False, "list the pages that were scanned twice, of a folder or of "
        "all folders looked at before", flags=("--duplicates",), audience=SEARCH,
    ),
    Option(
        "duplicate_similarity", share(), 0.7, "how alike two scans of one page are, 0 to 1",
        "SEARCH", "duplicate_similarity", ("--duplicate_similarity",), SEARCH,
        used_by=("duplicates",),
    ),
    Option(
        "embed", FILE, None, "with -d or --dir: write the embedding of every page into this file, "
        ".npz or .parquet", flags=("--embed",), audience=SEARCH, used_by=FOLDER_ACTIONS,
    ),
)
# fmt: on
