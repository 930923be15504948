"""The option table: every setting once, for parser, INI reader, help and the README's test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pagesort.cli.value_types import (
    BASE_CODE,
    BRANCH,
    DEVICE,
    DIRECTORY,
    FILE,
    FORMATS,
    HUB_ACTION,
    PATH,
    PROMPT,
    REVISION,
    SWITCH,
    TEXT,
    Kind,
    Value,
    auto_or,
    choice,
    real,
    share,
    whole,
)

ONE_PAGE = "one page (archivist)"
FOLDER = "a folder of pages (archivist)"
TRAINING = "training (researcher)"
EVALUATION = "evaluation and comparison (researcher)"
MODELS = "models and descriptions (researcher)"
HUB = "fetching and publishing models (both)"
EVERYONE = "everyone"
AUDIENCES = (ONE_PAGE, FOLDER, TRAINING, EVALUATION, MODELS, HUB, EVERYONE)

# Options that say what is to be done, in the order in which it is.
FOLDER_ACTIONS = ("directory", "dir")
PREDICTIONS = ("file", *FOLDER_ACTIONS)
EVALUATIONS = ("eval", "eval_dir")
ACTIONS = ("hf", "train", *EVALUATIONS, "vis", *PREDICTIONS, "undo")


@dataclass(frozen=True)
class Option:
    """One row of the table: a setting, where it can be written, and who needs it.

    `section` and `key` are None for what only the command line can say; `flags` is empty for what
    only `config.txt` can say. A default path that is `shipped` lies beside run.py, any other
    relative default beside the `config.txt` in use. The value of a `repeatable` option is a tuple
    of all that were given; `words` says that the flag takes any number of words, which `kind` reads
    with line breaks between them. `used_by` names the actions that the option means something to,
    none of them standing for all.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    section: str | None = None
    key: str | None = None
    flags: tuple[str, ...] = ()
    audience: str = EVERYONE
    shipped: bool = False
    secret: bool = False
    repeatable: bool = False
    words: bool = False
    used_by: tuple[str, ...] = ()

    @property
    def is_switch(self) -> bool:
        """Whether the option is on or off, so that its flag takes no value."""
        return self.kind is SWITCH

    @property
    def place(self) -> str:
        """Where `config.txt` holds the option, as messages write it."""
        return f"[{self.section}] {self.key}"


# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    # One page
    Option(
        "file", PATH, None, "classify this page and print the most likely categories",
        flags=("-f", "--file"), audience=ONE_PAGE,
    ),
    Option(
        "topn", whole(1), 1, "how many guesses a page gets, at most the number of categories",
        "SETUP", "top_N", ("-tn", "--topn"), ONE_PAGE, used_by=(*PREDICTIONS, *EVALUATIONS),
    ),
    # A folder
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
        "SETUP", "inner", ("--inner",), FOLDER, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "file_format", FORMATS, ("png",), "which files count as pages, upper or lower case alike",
        "SETUP", "files_format", ("-ff", "--file_format"), FOLDER, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "raw", SWITCH, False, "write a second table with the score of every category",
        "SETUP", "raw", ("--raw",), FOLDER, used_by=(*FOLDER_ACTIONS, *EVALUATIONS),
    ),
    Option(
        "resume", SWITCH, False, "go on with the interrupted run over this folder, in its settings "
        "unless others are named", flags=("--resume",), audience=FOLDER,
    ),
    Option(
        "update", SWITCH, False, "add the pages that came since to the tables of the last run over "
        "this folder; the others are not scored again", flags=("--update",), audience=FOLDER,
        used_by=FOLDER_ACTIONS,
    ),
    Option(
        "batch_size", whole(1, 4096), 16, "pages that go through the model together",
        "SETUP", "batch", ("--batch_size",), FOLDER,
        used_by=("train", *FOLDER_ACTIONS, *EVALUATIONS),
    ),
    Option(
        "chunk_size", whole(1), 1000, "scored pages reach the disk after so many at the latest",
        "INPUT", "chunk_size", audience=FOLDER,
    ),
    Option(
        "sort_to", DIRECTORY, None, "put the sorted pages into this folder, a subfolder a category",
        flags=("--sort_to",), audience=FOLDER,
    ),
    Option(
        "link", choice("copy", "hard", "sym"), "copy", "how --sort_to puts them there: copies, "
        "hard links or symbolic links", flags=("--link",), audience=FOLDER,
    ),
    Option(
        "min_score", share(), 0.0, "with --sort_to: less sure pages go to _review",
        flags=("--min_score",), audience=FOLDER,
    ),
    Option(
        "dry_run", SWITCH, False, "with --sort_to: only say how many pages would go where",
        flags=("--dry_run",), audience=FOLDER,
    ),
    Option(
        "undo", SWITCH, False, "take the last --sort_to into that folder back",
        flags=("--undo",), audience=FOLDER,
    ),
    Option(
        "absolute_paths", SWITCH, False, "name pages by their whole path on this machine in the "
        "column PATH of tables, not by that in their folder",
        "OUTPUT", "absolute_paths", ("--absolute_paths",), FOLDER,
        used_by=(*FOLDER_ACTIONS, *EVALUATIONS),
    ),
    Option(
        "csv_excel", SWITCH, False, "write tables so that Excel opens them by a click: with a "
        "mark for UTF-8, the separator and decimal sign of this machine, and no formulas",
        "OUTPUT", "csv_excel", ("--csv_excel",), FOLDER,
        used_by=(*FOLDER_ACTIONS, *EVALUATIONS),
    ),
    Option(
        "results_folder", DIRECTORY, Path("result"), "where tables are written",
        "OUTPUT", "FOLDER_RESULTS", audience=FOLDER,
    ),
    # Models and descriptions
    Option(
        "model", BASE_CODE, "ViT-B/16", "base model",
        "SETUP", "base_model", ("-m", "--model"), MODELS,
    ),
    Option(
        "revision", BRANCH, "v1.1", "revision of the model",
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
        "cat_dir", DIRECTORY, Path("category_descriptions"), "folder of such tables, read together",
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
    # Everyone
    Option(
        "config", FILE, None, "read this file instead of config.txt", flags=("--config",),
    ),
    Option(
        "device", DEVICE, "auto", "where the model runs: auto, cpu, cuda, cuda:1, mps",
        flags=("--device",),
    ),
    Option(
        "precision", choice("auto", "fp32", "bf16", "fp16", "int8"), "auto",
        "numbers that the model sees pages with; auto: bf16 where the device has it, else int8 "
        "where it is installed and changes no answers, else fp32; int8: CPU only, with "
        "requirements-int8.txt",
        "SETUP", "precision", ("--precision",), used_by=(*PREDICTIONS, *EVALUATIONS),
    ),
    Option(
        "max_megapixels", real(0), 300.0, "refuse larger pages, in million pixels",
        flags=("--max_megapixels",),
    ),
    Option(
        "debug", SWITCH, False, "show technical messages and the traceback of an error",
        flags=("--debug",),
    ),
    # Training
    Option(
        "train", SWITCH, False, "fine-tune a model on labelled pages",
        flags=("--train",), audience=TRAINING,
    ),
    Option(
        "train_folder", DIRECTORY, Path("category_samples"),
        "labelled pages: one subfolder a category",
        "TRAIN", "FOLDER_PAGES", ("--train_folder",), TRAINING, shipped=True,
        used_by=("train", *EVALUATIONS),
    ),
    Option(
        "epochs", whole(1), 3, "how often every page is seen",
        "TRAIN", "epochs", ("--epochs",), TRAINING, used_by=("train",),
    ),
    Option(
        "lr", real(0, 1), 5e-5, "learning rate",
        "TRAIN", "lr", ("--lr",), TRAINING, used_by=("train",),
    ),
    Option(
        "max_categ", whole(1), 2000, "pages of a category used at most; the C in table names",
        "TRAIN", "max_categ", ("-mc", "--max_categ"), TRAINING,
    ),
    Option(
        "safe", SWITCH, False, "check every page before training, and leave out broken ones",
        flags=("--safe",), audience=TRAINING, used_by=("train",),
    ),
    Option(
        "test_size", real(0, 0.5), 0.1, "part of the pages for testing, and as much to validate",
        "TRAIN", "test_size", audience=TRAINING,
    ),
    Option(
        "split", choice("document", "page"), "document",
        "what stays together when pages are split: a whole document, or a page",
        "TRAIN", "split", audience=TRAINING,
    ),
    Option(
        "objective", choice("labels", "contrastive"), "labels",
        "pages against the descriptions of all labels, or of the batch only",
        "TRAIN", "objective", audience=TRAINING,
    ),
    Option(
        "towers", choice("both", "image"), "both", "which towers learn",
        "TRAIN", "towers", audience=TRAINING,
    ),
    Option(
        "sampling", choice("balanced", "natural"), "balanced",
        "every label equally often, or every page", "TRAIN", "sampling", audience=TRAINING,
    ),
    Option(
        "augment", SWITCH, True, "vary tone and sharpness of the pages",
        "TRAIN", "augment", audience=TRAINING,
    ),
    Option(
        "weight_decay", share(), 0.1, "pull of the weights towards nought",
        "TRAIN", "weight_decay", audience=TRAINING,
    ),
    Option(
        "layer_decay", share(with_0=False), 1.0,
        "learning rate of each layer as a share of the next one's",
        "TRAIN", "layer_decay", audience=TRAINING,
    ),
    Option(
        "warmup_ratio", share(), 0.1, "part of the steps over which the learning rate rises",
        "TRAIN", "warmup_ratio", audience=TRAINING,
    ),
    Option(
        "ema", share(with_1=False), 0.0, "decay of the moving average of the weights; 0: none",
        "TRAIN", "ema", audience=TRAINING,
    ),
    Option(
        "wise_ft", auto_or(share()), None,
        "share of the trained weights in their mean with the starting ones; auto: best share on "
        "the validation pages", "TRAIN", "wise_ft", audience=TRAINING,
    ),
    Option(
        "batch_norm", choice("frozen", "trained"), "trained",
        "whether batch normalisation keeps the starting model's statistics",
        "TRAIN", "batch_norm", audience=TRAINING,
    ),
    Option(
        "mixed_precision", choice("auto", "no", "bf16", "fp16"), "auto",
        "numbers that training computes with", "TRAIN", "mixed_precision", audience=TRAINING,
    ),
    Option(
        "accumulation", whole(1), 1, "batches that are added up for one step",
        "TRAIN", "accumulation", audience=TRAINING,
    ),
    Option(
        "gradient_checkpointing", SWITCH, False, "save memory by computing twice",
        "TRAIN", "gradient_checkpointing", audience=TRAINING,
    ),
    Option(
        "workers", auto_or(whole(0)), None, "processes that prepare pages",
        "TRAIN", "workers", audience=TRAINING,
    ),
    Option(
        "log_step", whole(1), 10, "training steps between two reports",
        "TRAIN", "log_step", audience=TRAINING,
    ),
    Option(
        "checkpoint_folder", DIRECTORY, Path("model_checkpoints"), "where training keeps its state",
        "OUTPUT", "FOLDER_CPOINTS", audience=TRAINING,
    ),
    Option(
        "training", SWITCH, False, "train when nothing else is asked for",
        "TRAIN", "Training", audience=TRAINING,
    ),
    Option(
        "seed", whole(0, 2**32 - 1), 420, "start of every random sequence",
        "SETUP", "seed", audience=TRAINING,
    ),
    # Evaluation
    Option(
        "eval", SWITCH, False, "score labelled pages and say how good the model is",
        flags=("--eval",), audience=EVALUATION,
    ),
    Option(
        "eval_folder", DIRECTORY, Path("category_samples"),
        "labelled pages; of the training folder, its test part",
        "EVAL", "FOLDER_PAGES", ("--eval_folder",), EVALUATION, shipped=True, used_by=EVALUATIONS,
    ),
    Option(
        "max_categ_eval", whole(1), 1000, "pages of a category evaluated at most",
        "TRAIN", "max_categ_e", ("-mce", "--max_categ_eval"), EVALUATION, used_by=EVALUATIONS,
    ),
    Option(
        "eval_dir", SWITCH, False, "evaluate every model under --model_dir",
        flags=("--eval_dir",), audience=EVALUATION,
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
    # The hub
    Option(
        "hf", HUB_ACTION, None, "fetch the model of -m or -rev from the hub (pull, the default), "
        "publish one (push), pack one into a file or install it from there, for machines without "
        "a network (export, import)", flags=("--hf",), audience=HUB, words=True,
    ),
    Option(
        "public", SWITCH, False, "with --hf push: a repository made by it is for everybody",
        flags=("--public",), audience=HUB,
    ),
    Option(
        "yes", SWITCH, False, "with --hf push: do not ask before anything is sent",
        flags=("--yes",), audience=HUB,
    ),
    Option(
        "repo_name", TEXT, "ufal/clip-historical-page", "repository of published models",
        "HF", "repo_name", audience=HUB,
    ),
    Option(
        "token", TEXT, None, "access token of the hub; better kept in the environment",
        "HF", "token", audience=HUB, secret=True,
    ),
    Option(
        "use_hf", SWITCH, False, "fetch the model without being asked on the command line",
        "HF", "use_hf", audience=HUB,
    ),
    Option(
        "latest", REVISION, "v2.2", "revision that counts as the newest",
        "HF", "latest", audience=HUB,
    ),
)
# fmt: on

BY_NAME = {option.name: option for option in OPTIONS}
