"""Model folders: formats told apart by content, converted once to one format, saved atomically."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    MODELS_ELSEWHERE,
    file_digest,
    flush,
    translate_unreadable,
    translate_unwritable,
    unfinished,
)
from pagesort.models import external_formats, openai_clip
from pagesort.models.metadata import CONFIG_FILE, METADATA_FILE, ModelMetadata, read_metadata
from pagesort.models.tokenizer import SETTINGS_FILES, clip_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "CONFIG_FILE",
    "METADATA_FILE",
    "ModelMetadata",
    "fingerprint",
    "open_model_folder",
    "quiet_transformers",
    "read_metadata",
    "recognise",
    "save_folder",
]

logger = logging.getLogger(__name__)

Format = Literal["transformers", "published", "checkpoint"]

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

# To be raised when the same input is to be converted into something else than before.
_CONVERSION = "1"
# Files beside the weights that decide what a model answers.
_DECISIVE = (CONFIG_FILE, external_formats.PREPROCESSOR_FILE, *SETTINGS_FILES)


@dataclass(frozen=True)
class _Found:
    """A recognised model: the folder of format 1, else the file that holds the weights."""

    format: Format
    path: Path
    config: Path | None = None


def recognise(path: str | Path) -> Format:
    """Tell by its content which of the three formats a model file or folder has.

    Raises:
        PageSortError: it does not exist or has none of them; the message says why not.
    """
    return _identify(Path(path)).format


def open_model_folder(path: str | Path, storage: str | Path) -> Path:
    """Return a `transformers` folder of the model at `path`, converting a foreign one once.

    Args:
        path: a model folder or file of any of the three formats.
        storage: the folder that keeps converted models; made when it is needed.

    Raises:
        PageSortError: the model is refused, or `storage` cannot be written.
    """
    found = _identify(Path(path))
    if found.format == "transformers":
        return found.path
    key = _digest([found.path, *([found.config] if found.config else [])], _CONVERSION)
    beside = found.path.parent / external_formats.PREPROCESSOR_FILE
    if found.format == "published" and beside.is_file():
        key = _digest([beside], key)
    name = found.path.parent.name if found.format == "published" else found.path.stem
    safe_name = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "model"
    target = Path(storage) / f"{safe_name}-{key[:8]}"
    if _is_complete(target):
        return target
    model = (
        external_formats.read_published(found.path, found.config)
        if found.format == "published"
        else external_formats.read_checkpoint(found.path)
    )
    logger.info("converting %s, once, to %s", found.path, target)
    _write_folder(target, lambda folder: _write_foreign(folder, model), replace=False)
    return target


def fingerprint(folder: str | Path) -> str:
    """Hash the weights and settings of a model folder: SHA-256 as 64 hexadecimal digits.

    Its metadata do not count: labels and descriptions may be replaced by the caller's.
    """
    folder = Path(folder)
    weights = sorted(folder.glob("*.safetensors"))
    return _digest([*weights, *(folder / name for name in _DECISIVE)], "folder")


def save_folder(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    preprocessor_config: Mapping[str, Any],
    metadata: ModelMetadata,
) -> None:
    """Write a model folder that is either complete or not there; one of that name is replaced.

    Raises:
        PageSortError: the folder cannot be written.
    """

    def write(target: Path) -> None:
        with quiet_transformers():
            model.save_pretrained(target, max_shard_size="100GB")
            tokenizer.save_pretrained(target)
        _write_settings(target, preprocessor_config, metadata)

    _write_folder(Path(folder), write, replace=True)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide the library's load report and bars: what matters of them becomes an error of ours."""
    from transformers.utils import logging as library

    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(library.CRITICAL)
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def _identify(path: Path) -> _Found:
    if path.is_dir():
        return _identify_folder(path)
    if not path.exists():
        raise PageSortError(
            "there is no such model", where=path, remedy="Name a model folder or a .pt file"
        )
    kind = external_formats.sniff(path)
    if kind == "torch":
        return _Found("checkpoint", path)
    if kind == "safetensors":
        return _identify_safetensors(path)
    raise PageSortError(
        "neither safetensors nor a PyTorch checkpoint",
        where=path,
        remedy="Name a model folder, a .safetensors file or a .pt file",
    )


def _identify_folder(folder: Path) -> _Found:
    with translate_unreadable(folder):
        files = sorted(path for path in folder.iterdir() if path.is_file())
    config = folder / CONFIG_FILE
    if (folder / INDEX_FILE).is_file() and _is_transformers_config(config):
        return _Found("transformers", folder)
    kinds = {path: external_formats.sniff(path) for path in files}
    weights = [path for path in files if kinds[path] == "safetensors"]
    pickles = [path for path in files if kinds[path] == "torch"]
    named = [path for path in weights if path.name == WEIGHTS_FILE]
    if named or len(weights) == 1:
        return _identify_safetensors((named or weights)[0])
    if not weights and len(pickles) == 1 and not _is_transformers_config(config):
        return _Found("checkpoint", pickles[0])
    reasons = (
        f"not ours: no {WEIGHTS_FILE} beside a {CONFIG_FILE} with a model_type",
        f"not a published model: {len(weights)} safetensors files",
        f"not a training checkpoint: {len(pickles)} PyTorch files"
        + (" beside a transformers config.json" if _is_transformers_config(config) else ""),
    )
    raise PageSortError(
        f"no model of any known format ({'; '.join(reasons)})",
        where=folder,
        remedy="Name a model folder, a .safetensors file or a .pt file",
    )


