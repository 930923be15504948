"""Models of random weights, of any image tower and a small text tower."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pagesort.models import formats
from pagesort.models.external_formats import clip_preprocessor
from pagesort.models.metadata import ModelMetadata
from pagesort.models.tokenizer import clip_tokenizer


def save_random_dual_encoder(folder: Path, vision: Any, pages: Mapping[str, Any]) -> Path:
    """Write a dual encoder whose image tower has the settings `vision`.

    Args:
        pages: what its `preprocessor_config.json` says beside pages of 75 × 64 pixels: an odd
            height, so that padding is needed on one side and on both.
    """
    from transformers import (
        CLIPTextConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    text = CLIPTextConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=998, eos_token_id=999, pad_token_id=999,
    )  # fmt: skip
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=24)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = VisionTextDualEncoderModel(config).eval()
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "joint.centre")):
                buffer.normal_()
            elif name.endswith(("running_var", "joint.scale")):
                buffer.uniform_(0.5, 2.0)
    metadata = ModelMetadata(labels=("A", "B"), descriptions={"A": ["a", "one"], "B": ["b"]})
    size = {"size": {"height": 75, "width": 64}, "do_center_crop": False}
    settings = clip_preprocessor(32) | size | dict(pages)
    formats.save_folder(folder, model, clip_tokenizer(1000, 77), settings, metadata)
    return folder
