"""What is learnt behind the trunks: how summaries of pages and texts come together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bundled_models.page_classifier.learner import LARGEST_LOGIT_SCALE
from bundled_models.page_classifier.real_pages import RealPages
from bundled_models.page_classifier.sampling import Sampler
from bundled_models.page_classifier.views import NO_GROUP, LabelTexts, TextBatch
from bundled_models.page_trunks.recipe import Recipe
from bundled_models.page_trunks.summaries import Summaries
from pagesort.training.objective import unit

if TYPE_CHECKING:
    from pagesort.models.image_tower import TwoTowers

_GRADIENT_CLIP = 1.0
_LEAST_SCALE = 1e-3


class SummaryLearner(nn.Module):
    """A dual encoder whose trunks have seen the pages already, and a head that names the label."""

    def __init__(self, dual_encoder: TwoTowers, label_count: int, recipe: Recipe) -> None:
        super().__init__()
        self.dual_encoder: TwoTowers = dual_encoder
        self.label_head = nn.Linear(dual_encoder.config.projection_dim, label_count)
        self.before, self.behind = (
            nn.Dropout(recipe.dropped_before),
            nn.Dropout(recipe.dropped_behind),
        )
        self.noise = recipe.noise

    def images(self, summaries: torch.Tensor) -> torch.Tensor:
        """What the image tower makes of summaries (N, SUMMARY_SIZE): (N, D)."""
        joint = self.dual_encoder.vision_model.trunks.joint
        near = joint.near(summaries)
        if self.training:
            near = self.before(near + self.noise * torch.randn_like(near))
        return self.dual_encoder.visual_projection(self.behind(joint.joined(near)))

    def forward(
        self, summaries: torch.Tensor, targets: torch.Tensor, texts: TextBatch
    ) -> torch.Tensor:
        """Mean loss of pages against texts of labels and of groups, and of the head.

        Args:
            summaries: (N, SUMMARY_SIZE), of one page each or mixed of two.
            targets: (N, labels), the share of each label.
            texts: one of each label, then those of the groups.
        """
        seen = self.images(summaries)
        read = self.dual_encoder.get_text_features(
            input_ids=texts.input_ids, attention_mask=texts.attention_mask
        ).pooler_output
        scale = self.dual_encoder.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp()
        logits = scale * unit(seen) @ unit(read).T
        count = targets.shape[1]
        loss = functional.cross_entropy(logits[:, :count], targets)
        loss = loss + functional.cross_entropy(self.label_head(seen), targets)
        return loss + _group_loss(logits[:, count:], targets, texts.groups)


def _group_loss(logits: torch.Tensor, targets: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the shares of labels that are in a group."""
    if not logits.shape[1]:
        return logits.sum()
    inside = groups != NO_GROUP
    members = functional.one_hot(groups.clamp(min=0), logits.shape[1]) * inside[:, None]
    shares = targets @ members.to(targets.dtype)
    return -(shares * logits.log_softmax(1)).sum() / shares.sum().clamp(min=1.0)


class _Batches:
    """Draws pages for a step: labels evenly, sources nearly so (see `Sampler`)."""

    def __init__(
        self, recipe: Recipe, summaries: Summaries, real: RealPages, rows: np.ndarray, labels: int
    ) -> None:
        self._recipe = recipe
        self._summaries = summaries
        self._sampler = Sampler(real, rows, labels)
        self._drawn = [np.flatnonzero(summaries.drawn_labels == label) for label in range(labels)]

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Summaries (N, SUMMARY_SIZE), every two of them mixed, and shares of labels."""
        recipe = self._recipe
        labels = [self._sampler.label(rng) for _ in range(recipe.batch)]
        pages = torch.from_numpy(np.stack([self._page(label, rng) for label in labels]))
        targets = functional.one_hot(torch.tensor(labels), len(self._drawn)).float()
        shares = rng.beta(recipe.mixture, recipe.mixture, (recipe.batch, 1))
        share = torch.from_numpy(shares.astype(np.float32))
        others = torch.from_numpy(rng.permutation(recipe.batch))
        pages = share * pages + (1 - share) * pages[others]
        return pages, share * targets + (1 - share) * targets[others]

    def _page(self, label: int, rng: np.random.Generator) -> np.ndarray:
        choice, place = self._sampler.of_label[label], rng.random()
        if not len(choice.rows) or rng.random() < self._recipe.drawn_share:
            is_turned = place < self._recipe.turned_share
            drawn = self._summaries.drawn_turned if is_turned else self._summaries.drawn
            return drawn[rng.choice(self._drawn[label])]
        row = choice.pick(rng)
        if place < self._recipe.turned_share:
            return self._summaries.turned[row]
        if place < self._recipe.turned_share + self._recipe.varied_share:
            return self._summaries.varied[row]
        return self._summaries.upright[row]


def set_scale(learner: SummaryLearner, summaries: np.ndarray) -> None:
    """Let summaries (N, SUMMARY_SIZE) of pages that may be seen tell what is near and far."""
    joint = learner.dual_encoder.vision_model.trunks.joint
    joint.centre.copy_(torch.from_numpy(summaries.mean(axis=0)))
    joint.scale.copy_(torch.from_numpy(summaries.std(axis=0) + _LEAST_SCALE))


def fit(
    learner: SummaryLearner,
    recipe: Recipe,
    summaries: Summaries,
    real: RealPages,
    rows: np.ndarray,
    texts: LabelTexts,
) -> Iterator[float]:
    """Teach a learner the pages `rows`; yields the loss of every step.

    At the end its weights are moving averages.
    """
    from pagesort.training.weight_averaging import moving_average

    set_scale(learner, summaries.upright[rows])
    learner.dual_encoder.vision_model.trunks.requires_grad_(False)
    learner.dual_encoder.vision_model.trunks.joint.requires_grad_(True)
    batches = _Batches(recipe, summaries, real, rows, learner.label_head.out_features)
    learnt = [value for value in learner.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [v for v in learnt if v.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [v for v in learnt if v.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
    )
    average = moving_average(learner, recipe.ema_decay)
    rng = np.random.default_rng(recipe.seed)
    learner.train()
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, recipe)
        loss = learner(*batches.draw(rng), texts.draw(rng))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, _GRADIENT_CLIP)
        optimiser.step()
        average.update(learner)
        yield float(loss.detach())
    learner.load_state_dict(average.module.state_dict())
    learner.eval()


def _rate(step: int, recipe: Recipe) -> float:
    """Share of the learning rate: up in a line, down as a cosine."""
    warm = max(1, round(recipe.steps * recipe.warmup_ratio))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, recipe.steps - warm))))


@torch.inference_mode()
def page_embeddings(learner: SummaryLearner, summaries: np.ndarray) -> np.ndarray:
    """Embeddings of length 1 of summaries (N, SUMMARY_SIZE): float32 (N, D)."""
    return unit(learner.eval().images(torch.from_numpy(summaries))).numpy()
