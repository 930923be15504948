"""Weights that other programs wrote: OpenAI-CLIP safetensors and `.pt` training checkpoints."""

from __future__ import annotations

import contextlib
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from pagesort.common import checked_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
from pagesort.models import catalogue, openai_clip
from pagesort.models.descriptions import match_labels
from pagesort.models.metadata import UNKNOWN_BASE, ModelMetadata, located

if TYPE_CHECKING:
    from transformers import CLIPConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR_FILE = "preprocessor_config.json"

_BICUBIC = 3
_MAX_HEADER = 100_000_000
_PREFIX = "model."
_FETCH_AGAIN = "The file may be damaged or incomplete; fetch it again"
# How torch names what it refuses to unpickle; a number there is an opcode, which tells nobody much.
_CARRIED = re.compile(r"(?:GLOBAL|[Uu]nsupported (?:global|class))\W+([A-Za-z_]\w*(?:\.\w+)+)")
# What torch says of a zip archive or an old-style file that ends too early or is broken inside.
_CUT = re.compile(r"PytorchStreamReader|unexpected EOF|might be corrupted|Invalid argument")
# What torch's reader raises on damaged data, besides OSError.
_UNREADABLE = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
)


@dataclass(frozen=True)
class ForeignModel:
    """A model read from a foreign file, ready to be written as a `transformers` folder."""

    config: CLIPConfig
    tensors: dict[str, torch.Tensor]
    metadata: ModelMetadata
    preprocessor: dict[str, Any]


def sniff(path: Path) -> Literal["safetensors", "torch"] | None:
    """Tell by its first bytes whether a file holds safetensors or a PyTorch pickle."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return None
    if head[:4] == b"PK\x03\x04":
        return "torch" if _is_torch_zip(path) else None
    if head[:1] == b"\x80" and 2 <= head[1] <= pickle.HIGHEST_PROTOCOL:
        return "torch"
    length = int.from_bytes(head[:8], "little")
    if len(head) == 9 and head[8:] == b"{" and length <= min(_MAX_HEADER, size - 8):
        return "safetensors"
    return None


def tensor_names(path: Path) -> list[str]:
    """Read the names of the tensors in a safetensors file from its header alone.

    Raises:
        PageSortError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise PageSortError(
            f"not a readable safetensors file ({error})", where=path, remedy=_FETCH_AGAIN
        ) from error


