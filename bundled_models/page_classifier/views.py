"""What the making of the bundled model sees: views of drawn and real pages, and texts of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from bundled_models.page_classifier.page_cache import PAGES_PER_SHARD, REGION_SIZE, Shard
from bundled_models.page_classifier.pasted_pictures import with_real_pictures
from bundled_models.page_classifier.pretraining_augmentation import random_view, randomly_turned
from bundled_models.page_classifier.real_pages import RealPages
from bundled_models.page_classifier.recipe import Phase, Recipe
from bundled_models.page_classifier.sampling import Choice, Sampler
from bundled_models.page_classifier.trait_texts import describe, random_grouping
from bundled_models.synthetic_pages.page import REGIONS

NO_GROUP = -100
"""Group of a label that fits none of a grouping's texts; PyTorch's cross-entropy passes it over."""
_GRAMMAR_SHARE = 0.5
_PASTED_SHARE = 0.6
# Which label's real pages fill a region of drawn pages, and on which drawn pages.
_PICTURES = {"drawing": "DRAW", "photo": "PHOTO"}
_PICTURED = ("DRAW", "DRAW_L", "PHOTO", "PHOTO_L")
_NO_REGIONS = np.zeros((len(REGIONS), *REGION_SIZE), dtype=np.uint8)


class Drawn(Protocol):
    """Artificial pages in shards, as `page_cache.PageCache` draws them."""

    def shard(self, number: int) -> Shard:
        """Return shard `number`."""


@dataclass(frozen=True)
class _Page:
    """A page to be looked at: pixels (H, W, 3) and masks (6, h, w), which only drawn ones have."""

    pixels: np.ndarray
    regions: np.ndarray
    is_drawn: bool


class PageViews(Dataset[dict[str, Any]]):
    """View `i` of the training, decided by the seed and `i` alone, whatever process asks for it.

    Args:
        rows: the pages of `real` that may be shown; without `real`, all pages are drawn ones.
        world: processes that train together, each of which takes batches of its own.
    """

    def __init__(
        self,
        recipe: Recipe,
        drawn: Drawn,
        labels: Sequence[str],
        real: RealPages | None = None,
        rows: np.ndarray | None = None,
        world: int = 1,
    ) -> None:
        self.recipe = recipe
        self.drawn = drawn
        self.real = real
        self.labels = list(labels)
        self._ends = np.cumsum([phase.batches for phase in recipe.phases]) * world * recipe.batch
        self._sampler: Sampler | None = None
        self._pictures: dict[int, Choice] = {}
        if real is not None:
            chosen = np.arange(len(real)) if rows is None else rows
            self._sampler = Sampler(real, chosen, len(self.labels))
            self._pictures = {
                REGIONS.index(region): self._sampler.pictures(self.labels.index(label))
                for region, label in _PICTURES.items()
                if label in self.labels
            }

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.recipe.seed, index))
        phase = self.recipe.phases[int(np.searchsorted(self._ends, index, side="right"))]
        label, page = self._pick(phase, rng)
        pixels, regions = page.pixels, page.regions
        if rng.random() < self.recipe.turn_share:
            pixels, regions = randomly_turned(pixels, regions, rng)
        view = random_view(pixels, regions, phase.size, self.labels[label], rng)
        return {
            "pixels": view.pixels,
            "regions": view.regions,
            "has_regions": page.is_drawn,
            "label": label,
            "index": index,
        }

    def _pick(self, phase: Phase, rng: np.random.Generator) -> tuple[int, _Page]:
        """Choose a label, and a real or drawn page of it."""
        if self._sampler is None or self.real is None:
            label = int(rng.integers(0, len(self.labels)))
            return label, self._drawn_page(label, phase, rng)
        label = self._sampler.label(rng)
        choice = self._sampler.of_label[label]
        # A label of few real pages must not be drilled until they are known by heart.
        share = self.recipe.real_share * min(1.0, choice.worth / self.recipe.enough_real_pages)
        if rng.random() < share:
            return label, _Page(self.real.pixels[choice.pick(rng)], _NO_REGIONS, is_drawn=False)
        page = self._drawn_page(label, phase, rng)
        if self.labels[label] in _PICTURED and rng.random() < _PASTED_SHARE:
            inked = REGIONS.index("drawing")
            pixels = with_real_pictures(
                page.pixels, page.regions, self._pictures, self.real.pixels, inked, rng
            )
            page = replace(page, pixels=pixels)
        return label, page

    def _drawn_page(self, label: int, phase: Phase, rng: np.random.Generator) -> _Page:
        shard = self.drawn.shard(int(rng.integers(0, max(1, phase.pages // PAGES_PER_SHARD))))
        row = int(rng.choice(np.flatnonzero(shard.labels == label)))
        return _Page(shard.pages[row], shard.regions[row], is_drawn=True)


@dataclass(frozen=True)
class TextBatch:
    """Texts as token ids and mask, int64 (T, longest), with the group (labels,) of each label."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    groups: torch.Tensor


@dataclass(frozen=True)
class LabelTexts:
    """Draws texts for a step.

    The first stand for one label each: half of the time a prompt of the descriptions' table, else
    one of the grammar. The others stand for the groups of a random grouping of the labels; `groups`
    tells the group of each label, or `NO_GROUP`.
    """

    prompts: Mapping[str, Sequence[str]]
    tokenizer: Any
    grouped: bool = True

    def draw(self, rng: np.random.Generator) -> TextBatch:
        """Draw the texts of one step."""
        texts = [self._text(label, rng) for label in self.prompts]
        groups = [NO_GROUP] * len(texts)
        if self.grouped:
            grouping = random_grouping(rng)
            texts += grouping.texts
            for place, label in enumerate(self.prompts):
                of = [n for n, members in enumerate(grouping.members) if label in members]
                groups[place] = of[0] if of else NO_GROUP
        tokens = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return TextBatch(tokens["input_ids"], tokens["attention_mask"], torch.tensor(groups))

    def _text(self, label: str, rng: np.random.Generator) -> str:
        if self.grouped and rng.random() < _GRAMMAR_SHARE:
            return describe(label, rng)
        texts = self.prompts[label]
        return texts[int(rng.integers(0, len(texts)))]


@dataclass
class Collator:
    """Views to one batch: normalised pixels, labels, region masks and texts."""

    recipe: Recipe
    texts: LabelTexts

    def __call__(self, views: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.recipe.seed, 1, views[0]["index"]))
        drawn = self.texts.draw(rng)
        pixels = torch.from_numpy(np.stack([view["pixels"] for view in views]))
        return {
            "pixel_values": normalised(pixels, self.recipe),
            "labels": torch.tensor([view["label"] for view in views]),
            "regions": torch.from_numpy(np.stack([view["regions"] for view in views])),
            "has_regions": torch.tensor([view["has_regions"] for view in views]),
            **vars(drawn),
        }


def normalised(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory."""
    mean = torch.tensor(recipe.image_mean)
    std = torch.tensor(recipe.image_std)
    return ((pixels.float() / 255.0 - mean) / std).permute(0, 3, 1, 2)