def _identify_safetensors(weights: Path) -> _Found:
    names = external_formats.tensor_names(weights)
    folder = weights.parent
    if openai_clip.looks_like_openai(names):
        return _Found("published", weights, _published_config(folder))
    if weights.name == WEIGHTS_FILE and _is_transformers_config(folder / CONFIG_FILE):
        return _Found("transformers", folder)
    reasons = ["not a published model: no tensors in OpenAI-CLIP naming"]
    if weights.name != WEIGHTS_FILE:
        reasons.append(f"not ours: the weights are not called {WEIGHTS_FILE}")
    else:
        reasons.append(f"not ours: no {CONFIG_FILE} with a model_type beside it")
    raise PageSortError(
        f"no model of any known format ({'; '.join(reasons)})",
        where=weights,
        remedy="A transformers folder must keep the names its files were saved under",
    )


def _published_config(folder: Path) -> Path | None:
    """The JSON file beside published weights that tells the categories, whatever its name."""
    usual = folder / CONFIG_FILE
    if usual.is_file():
        external_formats.read_json(usual)  # a damaged one is an error, never passed over
        return usual
    for path in sorted(folder.glob("*.json")):
        if {"categories", "texts"} & set(_json_keys(path)):
            return path
    return None


def _is_transformers_config(path: Path) -> bool:
    # A damaged one is an error of its own, never taken for one that lacks the key.
    return path.is_file() and "model_type" in external_formats.read_json(path)


def _json_keys(path: Path) -> Iterable[str]:
    """The keys of a JSON file that may belong to anything; none where it is no JSON object."""
    try:
        return external_formats.read_json(path)
    except PageSortError:
        return ()


def _write_foreign(folder: Path, model: external_formats.ForeignModel) -> None:
    from safetensors.torch import save_file

    text: Any = model.config.text_config  # declared as a dictionary, too
    tokenizer = clip_tokenizer(text.vocab_size, text.max_position_embeddings)
    model.config.architectures = ["CLIPModel"]
    # The largest first: a disk that is too small for the model is then told at once.
    save_file(model.tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write_settings(folder, model.preprocessor, model.metadata)


def _write_settings(folder: Path, preprocessor: Mapping[str, Any], metadata: ModelMetadata) -> None:
    content = json.dumps(dict(preprocessor), indent=2) + "\n"
    (folder / external_formats.PREPROCESSOR_FILE).write_text(content, encoding="utf-8")
    (folder / METADATA_FILE).write_text(metadata.to_json(), encoding="utf-8")


def _write_folder(target: Path, write: Callable[[Path], None], *, replace: bool) -> None:
    """Fill a hidden folder beside `target` and give it its name when it is complete."""
    from safetensors import SafetensorError

    what, elsewhere = "the model cannot be written", MODELS_ELSEWHERE
    with translate_unwritable(target.parent, what, elsewhere, also=(SafetensorError,)):
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(target) as partial:
            partial.mkdir()
            write(partial)
            _open_to_readers(partial)
            flush(partial)
            _give_name(partial, target, replace=replace)


def _open_to_readers(folder: Path) -> None:
    """Give every file the permissions of an ordinary new one: safetensors' are the owner's only.

    They are told from the folder, which was made a moment ago: asking for the umask means changing
    it, for all threads.
    """
    mode = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for path in folder.rglob("*"):
        # Some network and memory-stick file systems keep no permissions and refuse the call.
        with suppress(OSError):
            if path.is_file():
                path.chmod(mode)


def _give_name(partial: Path, target: Path, *, replace: bool) -> None:
    if target.exists() and (replace or not _is_complete(target)):
        with unfinished(target) as old:
            target.replace(old)
            partial.replace(target)
        return
    try:
        partial.replace(target)
    except OSError:
        # Another run finished the same conversion first: its folder is as good as ours.
        if not _is_complete(target):
            raise


def _is_complete(folder: Path) -> bool:
    return (folder / METADATA_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()


def _digest(files: Iterable[Path], start: str) -> str:
    """SHA-256 over the contents of the files that exist, their places, and `start`."""
    total = hashlib.sha256(start.encode())
    for place, path in enumerate(files):
        if not path.is_file():
            continue
        with translate_unreadable(path):
            total.update(str(place).encode() + bytes.fromhex(file_digest(path)))
    return total.hexdigest()
