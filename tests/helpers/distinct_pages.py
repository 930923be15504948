"""Pages of which no two are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_distinct_page(path: Path, seed: int, size: tuple[int, int] = (90, 120)) -> Path:
    """Write a page of grey patches that the seed decides; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(1, 256, (6, 5), np.uint8)
    Image.fromarray(patches).resize(size, Image.Resampling.NEAREST).save(path)
    return path
