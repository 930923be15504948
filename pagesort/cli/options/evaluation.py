"""Options of evaluation and comparison."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.options.option import EVALUATION, EVALUATIONS, Option
from pagesort.cli.value_types import DIRECTORY, SWITCH, TWO_MODELS, whole

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "eval", SWITCH, False, "score labelled pages and say how good the model is",
        flags=("--eval",), audience=EVALUATION,
    ),
    Option(
        "eval_folder", DIRECTORY, Path("category_samples"),
        "labelled pages: one subfolder a category; of the training folder, only the test part",
        "EVAL", "FOLDER_PAGES", ("--eval_folder",), EVALUATION, shipped=True, used_by=EVALUATIONS,
    ),
    Option(
        "max_categ_eval", whole(1), 1000, "evaluate at most so many pages of a category",
        "TRAIN", "max_categ_e", ("-mce", "--max_categ_eval"), EVALUATION, used_by=EVALUATIONS,
    ),
    Option(
        "eval_dir", SWITCH, False, "evaluate every model under --model_dir",
        flags=("--eval_dir",), audience=EVALUATION,
    ),
    Option(
        "compare_models", TWO_MODELS, None, "say which of two models is right more often on "
        "labelled pages that neither was trained on, and where they differ: A and B are folders, "
        "files or names under --model_dir",
        flags=("--compare_models",), audience=EVALUATION, words=True,
    ),
    Option(
        "vis", SWITCH, False, "redraw the plots that compare models",
        flags=("--vis",), audience=EVALUATION,
    ),
    Option(
        "visualize", SWITCH, False, "the same when nothing else is asked for",
        "SETUP", "visualize", audience=EVALUATION,
    ),
    Option(
        "testing", SWITCH, False, "evaluate when nothing else is asked for",
        "TRAIN", "Testing", audience=EVALUATION,
    ),
)
# fmt: on
