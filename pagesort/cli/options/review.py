"""Options of looking at a result and correcting it."""

from __future__ import annotations

from pagesort.cli.options.option import REVIEW, Option
from pagesort.cli.value_types import CORRECTIONS
from pagesort.cli.value_types import REVIEW as REVIEW_WORDS

NEW_TABLES = "-d"
"""Instead of a table of `--review`: those that this call writes."""

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "review", REVIEW_WORDS, None, "write a contact sheet, in which a person looks at the pages "
        "of -d or of a finished run's table and corrects their categories in a browser",
        flags=("--review",), audience=REVIEW, words=True, no_words=NEW_TABLES,
    ),
    Option(
        "corrections", CORRECTIONS, None, "with --sort_to, --train or --eval: pages are what this "
        "table of a contact sheet says; FOLDER: where they are by now",
        flags=("--corrections",), audience=REVIEW, words=True,
    ),
)
# fmt: on
