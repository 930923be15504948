"""The option table: every setting once, for parser, INI reader, help and the README's test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pagesort import catalogue

Value = str | int | float | bool | Path | tuple[str, ...] | None

ONE_PAGE = "one page (archivist)"
FOLDER = "a folder of pages (archivist)"
MODELS = "models and descriptions (researcher)"
EVERYONE = "everyone"
AUDIENCES = (ONE_PAGE, FOLDER, MODELS, EVERYONE)

TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Kind:
    """How a written value is read; what is not `allowed` makes `read` raise ValueError."""

    read: Callable[[str], Value]
    allowed: str
    metavar: str


@dataclass(frozen=True)
class Option:
    """One row of the table: a setting, where it can be written, and who needs it.

    `section` and `key` are None for what only the command line can say; `flags` is empty for what
    only `config.txt` can say. A default path that is `shipped` lies beside run.py, any other
    relative default beside the `config.txt` in use.
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

    @property
    def is_switch(self) -> bool:
        """Whether the option is on or off, so that its flag takes no value."""
        return self.kind is SWITCH

    @property
    def place(self) -> str:
        """Where `config.txt` holds the option, as messages write it."""
        return f"[{self.section}] {self.key}"


def whole(minimum: int, maximum: int | None = None) -> Kind:
    """Return the kind of whole numbers from `minimum` to `maximum`."""

    def read(text: str) -> int:
        number = int(text)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(text)
        return number

    upper = "or more" if maximum is None else f"to {maximum}"
    return Kind(read, f"a whole number, {minimum} {upper}", "N")


def real(above: float, below: float | None = None) -> Kind:
    """Return the kind of numbers strictly between `above` and `below`."""

    def read(text: str) -> float:
        number = float(text)
        # Written so that NaN, which compares false with everything, is refused as well.
        if not (above < number < (float("inf") if below is None else below)):
            raise ValueError(text)
        return number

    upper = "" if below is None else f" and below {below:g}"
    return Kind(read, f"a number above {above:g}{upper}", "X")


def _read_switch(text: str) -> bool:
    word = text.lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError(text)
    return word in TRUE_WORDS


def _read_path(text: str) -> Path:
    if "\0" in text:
        raise ValueError(text)
    return Path(text).expanduser()


def _read_formats(text: str) -> tuple[str, ...]:
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    extensions = [re.sub(r"^\*?\.", "", part).lower() for part in parts]
    if not extensions or not all(re.fullmatch(r"\w+", extension) for extension in extensions):
        raise ValueError(text)
    return tuple(dict.fromkeys(extensions))


def _read_prompt(text: str) -> str:
    if text.count("{description}") != 1:
        raise ValueError(text)
    return text


def _read_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ValueError(text)
    return text


def _read_base(text: str) -> str:
    return catalogue.base_of_code(text).code


def _read_revision(text: str) -> str:
    catalogue.base_of_revision(text)
    return text


