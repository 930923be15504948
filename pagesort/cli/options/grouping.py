"""Options of grouping the pages of a pile into items."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.options.option import FOLDER_ACTIONS, GROUPING, Option
from pagesort.cli.value_types import (
    DIRECTORY,
    FILE,
    PATH,
    PATHS,
    SWITCH,
    choice,
    real,
    share,
    whole,
)

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "group", SWITCH, False, "with -d or --dir: find which pages belong to one item, such as a "
        "letter, from their looks and the order of their names; subfolders are piles of their own",
        flags=("--group",), audience=GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "order", FILE, None, "with --group: a text file with the pages in the order in which they "
        "were scanned, a line each", flags=("--order",), audience=GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "group_method", choice("sequence", "ward", "dbscan", "agglomerative"), "sequence",
        "how pages are grouped: sequence finds where an item begins; ward and agglomerative join "
        "pages that look alike and follow each other; dbscan joins pages that look alike anywhere",
        "GROUP", "method", ("--group_method",), GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "items", whole(1), None, "with --group: how many items each pile has, if that is known",
        flags=("--items",), audience=GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "sizes", real(0), None, "with --group: how many pages items have on average, if that is "
        "known", flags=("--sizes",), audience=GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "compare", FILE, None, "compare groups with the true ones of this table, which has the "
        "columns file and item: those that --group has just found, or those of --groups",
        flags=("--compare",), audience=GROUPING,
    ),
    Option(
        "groups", PATHS, None, "with --compare, --review or --by group: tables of groups that were "
        "written before, instead of grouping anew; --review shows several side by side",
        flags=("--groups",), audience=GROUPING, words=True,
        used_by=("compare", *FOLDER_ACTIONS),
    ),
    Option(
        "by", choice("kind", "group"), "kind", "with --sort_to: a subfolder a category, or one an "
        "item, of the groups just found or of the table of --groups, which a person may have "
        "corrected", flags=("--by",), audience=GROUPING, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "train_groups", DIRECTORY, None, "train a boundary model on the piles of this folder: each "
        "has a table with the columns file and item, and beside it a folder of the same name; "
        "measures all methods on each pile, with models that never saw it; takes texts beside them",
        flags=("--train_groups",), audience=GROUPING,
    ),
    Option(
        "group_model", PATH, Path("models/pagesort-groups"), "the boundary model of sequence",
        "GROUP", "model", ("--group_model",), GROUPING, shipped=True, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "eps", share(), 0.1, "dbscan: how unlike pages of a group may be, 0 to 1",
        "GROUP", "eps", audience=GROUPING,
    ),
    Option(
        "min_samples", whole(1), 1, "dbscan: how many such pages make a group",
        "GROUP", "min_samples", audience=GROUPING,
    ),
    Option(
        "distance", real(0), 0.5, "ward, agglomerative: groups more unlike than this stay apart",
        "GROUP", "distance", audience=GROUPING,
    ),
    Option(
        "linkage", choice("average", "complete", "single"), "average",
        "agglomerative: which pages of two groups tell how unlike they are",
        "GROUP", "linkage", audience=GROUPING,
    ),
)
# fmt: on
