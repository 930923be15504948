"""What trainings make of the real pages that each of them left out, gathered and calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bundled_models.page_classifier.source_figures import Scored, page_weights
from pagesort.training.calibration import fit_temperature

if TYPE_CHECKING:
    from bundled_models.page_classifier.stages import Workshop
    from pagesort.models.image_tower import TwoTowers

Readings = Mapping[str, Mapping[str, Sequence[str]]]
"""Name -> label or group -> texts: other descriptions than those of the model."""


@dataclass(frozen=True)
class OutOfFold:
    """Clear real pages, each as the training sees it that left its source out.

    Attributes:
        rows: which of the real pages they are, (N,).
        folds: (N,) the fold of each.
        true: label indices (N,).
        sources: (N,) the source of each.
        in_archive: (N,) whether it belongs to the archive whose annotators set the labels' meaning.
        logits: (N, labels).
        readings: for each reading, logits (N, labels or groups).
    """

    rows: np.ndarray
    folds: np.ndarray
    true: np.ndarray
    sources: np.ndarray
    in_archive: np.ndarray
    logits: np.ndarray
    readings: dict[str, np.ndarray]

    @property
    def temperature(self) -> float:
        """The temperature fitted on all of them."""
        return self._fitted(np.ones(len(self.rows), dtype=bool))

    def _fitted(self, chosen: np.ndarray) -> float:
        """Fit on sources outside of the archive, which count alike: they are the strangers."""
        chosen = chosen & ~self.in_archive if (chosen & ~self.in_archive).any() else chosen
        weights = page_weights(self.sources[chosen])
        return fit_temperature(self.logits[chosen], self.true[chosen], weights=weights)

    def scored(self) -> Scored:
        """Calibrated scores, each page's temperature fitted on the other folds."""
        scores = np.zeros(self.logits.shape)
        for fold in np.unique(self.folds):
            left_out = self.folds == fold
            others = ~left_out if (~left_out).any() else left_out
            scores[left_out] = softmax(self.logits[left_out] / self._fitted(others))
        return Scored(self.true, scores, self.sources)


@dataclass(frozen=True)
class Turned:
    """Left out pages that were looked at turned, and the same ones upright.

    `rows` (M,) index an OutOfFold; `quarters` (M,) tells by how many; `right` (M,) and
    `upright_right` (M,) whether the first guess is right.
    """

    rows: np.ndarray
    quarters: np.ndarray
    right: np.ndarray
    upright_right: np.ndarray


@dataclass(frozen=True)
class LeftOut:
    """What a training makes of the clear pages of the fold that it left out.

    Attributes:
        rows: which of the real pages they are, (N,).
        embeddings: of length 1, (N, D).
        turned_rows: (M,) those of them that were looked at turned, too.
        quarters: (M,) by how many quarters.
        turned_embeddings: (M, D).
        model: the dual encoder, for its texts.
    """

    rows: np.ndarray
    embeddings: np.ndarray
    turned_rows: np.ndarray
    quarters: np.ndarray
    turned_embeddings: np.ndarray
    model: TwoTowers


def gather(
    workshop: Workshop, parts: Iterable[LeftOut], archive: str, readings: Readings
) -> tuple[OutOfFold, Turned]:
    """Put together what every training that left a fold out makes of that fold's pages."""
    assert workshop.real is not None
    logits = [_logits_of(part, workshop, readings) for part in parts]
    joined = {name: np.concatenate([part[name] for part in logits]) for name in logits[0]}
    order = np.argsort(joined["rows"], kind="stable")
    rows = joined["rows"][order]
    real = workshop.real
    out_of_fold = OutOfFold(
        rows=rows,
        folds=workshop.folds[rows],
        true=real.labels[rows],
        sources=real.sources[rows],
        in_archive=np.array([real.pages[row].folder == archive for row in rows]),
        logits=joined["own"][order],
        readings={name: joined[name][order] for name in readings},
    )
    return out_of_fold, _turned(out_of_fold, joined)


def _logits_of(part: LeftOut, workshop: Workshop, readings: Readings) -> dict[str, np.ndarray]:
    """The embeddings of a training against its own texts and those of every reading."""
    found = {"rows": part.rows, "turned_rows": part.turned_rows, "quarters": part.quarters}
    for name, prompts in {"own": workshop.prompts(), **readings}.items():
        found[name] = part.embeddings @ _texts(part.model, prompts, workshop).T
    own = _texts(part.model, workshop.prompts(), workshop)
    return found | {"turned": part.turned_embeddings @ own.T}


def _texts(
    model: TwoTowers, prompts: Mapping[str, Sequence[str]], workshop: Workshop
) -> np.ndarray:
    """Embeddings of labels times the learnt scale."""
    from bundled_models.page_classifier.learner import label_embeddings

    scale = float(model.logit_scale.exp())
    return scale * label_embeddings(model, prompts, workshop.tokenizer).numpy()


def _turned(out_of_fold: OutOfFold, joined: Mapping[str, np.ndarray]) -> Turned:
    places = np.searchsorted(out_of_fold.rows, joined["turned_rows"])
    upright = out_of_fold.logits.argmax(axis=1) == out_of_fold.true
    return Turned(
        rows=places,
        quarters=joined["quarters"],
        right=joined["turned"].argmax(axis=1) == out_of_fold.true[places],
        upright_right=upright[places],
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores (N, labels) of logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
