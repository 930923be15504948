"""AdamW, whose learning rate may fall from layer to layer towards the input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import nn

# One repeated part of a tower, whatever library it comes from: transformers names them
# `encoder.layers.3` or `stages.1.layers.2`, timm `blocks.3`, `stages.1.blocks.2`, `s1.b2` or
# `layer1.2`.
_BLOCK = re.compile(
    r"^.*?(?:stages\.\d+\.(?:layers|blocks)\.\d+|layers\.\d+\.blocks\.\d+|\bs\d+\.b\d+"
    r"|\blayer\d+\.\d+|\b(?:layers|layer|blocks|h)\.\d+)(?=\.)"
)
_DEPTHS_OF_UNKNOWN = 12
_TOWERS = ("vision_model", "text_model")


def make_optimiser(
    dual_encoder: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    layer_decay: float,
    adam_beta2: float,
) -> torch.optim.AdamW:
    """Return `adamw` for two towers.

    Args:
        dual_encoder: with `vision_model` and `text_model`.
        learning_rate: of the projections and whatever lies behind the last block.
        layer_decay: the rate of each block as a share of the next one's (arXiv 2212.06138).
    """
    scales = learning_rate_scales(dual_encoder, layer_decay)
    return adamw(dual_encoder, learning_rate, weight_decay, scales.__getitem__, adam_beta2)


def adamw(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    scale: Callable[[str], float] = lambda name: 1.0,
    beta2: float = 0.98,
    *,
    fused: bool | None = True,
) -> torch.optim.AdamW:
    """Return AdamW over all weights that are to be trained.

    Biases, norms and the like, whatever has fewer than two dimensions, have no weight decay.

    Args:
        scale: from a parameter's name to its share of the learning rate.
        fused: quicker, and rounded in other places than what made the bundled models of pages; None
            leaves it to torch.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((scale(name), parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": learning_rate * share,
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (share, decays), parameters in groups.items()
        ],
        lr=learning_rate,
        betas=(0.9, beta2),
        fused=fused,
    )


def learning_rate_scales(dual_encoder: nn.Module, layer_decay: float) -> dict[str, float]:
    """Return the share of the learning rate that every parameter gets, by its name."""
    scales = dict.fromkeys((name for name, _ in dual_encoder.named_parameters()), 1.0)
    for tower in _TOWERS:
        prefix = f"{tower}."
        depths = layer_depths(name for name in scales if name.startswith(prefix))
        deepest = max(depths.values(), default=0)
        for name, depth in depths.items():
            scales[name] = layer_decay ** (deepest - depth)
    return scales


def layer_depths(names: Iterable[str]) -> dict[str, int]:
    """Tell how far from the input each parameter of one tower lies.

    What stands before the first block has depth 0, the blocks count from 1, and what follows the
    last one lies one deeper. (timm's own layer decay takes a whole tower of transformers' for one
    layer.) A tower whose blocks have unknown names is cut into twelve, in the
    order of its parameters.

    Args:
        names: the parameters in the order of the tower.
    """
    names = list(names)
    blocks = {name: found.group(0) for name in names if (found := _BLOCK.match(name))}
    numbers = {block: number for number, block in enumerate(dict.fromkeys(blocks.values()), 1)}
    if not numbers:
        return {name: place * _DEPTHS_OF_UNKNOWN // len(names) for place, name in enumerate(names)}
    depths: dict[str, int] = {}
    reached = 0
    for name in names:
        if name in blocks:
            reached = numbers[blocks[name]]
            depths[name] = reached
        else:
            # Between two blocks, a part prepares the later one.
            depths[name] = reached + 1 if reached else 0
    return depths
