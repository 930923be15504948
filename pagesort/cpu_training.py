"""What spares processors time in a training: attention, depthwise gradients, freed memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from pagesort.depthwise import quick_depthwise
from pagesort.machine import freed_memory_kept

_MOST_TOKENS = 256
"""Plain attention keeps a number for every pair of tokens, head and layer until the backward pass:
at 577 tokens (ViT-L/14@336) gigabytes for a batch of 16."""
_FUSED, _PLAIN = "sdpa", "eager"


@contextlib.contextmanager
def quick_on_processors(model: nn.Module, precision: str) -> Iterator[None]:
    """Let a model train as quickly as a CPU can, for a while; weights and names stay as they are.

    Args:
        model: a dual encoder of `transformers`.
        precision: of the training: `bf16` or `no`.
    """
    with contextlib.ExitStack() as spared:
        spared.enter_context(freed_memory_kept())
        if precision == "bf16":
            spared.enter_context(quick_depthwise(model))
            spared.enter_context(plain_attention(model))
        yield


@contextlib.contextmanager
def plain_attention(model: nn.Module) -> Iterator[None]:
    """Compute attention over few tokens by two products of matrices, for a while.

    On a CPU in bfloat16, torch's fused attention takes nine times as long backward over 50 tokens
    (ViT-B/32), three times over 197 (ViT-B/16).
    """
    towers = (getattr(model, name, None) for name in ("vision_model", "text_model"))
    changed = [config for tower in towers if _is_short(config := getattr(tower, "config", None))]
    for config in changed:
        config._attn_implementation = _PLAIN
    try:
        yield
    finally:
        for config in changed:
            config._attn_implementation = _FUSED


def _is_short(config: Any) -> bool:
    """Whether a tower uses the fused attention, over few tokens."""
    if getattr(config, "_attn_implementation", None) != _FUSED:
        return False
    if hasattr(config, "max_position_embeddings"):
        return config.max_position_embeddings <= _MOST_TOKENS
    try:
        return (config.image_size // config.patch_size) ** 2 < _MOST_TOKENS
    except (AttributeError, TypeError):  # a tower of another kind
        return False
