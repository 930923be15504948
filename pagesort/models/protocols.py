"""What the rooms ask of a classifier; `classifier.CLIP` is all of this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerBase

    from pagesort.models.fast.fast_loading import LeanTokenizer
    from pagesort.models.image_tower import TwoTowers
    from pagesort.models.metadata import ModelMetadata
    from pagesort.pages.preprocessing import Preprocessing


class Viewer(Protocol):
    """What it takes to let a model see pages."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model wants its pages."""

    def batches_at_once(self, batch_size: int) -> int:
        """How many batches of this size are seen side by side to keep the machine busy."""

    def stop(self) -> None:
        """Let what is being seen fail soon: nobody waits for it any more."""


class Scorer(Viewer, Protocol):
    """What scoring pages takes."""

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3): float32 (N, labels); in several threads at once."""


class Named(Protocol):
    """What tells the results of one model from those of another."""

    @property
    def name(self) -> str:
        """What the names of tables, plots and folders call the model."""

    @property
    def labels(self) -> Sequence[str]:
        """The categories, in the order of the scores."""

    @property
    def precision(self) -> str:
        """The numbers that it sees pages with, as `image_tower.precision_of` names them."""


class Classifier(Scorer, Named, Protocol):
    """What a run needs of a model."""

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides a score beside the precision."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""


class Embedder(Viewer, Named, Protocol):
    """What embedding pages takes, and telling kinds of pages by their embeddings."""

    @property
    def model_fingerprint(self) -> str:
        """A hash of weights and settings."""

    @property
    def pages_at_once(self) -> int:
        """How many pages the model sees at a time."""

    def embed_images(self, pixels: np.ndarray) -> torch.Tensor:
        """Embed uint8 (N, H, W, 3): float32 (N, D), rows of length 1; in several threads."""

    def scores(self, embeddings: torch.Tensor | np.ndarray) -> np.ndarray:
        """Score what `embed_images` gave: probabilities, float32 (N, labels)."""


class WholeClassifier(Classifier, Embedder, Protocol):
    """What evaluating, training and exporting take: its parts, and what its texts are."""

    model: TwoTowers
    tokenizer: PreTrainedTokenizerBase | LeanTokenizer
    metadata: ModelMetadata

    @property
    def prompts(self) -> Mapping[str, Sequence[str]]:
        """Label -> the texts that stand for it."""

    @property
    def label_embeddings(self) -> torch.Tensor:
        """One embedding a label, float32 (labels, D)."""

    def variant(
        self, *, descriptions: Mapping[str, Sequence[str]], average: bool
    ) -> WholeClassifier:
        """The same towers with other texts."""
