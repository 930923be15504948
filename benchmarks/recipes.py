"""Our way of fine-tuning against the published one: same start, same pages, same number of views.

    python3 benchmarks/recipes.py PAGES OTHER [--folds 4] [--seeds 1] [--recipes ours published]

PAGES and OTHER hold one subfolder a label. Folds are made of whole documents of PAGES: every page
is scored once a seed, by a model that saw no page of its document. Every fold learns from the other
folds' pages, of which every eighth document validates, and is tested on its own pages and on OTHER,
which no model has learnt from. Prints a row a recipe and test: top-1, top-3, expected calibration
error, pages a second in training. `--out` keeps the rows as a CSV.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
EVERY = 8
"""Of the documents that a fold may learn from, one in so many validates."""


@dataclass(frozen=True)
class Fold:
    """Pages of one fold; `own` and `other` test it."""

    labels: tuple[str, ...]
    training: list[Any]
    validation: list[Any]
    own: list[Any]
    other: list[Any]


@dataclass(frozen=True)
class Scored:
    """Scores (N, labels) of the test pages of one fold, and the speed of training."""

    own: np.ndarray
    other: np.ndarray
    pages_per_second: float


def make_folds(pages: Any, other: Any, count: int) -> list[Fold]:
    """Deal the documents out in turn, label by label."""
    fold_of: dict[str, int] = {}
    for page in pages.pages:
        fold_of.setdefault(page.document, len(fold_of) % count)
    folds = []
    for number in range(count):
        known = [page for page in pages.pages if fold_of[page.document] != number]
        documents = list(dict.fromkeys(page.document for page in known))
        kept_apart = set(documents[number % EVERY :: EVERY])
        folds.append(
            Fold(
                labels=pages.labels,
                training=[page for page in known if page.document not in kept_apart],
                validation=[page for page in known if page.document in kept_apart],
                own=[page for page in pages.pages if fold_of[page.document] == number],
                other=list(other.pages),
            )
        )
    return folds


def indexed(pages: Sequence[Any], labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Return (path, label index) of each page."""
    return [(page.path, labels.index(page.label)) for page in pages]


def run_published(fold: Fold, start: Path, seed: int, epochs: int, learning_rate: float) -> Scored:
    """Train and score in the published way."""
    import published_recipe as published

    from classifier import CLIP

    training = indexed(fold.training, fold.labels)
    trained = published.train(
        CLIP.open(start),
        training,
        indexed(fold.validation, fold.labels),
        learning_rate=learning_rate,
        epochs=epochs,
        views=len(training) * epochs,
        seed=seed,
    )
    return _scored(trained.classifier, fold, trained.pages_per_second)


def run_ours(
    fold: Fold, start: Path, seed: int, epochs: int, changes: dict[str, Any], work: Path
) -> Scored:
    """Train through `pagesort.training` and score what it exported."""
    from classifier import CLIP
    from pagesort.labelled.split_files import PageSplit
    from pagesort.training import train as training
    from pagesort.training.recipe import Recipe, TrainRequest

    split = PageSplit(
        train=tuple(fold.training),
        validation=tuple(fold.validation),
        test=tuple(fold.own),
        labels=fold.labels,
        fingerprint=hashlib.sha256(fold.own[0].name.encode()).hexdigest(),
        path=work / "split.json",
        folder=ROOT,
        by="document",
    )
    request = TrainRequest(
        split=split,
        recipe=Recipe(epochs=epochs, **changes),
        checkpoints=work.parent / "checkpoints",
        models=work / "models",
        plots=work / "plots",
        seed=seed,
    )
    outcome = training.train(CLIP.open(start), request)
    return _scored(CLIP.open(outcome.model_folder), fold, outcome.pages_per_second)


def run_start(fold: Fold, start: Path) -> Scored:
    """Score the starting model as it is."""
    from classifier import CLIP

    return _scored(CLIP.open(start), fold, float("nan"))


def _scored(classifier: Any, fold: Fold, pages_per_second: float) -> Scored:
    import published_recipe as published

    parts = [
        published.scores(
            classifier, published.prepared(indexed(pages, fold.labels), classifier.preprocessing)[0]
        )
        for pages in (fold.own, fold.other)
    ]
    return Scored(*parts, pages_per_second)


def figures(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Top-1, top-3 and expected calibration error (15 bins, arXiv 1706.04599)."""
    from pagesort.evaluation.metrics import confidence_bins

    order = np.argsort(-scores, axis=1)
    right = order[:, 0] == truth
    bins = [each for each in confidence_bins(scores.max(axis=1), right) if each.pages]
    return {
        "top-1": float(right.mean()),
        "top-3": float((order[:, :3] == truth[:, None]).any(axis=1).mean()),
        "ECE": sum(each.pages * abs(each.accuracy - each.confidence) for each in bins) / len(truth),
    }


def report(name: str, folds: Sequence[Fold], results: Sequence[tuple[int, Scored]]) -> list[dict]:
    """Return one row for each kind of test pages of a recipe."""
    rows = []
    for kind in ("own", "other"):
        scores = np.concatenate([getattr(scored, kind) for _, scored in results])
        truth = np.concatenate(
            [
                [label for _, label in indexed(getattr(folds[number], kind), folds[number].labels)]
                for number, _ in results
            ]
        )
        speed = float(np.median([scored.pages_per_second for _, scored in results]))
        shown = {key: round(value, 4) for key, value in figures(scores, truth).items()}
        rows.append(
            {"recipe": name, "pages": kind, "scored": len(truth), **shown, "pages/s": speed}
        )
    return rows


def parse_recipe(text: str) -> tuple[str, str, dict[str, Any]]:
    """Read `name=kind:key=value,key=value`, as in `ours-slow=ours:learning_rate=1e-5`."""
    name, _, rest = text.partition("=")
    kind, _, changes = (rest or name).partition(":")
    pairs = (pair.split("=") for pair in changes.split(",") if pair)
    return name, kind, {key: ast.literal_eval(value) for key, value in pairs}


def run_recipe(
    folds: Sequence[Fold], text: str, arguments: argparse.Namespace, work: Path
) -> list[dict[str, Any]]:
    """Train and score one recipe on all folds and seeds; returns its rows."""
    name, kind, changes = parse_recipe(text)
    results: list[tuple[int, Scored]] = []
    for seed in range(arguments.seeds):
        for number, fold in enumerate(folds):
            folder = work / f"{name}-{seed}-{number}"
            if kind == "start":
                scored = run_start(fold, arguments.start)
            elif kind == "published":
                rate = changes.get("learning_rate", 5e-5)
                scored = run_published(fold, arguments.start, seed, arguments.epochs, rate)
            else:
                scored = run_ours(fold, arguments.start, seed, arguments.epochs, changes, folder)
            results.append((number, scored))
    return report(name, folds, results)


def main() -> None:
    """Run the recipes one after the other and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["start", "published", "ours"])
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--start", type=Path, default=ROOT / "models" / "pagesort-small")
    parser.add_argument("--out", type=Path, help="append the rows to this CSV")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)

    from pagesort.labelled.folder import read_labelled_folder

    pages = read_labelled_folder(arguments.pages, named_by="PAGES")
    other = read_labelled_folder(arguments.other, named_by="OTHER")
    folds = make_folds(pages, other, arguments.folds)
    for text in arguments.recipes:
        with tempfile.TemporaryDirectory() as work:
            rows = run_recipe(folds, text, arguments, Path(work))
        for row in rows:
            print(*(f"{key} {value}" for key, value in row.items()), sep=" | ", flush=True)
        if arguments.out:
            keep(arguments.out, rows)


def keep(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Append rows to a CSV."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
