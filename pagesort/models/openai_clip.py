"""OpenAI-CLIP weights to `transformers` weights: a pure function of names and shapes, no files.

Sources: the tensor names of OpenAI's CLIP (github.com/openai/CLIP) and those of
`transformers.CLIPModel`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from transformers import CLIPConfig

logger = logging.getLogger(__name__)

# CLIP's own tokenizer has this many tokens; the last one ends a text.
CLIP_VOCABULARY_SIZE = 49408
# With this value `transformers` pools at the highest token id, which is OpenAI's rule word for
# word, where a named id would be one only that vocabulary has.
_POOL_AT_HIGHEST_ID = 2
_HEAD_WIDTH = 64
_MOST_NAMED = 3

# Sizes and buffers that OpenAI's own archives carry beside the weights.
_NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size", "attn_mask"}
_BLOCK = re.compile(r"((?:visual\.)?transformer)\.resblocks\.(\d+)\.")

# Names inside one transformer block: OpenAI's, then those of `transformers`.
_BLOCK_NAMES = (
    ("attn.out_proj", "self_attn.out_proj"),
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
)
# Names outside of the blocks; True where the matrix has to be transposed.
_OUTER_NAMES = (
    ("visual.class_embedding", "vision_model.embeddings.class_embedding", False),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight", False),
    ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight", False),
    # The library's own spelling.
    ("visual.ln_pre.weight", "vision_model.pre_layrnorm.weight", False),
    ("visual.ln_pre.bias", "vision_model.pre_layrnorm.bias", False),
    ("visual.ln_post.weight", "vision_model.post_layernorm.weight", False),
    ("visual.ln_post.bias", "vision_model.post_layernorm.bias", False),
    ("visual.proj", "visual_projection.weight", True),
    ("token_embedding.weight", "text_model.embeddings.token_embedding.weight", False),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight", False),
    ("ln_final.weight", "text_model.final_layer_norm.weight", False),
    ("ln_final.bias", "text_model.final_layer_norm.bias", False),
    ("text_projection", "text_projection.weight", True),
    ("logit_scale", "logit_scale", False),
)
_TOWERS = (("visual.transformer", "vision_model"), ("transformer", "text_model"))


@dataclass(frozen=True)
class _Sizes:
    """What the shapes of the tensors say about the model."""

    embedding: int
    patch: int
    grid: int
    vision_width: int
    vision_mlp: int
    vision_layers: int
    text_width: int
    text_mlp: int
    text_layers: int
    vocabulary: int
    context: int


def looks_like_openai(names: Sequence[str]) -> bool:
    """Tell whether tensor names, less a possible `model.` in front, are those of OpenAI's CLIP."""
    bare = {name.removeprefix("model.") for name in names}
    return "token_embedding.weight" in bare and any(name.startswith("visual.") for name in bare)


def convert_state_dict(
    openai_state: Mapping[str, torch.Tensor], image_size: int | None = None
) -> tuple[CLIPConfig, dict[str, torch.Tensor]]:
    """Convert the weights of any ViT-shaped OpenAI CLIP, every size read off their shapes.

    Args:
        openai_state: tensors of any float type under OpenAI's names, without `model.` in front.
        image_size: input size in pixels; only needed where it is no multiple of the patch size.

    Returns:
        The configuration and the float32 tensors of a `transformers.CLIPModel`.

    Raises:
        PageSortError: tensors are missing, unknown or misshapen; the message names them.
    """
    state = {name: value for name, value in openai_state.items() if name not in _NOT_WEIGHTS}
    sizes = _read_sizes(state)
    _check(state, _expected_shapes(sizes))
    converted = {
        theirs: (state[ours].T if transposed else state[ours])
        for ours, theirs, transposed in _OUTER_NAMES
    }
    converted["logit_scale"] = converted["logit_scale"].reshape(())
    for ours, theirs in _TOWERS:
        layers = sizes.vision_layers if theirs == "vision_model" else sizes.text_layers
        for layer in range(layers):
            block = f"{theirs}.encoder.layers.{layer}"
            converted.update(_convert_block(state, f"{ours}.resblocks.{layer}", block))
    tensors = {name: value.detach().float().contiguous() for name, value in converted.items()}
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise _refusal([f"not finite: {_named(bad)}"])
    return _config(sizes, image_size), tensors


