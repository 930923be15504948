"""What the bundled model learns, and what its two towers make of pages and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from bundled_models.page_classifier.recipe import Recipe
from bundled_models.page_classifier.views import NO_GROUP, normalised
from pagesort.models.image_tower import TwoTowers, has_bf16
from pagesort.training.objective import unit
from pagesort.training.optimiser import adamw

LARGEST_LOGIT_SCALE = 4.6052
"""log(100): where CLIP clips its learnt temperature (arXiv 2103.00020, section 2.5)."""


class PageLearner(nn.Module):
    """A dual encoder and two heads that only training needs.

    One head names the label without the text tower, which keeps the image tower learning while the
    texts of the labels still look alike; one tells what lies where on the page.
    """

    def __init__(
        self, dual_encoder: TwoTowers, label_count: int, region_count: int, recipe: Recipe
    ) -> None:
        super().__init__()
        self.dual_encoder: TwoTowers = dual_encoder
        self.label_head = nn.Linear(dual_encoder.config.projection_dim, label_count)
        self.region_head = nn.Conv2d(dual_encoder.config.vision_config.hidden_size, region_count, 1)
        self.region_weight = recipe.region_weight

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor,
        groups: torch.Tensor,
        regions: torch.Tensor,
        has_regions: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Pages against the texts of all labels and of groups of them, and both heads.

        Every loss is a mean over the pages that it concerns; their sum is returned.
        """
        images = self.dual_encoder.get_image_features(pixel_values)
        texts = self.dual_encoder.get_text_features(
            input_ids=input_ids, attention_mask=attention_mask
        )
        scale = self.dual_encoder.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp()
        logits = (scale * unit(images.pooler_output) @ unit(texts.pooler_output).T).float()
        label_logits, group_logits = logits.split((len(groups), logits.shape[1] - len(groups)), 1)
        loss = functional.cross_entropy(label_logits, labels)
        loss = loss + functional.cross_entropy(
            self.label_head(images.pooler_output).float(), labels
        )
        loss = loss + _mean_of_concerned(group_logits, groups[labels])
        region_loss = self._region_loss(images.last_hidden_state, regions, has_regions)
        return {"loss": loss + self.region_weight * region_loss, "logits": label_logits}

    def _region_loss(
        self, state: torch.Tensor, regions: torch.Tensor, has_regions: torch.Tensor
    ) -> torch.Tensor:
        """Binary cross-entropy of the region masks; pages without masks weigh nothing."""
        predicted = self.region_head(state).float()
        target = functional.adaptive_avg_pool2d(regions.float() / 255.0, predicted.shape[-2:])
        losses = functional.binary_cross_entropy_with_logits(predicted, target, reduction="none")
        weight = has_regions.float()
        return (losses.mean(dim=(1, 2, 3)) * weight).sum() / weight.sum().clamp(min=1.0)


def _mean_of_concerned(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the pages whose label is in a group; 0 where none is."""
    if not logits.shape[1]:
        return logits.sum()
    losses = functional.cross_entropy(logits, targets, ignore_index=NO_GROUP, reduction="sum")
    return losses / (targets != NO_GROUP).sum().clamp(min=1)


@torch.inference_mode()
def label_embeddings(
    model: TwoTowers, prompts: Mapping[str, Sequence[str]], tokenizer: Any
) -> torch.Tensor:
    """Normalised mean of the normalised embeddings of each label's prompts: (C, D)."""
    rows = []
    for texts in prompts.values():
        tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        features = model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        rows.append(unit(unit(features.pooler_output).mean(0)))
    return torch.stack(rows)


@torch.inference_mode()
def page_embeddings(model: TwoTowers, pages: Iterable[np.ndarray], recipe: Recipe) -> np.ndarray:
    """Normalised embeddings of pages, uint8 (H, W, 3), at `scored_size`: float32 (N, D)."""
    model.eval()
    height, width = recipe.scored_size
    in_bf16 = has_bf16(torch.device("cpu"))
    rows = []
    for page in pages:
        image = Image.fromarray(page).resize((width, height), Image.Resampling.BICUBIC)
        pixels = normalised(torch.from_numpy(np.array(image)[None]), recipe)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            embedding = model.get_image_features(pixels).pooler_output
        rows.append(unit(embedding))
    return torch.cat(rows).numpy()


def make_optimiser(
    learner: nn.Module, learning_rate: float, weight_decay: float, tower_rate: float = 1.0
) -> torch.optim.Optimizer:
    """AdamW over what is to be learnt.

    Args:
        tower_rate: the image tower's rate as a share of the others': it knows pictures already.
    """

    def scale(name: str) -> float:
        return tower_rate if name.startswith("dual_encoder.vision_model.") else 1.0

    return adamw(learner, learning_rate, weight_decay, scale, fused=None)
