"""What a training has made, and what it cannot know of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from classifier import CLIP
from pagesort.labelled.folder import LabelledPage, page_pixels
from pagesort.pages.loader import PageLoader


class Killed(BaseException):
    """In place of a power cut: nothing in the program knows it."""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model's folder."""
    return load_file(folder / "model.safetensors")


def share_right(model: CLIP, pages: Sequence[LabelledPage]) -> float:
    """The share of pages that a model sorts right."""
    pixels = np.stack([pixels for _, pixels in page_pixels(pages, PageLoader(model.preprocessing))])
    guesses = model.probabilities(pixels).argmax(axis=1)
    return float(np.mean([model.labels[g] == p.label for g, p in zip(guesses, pages, strict=True)]))
