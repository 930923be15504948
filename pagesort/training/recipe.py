"""What decides how a model is fine-tuned, checked before hours are spent on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pagesort.common.errors import PageSortError
from pagesort.pages.loader import DEFAULT_MAX_MEGAPIXELS

if TYPE_CHECKING:
    from pagesort.labelled.split_files import PageSplit

PAGES_FOLDER = "pages"

Precision = Literal["no", "bf16", "fp16"]
_CHOICES = {
    "objective": ("labels", "contrastive"),
    "towers": ("both", "image", "lora", "probe"),
    "sampling": ("balanced", "natural"),
    "batch_norm": ("frozen", "trained"),
    "mixed_precision": ("auto", "no", "bf16", "fp16"),
}
_LEAST_COUNTS = {"epochs": 1, "batch_size": 1, "accumulation": 1, "lora_rank": 1, "patience": 0}
# Name: least and greatest value, and whether the least itself is allowed.
_RANGES = {
    "learning_rate": (0.0, 1.0, False),
    "weight_decay": (0.0, 1.0, True),
    "layer_decay": (0.0, 1.0, False),
    "warmup_ratio": (0.0, 1.0, True),
    "adam_beta2": (0.0, 1.0, False),
    "gradient_clip": (0.0, math.inf, False),
    "ema": (0.0, 1.0, True),
}
# The one field whose key in `config.txt` has another name.
_KEYS = {"learning_rate": "lr"}


@dataclass(frozen=True)
class Recipe:
    """Everything but the pages and the seed that decides the weights.

    Args:
        epochs: how often every page is seen, on average where labels are balanced.
        learning_rate: at its greatest, for the layers next to the output.
        batch_size: pages that a process takes at once.
        accumulation: batches that are added up for one step.
        objective: `labels`: each page against one description of every label; `contrastive`: pages
            and descriptions of the batch against one another, all of one label as positives.
        towers: what learns: both towers; the image tower; `lora`, low-rank adapters of the image
            tower, which are merged into it; `probe`, a head on the frozen image tower, which is
            folded into its projection (of the other fields, only `sampling`, `class_weights` and
            `wise_ft` mean something to it).
        sampling: every label equally often, or every page.
        class_weights: how much pages of a label count in the loss: `none`, all alike; `balanced`,
            the less the more there are; or numbers for labels, 1 for those that are not named.
        augment: vary tone and sharpness of the pages.
        weight_decay: of AdamW; biases, norms and the logit scale have none.
        layer_decay: learning rate of each layer as a share of the next one's; 1: all alike.
        warmup_ratio: part of the steps over which the learning rate rises.
        adam_beta2: memory of AdamW's second moments.
        gradient_clip: longest gradient of a step.
        ema: decay of the moving average of the weights; 0: none.
        wise_ft: share of the trained weights in their mean with the starting ones; None: the share
            that does best on the validation pages.
        batch_norm: whether batch normalisation keeps the statistics of the starting model, or
            learns those of the batches (of 59 real pages, in four folds, this sorted 1 to 3 more
            right in each of three trials, one with batches of 4).
        mixed_precision: `auto` takes bfloat16 where the device computes with it, else float16 on a
            GPU, else float32.
        gradient_checkpointing: save memory by computing twice.
        patience: end after so many epochs without a better one; 0: never.
        lora_rank: of the adapters.

    Raises:
        PageSortError: naming the value that cannot be meant.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    batch_size: int = 16
    accumulation: int = 1
    objective: Literal["labels", "contrastive"] = "labels"
    towers: Literal["both", "image", "lora", "probe"] = "both"
    sampling: Literal["balanced", "natural"] = "balanced"
    class_weights: Literal["none", "balanced"] | tuple[tuple[str, float], ...] = "none"
    augment: bool = True
    weight_decay: float = 0.1
    layer_decay: float = 1.0
    warmup_ratio: float = 0.1
    adam_beta2: float = 0.98
    gradient_clip: float = 1.0
    ema: float = 0.0
    wise_ft: float | None = None
    batch_norm: Literal["frozen", "trained"] = "trained"
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False
    patience: int = 0
    lora_rank: int = 8

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise self._error(name, f"one of {', '.join(allowed)}")
        for name, fewest in _LEAST_COUNTS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < fewest:
                raise self._error(name, f"a whole number from {fewest} on")
        for name, (least, greatest, with_least) in _RANGES.items():
            if not _is_within(getattr(self, name), least, greatest, with_least):
                raise self._error(name, _range_in_words(least, greatest, with_least))
        if self.ema == 1.0:
            raise self._error("ema", "a number below 1, or the average never moves")
        if self.objective == "contrastive":
            self._check_contrastive()
        if self.wise_ft is not None and not _is_within(self.wise_ft, 0.0, 1.0, True):
            raise self._error("wise_ft", "auto or a number from 0 to 1")

    def _check_contrastive(self) -> None:
        """Refuse what has a meaning for the comparison with all labels only."""
        for name, usual in (("class_weights", "none"), ("towers", "probe")):
            if (getattr(self, name) == usual) == (name == "towers"):
                raise PageSortError(
                    f"{name} = {getattr(self, name)} contradicts objective = contrastive",
                    where="[TRAIN]",
                    remedy="Use objective = labels",
                )

    def _error(self, name: str, allowed: str) -> PageSortError:
        return PageSortError(
            f"{_KEYS.get(name, name)} of the training is {getattr(self, name)!r}",
            remedy=f"It must be {allowed}",
        )


