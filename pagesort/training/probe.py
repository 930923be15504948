"""A probe: pages are embedded once, and only a logistic head on them learns.

Of an image tower's output x, the projection W and the label embeddings T make the scores of a page,
s · T · Wx / |Wx|. The head adds A, one row for each dimension that the label embeddings span: with
Q, whose rows are an orthonormal basis of theirs, it scores s · T · (W + Qᵀ A)x / |(W + Qᵀ A)x|. So
the trained head is nothing but another projection, and the model stays one like any other: texts,
label embeddings and file format are those of its start, and its answers those of `transformers`.

A starts at 0, where the answers are those of the start, and is held there by a penalty. It is
fitted for one strength of the penalty after the other, from strong to weak; the validation pages
choose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from pagesort.common.processes import is_first_process
from pagesort.common.progress import Progress
from pagesort.training.loop import Figures, Watcher

if TYPE_CHECKING:
    from pagesort.training.objective import LabelLearner

logger = logging.getLogger(__name__)

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Of the penalty, in nats a page for a head as long as the projection."""
USUAL_STRENGTH = 0.3
"""Where no page validates."""
_ITERATIONS = 200
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Features:
    """What the image tower makes of the training pages: `outputs` (N, H), `labels` (N,)."""

    outputs: torch.Tensor
    labels: torch.Tensor


def fit_probe(
    learner: LabelLearner,
    batches: Any,
    pages: int,
    weights: torch.Tensor,
    fits: Sequence[float],
    validate: Callable[[int], Figures],
    watchers: Sequence[Watcher] = (),
) -> list[dict[str, float]]:
    """Fit heads from strong to weak, each folded into the learner's projection and validated.

    Args:
        learner: with an image tower that is not to learn.
        batches: dictionaries of `pixels`, uint8 (N, H, W, 3), and `labels` (N,): each page once.
        pages: how many those are.
        weights: how much a page of each label counts, (labels,).
        fits: strengths of the penalty.
        validate: returns figures of the present weights; called after each fit with its number
            from 1.

    Returns:
        Reports as those of `loop.fit`, a step being a fit.
    """
    features = see_pages(learner, batches, pages)
    model = learner.dual_encoder
    probe = Probe(
        features,
        weights[features.labels],
        model.visual_projection.weight.detach(),
        learner.label_embeddings(),
        float(model.logit_scale.detach().exp()),
    )
    history: list[dict[str, float]] = []

    def report(figures: Mapping[str, float]) -> None:
        history.append(dict(figures))
        for watcher in watchers:
            watcher.report(figures)

    for watcher in watchers:
        watcher.begin(0, len(fits))
    try:
        for step, strength in enumerate(fits, 1):
            loss = probe.fit(strength)
            with torch.no_grad():
                model.visual_projection.weight.copy_(probe.folded())
            report({"step": step, "loss": loss, "penalty": strength})
            figures = validate(step)
            report({"step": step, **{f"eval_{name}": each for name, each in figures.items()}})
            _log_fit(strength, loss, figures)
    finally:
        for watcher in watchers:
            watcher.end()
    return history


@torch.no_grad()
def see_pages(learner: LabelLearner, batches: Any, pages: int) -> Features:
    """Let the image tower see every page once."""
    learner.eval()
    outputs, labels = [], []
    with Progress(pages, 0) as progress:
        for batch in batches:
            outputs.append(learner.pool_pages(batch["pixels"].to(learner.device)).double().cpu())
            labels.append(batch["labels"])
            progress.advance(len(batch["labels"]), "")
    return Features(torch.cat(outputs), torch.cat(labels))


def _log_fit(strength: float, loss: float, figures: Figures) -> None:
    seen = ""
    if "accuracy" in figures:
        seen = (
            f"; {100 * figures['accuracy']:.1f} % of the validation pages right, loss "
            f"{figures['loss']:.4f}"
        )
    if is_first_process():
        logger.info("penalty %g: loss %.4f%s", strength, loss, seen)


class Probe:
    """Fits heads on the features of pages.

    Args:
        features: of the training pages.
        weights: how much each page counts, (N,).
        projection: W, (D, H).
        label_embeddings: T, (labels, D), each of length 1.
        scale: s, by which similarities are multiplied.
    """

    def __init__(
        self,
        features: Features,
        weights: torch.Tensor,
        projection: torch.Tensor,
        label_embeddings: torch.Tensor,
        scale: float,
    ) -> None:
        self.features = features
        self.weights = weights.double() / weights.sum()
        self.projection = projection.double().cpu()
        texts = label_embeddings.double().cpu()
        self._basis = torch.linalg.qr(texts.T).Q.T.contiguous()
        self._texts, self._scale = texts @ self._basis.T, scale
        start = features.outputs @ self.projection.T
        self._inside = start @ self._basis.T
        self._outside = (start.square().sum(1) - self._inside.square().sum(1)).clamp(min=0.0)
        # A penalty of this unit does not change when outputs or projection are scaled.
        self._unit = 1.0 / self.projection.square().sum()
        self.head = torch.zeros(len(self._basis), self.projection.shape[1], dtype=torch.float64)

    def fit(self, strength: float) -> float:
        """Fit the head on from where it is; returns the mean loss of the pages, in nats."""
        head = self.head.clone().requires_grad_(True)
        optimiser = torch.optim.LBFGS(
            [head],
            max_iter=_ITERATIONS,
            tolerance_grad=_TOLERANCE,
            line_search_fn="strong_wolfe",
        )

        def cost() -> torch.Tensor:
            optimiser.zero_grad()
            value = self._loss(head) + strength * self._unit * head.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimiser.step(cost)  # type: ignore[no-untyped-call]
        self.head = head.detach()
        return float(self._loss(self.head))

    def folded(self) -> torch.Tensor:
        """The projection with the head in it, float32 (D, H)."""
        return (self.projection + self._basis.T @ self.head).float()

    def _loss(self, head: torch.Tensor) -> torch.Tensor:
        inside = self._inside + self.features.outputs @ head.T
        length = (self._outside + inside.square().sum(1)).sqrt()
        logits = self._scale * (inside @ self._texts.T) / length[:, None]
        losses = functional.cross_entropy(logits, self.features.labels, reduction="none")
        return (self.weights * losses).sum()


def strengths(validates: bool) -> Sequence[float]:
    """The strengths to fit, in their order."""
    return STRENGTHS if validates else (USUAL_STRENGTH,)
