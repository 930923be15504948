"""Accuracy of a model on labelled pages: FOLDER/<label>/*, scored as `run.py -d` scores them.

    python3 benchmarks/accuracy.py FOLDER [--model_path MODEL] [--plots DIR]

Prints top-1, top-3, expected calibration error (15 bins, arXiv 1706.04599), precision and recall of
each label, the confusion matrix, and the most confident errors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BATCH = 16
BINS = 15


def score_folder(
    classifier, folder: Path, formats: list[str]
) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Return paths, probabilities (N, C) and true label indices (N,) of the readable pages."""
    from pagesort.images import Failure, PageRef, decode_batches
    from utils import list_pages

    labels = list(classifier.labels)
    known = [
        (path, labels.index(path.parent.name))
        for path in list_pages(folder, formats, True)
        if path.parent.name in labels
    ]
    if not known:
        sys.exit(f"no pages ({', '.join(formats)}) in folders named like labels under {folder}")
    groups = [
        [PageRef(index, known[index][0]) for index in range(start, min(start + BATCH, len(known)))]
        for start in range(0, len(known), BATCH)
    ]
    paths, scores, truth = [], [], []
    for batch in decode_batches(groups, classifier.preprocessing):
        for item in batch:
            if isinstance(item, Failure):
                print(f"cannot read {item.ref.path}: {item.reason}", file=sys.stderr)
        pages = [item for item in batch if not isinstance(item, Failure)]
        if pages:
            scores.append(classifier.probabilities(np.stack([page.pixels for page in pages])))
            paths += [page.ref.path for page in pages]
            truth += [known[page.ref.index][1] for page in pages]
    return paths, np.concatenate(scores), np.asarray(truth)


def calibration_error(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their pages."""
    confidence, right = scores.max(1), scores.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def report(labels: list[str], paths: list[Path], scores: np.ndarray, truth: np.ndarray) -> None:
    """Print every figure."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    order = np.argsort(-scores, axis=1, kind="stable")
    guesses = order[:, 0]
    top3 = (order[:, :3] == truth[:, None]).any(1).mean()
    print(
        f"{len(truth)} pages: top-1 {(guesses == truth).mean():.1%}, top-3 {top3:.1%}, "
        f"expected calibration error {calibration_error(scores, truth):.3f}"
    )
    every = range(len(labels))
    precision, recall, _, support = precision_recall_fscore_support(
        truth, guesses, labels=every, zero_division=0
    )
    matrix = confusion_matrix(truth, guesses, labels=every)
    print(f"{'true':>8} {'pages':>5} {'recall':>7} {'precis.':>7}  predicted:", *labels)
    for row in every:
        cells = " ".join(f"{n:{len(labels[c])}d}" for c, n in enumerate(matrix[row]))
        told = f"{labels[row]:>8} {support[row]:5d} {recall[row]:7.0%} {precision[row]:7.0%}"
        print(f"{told}             {cells}")
    wrong = np.flatnonzero(guesses != truth)
    print("most confident errors:")
    for index in wrong[np.argsort(-scores[wrong].max(1))][:10]:
        page = f"{paths[index].parent.name}/{paths[index].name}"
        print(f"  {page}: {labels[guesses[index]]} at {scores[index].max():.2f}")


def main() -> None:
    """Score, print, and draw the confusion matrix if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with one subfolder a label")
    parser.add_argument("--model_path", type=Path, help="a model folder (the bundled one)")
    parser.add_argument("--formats", default="png,jpg", help="file name extensions of pages")
    parser.add_argument("--plots", type=Path, help="write the confusion matrix under this folder")
    arguments = parser.parse_args()

    from classifier import CLIP
    from pagesort.checkpoints import bundled_model
    from utils import confusion_plot

    classifier = CLIP.open(arguments.model_path or bundled_model())
    labels = list(classifier.labels)
    paths, scores, truth = score_folder(classifier, arguments.folder, arguments.formats.split(","))
    report(labels, paths, scores, truth)
    if arguments.plots:
        confusion_plot(
            list(scores.argmax(1)), list(truth), labels, classifier.name, 1, arguments.plots
        )


if __name__ == "__main__":
    main()
