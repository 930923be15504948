"""What spares processors time in a training: attention, depthwise gradients, freed memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from pagesort.common.hardware import freed_memory_kept

_MOST_BYTES = 2 << 30
"""What plain attention may keep until the backward pass, each tower. A bound of its own, and not
what is free, as the bits of a training must not depend on that."""
_BYTES_A_PAIR = 8  # of tokens: weights in both types, what the softmax and the dropout keep
_FUSED, _PLAIN = "sdpa", "eager"


@contextlib.contextmanager
def quick_on_processors(model: nn.Module, precision: str, batch_size: int) -> Iterator[None]:
    """Let a model train as quickly as a CPU can, for a while; weights and names stay as they are.

    Args:
        model: a dual encoder of `transformers`.
        precision: of the training: `bf16` or `no`.
        batch_size: pages or texts, whichever are more.
    """
    with contextlib.ExitStack() as spared:
        spared.enter_context(freed_memory_kept(all_of_it=True))
        if precision == "bf16":
            from pagesort.training.depthwise import quick_depthwise

            spared.enter_context(quick_depthwise(model))
            spared.enter_context(plain_attention(model, batch_size))
        yield


@contextlib.contextmanager
def plain_attention(model: nn.Module, batch_size: int) -> Iterator[None]:
    """Compute attention by two products of matrices where there is memory for it, for a while.

    On a CPU in bfloat16, torch's fused attention takes nine times as long backward over 50 tokens
    (ViT-B/32), three times over 197 (ViT-B/16). It keeps less: the products keep a number for every
    pair of tokens, head and layer.
    """
    towers = (getattr(model, name, None) for name in ("vision_model", "text_model"))
    configs: list[Any] = [getattr(tower, "config", None) for tower in towers]
    changed = [config for config in configs if batch_size * _bytes_kept(config) <= _MOST_BYTES]
    for config in changed:
        config._attn_implementation = _PLAIN
    try:
        yield
    finally:
        for config in changed:
            config._attn_implementation = _FUSED


def _bytes_kept(config: Any) -> float:
    """What plain attention keeps of a page or text; infinite for a tower of another kind."""
    if getattr(config, "_attn_implementation", None) != _FUSED:
        return math.inf
    try:
        tokens = getattr(config, "max_position_embeddings", None)
        if tokens is None:
            tokens = (config.image_size // config.patch_size) ** 2 + 1
        return tokens**2 * config.num_attention_heads * config.num_hidden_layers * _BYTES_A_PAIR
    except (AttributeError, TypeError):
        return math.inf
