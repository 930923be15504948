"""Whether the pages of a run look to the model like those that it was trained on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np

from pagesort.common.text import counted
from pagesort.models.protocols import Embedder
from pagesort.models.training_pages import TrainingPages

logger = logging.getLogger(__name__)

FEWEST = 20
"""Pages; a share of fewer says nothing of a collection."""


class Likeness:
    """Counts the pages that are unlike the training pages while they are scored.

    Args:
        model: scores the pages.
        name: what messages call it.
        training: its training pages.

    Attributes:
        pages: how many were scored, in this sitting.
        unlike: how many of them lie further from the training pages than 95 % of pages of a
            source that was left out.
    """

    def __init__(self, model: Embedder, name: str, training: TrainingPages) -> None:
        self.pages = 0
        self.unlike = 0
        self._model = model
        self._name = name
        self._training = training
        self._lock = threading.Lock()

    def probabilities(self, pixels: np.ndarray, slots: Sequence[int]) -> np.ndarray:
        """Score as the model itself does, and count the pages; in several threads at once.

        Args:
            pixels: uint8 (N, H, W, 3).
            slots: where the pages are; the others are black and do not count.
        """
        embeddings = self._model.embed_images(pixels)
        distances = self._training.distances(np.asarray(embeddings)[list(slots)])
        with self._lock:
            self.pages += int(np.isfinite(distances).sum())
            self.unlike += int((distances > self._training.limit).sum())
        return self._model.scores(embeddings)

    def anew(self) -> Likeness:
        """The same with nothing counted."""
        return Likeness(self._model, self._name, self._training)

    def add(self, pages: int, unlike: int) -> None:
        """Count pages that another process has scored."""
        with self._lock:
            self.pages += pages
            self.unlike += unlike

    @property
    def facts(self) -> dict[str, int | float]:
        """What a record tells: pages of this sitting, those unlike, and the share that is usual."""
        return {
            "pages": self.pages,
            "unlike": self.unlike,
            "usual_share": self._training.usual,
            "ordinary_up_to": self._training.most,
        }

    def log_strangers(self) -> None:
        """Say so if the pages are less like the training pages than ordinary archives' are."""
        if self.pages < FEWEST or self.unlike <= self._training.most * self.pages:
            return
        logger.warning(
            "%.0f %% of %s scored now are unlike any that %s was trained on (%.0f %% is usual): "
            "trust its scores less, and have a sample checked with --audit 200",
            100 * self.unlike / self.pages,
            counted(self.pages),
            self._name,
            100 * self._training.usual,
        )
