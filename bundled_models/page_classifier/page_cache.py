"""Artificial pages for training, drawn in shards, small and uncompressed on disk.

A shard is three `.npy` files that are mapped into memory, not read: pages, regions and labels.
Every shard depends on its number and the seed alone, so shards can be drawn in any order by any
number of processes, and an interrupted rendering goes on where it stopped.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bundled_models.synthetic_pages import page as synth

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

PAGES_PER_SHARD = 220
STORED_SIZE = (864, 612)
"""Height and width in pixels at which pages are kept: what the largest training view needs."""
REGION_SIZE = (54, 38)
"""Height and width of the region masks: one cell for 16 × 16 stored pixels."""
_DRAWN_HEIGHT = 900
_PARTS = ("pages", "regions", "labels")
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Shard:
    """`pages` (N, H, W, 3) uint8, `regions` (N, 6, h, w) uint8 and `labels` (N,) of some pages."""

    pages: np.ndarray
    regions: np.ndarray
    labels: np.ndarray


def stored_pixels(page: Image) -> np.ndarray:
    """Squash a whole page to `STORED_SIZE`; returns uint8 (H, W, 3)."""
    from PIL import Image

    height, width = STORED_SIZE
    return np.asarray(page.resize((width, height), Image.Resampling.BICUBIC).convert("RGB"))


def _stored_regions(regions: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = REGION_SIZE
    return np.stack(
        [
            np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BOX))
            for mask in regions
        ]
    )


def draw_shard(folder: Path, seed: int, number: int, count: int) -> None:
    """Draw the `count` pages of shard `number`, the labels in turn, and put its files in place."""
    pages, regions, labels = [], [], []
    for offset in range(count):
        index = number * count + offset
        label = index % len(synth.LABELS)
        page = synth.draw_page(synth.LABELS[label], synth.page_rng(seed, index), _DRAWN_HEIGHT)
        pages.append(stored_pixels(page.image))
        regions.append(_stored_regions(page.regions))
        labels.append(label)
    arrays = {
        "pages": np.stack(pages),
        "regions": np.stack(regions),
        "labels": np.asarray(labels, dtype=np.int64),
    }
    for part in _PARTS:
        temporary = folder / f".{part}-{number:04d}.{os.getpid()}.npy"
        np.save(temporary, arrays[part])
        temporary.replace(folder / f"{part}-{number:04d}.npy")


class PageCache:
    """Artificial pages of one seed in `folder`, drawn by worker processes as they are needed."""

    def __init__(self, folder: Path, seed: int, page_count: int) -> None:
        # What only tries things out needs no whole shard, but a page of every label.
        self.shard_size = min(PAGES_PER_SHARD, max(page_count, len(synth.LABELS)))
        small = f"-{self.shard_size}" if self.shard_size < PAGES_PER_SHARD else ""
        self.folder = folder / f"seed{seed}{small}"
        self.seed = seed
        self.shard_count = -(-page_count // self.shard_size)
        self._open: dict[int, Shard] = {}

    def missing(self) -> list[int]:
        """Numbers of the shards that are not drawn yet; labels are the part written last."""
        return [n for n in range(self.shard_count) if not self._path("labels", n).exists()]

    def start_drawing(self, processes: int) -> multiprocessing.pool.Pool | None:
        """Draw what is missing in the background, the first shards first; None if all is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = self.missing()
        if not missing:
            return None
        pool = multiprocessing.get_context("spawn").Pool(processes, initializer=_yield_to_training)
        for number in missing:
            task = (self.folder, self.seed, number, self.shard_size)
            pool.apply_async(draw_shard, task, error_callback=_log_drawing_error)
        pool.close()
        return pool

    def shard(self, number: int) -> Shard:
        """Return shard `number`, waiting for the processes that draw it."""
        if number not in self._open:
            while not self._path("labels", number).exists():
                time.sleep(_POLL_SECONDS)
            pages, regions, labels = (
                np.load(self._path(part, number), mmap_mode="r") for part in _PARTS
            )
            self._open[number] = Shard(pages, regions, labels)
        return self._open[number]

    def _path(self, part: str, number: int) -> Path:
        return self.folder / f"{part}-{number:04d}.npy"


def _yield_to_training() -> None:
    if hasattr(os, "nice"):
        os.nice(5)


def _log_drawing_error(error: BaseException) -> None:
    logger.error("a shard of artificial pages could not be drawn: %s", error)
