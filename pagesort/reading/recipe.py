"""What decides how a reader is trained, checked before hours are spent on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from pagesort.reading.split import LineSplit

MOST_PATIENCE = 1000


@dataclass(frozen=True)
class ReaderRecipe:
    """Everything but the lines and the seed that decides a reader's weights.

    Args:
        architecture: `ctc`, a class for every place along the line, or `seq2seq`, one character
            after the other.
        form: what a picture shows; `form` is lines below one another, which only `seq2seq` reads.
        resnet, width, layers, heads: of `seq2seq`; see `seq2seq.Seq2SeqNetwork`.
        epochs: how often every line is seen.
        learning_rate: at its greatest.
        batch_size: lines that are taken at once.
        accumulation: batches that are added up for one step.
        synthetic: share of the lines that are put together from others.
        frozen: blocks behind the first layers that keep the weights they start with, as the first
            layers then do; 0: all weights learn.
        augment: vary slant, width, thickness and tone of the lines.
        weight_decay: of AdamW; biases and norms have none.
        warmup_ratio: part of the steps over which the learning rate rises.
        gradient_clip: longest gradient of a step.
        ema: decay of the moving average of the weights; 0: none.
        patience: epochs without a better one after which the training ends; 0: all are made.
        mixed_precision: numbers that are computed with; see `plan.chosen_precision`.

    Raises:
        PageSortError: naming the value that cannot be meant.
    """

    architecture: Literal["ctc", "seq2seq"] = "ctc"
    form: Literal["word", "line", "form"] = "line"
    resnet: int = 18
    width: int = 256
    layers: int = 4
    heads: int = 4
    epochs: int = 30
    learning_rate: float = 5e-4
    batch_size: int = 16
    accumulation: int = 1
    synthetic: float = 0.0
    frozen: int = 0
    augment: bool = True
    weight_decay: float = 0.02
    warmup_ratio: float = 0.05
    gradient_clip: float = 5.0
    ema: float = 0.998
    patience: int = 0
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.architecture not in ("ctc", "seq2seq"):
            raise self._error("architecture", "ctc or seq2seq")
        if self.form == "form" and self.architecture == "ctc":
            raise PageSortError(
                "ctc reads words and lines, and no forms", remedy="Add --architecture seq2seq"
            )
        if self.resnet not in (18, 34):
            raise self._error("resnet", "18 or 34")
        if self.width % 4 or self.width % self.heads or not 0 < self.width <= 1024:
            raise self._error("width", "a multiple of 4 and of the heads, at most 1024")
        for name in ("epochs", "batch_size", "accumulation", "layers", "heads"):
            if getattr(self, name) < 1:
                raise self._error(name, "a whole number from 1 on")
        for name in ("synthetic", "weight_decay", "warmup_ratio"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise self._error(name, "a number from 0 to 1")
        if not 0.0 <= self.ema < 1.0:
            raise self._error("ema", "a number from 0 to below 1")
        if not 0.0 < self.learning_rate < 1.0:
            raise self._error("learning_rate", "a number above 0 and below 1")
        if self.frozen < 0:
            raise self._error("frozen", "a whole number from 0 on")
        if self.frozen and self.architecture != "ctc":
            raise self._error("frozen", "0 but for ctc")
        if not 0 <= self.patience <= MOST_PATIENCE:
            raise self._error("patience", f"a whole number from 0 to {MOST_PATIENCE}")

    def _error(self, name: str, allowed: str) -> PageSortError:
        return PageSortError(
            f"{name} of the reader's training is {getattr(self, name)!r}",
            remedy=f"It must be {allowed}",
        )


@dataclass(frozen=True)
class ReaderRequest:
    """What a reader is trained on, how, and where everything goes.

    Args:
        split: the lines, and which of them train and validate.
        recipe: how to train.
        start: a reader of our own to go on from; None: from random weights.
        checkpoints: folder of the state of trainings and of prepared pictures.
        models: folder in which the new reader's folder appears.
        seed: start of every random sequence.
        log_step: steps between two reports.
        workers: processes that prepare lines; None: as many as serve the device.
        save_seconds: time between two checkpoints within an epoch.
        source: what the data are called in the reader's facts.
    """

    split: LineSplit
    recipe: ReaderRecipe
    start: Path | None
    checkpoints: Path
    models: Path
    seed: int = 420
    log_step: int = 10
    workers: int | None = None
    save_seconds: float = 600.0
    source: str = ""


@dataclass(frozen=True)
class ReaderOutcome:
    """What a training has made.

    Args:
        folder: the new reader.
        cer: characters that its best epoch read wrong of those that validate; None without any.
        epoch: the best one, from 1.
        left_out: lines that could not be read, with the reason.
        checkpoints: where the state of the last and the weights of the best epoch lie.
    """

    folder: Path
    cer: float | None
    epoch: int
    left_out: tuple[tuple[str, str], ...]
    checkpoints: Path
