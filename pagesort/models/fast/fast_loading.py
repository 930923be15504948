"""Opening a model folder to predict, without `transformers` and timm, where its kind is known.

Whatever is not known for certain, damaged or incomplete is left to the general way, whose answers
these are and whose messages tell what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from pagesort.common.checked_json import parse_json, read_json
from pagesort.common.errors import PageSortError
from pagesort.models.fast.page_trunks import KIND, TrunksTower
from pagesort.models.fast.towers import (
    ACTIVATIONS,
    LITE_FACTORS,
    DualEncoder,
    LiteTower,
    TextShape,
    TransformerShape,
    VisionShape,
    VisionTower,
    VisionTransformer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Shape = TypeVar("Shape", bound=TransformerShape)

# What `transformers` takes for CLIP where config.json is silent.
_COMMON = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_TEXT = _COMMON | {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
}
_VISION = _COMMON | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "num_channels": 3,
}
_FIELDS = {
    "hidden_act": "activation",
    "layer_norm_eps": "norm_eps",
    "hidden_size": "width",
    "intermediate_size": "inner",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
}
_SHARED = 512
_LITE = "tf_efficientnet_"
# What only training follows.
_TRAINING_ARGUMENTS = {"drop_rate", "drop_path_rate"}
# What makes the same weights answer something else, or another class answer for them.
_DECISIVE = ("text_config_dict", "vision_config_dict", "quantization_config", "auto_map")

_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_NORMALISERS = [
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
    {"type": "Lowercase"},
]
_SPLITTERS = [
    {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Removed", "invert": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
]
_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": _END,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "</w>",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
# Settings of a tokenizer that decide what it answers, with the only values that are known.
_TOKENIZER_SETTINGS = {
    "tokenizer_class": "CLIPTokenizer",
    "bos_token": _START,
    "eos_token": _END,
    "pad_token": _END,
    "unk_token": _END,
}
_TOKENIZER_DEFAULTS = {
    "backend": "tokenizers",
    "padding_side": "right",
    "truncation_side": "right",
    "truncation_strategy": "longest_first",
    "pad_to_multiple_of": None,
    "pad_token_type_id": 0,
    "stride": 0,
}
# The lengths are the caller's; where the files once lay does not matter.
_WITHOUT_EFFECT = {"model_max_length", "max_length", "is_local", "local_files_only"}
# Files of older programs that add to what tokenizer.json says.
_OLDER_FILES = ("special_tokens_map.json", "added_tokens.json")


class _UnknownKindError(Exception):
    """The folder is nothing for this module."""


class LeanTokenizer:
    """CLIP's tokenizer, called as `transformers` calls it, always with padding and truncation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take over a tokenizer whose vocabulary has both marks."""
        self._tokenizer = tokenizer
        self._tokenizer.enable_padding(pad_id=tokenizer.token_to_id(_END), pad_token=_END)

    def __call__(
        self, texts: Sequence[str], *, max_length: int, **_usual: Any
    ) -> dict[str, torch.Tensor]:
        """Return `input_ids` and `attention_mask`, int64 (texts, longest)."""
        self._tokenizer.enable_truncation(max_length)
        rows = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": torch.tensor([row.ids for row in rows]),
            "attention_mask": torch.tensor([row.attention_mask for row in rows]),
        }


def load_to_predict(
    folder: Path,
) -> tuple[PreTrainedModel | DualEncoder, PreTrainedTokenizerBase | LeanTokenizer]:
    """Load what answers as `load_towers` does, without the libraries that it needs if possible.

    `config.json` says which towers: of the bundled models a `TextTower` beside a `TrunksTower`
    (pagesort-medium) or a `LiteTower` (pagesort-small), of CLIP's own kind two transformers. All
    else is left to `load_towers`.

    Raises:
        PageSortError: as `load_towers`.
    """
    from pagesort.models.transformers_loader import load_towers

    return load_lean(folder) or load_towers(folder)