def _convert_block(
    state: Mapping[str, torch.Tensor], ours: str, theirs: str
) -> Iterator[tuple[str, torch.Tensor]]:
    for kind in ("weight", "bias"):
        # OpenAI stacks query, key and value in one tensor.
        parts = state[f"{ours}.attn.in_proj_{kind}"].chunk(3)
        for letter, part in zip("qkv", parts, strict=True):
            # A copy of its own: tensors that share memory cannot be written as safetensors.
            yield f"{theirs}.self_attn.{letter}_proj.{kind}", part.clone()
        for our_name, their_name in _BLOCK_NAMES:
            yield f"{theirs}.{their_name}.{kind}", state[f"{ours}.{our_name}.{kind}"]


def _read_sizes(state: Mapping[str, torch.Tensor]) -> _Sizes:
    if any(name.startswith("visual.layer1.") for name in state):
        raise PageSortError(
            "the image tower is a ResNet", remedy="Only CLIPs with a ViT image tower can be read"
        )
    needed = {
        "visual.conv1.weight": 4,
        "visual.positional_embedding": 2,
        "visual.proj": 2,
        "visual.transformer.resblocks.0.mlp.c_fc.weight": 2,
        "token_embedding.weight": 2,
        "positional_embedding": 2,
        "text_projection": 2,
        "transformer.resblocks.0.mlp.c_fc.weight": 2,
    }
    missing = [name for name in needed if name not in state]
    if missing:
        raise _refusal([f"missing: {_named(missing)}"])
    flat = [name for name, axes in needed.items() if len(_shape(state[name])) != axes]
    if flat:
        raise _refusal([f"misshapen: {_named([f'{n} {_shape(state[n])}' for n in flat])}"])
    patches = _shape(state["visual.positional_embedding"])[0] - 1
    vision_width, _, _, patch = _shape(state["visual.conv1.weight"])
    vocabulary, text_width = _shape(state["token_embedding.weight"])
    return _Sizes(
        embedding=_shape(state["text_projection"])[1],
        patch=patch,
        grid=math.isqrt(max(patches, 0)),
        vision_width=vision_width,
        vision_mlp=_shape(state["visual.transformer.resblocks.0.mlp.c_fc.weight"])[0],
        vision_layers=_count_blocks(state, "visual.transformer"),
        text_width=text_width,
        text_mlp=_shape(state["transformer.resblocks.0.mlp.c_fc.weight"])[0],
        text_layers=_count_blocks(state, "transformer"),
        vocabulary=vocabulary,
        context=_shape(state["positional_embedding"])[0],
    )


def _count_blocks(state: Mapping[str, torch.Tensor], tower: str) -> int:
    matches = (_BLOCK.match(name) for name in state)
    return len({match[2] for match in matches if match and match[1] == tower})


