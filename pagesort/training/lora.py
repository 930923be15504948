"""Low-rank adapters of an image tower (LoRA, arXiv 2106.09685): peft's, merged at every save."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import torch
from torch import nn

from pagesort.common.errors import PageSortError

PACKAGE = "peft"
_SCALE = 2
"""alpha of the rank: peft multiplies what the adapters add by it."""
# What transformers and timm call the products in front of an attention.
_ATTENTION = {"q_proj", "query", "qkv"}


def check_package() -> None:
    """Find peft, without importing it.

    Raises:
        PageSortError: it is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise PageSortError(
            "towers = lora takes the package peft, which is not installed",
            remedy="Type python3 -m pip install -r requirements-lora.txt, or use towers = probe",
        )


def check_tower(model: Any) -> None:
    """Refuse an image tower that is no vision transformer.

    Raises:
        PageSortError: it has no attention.
    """
    names = {name.rsplit(".", 1)[-1] for name, _ in model.vision_model.named_modules()}
    if not names & _ATTENTION:
        kind = model.config.vision_config
        called = getattr(kind, "architecture", None) or kind.model_type
        raise PageSortError(
            f"towers = lora is for vision transformers, and this model's image tower is {called}",
            where=model.name_or_path,
            remedy="Use towers = image or probe, or start from another model with -m",
        )


def add_adapters(model: Any, rank: int, seed: int) -> None:
    """Put adapters of this rank beside every matrix of the image tower; they alone learn there.

    Before the first step they add nothing.
    """
    from peft import LoraConfig, inject_adapter_in_model

    tower = model.vision_model
    matrices = [name for name, part in tower.named_modules() if isinstance(part, nn.Linear)]
    config = LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=matrices)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, tower)


def remove_adapters(model: nn.Module) -> None:
    """Take all adapters away, with what they have learnt; a model without any stays as it is."""
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if hasattr(part, "base_layer") and hasattr(part, "lora_A"):
                setattr(parent, name, part.base_layer)
        if hasattr(parent, "peft_config"):
            del parent.peft_config


def merged_copy(model: Any) -> Any:
    """Return an ordinary model with the weights that towers and adapters have together."""
    merged = copy.deepcopy(model)
    for part in merged.modules():
        if hasattr(part, "base_layer") and hasattr(part, "lora_A"):
            part.merge()
    remove_adapters(merged)
    return merged
