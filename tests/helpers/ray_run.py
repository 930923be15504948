"""A run on a Ray cluster of its own, for tests that stop it: `python ray_run.py FOLDER TABLES`."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from pagesort.prediction.folder_run import predict_folder
from pagesort.prediction.ray_engine import RayEngine
from pagesort.prediction.request import Request
from tests.helpers.brightness import ByBrightness


class Slow(ByBrightness):
    """Takes its time, and ends its process where it is told to.

    Args:
        seconds: for a batch.
        mark: the first process that finds no such file makes it, and is killed; None: none is.
    """

    def __init__(self, seconds: float, mark: Path | None) -> None:
        self.seconds, self.mark = seconds, mark

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3)."""
        time.sleep(self.seconds)
        if self.mark is not None and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().probabilities(pixels)


def open_slow(seconds: float, mark: Path | None) -> tuple[Slow, None]:
    """Open it in a process of the cluster."""
    return Slow(seconds, mark), None


def engine(seconds: float = 0.0, mark: Path | None = None, workers: int = 2) -> RayEngine:
    """A cluster whose processes have such a model."""
    return RayEngine(functools.partial(open_slow, seconds, mark), workers)


def sort(folder: Path, tables: Path, **more: Any) -> list[Path]:
    """The tables of a run."""
    settings = {
        "folder": folder, "formats": ("png",), "inner": True, "tables": tables, "top_n": 2,
        "raw": True, "max_categ": 10, "batch_size": 4, "max_megapixels": 9.0, "resume": False,
    }  # fmt: skip
    return list(predict_folder(ByBrightness(), Request(**(settings | more))).tables)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    from tests.helpers import ray_run  # by a name that other processes can import

    sort(Path(sys.argv[1]), Path(sys.argv[2]), engine=ray_run.engine(0.3))