@dataclass(frozen=True)
class TrainRequest:
    """What to train on, how, and where everything goes.

    Args:
        split: the pages, and which of them train and validate.
        recipe: how to train.
        checkpoints: folder of the state of trainings, of which an interrupted one goes on by
            itself; shrunk pages are kept there too.
        models: folder in which the new model's folder appears.
        plots: folder of the picture of the curves.
        seed: start of every random sequence.
        log_step: steps between two reports.
        max_megapixels: larger pages are left out.
        workers: processes that prepare pages; None: as many as serve the device.
        save_seconds: time between two checkpoints within an epoch.
        every_label: whether each label must have a page to train on.
        prepared: folder of shrunk pages; None: one in `checkpoints`.
        notes: facts that the new model tells besides those of its making.
        report_to: services that curves are sent to, besides TensorBoard: `wandb`, `mlflow`.
        sums_up: whether the new model is to know its training pages in small.
    """

    split: PageSplit
    recipe: Recipe
    checkpoints: Path
    models: Path
    plots: Path
    seed: int = 420
    log_step: int = 10
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
    workers: int | None = None
    save_seconds: float = 600.0
    every_label: bool = True
    prepared: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    report_to: tuple[str, ...] = ()
    sums_up: bool = True

    @property
    def pages_folder(self) -> Path:
        """The folder of shrunk pages."""
        return self.prepared or self.checkpoints / PAGES_FOLDER


@dataclass(frozen=True)
class TrainOutcome:
    """What a training has made.

    Args:
        model_folder: the new model, ready to predict and to train on.
        accuracy: share of the validation pages that it sorts right; None without such pages.
        temperature: fitted on the validation pages.
        wise_ft: share of the trained weights in the new model.
        epoch: the best one, from 1.
        curves: picture of loss, learning rate and validation accuracy; None if undrawn.
        left_out: pages that could not be read, with the reason.
        pages_per_second: of training alone, without validation; 0 without a report.
        checkpoints: where the state of the last and the weights of the best epoch lie.
    """

    model_folder: Path
    accuracy: float | None
    temperature: float
    wise_ft: float
    epoch: int
    curves: Path | None
    left_out: tuple[tuple[str, str], ...]
    pages_per_second: float
    checkpoints: Path


def _range_in_words(least: float, greatest: float, with_least: bool) -> str:
    if with_least:
        return f"a number from {least:g} to {greatest:g}"
    limit = "" if math.isinf(greatest) else f" and at most {greatest:g}"
    return f"a number above {least:g}{limit}"


def _is_within(value: object, least: float, greatest: float, with_least: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return False
    return (least <= value if with_least else least < value) and value <= greatest
