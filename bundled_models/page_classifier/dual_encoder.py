"""The two towers of the bundled model, with the weights they start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundled_models.page_classifier.start_weights import ARCHITECTURE, EMBEDDING_SIZE

if TYPE_CHECKING:
    from torch import nn
    from transformers import (
        PreTrainedConfig,
        PreTrainedTokenizerBase,
        VisionTextDualEncoderModel,
    )

VOCABULARY_SIZE = 4098
CONTEXT_LENGTH = 77


def build_dual_encoder(tokenizer: PreTrainedTokenizerBase) -> VisionTextDualEncoderModel:
    """Return the two towers with random weights (5 million parameters)."""
    from transformers import TimmWrapperConfig

    vision = TimmWrapperConfig(
        architecture=ARCHITECTURE,
        num_labels=0,  # type: ignore[call-arg]  # any keyword is taken, which its type leaves out
    )
    vision.hidden_size = EMBEDDING_SIZE
    return of_parts(vision, tokenizer)


def of_parts(
    vision: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> VisionTextDualEncoderModel:
    """Return an image tower of these settings and the small text tower, with random weights."""
    from transformers import (
        CLIPTextConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=256)
    return VisionTextDualEncoderModel(config)


def freeze(tower: nn.Module, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks of timm's EfficientNet; free all others."""
    tower.requires_grad_(True)
    if not blocks:
        return
    parts = dict(tower.named_children())
    for part in (parts["conv_stem"], parts["bn1"], *list(parts["blocks"].children())[:blocks]):
        part.requires_grad_(False)
