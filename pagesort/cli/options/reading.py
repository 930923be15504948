"""Options of reading pages."""

from __future__ import annotations

from pagesort.cli.options.option import READER_ACTIONS, READING, Option
from pagesort.cli.value_types import LABELS, READ_FORMATS, READ_SOURCE, choice

SORTED_PAGES = "-d"
"""Instead of a path of `--read`: those pages of -d that the labels of [READ] name."""

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "read", READ_SOURCE, None, "read the text of a page, of the pages of a folder, or of a "
        "PDF; beside -d FOLDER without a path: sort, then read the kinds in [READ] labels",
        flags=("--read",), audience=READING, words=True, no_words=SORTED_PAGES,
    ),
    Option(
        "read_formats", READ_FORMATS, ("txt", "page"), "what is written of each page that is read: "
        "txt, page (PAGE XML), alto (ALTO XML), tsv (a table), or several with commas",
        "READ", "format", ("--read_format",), READING, used_by=("read",),
    ),
    Option(
        "data_format", choice("page", "line", "word", "form"), "page", "what an image to be read "
        "shows: page finds its lines; the others are read as they are; with --data, which pictures "
        "of IAM are taken, and whether forms are learnt", flags=("--data_format",),
        audience=READING, used_by=("read", *READER_ACTIONS),
    ),
    Option(
        "read_labels", LABELS, ("TEXT_HW", "LINE_HW"), "with -d and --read: the kinds of pages "
        "that are read", "READ", "labels", audience=READING,
    ),
)
# fmt: on
