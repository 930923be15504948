"""The boundary model: how probable it is that a new item begins at a page."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.checked_json import is_of, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import file_digest, write_whole
from pagesort.grouping.boundary_features import NAMES, VERSION, boundary_features
from pagesort.grouping.cover_features import NAMES as COVER_NAMES
from pagesort.grouping.cover_features import VERSION as COVER_VERSION
from pagesort.grouping.cover_features import cover_features
from pagesort.grouping.pile import Pile
from pagesort.grouping.segmentation import probability
from pagesort.grouping.text_features import NAMES as TEXT_NAMES
from pagesort.grouping.text_features import VERSION as TEXT_VERSION
from pagesort.grouping.text_features import text_features

logger = logging.getLogger(__name__)

FORMAT = "pagesort boundary model"
FILE = "boundaries.json"
FARTHEST = 4.0  # standard deviations; what lies farther off counts as that
SEEN_DIGITS = 6
LISTS = ("mean", "scale", "weights")
PART: dict[str, Any] = {"features": str, "bias": float, **dict.fromkeys(LISTS, list)}
SHAPE: dict[str, Any] = {"format": str, **PART}


@dataclass(frozen=True)
class Weighing:
    """A logistic regression over the features of a gap, or of a page.

    Attributes:
        mean, scale: of each feature in what it was trained on, (F,).
        weights: of the features brought to mean 0 and scale 1, (F,).
        bias: log odds where all features are as usual.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float

    def log_odds_of(self, features: np.ndarray) -> np.ndarray:
        """Log odds, float64 (N,), from features, (N, F)."""
        usual = standardised(features, self.mean, self.scale)
        return np.asarray(usual @ self.weights + self.bias)


@dataclass(frozen=True)
class BoundaryModel:
    """What tells where an item begins.

    Attributes:
        looks: weighs how pages look.
        texts: weighs what pages say, and is added where both pages of a gap have a text; None in a
            model that was trained without texts.
        covers: weighs whether a page is a cover; None in a model that knows none.
        seen: beginnings of the SHA-256 of the files that it was trained on; see `was_seen`.
    """

    looks: Weighing
    texts: Weighing | None = None
    covers: Weighing | None = None
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
        log_odds = self.looks.log_odds_of(boundary_features(pile))
        if self.texts is not None and pile.texts is not None:
            features, known = text_features(pile.texts)
            log_odds[known] += self.texts.log_odds_of(features[known])
        return log_odds

    def cover_chances(self, pile: Pile) -> np.ndarray:
        """How probable it is that each page is a cover, float64 (N,); 0 if it knows none."""
        if self.covers is None:
            return np.zeros(len(pile))
        return probability(self.covers.log_odds_of(cover_features(pile)))


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
    looks = _weighing(content, len(NAMES), path, remedy)
    texts = _part(content, "texts", TEXT_VERSION, len(TEXT_NAMES), path, remedy)
    covers = _part(content, "covers", COVER_VERSION, len(COVER_NAMES), path, remedy)
    return BoundaryModel(looks, texts, covers, _digests(content, path))


def write_model(folder: Path, model: BoundaryModel, facts: dict[str, Any]) -> None:
    """Write a boundary model and facts about its training.

    Raises:
        PageSortError: it cannot be written.
    """
    content: dict[str, Any] = {"format": FORMAT, "features": VERSION, **facts}
    content |= _written(model.looks)
    if model.texts is not None:
        content["texts"] = {"features": TEXT_VERSION, **_written(model.texts)}
    if model.covers is not None:
        content["covers"] = {"features": COVER_VERSION, **_written(model.covers)}
    content["seen"] = "".join(sorted(model.seen))
    write_whole(folder / FILE, json.dumps(content, ensure_ascii=False) + "\n")


def _digests(content: dict[str, Any], path: Path) -> frozenset[str]:
    """What was trained on; a model that does not say so has seen nothing that is known."""
    joined = content.get("seen", "")
    if not isinstance(joined, str) or not re.fullmatch(r"(?:[0-9a-f]{6})*", joined):
        raise PageSortError("'seen' holds no beginnings of hashes", where=path)
    starts = range(0, len(joined), SEEN_DIGITS)
    return frozenset(joined[start : start + SEEN_DIGITS] for start in starts)


def _written(weighing: Weighing) -> dict[str, Any]:
    lists = {
        name: [float(f"{value:.3g}") for value in np.ravel(getattr(weighing, name))]
        for name in LISTS
    }
    return {"bias": round(weighing.bias, 4), **lists}


def _part(
    content: dict[str, Any], name: str, version: str, length: int, path: Path, remedy: str
) -> Weighing | None:
    """What else the model weighs, if it has that; one of another version is not used."""
    part = content.get(name)
    if part is None:
        return None
    if not (isinstance(part, dict) and all(is_of(part.get(key), PART[key]) for key in PART)):
        raise PageSortError(f"'{name}' is damaged", where=path, remedy=remedy)
    if part["features"] != version:
        logger.warning(
            "%s are left aside, as this boundary model has another version's: %s", name, path
        )
        return None
    return _weighing(part, length, path, remedy)


def _weighing(content: dict[str, Any], length: int, path: Path, remedy: str) -> Weighing:
    found = {name: _numbers(content[name], length, path) for name in LISTS}
    if not (found["scale"] > 0).all():
        raise PageSortError("'scale' holds a number that is not above 0", where=path, remedy=remedy)
    return Weighing(**found, bias=float(content["bias"]))


def _numbers(values: Sequence[object], length: int, path: Path) -> np.ndarray:
    if len(values) != length or not all(type(each) in (int, float) for each in values):
        raise PageSortError(f"a list does not hold {length} numbers", where=path)
    return np.array(values, dtype=np.float64)
