"""Kinds of settings: how what is written is read, and what to say where it cannot be meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pagesort.common import tables
from pagesort.common.addresses import read_path
from pagesort.models import catalogue
from pagesort.prediction.shards import Shard

Value = str | int | float | bool | Path | tuple[str, ...] | Mapping[str, str] | None

TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Kind:
    """How a written value is read; what is not `allowed` makes `read` raise ValueError."""

    read: Callable[[str], Value]
    allowed: str
    metavar: str


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


def share(*, with_0: bool = True, with_1: bool = True) -> Kind:
    """Return the kind of numbers from 0 to 1, with or without these themselves."""

    def read(text: str) -> float:
        number = float(text)
        if not 0.0 <= number <= 1.0 or (number == 0.0 and not with_0):
            raise ValueError(text)
        if number == 1.0 and not with_1:
            raise ValueError(text)
        return number

    least = "0" if with_0 else "above 0"
    return Kind(read, f"a number, {least} to {'1' if with_1 else 'below 1'}", "X")


def percentage() -> Kind:
    """Return the kind of shares above 0 and below 1, which may be written in percent."""

    def read(text: str) -> float:
        digits = text.strip().removesuffix("%")
        is_percent = digits != text.strip()
        number = float(digits.replace(",", ".")) / (100.0 if is_percent else 1.0)
        if not 0.0 < number < 1.0:
            raise ValueError(text)
        return number

    return Kind(read, "a share above 0 and below 1, such as 1% or 0.01", "SHARE")


def choice(*words: str) -> Kind:
    """Return the kind of texts that are one of these words, upper or lower case alike."""
    spelled = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in spelled:
            raise ValueError(text)
        return spelled[text.lower()]

    return Kind(read, " or ".join(words), "|".join(words))


def auto_or(kind: Kind) -> Kind:
    """Return a kind that allows the word `auto` as well; it is read as None."""

    def read(text: str) -> Value:
        return None if text.lower() == "auto" else kind.read(text)

    return Kind(read, f"auto, or {kind.allowed}", kind.metavar)


def zero_or(kind: Kind) -> Kind:
    """Return a kind that allows 0 as well, for none."""

    def read(text: str) -> Value:
        return 0 if text == "0" else kind.read(text)

    return Kind(read, f"0 for none, or {kind.allowed}", kind.metavar)


def _read_switch(text: str) -> bool:
    word = text.lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError(text)
    return word in TRUE_WORDS


def _read_path(text: str) -> Path:
    if "\0" in text:
        raise ValueError(text)
    return read_path(text).expanduser()


def _read_formats(text: str) -> tuple[str, ...]:
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    extensions = [re.sub(r"^\*?\.", "", part).lower() for part in parts]
    if not extensions or not all(
        re.fullmatch(r"\w+|tar\.gz", extension) for extension in extensions
    ):
        raise ValueError(text)
    return tuple(dict.fromkeys(extensions))


def _read_table_formats(text: str) -> tuple[str, ...]:
    words = [word.lower() for word in re.split(r"[,;\s]+", text) if word]
    if not words or not set(words) <= set(tables.FORMATS):
        raise ValueError(text)
    return tuple(form for form in tables.FORMATS if form in {*words, tables.CSV})


def _read_prompt(text: str) -> str:
    if text.count("{description}") + text.count("{}") != 1:
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


def _read_branch(text: str) -> str:
    parts = text.split("/")
    # What git takes as a branch's name, less what a shell or an address would read otherwise.
    if (
        not re.fullmatch(r"[\w.+/-]+", text)
        or text.startswith("-")
        or ".." in text
        or any(not part or part[0] == "." or part.endswith((".", ".lock")) for part in parts)
    ):
        raise ValueError(text)
    return text


def _read_hub_action(text: str) -> tuple[str, ...]:
    action, *rest = text.split("\n")
    if action not in ("pull", "push", "export", "import"):
        raise ValueError(text)
    if len(rest) != (action in ("export", "import")) or not all(part.strip() for part in rest):
        raise ValueError(text)
    return (action, *rest)


def _read_paths(text: str) -> tuple[str, ...]:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    return tuple(text.split("\n"))


def _read_two_models(text: str) -> tuple[str, ...]:
    words = _read_paths(text)
    if len(words) != 2 or not all(word.strip() for word in words):
        raise ValueError(text)
    return words


def _read_shard(text: str) -> str:
    return str(Shard.parse(text))


def _read_corrections(text: str) -> tuple[str, ...]:
    words = tuple(text.split("\n"))
    if len(words) > 2 or not all(word.strip() for word in words) or "\0" in text:
        raise ValueError(text)
    return words


def _read_review(text: str) -> tuple[str, ...]:
    words = tuple(text.split("\n"))
    if len(words) > 1:
        raise ValueError(text)
    return words


def _read_class_weights(text: str) -> str:
    """Read a word or `LABEL=NUMBER,…`; the numbers are above 0."""
    if text.lower() in ("none", "balanced"):
        return text.lower()
    pairs = class_weights(text)
    if len({label for label, _ in pairs}) < len(pairs):
        raise ValueError(text)
    if not all(label and 0.0 < weight < float("inf") for label, weight in pairs):
        raise ValueError(text)
    return text


def class_weights(text: str) -> tuple[tuple[str, float], ...]:
    """Take `LABEL=NUMBER,…` apart.

    Raises:
        ValueError: it is something else.
    """
    pairs = [part.rpartition("=") for part in text.split(",")]
    return tuple((label.strip(), float(number)) for label, _, number in pairs)


def _read_services(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    if names == ("none",):
        return ()
    if not set(names) <= {"wandb", "mlflow"}:
        raise ValueError(text)
    return names


def _read_read_formats(text: str) -> tuple[str, ...]:
    words = [word.lower() for word in re.split(r"[,;\s]+", text) if word]
    if not words or not set(words) <= set(TEXT_FORMATS):
        raise ValueError(text)
    return tuple(form for form in TEXT_FORMATS if form in words)


def _read_labels(text: str) -> tuple[str, ...]:
    labels = [label.strip() for label in text.split(",")]
    if not all(labels):
        raise ValueError(text)
    return tuple(dict.fromkeys(labels))


def _read_audit(text: str) -> tuple[str, ...]:
    number, *table = text.split("\n")
    if int(number) < 1 or len(table) > 1 or not all(part.strip() for part in table):
        raise ValueError(text)
    return (number, *table)


TEXT_FORMATS = ("txt", "page", "alto", "tsv")  # of what is read of a page

SWITCH = Kind(_read_switch, "True or False", "")
ASSIGNMENT = Kind(str, "SECTION.KEY=VALUE", "SECTION.KEY=VALUE")
TEXT = Kind(str, "some text", "TEXT")
FILE = Kind(_read_path, "the path of a file", "FILE")
DIRECTORY = Kind(_read_path, "the path of a folder", "FOLDER")
PATH = Kind(_read_path, "a path", "PATH")
FORMATS = Kind(_read_formats, "file name extensions separated by commas, as in png,jpg", "EXT,EXT")
TABLE_FORMATS = Kind(
    _read_table_formats,
    f"{', '.join(tables.FORMATS[:-1])} or {tables.FORMATS[-1]}, or several with "
    "commas between them",
    "FORMAT,FORMAT",
)
PROMPT = Kind(_read_prompt, "a text that holds {description} or {} once", "TEXT")
DEVICE = Kind(_read_device, "auto, cpu, cuda, cuda:NUMBER or mps", "DEVICE")
BASE_CODE = Kind(_read_base, "one of " + ", ".join(base.code for base in catalogue.BASES), "CODE")
BRANCH = Kind(
    _read_branch, "main, a revision such as v1.1 or v2.2.3.4, or the name of a branch", "REV"
)
HUB_ACTION = Kind(
    _read_hub_action, "pull, push, export FILE or import FILE", "pull|push|export FILE|import FILE"
)
CORRECTIONS = Kind(
    _read_corrections,
    "a table of corrections, and perhaps the folder of its pages",
    "FILE [FOLDER]",
)
AUDIT = Kind(_read_audit, "a number of pages, and perhaps the table of a finished run", "N [TABLE]")
REVIEW = Kind(_read_review, "the table of a finished run, or nothing beside -d FOLDER", "TABLE")
REVISION = Kind(_read_revision, "main, or a revision such as v1.1 or v2.2.3.4", "REV")
PATHS = Kind(_read_paths, "one path or more", "FILE ...")
TWO_MODELS = Kind(_read_two_models, "two models: folders, files or names", "A B")
CLASS_WEIGHTS = Kind(
    _read_class_weights, "none, balanced, or numbers above 0 as in DRAW=2,PHOTO=0.5", "WEIGHTS"
)
SERVICES = Kind(_read_services, "none, wandb, mlflow, or both with a comma", "NAME,NAME")
SHARD = Kind(_read_shard, "a part of how many, as in 2/8", "I/N")
READ_SOURCE = Kind(_read_review, "a page, a folder or a PDF, or nothing beside -d FOLDER", "PATH")
READ_FORMATS = Kind(
    _read_read_formats, "txt, page, alto or tsv, or several with commas between them", "FORMAT"
)
LABELS = Kind(_read_labels, "labels separated by commas, as in TEXT_HW,LINE_HW", "LABELS")