def load_lean(folder: Path) -> tuple[DualEncoder, LeanTokenizer] | None:
    """Load towers and tokenizer to predict with; None stands for a folder to open the general way.

    The weights are float32 and stay in the file until they are used, but for those of an
    `EfficientNet`, whose norms are folded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = read_json(folder / "config.json")
        model = _lay_out(config)
        tokenizer = _read_tokenizer(folder, model.config.text_config.vocab_size)
        tensors = load_file(folder / "model.safetensors")
    except (_UnknownKindError, PageSortError, OSError, ValueError, SafetensorError):
        return None
    # Old files carry these buffers, which are only counted out.
    tensors = {name: t for name, t in tensors.items() if not name.endswith("position_ids")}
    expected = model.state_dict()
    if expected.keys() != tensors.keys():
        return None
    if any(expected[name].shape != tensor.shape for name, tensor in tensors.items()):
        return None
    tensors = {name: t.to(expected[name].dtype) for name, t in tensors.items()}
    model.load_state_dict(tensors, assign=True)
    if isinstance(model.vision_model, LiteTower | TrunksTower):
        model.vision_model.fold_norms()
    return model.eval(), tokenizer


def _lay_out(config: Mapping[str, Any]) -> DualEncoder:
    """Build the model that `config.json` describes, without memory for its weights."""
    kind, text, vision = (config.get(k) for k in ("model_type", "text_config", "vision_config"))
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise _UnknownKindError
    for part in (config, text, vision):
        if any(part.get(key) is not None for key in _DECISIVE):
            raise _UnknownKindError
        if any("attn_implementation" in key for key in part):
            raise _UnknownKindError
    shared = _value(config, "projection_dim", _SHARED)
    with torch.device("meta"):
        sizes = SimpleNamespace(model_type=kind, text_config=_shape(TextShape, text, _TEXT))
        if kind == "clip":
            sizes.vision_config = _shape(VisionShape, vision, _VISION)
            tower: VisionTower = VisionTransformer(sizes.vision_config)
        elif kind == "vision-text-dual-encoder" and text.get("model_type") == "clip_text_model":
            tower = _convolutional(vision)
        else:
            raise _UnknownKindError
        return DualEncoder(sizes.text_config, tower, shared, sizes)


def _convolutional(vision: Mapping[str, Any]) -> TrunksTower | LiteTower:
    if vision.get("model_type") == KIND:
        return TrunksTower(_value(vision, "hidden_size", _SHARED))
    return LiteTower(_lite_variant(vision))


def _shape(shape: type[Shape], config: Mapping[str, Any], defaults: Mapping[str, Any]) -> Shape:
    values = {
        _FIELDS.get(key, key): _value(config, key, default) for key, default in defaults.items()
    }
    found = shape(**values)
    if found.activation not in ACTIVATIONS or found.width % found.heads:
        raise _UnknownKindError
    return found


def _value(config: Mapping[str, Any], key: str, default: Any) -> Any:
    """A value of the same type as the default; what counts something is at least 1."""
    value = config.get(key, default)
    if type(value) is not type(default) or (isinstance(value, int) and value < 1):
        raise _UnknownKindError
    return value


def _lite_variant(vision: Mapping[str, Any]) -> str:
    """The variant of an image tower that timm makes, as far as `LiteTower` answers the same."""
    name = vision.get("architecture")
    arguments = vision.get("model_args") or {}
    known = (
        vision.get("model_type") == "timm_wrapper"
        and vision.get("do_pooling", True) is True
        and isinstance(arguments, dict)
        and arguments.keys() <= _TRAINING_ARGUMENTS
        and str(name).startswith(_LITE)
    )
    if not known or not isinstance(name, str) or name.removeprefix(_LITE) not in LITE_FACTORS:
        raise _UnknownKindError
    return name.removeprefix(_LITE)


def _read_tokenizer(folder: Path, known_tokens: int) -> LeanTokenizer:
    """Read a tokenizer that is CLIP's in all but its vocabulary."""
    from tokenizers import Tokenizer

    settings = read_json(folder / "tokenizer_config.json")
    known = _TOKENIZER_DEFAULTS | settings
    wanted = _TOKENIZER_SETTINGS | _TOKENIZER_DEFAULTS
    if {key: known[key] for key in known if key not in _WITHOUT_EFFECT} != wanted:
        raise _UnknownKindError
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    if any((folder / name).exists() for name in _OLDER_FILES) or not _is_clip(
        parse_json(text, folder)
    ):
        raise _UnknownKindError
    tokenizer = Tokenizer.from_str(text)
    if tokenizer.get_vocab_size() > known_tokens:
        raise _UnknownKindError
    return LeanTokenizer(tokenizer)


def _is_clip(content: Any) -> bool:
    """Whether a `tokenizer.json` does what `transformers.CLIPTokenizer` does with its vocabulary.

    That class takes nothing but vocabulary and merges from the file.
    """
    try:
        vocabulary = content["model"]["vocab"]
        marks = [vocabulary[mark] for mark in (_START, _END)]
        added = [(token["id"], token["content"]) for token in content["added_tokens"]]
        plain = [
            not any(token[key] for key in ("single_word", "lstrip", "rstrip", "normalized"))
            and token["special"]
            for token in content["added_tokens"]
        ]
        return (
            sorted(added) == sorted(zip(marks, (_START, _END), strict=True))
            and all(plain)
            and content["normalizer"] == {"type": "Sequence", "normalizers": _NORMALISERS}
            and content["pre_tokenizer"] == {"type": "Sequence", "pretokenizers": _SPLITTERS}
            and content["model"].items() >= _BPE.items()
            and content["post_processor"]
            == {
                "type": "RobertaProcessing",
                "sep": [_END, marks[1]],
                "cls": [_START, marks[0]],
                "trim_offsets": False,
                "add_prefix_space": False,
            }
        )
    except (TypeError, KeyError, AttributeError):
        return False
