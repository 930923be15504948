"""Options of looking at a result and correcting it."""

from __future__ import annotations

from pagesort.cli.options.option import REVIEW, Option
from pagesort.cli.value_types import AUDIT, CORRECTIONS, FILE, SWITCH
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
    Option(
        "audit", AUDIT, None, "draw so many pages of a finished run (its table after the number, "
        "else the newest one) into a contact sheet without the guesses; a person names them",
        flags=("--audit",), audience=REVIEW, words=True,
    ),
    Option(
        "suspects", SWITCH, False, "with --eval: list the pages whose label is probably wrong, as "
        "a table and a contact sheet", flags=("--suspects",), audience=REVIEW, used_by=("eval",),
    ),
    Option(
        "suspects_of", FILE, None, "the same for the training folder, by a table of all scores "
        "that models gave to pages they were not trained on",
        flags=("--suspects_of",), audience=REVIEW,
    ),
    Option(
        "audit_result", FILE, None, "say how right the whole run is, by the table that the contact "
        "sheet of --audit saved", flags=("--audit_result",), audience=REVIEW,
    ),
)
# fmt: on
