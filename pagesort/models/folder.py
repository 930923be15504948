"""The files of a model folder: which belong there, whether all are there, and their hashes."""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unwritable
from pagesort.models import external_formats, formats
from pagesort.models.installed import ORIGIN_FILE
from pagesort.models.local_only import check_local
from pagesort.models.metadata import METADATA_FILE, read_metadata
from pagesort.models.tokenizer import TOKENIZERS
from pagesort.pages.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
_NAMES = {
    formats.CONFIG_FILE,
    formats.WEIGHTS_FILE,
    formats.INDEX_FILE,
    external_formats.PREPROCESSOR_FILE,
    METADATA_FILE,
    CARD_FILE,
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "added_tokens.json",
    "generation_config.json",
    "merges.txt",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "trained_names.txt",
    "trained_pages.txt",
    "training_pages.json",
    "vocab.json",
    "vocab.txt",
}
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PLOT = re.compile(r"plots/[\w.@+-]+\.png")


def is_model_file(name: str) -> bool:
    """Tell whether a file of this name, with `/` for folders, belongs to a model."""
    return name in _NAMES or bool(_SHARD.fullmatch(name) or _PLOT.fullmatch(name))


def model_files(folder: Path) -> dict[str, Path]:
    """List the files of a model folder that belong to it: name, with `/` for folders, to path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and is_model_file(name):
            found[name] = path
    return found


def other_files(folder: Path) -> list[str]:
    """List what lies in a model folder and does not belong to it, the note of its origin aside."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not is_model_file(name) and name != ORIGIN_FILE)


def check_complete(folder: Path) -> None:
    """Check without loading the weights that a folder holds a whole model of our own format.

    Raises:
        PageSortError: something is missing or damaged.
    """
    if formats.recognise(folder) != "transformers":
        raise PageSortError("not a model folder of this program's format", where=folder)
    for name in weight_files(folder):
        if not (folder / name).is_file():
            raise PageSortError(f"{name} is missing", where=folder)
        external_formats.tensor_names(folder / name)
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise PageSortError("the model has no tokenizer.json", where=folder)
    check_local(folder)
    Preprocessing.from_folder(folder)
    read_metadata(folder)


def weight_files(folder: Path) -> list[str]:
    """Name the files that hold a model folder's weights: one, or those that its index lists.

    Raises:
        PageSortError: the index is damaged, or names other files than parts of the weights.
    """
    index = folder / formats.INDEX_FILE
    if (folder / formats.WEIGHTS_FILE).is_file() or not index.is_file():
        return [formats.WEIGHTS_FILE]
    parts = external_formats.read_json(index).get("weight_map")
    names = sorted({str(name) for name in parts.values()}) if isinstance(parts, dict) else []
    if not names or not all(_SHARD.fullmatch(name) for name in names):
        raise PageSortError("not a list of the parts of the weights", where=index)
    return names


def install(
    ready: Path, target: Path, *, may_replace: bool, aside: Path | None = None
) -> Path | None:
    """Give a finished folder its name; another model of that name is kept under a new one.

    Args:
        ready: the finished folder, on the same disk.
        target: the name it gets.
        may_replace: whether what lies there is known to be an older state of the same model; it
            waits as `<name>.old` beside `ready` until that has its name.
        aside: the name that another model gets which lies there; None: one that tells the time.

    Returns:
        The new name of the model that lay there, if it was kept.

    Raises:
        PageSortError: the folders cannot be renamed.
    """
    kept: Path | None = None
    old = ready.with_name(f"{target.name}.old")
    with translate_unwritable(target.parent):
        if old.exists():
            shutil.rmtree(old)
        if target.exists() or target.is_symlink():
            if not may_replace:
                kept = aside or _free_name(target)
            target.rename(kept or old)
        try:
            ready.rename(target)
        except OSError:
            # The previous model goes back to its place before the error is told.
            if (kept or old).exists():
                (kept or old).rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    return kept


def _free_name(target: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M")
    for number in range(1, 1000):
        name = target.with_name(f"{target.name}_before_{stamp}" + (f"-{number}" * (number > 1)))
        if not name.exists():
            return name
    raise PageSortError("too many models of this name are kept", where=target)
