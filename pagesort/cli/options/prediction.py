"""Options of sorting one page or a folder."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from pagesort.cli.options.option import (
    EVALUATIONS,
    FOLDER,
    FOLDER_ACTIONS,
    ONE_PAGE,
    PREDICTIONS,
    SEARCHES,
    Option,
)
from pagesort.cli.value_types import (
    DIRECTORY,
    FILE,
    FORMATS,
    PATH,
    SWITCH,
    TABLE_FORMATS,
    choice,
    percentage,
    share,
    whole,
)

# Print goes to OCR, handwriting to HTR, which reads the other writing of mixed pages as well.
ROUTES = MappingProxyType({
    "DRAW": "figures", "DRAW_L": "figures", "LINE_HW": "tables", "LINE_P": "tables",
    "LINE_T": "tables", "PHOTO": "figures", "PHOTO_L": "figures", "TEXT": "HTR",
    "TEXT_HW": "HTR", "TEXT_P": "OCR", "TEXT_T": "OCR",
})  # fmt: skip

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "file", PATH, None, "classify this page and print the most likely categories",
        flags=("-f", "--file"), audience=ONE_PAGE,
    ),
    Option(
        "topn", whole(1), 1, "how many guesses a page gets, at most the number of categories",
        "SETUP", "top_N", ("-tn", "--topn"), ONE_PAGE,
        used_by=(*PREDICTIONS, *EVALUATIONS, "merge"),
    ),
    Option(
        "directory", DIRECTORY, None, "classify the pages of this folder into a table",
        flags=("-d", "--directory"), audience=FOLDER,
    ),
    Option(
        "dir", SWITCH, False, "the same for the folder set as [INPUT] FOLDER_INPUT",
        flags=("--dir",), audience=FOLDER,
    ),
    Option(
        "input_folder", DIRECTORY, Path("category_samples"), "the folder that --dir reads",
        "INPUT", "FOLDER_INPUT", audience=FOLDER, shipped=True,
    ),
    Option(
        "inner", SWITCH, False, "read the pages of subfolders too",
        "SETUP", "inner", ("--inner",), FOLDER, used_by=(*FOLDER_ACTIONS, "read"),
    ),
    Option(
        "file_format", FORMATS, ("png",), "which files count as pages, upper or lower case alike",
        "SETUP", "files_format", ("-ff", "--file_format"), FOLDER,
        used_by=(*FOLDER_ACTIONS, "read"),
    ),
    Option(
        "raw", SWITCH, False, "write a second table with the score of every category",
        "SETUP", "raw", ("--raw",), FOLDER,
        used_by=(*FOLDER_ACTIONS, *EVALUATIONS, "merge"),
    ),
    Option(
        "resume", SWITCH, False, "continue the interrupted run over this folder, with its settings "
        "unless you give others", flags=("--resume",), audience=FOLDER,
    ),
    Option(
        "update", SWITCH, False, "add the pages that have arrived since the last run over this "
        "folder to its tables, and score replaced ones anew; the others are not scored again",
        flags=("--update",), audience=FOLDER, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "batch_size", whole(1, 4096), 16, "pages that go through the model together",
        "SETUP", "batch", ("--batch_size",), FOLDER,
        used_by=("train", "train_reader", *FOLDER_ACTIONS, *EVALUATIONS, *SEARCHES),
    ),
    Option(
        "chunk_size", whole(1), 1000, "scored pages are saved after so many at the latest",
        "INPUT", "chunk_size", audience=FOLDER,
    ),
    Option(
        "sort_to", DIRECTORY, None, "put the pages into this folder, one subfolder a category",
        flags=("--sort_to",), audience=FOLDER,
    ),
    Option(
        "link", choice("copy", "hard", "sym"), "copy", "how --sort_to puts them there: copies, "
        "hard links or symbolic links", flags=("--link",), audience=FOLDER,
    ),
    Option(
        "min_score", share(), 0.0, "with --sort_to: pages of a lower score go to _review",
        flags=("--min_score",), audience=FOLDER,
    ),
    Option(
        "dry_run", SWITCH, False, "with --sort_to: only say how many pages would go where",
        flags=("--dry_run",), audience=FOLDER,
    ),
    Option(
        "undo", SWITCH, False, "with --sort_to: take back what was put into that folder last",
        flags=("--undo",), audience=FOLDER,
    ),
    Option(
        "absolute_paths", SWITCH, False, "write the full path of each page into the column PATH "
        "of tables, not its path within the folder",
        "OUTPUT", "absolute_paths", ("--absolute_paths",), FOLDER,
        used_by=(*FOLDER_ACTIONS, *EVALUATIONS, *SEARCHES, "merge"),
    ),
    Option(
        "csv_excel", SWITCH, False, "write tables that Excel opens with a double click: with "
        "a mark for UTF-8, the separator and decimal sign of this machine, and no formulas",
        "OUTPUT", "csv_excel", ("--csv_excel",), FOLDER,
        used_by=(*FOLDER_ACTIONS, *EVALUATIONS, *SEARCHES, "merge"),
    ),
    Option(
        "table_formats", TABLE_FORMATS, ("csv",), "also write the tables of pages as parquet "
        "(large ones as a folder of files) or jsonl, for programs; csv is always written",
        "OUTPUT", "format", ("--format",), FOLDER, used_by=(*FOLDER_ACTIONS, "merge"),
    ),
    Option(
        "compare_with", PATH, None, "let a second model see the pages as well, and mark those on "
        "which the two differ", flags=("--compare_with",), audience=FOLDER,
        used_by=FOLDER_ACTIONS,
    ),
    Option(
        "write_alto", DIRECTORY, None, "write copies of the ALTO and PAGE files beside the pages "
        "to this folder, with the category of each page", flags=("--write_alto",),
        audience=FOLDER, used_by=(*FOLDER_ACTIONS, "merge"),
    ),
    Option(
        "check", FILE, None, "say whether this table, its model and its pages are still what they "
        "were when it was written", flags=("--check",), audience=FOLDER,
    ),
    Option(
        "review_below", share(), 0.5, "pages with a lower score are to be reviewed, says the table "
        "of documents", "OUTPUT", "review_below", ("--review_below",), FOLDER,
        used_by=FOLDER_ACTIONS,
    ),
    Option(
        "max_error", percentage(), None, "say of every page in the column DECISION whether it "
        "needs a look, so that at most this share of the accepted ones is wrong (1% or 0.01); "
        "labelled pages prove it", flags=("--max_error",), audience=FOLDER,
        used_by=(*FOLDER_ACTIONS, "audit_result"),
    ),
    Option(
        "budget", FILE, None, "the labelled pages for --max_error: a report of --eval or of "
        "--audit_result, a JSON under result/stats (else the newest one of the model)",
        flags=("--budget",), audience=FOLDER, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "routes", choice("OCR", "HTR", "tables", "figures", "none"), ROUTES,
        "the next tool of a category, in the table of documents",
        "ROUTES", audience=FOLDER, is_section=True,
    ),
    Option(
        "results_folder", DIRECTORY, Path("result"), "where tables are written",
        "OUTPUT", "FOLDER_RESULTS", audience=FOLDER,
    ),
)
# fmt: on
