"""The boundary model: how probable it is that a new item begins at a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import write_json
from pagesort.grouping.boundary_features import NAMES, VERSION, boundary_features
from pagesort.grouping.pile import Pile

FORMAT = "pagesort boundary model"
FILE = "boundaries.json"
FARTHEST = 4.0  # standard deviations; what lies farther off counts as that
SHAPE: dict[str, Any] = {
    "format": str, "features": str, "mean": list, "scale": list, "weights": list, "bias": float,
}  # fmt: skip


@dataclass(frozen=True)
class BoundaryModel:
    """Logistic regression over the features of the gap before a page.

    Attributes:
        mean, scale: of each feature in what it was trained on, (F,).
        weights: of the features brought to mean 0 and scale 1, (F,).
        bias: log odds where all features are as usual.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float

    def log_odds(self, pile: Pile) -> np.ndarray:
        """Log odds that a new item begins, float64 (N,); the first page's means nothing."""
        return self.log_odds_of(boundary_features(pile))

    def log_odds_of(self, features: np.ndarray) -> np.ndarray:
        """The same of features that are there already, (N, F)."""
        usual = np.clip((features - self.mean) / self.scale, -FARTHEST, FARTHEST)
        return np.asarray(usual @ self.weights + self.bias)


def read_model(path: Path) -> BoundaryModel:
    """Read a boundary model from its folder or file.

    Raises:
        PageSortError: there is none, or it is damaged or belongs to another version.
    """
    path = path / FILE if path.is_dir() else path
    remedy = "Name another one, or train one with --train_groups"
    try:
        content = read_json(path, remedy, shape=SHAPE)
    except FileNotFoundError:
        raise PageSortError("there is no boundary model", where=path, remedy=remedy) from None
    if content["format"] != FORMAT or content["features"] != VERSION:
        raise PageSortError(
            "the file is no boundary model of this version", where=path, remedy=remedy
        )
    mean, scale, weights = (_numbers(content[name], path) for name in ("mean", "scale", "weights"))
    if not (scale > 0).all():
        raise PageSortError("'scale' holds a number that is not above 0", where=path, remedy=remedy)
    return BoundaryModel(mean, scale, weights, float(content["bias"]))


def write_model(path: Path, model: BoundaryModel, facts: dict[str, Any]) -> None:
    """Write a boundary model and facts about its training.

    Raises:
        PageSortError: it cannot be written.
    """
    content: dict[str, Any] = {"format": FORMAT, "features": VERSION, **facts}
    for name in ("mean", "scale", "weights"):
        content[name] = [float(f"{value:.4g}") for value in getattr(model, name)]
    write_json(path / FILE, content | {"bias": round(model.bias, 4)})


def _numbers(values: Sequence[object], path: Path) -> np.ndarray:
    if len(values) != len(NAMES) or not all(type(each) in (int, float) for each in values):
        raise PageSortError(f"a list does not hold {len(NAMES)} numbers", where=path)
    return np.array(values, dtype=np.float64)
