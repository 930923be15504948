"""Validation pages: prepared once as prediction prepares them, scored after every epoch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagesort.common.files import unfinished
from pagesort.common.progress import Progress
from pagesort.common.shares import wilson
from pagesort.labelled.folder import LabelledPage, log_left_out, page_digests, page_pixels
from pagesort.pages.loader import PageLoader
from pagesort.pages.preprocessing import Preprocessing
from pagesort.training.calibration import fit_temperature, mean_loss
from pagesort.training.state import translate_unwritable

if TYPE_CHECKING:
    from pagesort.training.objective import LabelLearner

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidationPages:
    """Pages that training does not learn from; each of several processes scores a part of them.

    `pixels` is uint8 (own pages, H, W, 3) on disk, and `places` (own pages,) tells where they stand
    among all pages, whose class indices are `labels` (N,). `left_out` holds the pages that could
    not be read, with the reason. `fresh` (N,) tells which pages the starting model has not seen:
    they alone measure the finished model, and decide its temperature and its share of the start.
    """

    pixels: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    left_out: tuple[tuple[LabelledPage, str], ...]
    fresh: np.ndarray

    @classmethod
    def prepared(
        cls,
        pages: Sequence[LabelledPage],
        labels: Sequence[str],
        preprocessing: Preprocessing,
        folder: Path,
        max_megapixels: float,
        workers: int,
        seen: frozenset[str] = frozenset(),
    ) -> ValidationPages:
        """Shrink every page once; the pixels go to a file in `folder`, so that memory stays free.

        Args:
            seen: digests of the pages that the starting model was trained on.

        Raises:
            PageSortError: the file cannot be written.
        """
        from accelerate import PartialState
        from accelerate.utils import gather_object

        state = PartialState()
        share = slice(state.process_index, None, state.num_processes)
        path = folder / f"validation_pixels_{state.process_index}.npy"
        loader = PageLoader(preprocessing, max_megapixels, workers)
        own, failed = _prepared_pixels(pages[share], loader, path)
        numbers = {label: number for number, label in enumerate(labels)}
        places = range(len(pages))[share]
        read = [
            place for place, page in zip(places, pages[share], strict=True) if page not in failed
        ]
        everywhere = sorted(gather_object(read))
        digests = page_digests(pages) if seen else [None] * len(pages)
        left_out = tuple(gather_object(list(failed.items())))
        if state.is_main_process:
            log_left_out(left_out)
        return cls(
            own,
            np.searchsorted(everywhere, read),
            np.array([numbers[pages[place].label] for place in everywhere], np.int64),
            left_out,
            np.array([digests[place] not in seen for place in everywhere], bool),
        )

    def remove(self) -> None:
        """Remove the file of pixels."""
        name = getattr(self.pixels, "filename", None)
        if name is not None:
            # Windows keeps a file that is still mapped; the next training of its kind renews it.
            with contextlib.suppress(OSError):
                Path(name).unlink()

    def logits(self, learner: LabelLearner, batch_size: int) -> np.ndarray:
        """Score all pages with the learner's present weights: float32 (N, C)."""
        import torch
        from accelerate.utils import gather_object

        was_training = learner.training
        learner.eval()
        found = []
        with torch.no_grad():
            embeddings = learner.label_embeddings()
            for start in range(0, len(self.places), batch_size):
                pixels = np.array(self.pixels[start : start + batch_size])
                rows = learner.page_logits(pixels, embeddings)
                found.append((self.places[start : start + batch_size], rows))
        learner.train(was_training)
        logits = np.zeros((len(self.labels), len(embeddings)), np.float32)
        for places, rows in gather_object(found):
            logits[places] = rows
        return logits

    def figures(self, logits: np.ndarray, *, fresh: bool = False) -> dict[str, float]:
        """Accuracy with its interval, loss, fitted temperature, loss at it; nothing without pages.

        Args:
            logits: of all pages (N, C).
            fresh: count only the pages that the starting model has not seen.
        """
        labels = self.labels
        if fresh:
            logits, labels = logits[self.fresh], labels[self.fresh]
        if not len(labels):
            return {}
        temperature = fit_temperature(logits, labels)
        right = int((logits.argmax(axis=1) == labels).sum())
        low, high = wilson(right, len(labels))
        return {
            "accuracy": right / len(labels),
            "accuracy_low": low,
            "accuracy_high": high,
            "loss": mean_loss(logits, labels),
            "temperature": temperature,
            "calibrated_loss": mean_loss(logits, labels, temperature),
        }


def _prepared_pixels(
    pages: Sequence[LabelledPage], loader: PageLoader, path: Path
) -> tuple[np.ndarray, dict[LabelledPage, str]]:
    """Pixels of the pages that can be read, mapped from a file, and the reasons of the others."""
    height, width = loader.preprocessing.input_size
    failed: dict[LabelledPage, str] = {}
    if not pages:
        return np.zeros((0, height, width, 3), np.uint8), failed
    decoded = page_pixels(pages, loader)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(pages), height, width, 3)}
    with translate_unwritable(path.parent), contextlib.closing(decoded):
        # Written in order, not mapped: a full disk kills a process that writes into a mapping.
        with unfinished(path) as partial:
            with partial.open("wb") as file, Progress(len(pages), 0) as progress:
                np.lib.format.write_array_header_1_0(file, header)
                for page, pixels in decoded:
                    if isinstance(pixels, str):
                        failed[page] = pixels
                    else:
                        file.write(np.ascontiguousarray(pixels, np.uint8).tobytes())
                    progress.advance(1, page.name)
                for _ in failed:  # the header tells of as many pages as were asked for
                    file.write(bytes(height * width * 3))
            partial.replace(path)  # not flushed: it goes when the training ends
        written = np.load(path, mmap_mode="r")
    return written[: len(pages) - len(failed)], failed
