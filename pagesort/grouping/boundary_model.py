"""The boundary model: how probable it is that a new item begins at a page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import file_digest, write_whole
from pagesort.grouping.boundary_features import NAMES, VERSION, boundary_features
from pagesort.grouping.pile import Pile

FORMAT = "pagesort boundary model"
FILE = "boundaries.json"
FARTHEST = 4.0  # standard deviations; what lies farther off counts as that
SEEN_DIGITS = 6
LISTS = ("mean", "scale", "weights")
SHAPE: dict[str, Any] = {
    "format": str, "features": str, "bias": float, **dict.fromkeys(LISTS, list),
}  # fmt: skip


@dataclass(frozen=True)
class BoundaryModel:
    """A logistic regression over the features of a gap.

    Attributes:
        mean, scale: of each feature in what it was trained on, (F,).
        weights: of the features brought to mean 0 and scale 1, (F,).
        bias: log odds where all features are as usual.
        seen: beginnings of the SHA-256 of the files that it was trained on; see `was_seen`.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float
    seen: frozenset[str] = frozenset()

    def was_seen(self, file: Path) -> bool:
        """Whether it was trained on a page of this file, whatever the file is called.

        One file in a thousand is taken for a page of a training of 16,000.

        Raises:
            OSError: the file cannot be read.
        """
        return bool(self.seen) and file_digest(file)[:SEEN_DIGITS] in self.seen

    def log_odds(self, pile: Pile) -> np.ndarray:
        """Log odds that a new item begins, float64 (N,); the first page's means nothing."""
        return self.log_odds_of(boundary_features(pile))

    def log_odds_of(self, features: np.ndarray) -> np.ndarray:
        """The same of features that are there already, (N, F)."""
        usual = standardised(features, self.mean, self.scale)
        return np.asarray(usual @ self.weights + self.bias)


def standardised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features brought to mean 0 and scale 1, and none of them far off."""
    return np.asarray(np.clip((features - mean) / scale, -FARTHEST, FARTHEST))


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
    found = {name: _numbers(content[name], path) for name in LISTS}
    if not (found["scale"] > 0).all():
        raise PageSortError("'scale' holds a number that is not above 0", where=path, remedy=remedy)
    return BoundaryModel(**found, bias=float(content["bias"]), seen=_digests(content, path))


def write_model(folder: Path, model: BoundaryModel, facts: dict[str, Any]) -> None:
    """Write a boundary model and facts about its training.

    Raises:
        PageSortError: it cannot be written.
    """
    content: dict[str, Any] = {"format": FORMAT, "features": VERSION, **facts}
    content["bias"] = round(model.bias, 4)
    content["seen"] = "".join(sorted(model.seen))
    for name in LISTS:
        values = np.ravel(getattr(model, name))
        content[name] = [float(f"{value:.3g}") for value in values]
    write_whole(folder / FILE, json.dumps(content, ensure_ascii=False) + "\n")


def _digests(content: dict[str, Any], path: Path) -> frozenset[str]:
    """What was trained on; a model that does not say so has seen nothing that is known."""
    joined = content.get("seen", "")
    if not isinstance(joined, str) or not re.fullmatch(r"(?:[0-9a-f]{6})*", joined):
        raise PageSortError("'seen' holds no beginnings of hashes", where=path)
    starts = range(0, len(joined), SEEN_DIGITS)
    return frozenset(joined[start : start + SEEN_DIGITS] for start in starts)


def _numbers(values: Sequence[object], path: Path) -> np.ndarray:
    if len(values) != len(NAMES) or not all(type(each) in (int, float) for each in values):
        raise PageSortError(f"a list does not hold {len(NAMES)} numbers", where=path)
    return np.array(values, dtype=np.float64)
