"""What a model's training pages look like to it, kept small, to tell pages that are unlike them.

The embeddings of the training pages are summed up by the centres of k-means (Lloyd 1982), and a
page is as far from them as from its nearest centre; distances to training examples are a plain and
strong sign of what a network was not trained on (Sun et al., ICML 2022). What is far and what is
usual is measured on pages whose whole source was left out of the centres, or that did not train.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagesort.common.checked_json import Kind, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import write_json
from pagesort.common.shares import wilson

TRAINING_PAGES_FILE = "training_pages.json"

_STORED = np.dtype("<f2")
_CENTRES = 64
_FOLDS = 10
_NEAR = 0.95
"""The share of left-out pages that lie within `TrainingPages.limit`."""
_ORDINARY = 0.9
"""The share of left-out sources that have no more pages beyond it than `TrainingPages.most`."""
_FEWEST = 5
"""Pages; a share of fewer says nothing of a source."""
_FIGURES = ("limit", "usual", "most")
_SHAPE: Mapping[str, Kind] = {"centres": list, **dict.fromkeys(_FIGURES, float)}
_REMEDY = "Fetch or train the model again"


@dataclass(frozen=True)
class TrainingPages:
    """The training pages of a model in small.

    Attributes:
        centres: float32 (K, D), each of length 1.
        limit: the distance beyond which a page counts as unlike them, 0 to 2.
        usual: the share of such pages where a source was left out, 0 to 1.
        most: the share that only one left-out source in ten exceeds, 0 to 1: a collection with
            more is unlike the training pages.
    """

    centres: np.ndarray
    limit: float
    usual: float
    most: float

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """One minus the cosine to the nearest centre, of (N, D) of length 1: float32 (N,)."""
        nearest = (embeddings.astype(np.float32) @ self.centres.T).max(axis=1)
        return np.asarray(1 - nearest, np.float32)


def sum_up(embeddings: np.ndarray, sources: Sequence[str], seed: int) -> TrainingPages:
    """Sum up training pages, with what is far and usual measured on sources left out in turn.

    Args:
        embeddings: float32 (N, D), each of length 1.
        sources: of each page; there are at least two. Pages of one source look alike.
        seed: of the k-means.
    """
    from sklearn.model_selection import GroupKFold

    groups = np.asarray(sources)
    distances = np.zeros(len(embeddings), np.float32)
    folds = GroupKFold(min(_FOLDS, len(np.unique(groups))))
    for rest, left_out in folds.split(embeddings, groups=groups):
        others = TrainingPages(_centres(embeddings[rest], seed), 0, 0, 0)
        distances[left_out] = others.distances(embeddings[left_out])
    return TrainingPages(_centres(embeddings, seed), *_figures(distances, groups))


def sum_up_measured(
    embeddings: np.ndarray, unseen: np.ndarray, groups: Sequence[str], seed: int
) -> TrainingPages:
    """Sum up training pages, with what is far and usual measured on pages that did not train.

    Args:
        embeddings: float32 (N, D) of training pages, each of length 1.
        unseen: float32 (M, D) of the others.
        groups: of each of these; pages of a document or source look alike.
        seed: of the k-means.
    """
    names = np.asarray(groups)
    centres = _centres(embeddings, seed)
    limit, usual, most = _figures(TrainingPages(centres, 0, 0, 0).distances(unseen), names)
    # Few groups tell little of what is ordinary: then only what can hardly be chance is unlike.
    count = len(np.unique(names))
    return TrainingPages(centres, limit, usual, max(most, wilson(usual * count, count)[1]))


def _figures(distances: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """Limit, usual share and greatest ordinary share, from distances of pages (M,) that count."""
    limit = float(np.quantile(distances, _NEAR))
    far = distances > limit
    names, counts = np.unique(groups, return_counts=True)
    counted = names[counts >= min(_FEWEST, counts.max())]
    most = float(np.quantile([far[groups == name].mean() for name in counted], _ORDINARY))
    return limit, float(far.mean()), most


def _centres(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """The centres of embeddings, float32 (K, D) of length 1; as many as there are, if few."""
    from sklearn.cluster import KMeans

    count = min(_CENTRES, len(embeddings))
    found = KMeans(count, n_init=4, random_state=seed).fit(embeddings).cluster_centers_
    return _unit(found)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_training_pages(folder: Path, training: TrainingPages) -> Path:
    """Write them into a model's folder: centres as float16 in base64, a line each.

    Raises:
        PageSortError: the file cannot be written.
    """
    path = folder / TRAINING_PAGES_FILE
    rows = [base64.b64encode(row.tobytes()).decode() for row in training.centres.astype(_STORED)]
    figures = {name: round(getattr(training, name), 5) for name in _FIGURES}
    write_json(path, {"format": 1, **figures, "centres": rows})
    return path


def read_training_pages(folder: Path, dimension: int) -> TrainingPages | None:
    """The training pages of a model in small; None where its folder has no such file.

    Args:
        folder: of the model.
        dimension: D, of its embeddings.

    Raises:
        PageSortError: the file is damaged, or is that of another model.
    """
    path = folder / TRAINING_PAGES_FILE
    try:
        content = read_json(path, _REMEDY, shape=_SHAPE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        rows = [base64.b64decode(row, validate=True) for row in content["centres"]]
        centres = np.frombuffer(b"".join(rows), _STORED).reshape(len(rows), dimension)
    except (TypeError, ValueError) as error:
        raise _damaged(path, "the centres are not those of this model") from error
    figures = [float(content[name]) for name in _FIGURES]
    if not len(centres) or not np.isfinite(centres).all() or not centres.any(axis=1).all():
        raise _damaged(path, "the centres are no directions")
    if not all(0 <= figure <= 2 for figure in figures):
        raise _damaged(path, "a figure is out of range")
    return TrainingPages(_unit(centres), *figures)


def _damaged(path: Path, reason: str) -> PageSortError:
    what = f"what is known of the training pages cannot be used ({reason})"
    return PageSortError(what, where=path, remedy=_REMEDY)
