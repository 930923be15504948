"""What is learnt behind the trunks: how summaries of pages and texts come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from bundled_models.page_classifier.learner import LARGEST_LOGIT_SCALE, make_optimiser
from bundled_models.page_classifier.real_pages import RealPages
from bundled_models.page_classifier.sampling import Sampler
from bundled_models.page_classifier.views import NO_GROUP, LabelTexts
from bundled_models.page_trunks.recipe import Recipe
from bundled_models.page_trunks.summaries import Summaries
from pagesort.training.objective import unit

if TYPE_CHECKING:
    from pagesort.models.image_tower import TwoTowers

_GRADIENT_CLIP = 1.0
_LEAST_SCALE = 1e-3
_STEPS_BETWEEN_REPORTS = 20


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
        self,
        summaries: torch.Tensor,
        targets: torch.Tensor,
        groups: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Mean loss of pages against texts of labels and of groups, and of the head.

        Args:
            summaries: (N, SUMMARY_SIZE), of one page each or mixed of two.
            targets: (N, labels), the share of each label.
            groups: the group of each label, or `NO_GROUP`.
            input_ids: one text of each label, then those of the groups.
        """
        seen = self.images(summaries)
        read = self.dual_encoder.get_text_features(
            input_ids=input_ids, attention_mask=attention_mask
        ).pooler_output
        scale = self.dual_encoder.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp()
        logits = scale * unit(seen) @ unit(read).T
        count = targets.shape[1]
        loss = functional.cross_entropy(logits[:, :count], targets)
        loss = loss + functional.cross_entropy(self.label_head(seen), targets)
        return {"loss": loss + _group_loss(logits[:, count:], targets, groups)}


def _group_loss(logits: torch.Tensor, targets: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the shares of labels that are in a group."""
    if not logits.shape[1]:
        return logits.sum()
    inside = groups != NO_GROUP
    members = functional.one_hot(groups.clamp(min=0), logits.shape[1]) * inside[:, None]
    shares = targets @ members.to(targets.dtype)
    return -(shares * logits.log_softmax(1)).sum() / shares.sum().clamp(min=1.0)


class SummaryViews(Dataset[dict[str, Any]]):
    """View `i` of a training, decided by the seed and `i`: the summary of a page, and its label.

    Labels come evenly, sources nearly so (see `Sampler`).

    Args:
        rows: the pages of `real` that may be shown.
    """

    def __init__(
        self, recipe: Recipe, summaries: Summaries, real: RealPages, rows: np.ndarray, labels: int
    ) -> None:
        self._recipe = recipe
        self._summaries = summaries
        self._sampler = Sampler(real, rows, labels)
        self._drawn = [np.flatnonzero(summaries.drawn_labels == label) for label in range(labels)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self._recipe.seed, index))
        label = self._sampler.label(rng)
        share = rng.beta(self._recipe.mixture, self._recipe.mixture)
        return {"index": index, "label": label, "page": self._page(label, rng), "share": share}

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


@dataclass(frozen=True)
class Collator:
    """Views to one batch, each mixed with the next one (arXiv 1710.09412), and texts for it."""

    recipe: Recipe
    texts: LabelTexts
    labels: int

    def __call__(self, views: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.recipe.seed, 1, views[0]["index"]))
        drawn = self.texts.draw(rng)
        pages = torch.from_numpy(np.stack([view["page"] for view in views]))
        labels = torch.tensor([view["label"] for view in views])
        targets = functional.one_hot(labels, self.labels).float()
        share = torch.tensor([view["share"] for view in views])[:, None]
        return {
            "summaries": share * pages + (1 - share) * pages.roll(1, 0),
            "targets": share * targets + (1 - share) * targets.roll(1, 0),
            **vars(drawn),
        }


def set_scale(learner: SummaryLearner, summaries: np.ndarray) -> None:
    """Let summaries (N, SUMMARY_SIZE) of pages that may be seen tell what is near and far."""
    joint = learner.dual_encoder.vision_model.trunks.joint
    joint.centre.copy_(torch.from_numpy(np.nanmean(summaries, axis=0)))
    joint.scale.copy_(torch.from_numpy(np.nanstd(summaries, axis=0) + _LEAST_SCALE))


def teach(
    learner: SummaryLearner,
    recipe: Recipe,
    summaries: Summaries,
    real: RealPages,
    rows: np.ndarray,
    texts: LabelTexts,
) -> list[dict[str, float]]:
    """Teach a learner the pages `rows`; returns the reports of the training (see `fit`).

    At the end its weights are moving averages.
    """
    from pagesort.training.loop import Schedule, fit
    from pagesort.training.weight_averaging import moving_average

    set_scale(learner, summaries.upright[rows])
    # What a page lacks is usual; else a page mixed with it would lack it, too.
    usual = learner.dual_encoder.vision_model.trunks.joint.centre.numpy()
    learner.dual_encoder.vision_model.trunks.requires_grad_(False)
    learner.dual_encoder.vision_model.trunks.joint.requires_grad_(True)
    labels = learner.label_head.out_features
    average = moving_average(learner, recipe.ema_decay)
    history = fit(
        learner,
        SummaryViews(recipe, summaries.filled(usual), real, rows, labels),
        Collator(recipe, texts, labels),
        make_optimiser(learner, recipe.learning_rate, recipe.weight_decay),
        Schedule(
            steps=recipe.steps,
            batch_size=recipe.batch,
            seed=recipe.seed,
            warmup_steps=round(recipe.warmup_ratio * recipe.steps),
            gradient_clip=_GRADIENT_CLIP,
            log_every=_STEPS_BETWEEN_REPORTS,
        ),
        average=average,
    )
    learner.load_state_dict(average.module.state_dict())
    learner.eval()
    return history


@torch.inference_mode()
def page_embeddings(learner: SummaryLearner, summaries: np.ndarray) -> np.ndarray:
    """Embeddings of length 1 of summaries (N, SUMMARY_SIZE): float32 (N, D)."""
    return unit(learner.eval().images(torch.from_numpy(summaries))).numpy()