def read_published(weights: Path, config: Path | None) -> ForeignModel:
    """Read a published model: OpenAI-CLIP safetensors and the `config.json` beside them.

    Args:
        weights: the safetensors file.
        config: the description of the model; without one the labels stay open.

    Raises:
        PageSortError: the weights or the configuration are not what they should be.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts = read_json(config) if config else {}
    try:
        state = load_file(str(weights))
    except (SafetensorError, OSError) as error:
        raise PageSortError(
            f"not a readable safetensors file ({error})", where=weights, remedy=_FETCH_AGAIN
        ) from error
    where = config or weights
    size = _image_size(facts, where)
    clip_config, tensors = _convert(state, size, weights)
    training = {"source": "published model", "file": weights.name}
    for key in ("zero_shot", "rnd_data_seed", "text_feat_dim", "vision_feat_dim"):
        if key in facts:
            training[key] = facts[key]
    name = facts.get("model_name")
    labels, descriptions, average = _categories(facts, where)
    with located(where):
        metadata = ModelMetadata(
            labels=labels,
            descriptions=descriptions,
            average=average,
            base=name if isinstance(name, str) and name else _base_name(clip_config),
            training=training,
        )
    beside = weights.parent / PREPROCESSOR_FILE
    preprocessor = (
        read_json(beside)
        if beside.is_file()
        else clip_preprocessor(
            _vision(clip_config).image_size,
            _three(facts, "image_mean", CLIP_MEAN, where),
            _three(facts, "image_std", CLIP_STD, where),
        )
    )
    return ForeignModel(clip_config, tensors, metadata, preprocessor)


def read_checkpoint(path: Path) -> ForeignModel:
    """Read a `.pt` training checkpoint or a bare state dict, without running anything in it.

    Raises:
        PageSortError: the file is damaged, carries code, or holds other weights.
    """
    content = load_torch(path)
    if not isinstance(content, Mapping):
        raise PageSortError("the file holds no weights", where=path, remedy=_FETCH_AGAIN)
    state = content.get("model_state_dict", content)
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise PageSortError("the file holds no weights", where=path, remedy=_FETCH_AGAIN)
    config, tensors = _convert(state, None, path)
    training: dict[str, Any] = {"source": "training checkpoint", "file": path.name}
    for key in ("epoch", "loss", "rnd_data_seed", "category_limit"):
        value: Any = content.get(key)
        if getattr(value, "ndim", None) == 0:  # a number as NumPy or torch keep it
            value = value.item()
        if isinstance(value, (int, float, str)):
            training[key] = value
    metadata = ModelMetadata(base=_base_name(config), training=training)
    return ForeignModel(config, tensors, metadata, clip_preprocessor(_vision(config).image_size))


def clip_preprocessor(
    image_size: int, mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD
) -> dict[str, Any]:
    """CLIP's own preprocessing: bicubic resize of the shorter side, centre crop, normalisation."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": image_size},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": image_size, "width": image_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        PageSortError: the file cannot be read or holds something else.
    """
    with translate_unreadable(path):
        return checked_json.read_json(path, _FETCH_AGAIN)


def _convert(
    state: Mapping[str, torch.Tensor], image_size: int | None, where: Path
) -> tuple[CLIPConfig, dict[str, torch.Tensor]]:
    if state and all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    with located(where):
        return openai_clip.convert_state_dict(state, image_size)


def load_torch(path: Path) -> Any:
    """Unpickle with torch's restricted reader, which knows tensors and plain values only."""
    # Only zip archives can be mapped; that leaves the optimizer's half of the file unread.
    mapped = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")  # what matters of them becomes an error below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = _CARRIED.search(str(error))
        carried = f" ({named[1]})" if named else ""
        raise PageSortError(
            f"the file holds more than weights{carried} and was not loaded, "
            "because such a file can run any program",
            where=path,
            remedy="Ask for a checkpoint of tensors and plain values, or for safetensors",
        ) from error
    except (*_UNREADABLE, OSError) as error:
        if "TorchScript" in str(error):
            raise PageSortError(
                "the file is a TorchScript program and was not loaded",
                where=path,
                remedy="Save its state_dict instead",
            ) from error
        if isinstance(error, (EOFError, struct.error)) or _CUT.search(str(error)):
            raise PageSortError(
                "the file is damaged or cut short", where=path, remedy="Fetch it again"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise PageSortError(
            f"not a readable checkpoint ({reason})", where=path, remedy=_FETCH_AGAIN
        ) from error


def _numpy_scalars() -> list[Any]:
    """What a NumPy number in a checkpoint needs, and nothing that could run code."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    # Its module's name changed with NumPy 2; a file may come from either side.
    scalars = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "u1", "?")]
    return [*scalars, np.dtype, *kinds]


def _categories(
    facts: Mapping[str, Any], where: Path
) -> tuple[tuple[str, ...], dict[str, list[str]], bool]:
    """Labels, their descriptions and whether they are averaged, from a published `config.json`."""
    labels, texts = facts.get("categories"), facts.get("texts")
    if labels is None and isinstance(texts, dict):
        labels = list(texts)
    if labels is None:
        return (), {}, True
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise PageSortError("'categories' is not a list of labels", where=where)
    labels = [_underscored(label) for label in labels]
    if texts is None:
        return tuple(labels), {}, True
    if isinstance(texts, list):
        if len(texts) != len(labels):
            raise PageSortError(
                f"'texts' holds {len(texts)} entries for {len(labels)} categories",
                where=where,
                remedy="It must hold one entry a category, in their order, or name the categories",
            )
        texts = dict(zip(labels, texts, strict=True))
    if not isinstance(texts, dict):
        raise PageSortError("'texts' is neither a list nor an object", where=where)
    # A table by category is averaged whatever 'avg' says: the published code does the same.
    average = bool(facts.get("avg")) or any(isinstance(value, list) for value in texts.values())
    lists = {
        _underscored(label): [value] if isinstance(value, str) else value
        for label, value in texts.items()
    }
    return tuple(labels), match_labels(lists, labels, where), average


def _underscored(label: str) -> str:
    return label.replace("+AF8-", "_")


def _image_size(facts: Mapping[str, Any], where: Path) -> int | None:
    size = facts.get("image_size")
    if isinstance(size, list) and size and all(side == size[0] for side in size):
        size = size[0]
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0):
        return size
    raise PageSortError(f"'image_size' is {size!r}, not a number of pixels", where=where)


def _three(
    facts: Mapping[str, Any], key: str, default: Sequence[float], where: Path
) -> Sequence[float]:
    values = facts.get(key)
    if values is None:
        return default
    numbers: list[float] = []
    with contextlib.suppress(TypeError, ValueError):
        numbers = [float(value) for value in values]
    if len(numbers) != 3 or (key == "image_std" and min(numbers) <= 0):
        raise PageSortError(f"'{key}' is {values!r}, not one number a colour", where=where)
    return numbers


def _vision(config: CLIPConfig) -> Any:
    """The settings of the image tower, which the library declares as a dictionary, too."""
    return config.vision_config


def _base_name(config: CLIPConfig) -> str:
    """The base code that has these sizes, or the name of those that have none."""
    vision = _vision(config)
    base = catalogue.base_of_sizes(vision.image_size, vision.patch_size, vision.hidden_size)
    return base.code if base else UNKNOWN_BASE


def _is_torch_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        # Cut off in the middle; torch will say so.
        return True