def _expected_shapes(sizes: _Sizes) -> dict[str, tuple[int, ...]]:
    vision, text, patch = sizes.vision_width, sizes.text_width, sizes.patch
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (vision,),
        "visual.positional_embedding": (sizes.grid**2 + 1, vision),
        "visual.conv1.weight": (vision, 3, patch, patch),
        "visual.ln_pre.weight": (vision,),
        "visual.ln_pre.bias": (vision,),
        "visual.ln_post.weight": (vision,),
        "visual.ln_post.bias": (vision,),
        "visual.proj": (vision, sizes.embedding),
        "token_embedding.weight": (sizes.vocabulary, text),
        "positional_embedding": (sizes.context, text),
        "ln_final.weight": (text,),
        "ln_final.bias": (text,),
        "text_projection": (text, sizes.embedding),
        "logit_scale": (),
    }
    towers = (
        ("visual.transformer", sizes.vision_layers, vision, sizes.vision_mlp),
        ("transformer", sizes.text_layers, text, sizes.text_mlp),
    )
    for tower, layers, width, mlp in towers:
        for layer in range(layers):
            block = f"{tower}.resblocks.{layer}"
            shapes |= {
                f"{block}.attn.in_proj_weight": (3 * width, width),
                f"{block}.attn.in_proj_bias": (3 * width,),
                f"{block}.attn.out_proj.weight": (width, width),
                f"{block}.attn.out_proj.bias": (width,),
                f"{block}.mlp.c_fc.weight": (mlp, width),
                f"{block}.mlp.c_fc.bias": (mlp,),
                f"{block}.mlp.c_proj.weight": (width, mlp),
                f"{block}.mlp.c_proj.bias": (width,),
            }
            for norm in ("ln_1", "ln_2"):
                shapes |= {f"{block}.{norm}.weight": (width,), f"{block}.{norm}.bias": (width,)}
    return shapes


def _check(state: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    misshapen, not_float = [], []
    for name, shape in expected.items():
        if name not in state:
            continue
        found = _shape(state[name])
        # Some exports keep the scale as a vector of one.
        if found != shape and not (name == "logit_scale" and found == (1,)):
            misshapen.append(f"{name} {found} instead of {shape}")
        if not isinstance(state[name], torch.Tensor) or not state[name].is_floating_point():
            not_float.append(name)
    problems = (
        ("missing", missing),
        ("unknown", unknown),
        ("misshapen", misshapen),
        ("not a float tensor", not_float),
    )
    faults = [f"{kind}: {_named(names)}" for kind, names in problems if names]
    if faults:
        raise _refusal(faults)


def _config(sizes: _Sizes, image_size: int | None) -> CLIPConfig:
    from transformers import CLIPConfig

    full_grid = sizes.grid * sizes.patch
    if image_size is not None and image_size // sizes.patch != sizes.grid:
        logger.warning(
            "the stated image size %s does not fit the weights: using %s", image_size, full_grid
        )
        image_size = None
    published = sizes.vocabulary == CLIP_VOCABULARY_SIZE
    text = {
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.text_width,
        "intermediate_size": sizes.text_mlp,
        "num_hidden_layers": sizes.text_layers,
        "num_attention_heads": _heads(sizes.text_width),
        "max_position_embeddings": sizes.context,
        "bos_token_id": CLIP_VOCABULARY_SIZE - 2 if published else 0,
        "eos_token_id": CLIP_VOCABULARY_SIZE - 1 if published else _POOL_AT_HIGHEST_ID,
    }
    vision = {
        "hidden_size": sizes.vision_width,
        "intermediate_size": sizes.vision_mlp,
        "num_hidden_layers": sizes.vision_layers,
        "num_attention_heads": _heads(sizes.vision_width),
        "image_size": image_size or full_grid,
        "patch_size": sizes.patch,
    }
    shared = {"projection_dim": sizes.embedding, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
    return CLIPConfig(
        text_config=text | shared, vision_config=vision | shared, projection_dim=sizes.embedding
    )


def _heads(width: int) -> int:
    heads = max(1, width // _HEAD_WIDTH)
    if width % heads:
        raise PageSortError(f"a tower {width} wide cannot be split into heads of {_HEAD_WIDTH}")
    return heads


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def _named(names: Sequence[str]) -> str:
    first = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{first} and {more} more" if more > 0 else first


def _refusal(problems: Sequence[str]) -> PageSortError:
    return PageSortError(
        f"the weights are not those of a CLIP ({'; '.join(problems)})",
        remedy="Only complete weights in OpenAI-CLIP naming can be read",
    )
