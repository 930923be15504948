"""An image tower at work: in which numbers, and how many pages at a time on which threads."""

from __future__ import annotations

import importlib.util
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pagesort.common.errors import UsageError
from pagesort.common.hardware import processors
from pagesort.pages.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INT8_PACKAGES = ("openvino", "nncf")
INT8 = "int8"
"""What `pagesort.models.fast.int8` computes with."""
_CPU_FEATURES = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),  # the last is ARM's
    "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith"),
}
LEAST_AGREEMENT = 0.995
"""Share of real pages that `auto` wants to get the same first guess in int8 as in float32."""
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
        """Return what the tower makes of pages, uint8 (N, H, W, 3): float32 (N, F) on the CPU.

        They are normalised as the model wants it, and computed in the precision of its weights, on
        a CPU in parts side by side; what comes back is the pooled output, before any projection.
        """
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


def choose_precision(wanted: str, device: torch.device, int8_agreement: float = 0.0) -> str:
    """Return a key of `TYPES` or `int8`: what is wanted, or for `auto` what suits the device.

    `auto` takes bfloat16 where the hardware multiplies it, else float32. Never float16, which ends
    at 65,504: whether a tower stays below that, only those know who trained it. On a CPU without
    bfloat16 it takes int8 if the packages for it are installed and the model's answers were found
    to stay the same. What is named is used on every device, so that a run can be repeated on
    another machine.

    Args:
        wanted: `auto`, int8 or a key of `TYPES`.
        device: where the tower computes.
        int8_agreement: `ModelMetadata.agreement` of the model in int8.

    Raises:
        UsageError: int8 is wanted on a GPU.
    """
    if wanted == INT8:
        if device.type != "cpu":
            raise UsageError(
                f"precision int8 is for CPUs, and the device is {device}",
                remedy="Add --device cpu, or name another --precision",
            )
        return INT8
    if wanted == "auto":
        if has_bf16(device):
            return "bf16"
        is_same = int8_agreement >= LEAST_AGREEMENT
        return INT8 if is_same and device.type == "cpu" and has_int8() else "fp32"
    if not _is_native(wanted, device):
        logger.warning("%s does not compute in %s itself: fp32 is quicker", device.type, wanted)
    return wanted


def has_int8() -> bool:
    """Whether the packages that int8 takes are installed."""
    return all(importlib.util.find_spec(name) is not None for name in INT8_PACKAGES)


def has_bf16(device: torch.device) -> bool:
    """Whether a CPU or CUDA device multiplies bfloat16 itself, faster than float32."""
    return device.type in ("cpu", "cuda") and _is_native("bf16", device)


def precision_of(tower: nn.Module) -> str:
    """Tell what a tower computes with: a key of `TYPES`, or `int8` where torch has no weights.

    Some of its parts may have been left in float32.
    """
    found = {each.dtype for each in tower.parameters()}
    if not found:
        return INT8
    return next((name for name in ("bf16", "fp16") if TYPES[name] in found), "fp32")


def convert_tower(tower: nn.Module, precision: str) -> None:
    """Turn a tower's weights into numbers of a precision, in place, for inference only.

    Batch normalisation stays in float32, which it takes beside any input: its variances reach over
    more powers of two than float16 has, and it is no slower so. So does what the tower itself calls
    `sensitive`.
    """
    if precision == "fp32":
        return
    kept = {part for whole in getattr(tower, "sensitive", ()) for part in whole.modules()}
    for module in tower.modules():
        if isinstance(module, _BatchNorm) or module in kept:
            continue
        tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        for tensor in filter(torch.is_floating_point, tensors):
            tensor.data = tensor.data.to(TYPES[precision])


def _is_native(precision: str, device: torch.device) -> bool:
    if precision == "fp32":
        return True
    if device.type == "cpu":
        return _cpu_has(precision)
    if device.type == "cuda" and precision == "bf16":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return True


def _cpu_has(precision: str) -> bool:
    # The first is public, in newer versions only.
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return any(found.get(name) for name in _CPU_FEATURES[precision])
    return precision == "bf16" and torch.cpu._is_avx512_bf16_supported()
