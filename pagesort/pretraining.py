"""Pretraining of a dual encoder from nothing: views, objective, loop around `Trainer`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from pagesort.averaging import MovingAverage
from pagesort.page_cache import PAGES_PER_SHARD, PageCache, Shard
from pagesort.views import random_view

logger = logging.getLogger(__name__)

_LARGEST_LOGIT_SCALE = 4.6052
"""log(100): where CLIP clips its learnt temperature (arXiv 2103.00020, section 2.5)."""
_ENOUGH_REAL_PAGES = 30
_NO_ROWS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Phase:
    """A stretch of training: `batches` of views of `size` (height, width) from the first `pages`.

    `real_share` is how often a real page is taken where the label drawn has real pages.
    """

    size: tuple[int, int]
    batches: int
    pages: int
    real_share: float


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how the weights come about, given the pages."""

    phases: tuple[Phase, ...]
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_ratio: float = 0.05
    region_weight: float = 1.0
    ema_decay: float = 0.998
    seed: int = 420
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def steps(self) -> int:
        return sum(phase.batches for phase in self.phases)


class PageViews(Dataset):
    """View `i` of the training, decided by the seed and `i` alone, whatever process asks for it."""

    def __init__(
        self,
        recipe: Recipe,
        cache: PageCache,
        real: Shard | None,
        labels: Sequence[str],
        world: int,
    ) -> None:
        self.recipe = recipe
        self.cache = cache
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
        """Every label is equally likely, and so a shard's pages are ordered label by label."""
        label = int(rng.integers(0, len(self.labels)))
        rows = self._real_rows.get(label, _NO_ROWS)
        # A label of seven real pages must not be drilled until it is known by heart.
        share = phase.real_share * min(1.0, len(rows) / _ENOUGH_REAL_PAGES)
        if rng.random() < share and self.real is not None:
            return self.real, int(rng.choice(rows))
        shard = self.cache.shard(int(rng.integers(0, max(1, phase.pages // PAGES_PER_SHARD))))
        return shard, int(rng.choice(np.flatnonzero(shard.labels == label)))


def _rows_by_label(shard: Shard) -> dict[int, np.ndarray]:
    return {int(label): np.flatnonzero(shard.labels == label) for label in np.unique(shard.labels)}


@dataclass
class Collator:
    """Views to one batch: normalised pixels, labels, region masks and one prompt of each label."""

    recipe: Recipe
    prompts: Mapping[str, Sequence[str]]
    tokenizer: Any

    def __call__(self, views: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.recipe.seed, 1, views[0]["index"]))
        chosen = [texts[int(rng.integers(0, len(texts)))] for texts in self.prompts.values()]
        tokens = self.tokenizer(chosen, padding=True, truncation=True, return_tensors="pt")
        pixels = torch.from_numpy(np.stack([view["pixels"] for view in views]))
        return {
            "pixel_values": normalised(pixels, self.recipe),
            "labels": torch.tensor([view["label"] for view in views]),
            "regions": torch.from_numpy(np.stack([view["regions"] for view in views])),
            "has_regions": torch.tensor([view["has_regions"] for view in views]),
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
        }


def normalised(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory."""
    mean = torch.tensor(recipe.image_mean)
    std = torch.tensor(recipe.image_std)
    return ((pixels.float() / 255.0 - mean) / std).permute(0, 3, 1, 2)


class PageLearner(nn.Module):
    """A dual encoder and two heads that only training needs.

    One head names the label without the text tower, which keeps the image tower learning while the
    texts of the labels still look alike; one tells what lies where on the page.
    """

    def __init__(
        self, dual_encoder: PreTrainedModel, label_count: int, region_count: int, recipe: Recipe
    ) -> None:
        super().__init__()
        self.dual_encoder = dual_encoder
        self.label_head = nn.Linear(dual_encoder.config.projection_dim, label_count)
        self.region_head = nn.Conv2d(dual_encoder.config.vision_config.hidden_size, region_count, 1)
        self.region_weight = recipe.region_weight

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor,
        regions: torch.Tensor,
        has_regions: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Pages against the prompts of all labels, and both heads; every loss is a mean."""
        images = self.dual_encoder.get_image_features(pixel_values)
        texts = self.dual_encoder.get_text_features(
            input_ids=input_ids, attention_mask=attention_mask
        )
        scale = self.dual_encoder.logit_scale.clamp(max=_LARGEST_LOGIT_SCALE).exp()
        logits = scale * unit(images.pooler_output) @ unit(texts.pooler_output).T
        loss = functional.cross_entropy(logits.float(), labels)
        label_loss = functional.cross_entropy(self.label_head(images.pooler_output).float(), labels)
        region_loss = self._region_loss(images.last_hidden_state, regions, has_regions)
        return {"loss": loss + label_loss + self.region_weight * region_loss, "logits": logits}

    def _region_loss(
        self, state: torch.Tensor, regions: torch.Tensor, has_regions: torch.Tensor
    ) -> torch.Tensor:
        """Binary cross-entropy of the region masks; pages without masks weigh nothing."""
        predicted = self.region_head(state).float()
        target = functional.adaptive_avg_pool2d(regions.float() / 255.0, predicted.shape[-2:])
        losses = functional.binary_cross_entropy_with_logits(predicted, target, reduction="none")
        weight = has_regions.float()
        return (losses.mean(dim=(1, 2, 3)) * weight).sum() / weight.sum().clamp(min=1.0)


def unit(embeddings: torch.Tensor) -> torch.Tensor:
    """Scale embeddings (N, D) to length 1, in float32."""
    return functional.normalize(embeddings.float(), dim=-1)


@dataclass
class Watch(TrainerCallback):
    """Tell the accuracy of the averaged weights on pages kept aside, every `every` steps."""

    average: MovingAverage
    dual_encoder: PreTrainedModel
    prompts: Mapping[str, Sequence[str]]
    tokenizer: Any
    recipe: Recipe
    pages: Mapping[str, Shard]
    every: int
    history: list[dict[str, float]] = field(default_factory=list)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if not state.is_world_process_zero:
            return
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        record: dict[str, float] = {"step": state.global_step}
        with self.average.in_place():
            for name, shard in self.pages.items():
                logits = page_logits(
                    self.dual_encoder, shard, self.prompts, self.tokenizer, self.recipe
                )
                record[name] = float((logits.argmax(1).numpy() == shard.labels).mean())
        self.dual_encoder.train()
        self.history.append(record)
        logger.info("%s", record)


@torch.inference_mode()
def label_embeddings(
    model: PreTrainedModel, prompts: Mapping[str, Sequence[str]], tokenizer: Any
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
def page_logits(
    model: PreTrainedModel,
    shard: Shard,
    prompts: Mapping[str, Sequence[str]],
    tokenizer: Any,
    recipe: Recipe,
) -> torch.Tensor:
    """Score every page of a shard at the size of the last phase: float32 (N, C)."""
    from PIL import Image

    model.eval()
    texts = label_embeddings(model, prompts, tokenizer)
    height, width = recipe.phases[-1].size
    rows = []
    for start in range(0, len(shard.labels), recipe.batch):
        pages = [
            np.asarray(Image.fromarray(page).resize((width, height), Image.Resampling.BICUBIC))
            for page in shard.pages[start : start + recipe.batch]
        ]
        pixels = normalised(torch.from_numpy(np.stack(pages)), recipe)
        images = unit(model.get_image_features(pixels).pooler_output)
        rows.append(model.logit_scale.exp() * images @ texts.T)
    return torch.cat(rows)


class _InOrderTrainer(Trainer):
    """The views are random already: taken in order, a phase's batches hold views of one size."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)


def train(
    learner: PageLearner,
    views: PageViews,
    collator: Collator,
    watch: Watch,
    recipe: Recipe,
    folder: Path,
    use_cpu: bool,
) -> None:
    """Run the recipe; leaves the averaged weights in `learner.dual_encoder`."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=round(recipe.warmup_ratio * recipe.steps),
        lr_scheduler_type="cosine",
        adam_beta2=0.98,
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=use_cpu,
        ddp_backend="gloo" if use_cpu else None,
        ddp_broadcast_buffers=False,
        seed=recipe.seed,
        logging_steps=20,
        save_strategy="steps",
        save_steps=400,
        save_total_limit=1,
        report_to=[],
        remove_unused_columns=False,
        dataloader_num_workers=0 if use_cpu else 12,
        disable_tqdm=True,
    )
    trainer = _InOrderTrainer(
        model=learner,
        args=arguments,
        train_dataset=views,
        data_collator=collator,
        callbacks=[watch.average, watch],
    )
    trainer.train()
    learner.dual_encoder.load_state_dict(watch.average.weights)