SWITCH = Kind(_read_switch, "True or False", "")
TEXT = Kind(str, "some text", "TEXT")
FILE = Kind(_read_path, "the path of a file", "FILE")
DIRECTORY = Kind(_read_path, "the path of a folder", "FOLDER")
PATH = Kind(_read_path, "a path", "PATH")
FORMATS = Kind(_read_formats, "file name extensions separated by commas, as in png,jpg", "EXT,EXT")
PROMPT = Kind(_read_prompt, "a text that holds {description} once", "TEXT")
DEVICE = Kind(_read_device, "auto, cpu, cuda, cuda:NUMBER or mps", "DEVICE")
BASE_CODE = Kind(_read_base, "one of " + ", ".join(base.code for base in catalogue.BASES), "CODE")
REVISION = Kind(_read_revision, "main, or a revision such as v1.1 or v2.2.3.4", "REV")


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
        "SETUP", "top_N", ("-tn", "--topn"), ONE_PAGE,
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
        "SETUP", "inner", ("--inner",), FOLDER,
    ),
    Option(
        "file_format", FORMATS, ("png",), "which files count as pages, upper or lower case alike",
        "SETUP", "files_format", ("-ff", "--file_format"), FOLDER,
    ),
    Option(
        "raw", SWITCH, False, "write a second table with the score of every category",
        "SETUP", "raw", ("--raw",), FOLDER,
    ),
    Option(
        "resume", SWITCH, False, "go on with the interrupted run over this folder",
        flags=("--resume",), audience=FOLDER,
    ),
    Option(
        "batch_size", whole(1, 4096), 16, "pages that go through the model together",
        "SETUP", "batch", ("--batch_size",), FOLDER,
    ),
    Option(
        "chunk_size", whole(1), 1000, "scored pages reach the disk after so many at the latest",
        "INPUT", "chunk_size", audience=FOLDER,
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
        "revision", REVISION, "v1.1", "revision of the model",
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
        "prompt", PROMPT, None, "what surrounds a description, as in 'a scan of {description}'",
        flags=("--prompt",), audience=MODELS,
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
        "max_megapixels", real(0), 300.0, "refuse larger pages, in million pixels",
        flags=("--max_megapixels",),
    ),
    Option(
        "debug", SWITCH, False, "show technical messages and the traceback of an error",
        flags=("--debug",),
    ),
    # Known to config.txt, used by the commands that train, evaluate and publish
    Option(
        "checkpoint_folder", DIRECTORY, Path("model_checkpoints"), "where training keeps its state",
        "OUTPUT", "FOLDER_CPOINTS", audience=MODELS,
    ),
    Option(
        "eval_folder", DIRECTORY, None, "labelled pages for evaluation",
        "EVAL", "FOLDER_PAGES", audience=MODELS,
    ),
    Option(
        "train_folder", DIRECTORY, Path("category_samples"), "labelled pages for training",
        "TRAIN", "FOLDER_PAGES", audience=MODELS, shipped=True,
    ),
    Option(
        "test_size", real(0, 1), 0.1, "part of the pages kept for testing",
        "TRAIN", "test_size", audience=MODELS,
    ),
    Option(
        "log_step", whole(1), 10, "training steps between two reports",
        "TRAIN", "log_step", audience=MODELS,
    ),
    Option("epochs", whole(1), 3, "training epochs", "TRAIN", "epochs", audience=MODELS),
    Option("lr", real(0, 1), 5e-5, "learning rate", "TRAIN", "lr", audience=MODELS),
    Option(
        "max_categ", whole(1), 2000, "pages of a category used at most; the C in table names",
        "TRAIN", "max_categ", ("-mc", "--max_categ"), MODELS,
    ),
    Option(
        "max_categ_eval", whole(1), 1000, "pages of a category evaluated at most",
        "TRAIN", "max_categ_e", audience=MODELS,
    ),
    Option(
        "training", SWITCH, False, "train without being asked on the command line",
        "TRAIN", "Training", audience=MODELS,
    ),
    Option(
        "testing", SWITCH, False, "evaluate without being asked on the command line",
        "TRAIN", "Testing", audience=MODELS,
    ),
    Option(
        "seed", whole(0, 2**32 - 1), 420, "start of every random sequence",
        "SETUP", "seed", audience=MODELS,
    ),
    Option(
        "zero_shot", SWITCH, False, "use the untouched base model",
        "SETUP", "zero_shot", audience=MODELS,
    ),
    Option(
        "visualize", SWITCH, False, "redraw the comparison plots",
        "SETUP", "visualize", audience=MODELS,
    ),
    Option(
        "repo_name", TEXT, "ufal/clip-historical-page", "repository of published models",
        "HF", "repo_name", audience=MODELS,
    ),
    Option(
        "token", TEXT, None, "access token of the hub; better kept in the environment",
        "HF", "token", audience=MODELS, secret=True,
    ),
    Option(
        "use_hf", SWITCH, False, "fetch the model without being asked on the command line",
        "HF", "use_hf", audience=MODELS,
    ),
    Option(
        "latest", REVISION, "v2.2", "revision that counts as the newest",
        "HF", "latest", audience=MODELS,
    ),
)
# fmt: on

BY_NAME = {option.name: option for option in OPTIONS}
