"""An image tower at work: few pages at a time on a CPU, each part on a thread of its own."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch

from pagesort.common.hardware import processors
from pagesort.models.precision import INT8, precision_of
from pagesort.pages.preprocessing import Preprocessing

TwoTowers: TypeAlias = Any
"""A `PreTrainedModel` with image and text features, or a `towers.DualEncoder`: torch declares the
attributes of every module as `Tensor | Module`, so that no narrower type says more."""

ROWS = {"fp32": 400, "bf16": 200, "fp16": 200, INT8: 1}
"""Rows of a vision transformer's matrices from which on more make no page much quicker."""


class PageTower:
    """Lets the image tower of a dual encoder see prepared pages.

    A CPU takes as few pages at a time as keep it busy, so that what lies between two layers stays
    in its caches, and one thread for each such part, as threads that share one part wait for each
    other at every layer, and may add up in another order. A page's part is of one size whatever
    batch it came in, the last of a batch excepted. So the answers have the same bits whatever the
    number of processors, and a single page is computed on one. A GPU takes the whole batch.

    Args:
        model: with `vision_model`, `config` and `device`; its weights may change later.
        preprocessing: how pages become numbers.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        """Store the parts; threads are started when they are needed."""
        self.model = model
        self.preprocessing = preprocessing
        self._workers = min(torch.get_num_threads(), processors())
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def see(self, pixels: np.ndarray) -> torch.Tensor:
        """Return what the tower makes of pages, uint8 (N, H, W, 3): float32 (N, F) on the CPU."""
        if self.model.device.type != "cpu":
            return self._see_on_gpu(pixels)
        size = self.pages_at_once
        parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        return torch.cat(self.side_by_side(self._see, parts))

    def side_by_side(
        self, compute: Callable[[Any], torch.Tensor], parts: Sequence[Any]
    ) -> list[torch.Tensor]:
        """Compute something of each part, in order: on a CPU each on one processor."""
        if self.model.device.type != "cpu":
            with exact_float32():
                return [compute(part) for part in parts]
        waiting = [self._threads_of_parts().submit(compute, part) for part in parts]
        try:
            return [part.result() for part in waiting]
        finally:
            for part in waiting:
                part.cancel()

    def stop(self) -> None:
        """Drop the parts that wait; whoever waits for them gets a CancelledError."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def pages_at_once(self) -> int:
        """How many pages a CPU takes at a time: one, unless a transformer has few patches."""
        patch = getattr(getattr(self.model.config, "vision_config", None), "patch_size", None)
        if not isinstance(patch, int):
            return 1
        height, width = self.preprocessing.input_size
        rows = ROWS[precision_of(self.model.vision_model)]
        return max(1, rows // (height // patch * (width // patch) + 1))

    def batches_at_once(self, batch_size: int) -> int:
        """How many batches of this size give every processor a part."""
        if self.model.device.type != "cpu":
            return 1
        return math.ceil(self._workers / math.ceil(batch_size / self.pages_at_once))

    def _threads_of_parts(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, "tower", torch.set_num_threads, (1,))
            return self._pool

    @torch.inference_mode()
    def _see(self, pixels: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(self.preprocessing.normalise(pixels))
        # Convolutions are up to twice as quick so, and transformers do not mind.
        values = values.contiguous(memory_format=torch.channels_last)
        return self._pooled(values)

    @torch.inference_mode()
    def _see_on_gpu(self, pixels: np.ndarray) -> torch.Tensor:
        device = self.model.device
        levels = torch.from_numpy(levels_of(self.preprocessing)).to(device)
        # A quarter of the bytes to send, and no work for the CPU, which has pages to decode.
        sent = torch.from_numpy(pixels).to(device).int()
        values = torch.stack([levels[channel][sent[..., channel]] for channel in range(3)], dim=1)
        with exact_float32():
            return self._pooled(values).cpu()

    def _pooled(self, values: torch.Tensor) -> torch.Tensor:
        tower = self.model.vision_model
        first = next(tower.parameters(), None)
        if first is not None:
            values = values.to(first.dtype)
        return tower(pixel_values=values).pooler_output.float()


def levels_of(preprocessing: Preprocessing) -> np.ndarray:
    """Tabulate what becomes of each value of each channel: float32 (3, 256)."""
    steps = np.arange(256, dtype=np.uint8)[None, None, :, None]
    return preprocessing.normalise(np.repeat(steps, 3, axis=3))[0, :, 0]


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep a GPU from rounding float32 convolutions to TF32, which it does unless told."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
