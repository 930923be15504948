"""A model for tests of whole runs: it tells pages by how light they are."""

from __future__ import annotations

import numpy as np

from pagesort.pages.preprocessing import Preprocessing

SQUASH = Preprocessing(resize=(48, 32))


class ByBrightness:
    """Sure of pages that are black, grey or white, and unsure in between."""

    labels = ("DARK", "MIDDLE", "LIGHT")
    name = "by brightness"
    fingerprint = "0" * 64
    device = "cpu"
    precision = "fp32"
    preprocessing = SQUASH

    def batches_at_once(self, batch_size: int) -> int:
        """One."""
        return 1

    def stop(self) -> None:
        """There is nothing to stop."""

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3)."""
        light = pixels.mean(axis=(1, 2, 3))[:, None]
        logits = -np.abs(light - np.array([20.0, 128.0, 235.0])) / 10
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def open_by_brightness() -> tuple[ByBrightness, None]:
    """Open it in a process of a cluster."""
    return ByBrightness(), None
