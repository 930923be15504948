"""What a model makes of real pages that it did not see: each is scored by the fold without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.page_classifier.real_pages import RealPages
from pagesort.evaluation.files import evaluation_table, shown_files, write_table
from pagesort.evaluation.metrics import Report, report_of_table
from pagesort.training.calibration import fit_temperature

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OutOfFold:
    """Logits (N, labels) of real pages, each from the training that left its fold (N,) out.

    `readings` holds logits of the same pages for texts that the model was not trained on: of each
    label (N, labels), or of each group of one of `trait_texts.HELD_OUT_GROUPINGS` (N, groups).
    """

    real: RealPages
    labels: tuple[str, ...]
    folds: np.ndarray
    logits: np.ndarray
    readings: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def temperature(self) -> float:
        """The temperature fitted on all of them, every folder of pages counting alike."""
        return self._fitted(np.arange(len(self.real)))

    def _fitted(self, rows: np.ndarray) -> float:
        sources = self.real.sources[rows]
        weights = 1.0 / np.bincount(sources)[sources]
        return fit_temperature(self.logits[rows], self.real.shard.labels[rows], weights=weights)

    def probabilities(self) -> np.ndarray:
        """Calibrated scores (N, labels), each page's temperature fitted on the other folds."""
        scores = np.zeros(self.logits.shape)
        for fold in np.unique(self.folds):
            left_out = self.folds == fold
            temperature = self._fitted(np.flatnonzero(~left_out))
            scores[left_out] = _softmax(self.logits[left_out] / temperature)
        return scores

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """The table of guesses of these rows, as `--eval` writes it."""
        pages = [self.real.pages[row] for row in rows]
        true = [self.labels[index] for index in self.real.shard.labels[rows]]
        scores = self.probabilities()[rows]
        return evaluation_table(pages, shown_files(pages), true, scores, self.labels, 3)[0]

    def report(self, rows: np.ndarray, seed: int) -> Report:
        """The figures of these rows."""
        return report_of_table(self.table(rows), self.labels, seed)


def by_source(out_of_fold: OutOfFold, names: Sequence[str], seed: int) -> dict[str, Report]:
    """Report on every folder of real pages by its name."""
    sources = out_of_fold.real.sources
    return {
        name: out_of_fold.report(np.flatnonzero(sources == source), seed)
        for source, name in enumerate(names)
    }


def figures(report: Report) -> dict[str, Any]:
    """The figures of a report that a model keeps in its `pagesort.json`."""
    return {
        "pages": report.pages,
        "documents": report.documents,
        "top_1": round(report.top_at(1).value, 4),
        "top_3": round(report.top_at(3).value, 4),
        "macro_f1": round(report.macro.f1, 4),
        "ece": round(report.ece, 4),
        "recall": {each.label: round(each.recall, 4) for each in report.by_label if each.pages},
    }


def text_figures(out_of_fold: OutOfFold, names: Sequence[str]) -> dict[str, Any]:
    """Top-1 with texts that were not trained on, by folder of real pages.

    For a grouping, of the pages whose label is in a group, with the share that the largest group
    has of them.
    """
    from bundled_models.page_classifier.trait_texts import HELD_OUT_GROUPINGS

    measured: dict[str, Any] = {}
    for source, name in enumerate(names):
        rows = np.flatnonzero(out_of_fold.real.sources == source)
        true = out_of_fold.real.shard.labels[rows]
        of_folder = measured.setdefault(name, {})
        for reading, logits in out_of_fold.readings.items():
            guesses = logits[rows].argmax(axis=1)
            if not reading.startswith("grouping"):
                of_folder[reading] = round(float((guesses == true).mean()), 4)
                continue
            members = HELD_OUT_GROUPINGS[int(reading.split()[-1]) - 1].members
            groups = _groups(members, out_of_fold.labels)[true]
            inside = groups >= 0
            of_folder[reading] = {
                "top_1": round(float((guesses == groups)[inside].mean()), 4),
                "largest_group": round(float(np.bincount(groups[inside]).max() / inside.sum()), 4),
                "groups": len(members),
            }
    return measured


def _groups(members: Sequence[frozenset[str]], labels: Sequence[str]) -> np.ndarray:
    """The group of each label, -1 for one of no group."""
    found = [[n for n, group in enumerate(members) if label in group] for label in labels]
    return np.array([each[0] if each else -1 for each in found])


def write_out_of_fold(
    out_of_fold: OutOfFold, names: Sequence[str], folder: Path, title: str, seed: int
) -> dict[str, Report]:
    """Write `<name>.csv` and two plots for every folder of real pages; returns their figures."""
    from pagesort.evaluation.plots import reliability_diagram
    from utils import confusion_plot

    reports = by_source(out_of_fold, names, seed)
    scores = out_of_fold.probabilities()
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for source, (name, report) in enumerate(reports.items()):
        rows = np.flatnonzero(out_of_fold.real.sources == source)
        write_table(out_of_fold.table(rows), folder / f"{name}.csv")
        guesses, true = scores[rows].argmax(axis=1), out_of_fold.real.shard.labels[rows]
        matrix = f"{name}_confusion.png"
        (folder / "plots" / matrix).unlink(missing_ok=True)  # of an earlier measurement
        confusion_plot(guesses, true, out_of_fold.labels, title, 1, folder, file_name=matrix)
        reliability_diagram(report, title, folder / "plots" / f"{name}_reliability.png")
    return reports


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
