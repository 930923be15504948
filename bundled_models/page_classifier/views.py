"""What the making of the bundled model sees: views of drawn and real pages, and texts of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from bundled_models.page_classifier.page_cache import PAGES_PER_SHARD, Shard
from bundled_models.page_classifier.pretraining_augmentation import random_view
from bundled_models.page_classifier.real_pages import RealPages
from bundled_models.page_classifier.recipe import Phase, Recipe
from bundled_models.page_classifier.trait_texts import describe, random_grouping

NO_GROUP = -100
"""Group of a label that fits none of a grouping's texts; PyTorch's cross-entropy passes it over."""
_GRAMMAR_SHARE = 0.5
_NO_ROWS = np.zeros(0, dtype=np.int64)


class Drawn(Protocol):
    """Artificial pages in shards, as `page_cache.PageCache` draws them."""

    def shard(self, number: int) -> Shard:
        """Return shard `number`."""


class PageViews(Dataset):
    """View `i` of the training, decided by the seed and `i` alone, whatever process asks for it."""

    def __init__(
        self,
        recipe: Recipe,
        drawn: Drawn,
        real: RealPages | None,
        labels: Sequence[str],
        world: int,
    ) -> None:
        self.recipe = recipe
        self.drawn = drawn
        self.real = real
        self.labels = list(labels)
        self._ends = np.cumsum([phase.batches for phase in recipe.phases]) * world * recipe.batch
        self._real_rows = _rows_by_label(real) if real is not None else {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.recipe.seed, index))
        phase = self.recipe.phases[int(np.searchsorted(self._ends, index, side="right"))]
        shard, row = self._pick(phase, rng)
        label = int(shard.labels[row])
        view = random_view(
            shard.pages[row], shard.regions[row], phase.size, self.labels[label], rng
        )
        return {
            "pixels": view.pixels,
            "regions": view.regions,
            "has_regions": shard.has_regions,
            "label": label,
            "index": index,
        }

    def _pick(self, phase: Phase, rng: np.random.Generator) -> tuple[Shard, int]:
        """Every label is equally likely, and so is every folder of real pages that has it."""
        label = int(rng.integers(0, len(self.labels)))
        sources = self._real_rows.get(label, [])
        # A label of few real pages must not be drilled until they are known by heart.
        count = sum(len(rows) for rows in sources)
        share = phase.real_share * min(1.0, count / self.recipe.enough_real_pages)
        if rng.random() < share and self.real is not None:
            rows = sources[int(rng.integers(0, len(sources)))]
            return self.real.shard, int(rng.choice(rows))
        shard = self.drawn.shard(int(rng.integers(0, max(1, phase.pages // PAGES_PER_SHARD))))
        return shard, int(rng.choice(np.flatnonzero(shard.labels == label)))


def _rows_by_label(real: RealPages) -> dict[int, list[np.ndarray]]:
    """Label -> the rows of each folder that has pages of it."""
    by_label: dict[int, list[np.ndarray]] = {}
    for label in np.unique(real.shard.labels):
        of_label = real.shard.labels == label
        sources = np.unique(real.sources[of_label])
        by_label[int(label)] = [
            np.flatnonzero(of_label & (real.sources == source)) for source in sources
        ]
    return by_label


@dataclass
class Collator:
    """Views to one batch: normalised pixels, labels, region masks and texts.

    The first texts stand for one label each: half of the time a prompt of the descriptions' table,
    else one of the grammar. The others stand for the groups of a random grouping of the labels;
    `groups` (labels,) tells the group of each label, or `NO_GROUP`.
    """

    recipe: Recipe
    prompts: Mapping[str, Sequence[str]]
    tokenizer: Any
    grouped: bool = True

    def __call__(self, views: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.recipe.seed, 1, views[0]["index"]))
        texts = [self._text(label, rng) for label in self.prompts]
        groups = [NO_GROUP] * len(texts)
        if self.grouped:
            grouping = random_grouping(rng)
            texts += grouping.texts
            for place, label in enumerate(self.prompts):
                of = [n for n, members in enumerate(grouping.members) if label in members]
                groups[place] = of[0] if of else NO_GROUP
        tokens = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        pixels = torch.from_numpy(np.stack([view["pixels"] for view in views]))
        return {
            "pixel_values": normalised(pixels, self.recipe),
            "labels": torch.tensor([view["label"] for view in views]),
            "groups": torch.tensor(groups),
            "regions": torch.from_numpy(np.stack([view["regions"] for view in views])),
            "has_regions": torch.tensor([view["has_regions"] for view in views]),
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
        }

    def _text(self, label: str, rng: np.random.Generator) -> str:
        if self.grouped and rng.random() < _GRAMMAR_SHARE:
            return describe(label, rng)
        texts = self.prompts[label]
        return texts[int(rng.integers(0, len(texts)))]


def normalised(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory."""
    mean = torch.tensor(recipe.image_mean)
    std = torch.tensor(recipe.image_std)
    return ((pixels.float() / 255.0 - mean) / std).permute(0, 3, 1, 2)
