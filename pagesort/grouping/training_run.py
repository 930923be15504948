"""Training a boundary model: the measurement, its table, and the model's folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable, whole_text
from pagesort.common.tables import TableWriter
from pagesort.grouping.boundary_model import write_model
from pagesort.grouping.clustering import ClusterSettings
from pagesort.grouping.methods import Method
from pagesort.grouping.metrics import Agreement
from pagesort.grouping.pile import Pile
from pagesort.grouping.training import LabelledPile, left_out, train_boundaries

logger = logging.getLogger(__name__)

COLUMNS = ("PILE", "METHOD", "PQ", "F1", "PRECISION", "RECALL", "ARI", "V", "EXACT", "ITEMS")


@dataclass(frozen=True)
class TrainingOutcome:
    """Lines for a person, the table of all figures, and the folder of the model."""

    lines: tuple[str, ...]
    table: Path
    model: Path


def train_and_measure(
    piles: Sequence[LabelledPile],
    clusters: ClusterSettings,
    *,
    covers: Pile,
    models: Path,
    stats: Path,
    embedded_by: str,
) -> TrainingOutcome:
    """Measure every method on each pile with a model of the others, then train one on all.

    Args:
        piles: two or more.
        clusters: settings of the methods that need no model.
        covers: drawn ones, as the same model sees them.
        models: a folder `groups_<date-time>` is made in it.
        stats: the table of figures goes there.
        embedded_by: the fingerprint of the model of embeddings.

    Raises:
        PageSortError: nothing can be written.
    """
    minute = time.strftime("%Y%m%d-%H%M")
    logger.info("measuring all methods on each of %d piles", len(piles))
    model = train_boundaries(piles, covers)
    figures = list(left_out(piles, Method(model, clusters=clusters), covers))
    folder, table = models / f"groups_{minute}", stats / f"groups_{minute}.csv"
    with translate_unwritable(models, "the boundary model cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "trained_on": [{"pile": each.name, "pages": len(each.items)} for each in piles],
        "embedded_by": embedded_by,
        "date": time.strftime("%Y-%m-%d"),
    }
    write_model(folder, model, facts)
    with translate_unwritable(table, "the figures cannot be written", RESULTS_ELSEWHERE):
        table.parent.mkdir(parents=True, exist_ok=True)
        with whole_text(table) as file:
            writer = TableWriter(file)
            writer.write(COLUMNS)
            for pile, method, found in figures:
                writer.write([pile, method, *_cells(found)])
    return TrainingOutcome(tuple(_lines(figures)), table, folder)


def _cells(found: Agreement) -> list[object]:
    shares = (found.pq, found.f1, found.precision, found.recall, found.ari, found.v_measure)
    return [*(round(each, 4) for each in (*shares, found.exact)), found.items]


def _lines(figures: Sequence[tuple[str, str, Agreement]]) -> list[str]:
    """A line for each method: the mean of Panoptic Quality and F1, then the former of each pile."""
    methods = dict.fromkeys(method for _, method, _ in figures)
    lines = ["method\tPQ\tF1\tPQ of each pile, which its model has never seen"]
    for method in methods:
        own = [(pile, found) for pile, name, found in figures if name == method]
        parts = ", ".join(f"{pile} {found.pq:.2f}" for pile, found in own)
        means = fmean(found.pq for _, found in own), fmean(found.f1 for _, found in own)
        lines.append(f"{method}\t{means[0]:.3f}\t{means[1]:.3f}\t{parts}")
    return lines
