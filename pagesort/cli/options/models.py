"""Options of which model answers, and of its descriptions."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.options.option import MODELS, Option
from pagesort.cli.value_types import BASE_CODE, BRANCH, DIRECTORY, FILE, PATH, PROMPT, SWITCH, TEXT

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "model", BASE_CODE, "ViT-B/16", "base model",
        "SETUP", "base_model", ("-m", "--model"), MODELS,
    ),
    Option(
        "revision", BRANCH, "v1.1", "revision of the model, or a branch of [HF] repo_name",
        "HF", "revision", ("-rev", "--revision"), MODELS,
    ),
    Option(
        "model_path", PATH, None, "a model folder or a .pt training checkpoint to use instead",
        flags=("--model_path", "-model_path"), audience=MODELS,
    ),
    Option(
        "model_dir", DIRECTORY, Path("models"), "the folder that holds the models",
        "OUTPUT", "FOLDER_MODELS", ("--model_dir",), MODELS, shipped=True,
    ),
    Option(
        "model_storage", DIRECTORY, None, "where converted models are kept",
        "SETUP", "model_storage", audience=MODELS,
    ),
    Option(
        "cat_csv", FILE, Path("category_description_total.tsv"),
        "table of category descriptions: columns label and description",
        "SETUP", "categories_file", ("-cc", "--cat_csv"), MODELS, shipped=True,
    ),
    Option(
        "cat_dir", DIRECTORY, Path("category_descriptions"),
        "folder of such tables, averaged together",
        "SETUP", "description_folder", ("--cat_dir",), MODELS, shipped=True,
    ),
    Option(
        "cat_prefix", TEXT, "page_categories", "how the names of the tables in that folder begin",
        "SETUP", "categories_prefix", ("--cat_prefix",), MODELS,
    ),
    Option(
        "avg", SWITCH, False, "average several descriptions of a category",
        "SETUP", "avg", ("--avg",), MODELS,
    ),
    Option(
        "prompt", PROMPT, (), "what surrounds a description, as in 'a scan of {description}'; give "
        "it several times to average over several", flags=("--prompt",), audience=MODELS,
        repeatable=True,
    ),
    Option(
        "zero_shot", SWITCH, False, "use the untouched base model",
        "SETUP", "zero_shot", ("--zero_shot",), MODELS,
    ),
    Option(
        "best", SWITCH, False, "let the five best models vote (with -f, -d or --dir)",
        flags=("--best",), audience=MODELS,
    ),
)
# fmt: on
