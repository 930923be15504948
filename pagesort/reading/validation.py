"""How well a reader reads the lines that choose its best epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pagesort.common.text import named
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.batches import by_shape, shape_for
from pagesort.reading.error_rates import Errors, errors_of
from pagesort.reading.learner import Learner
from pagesort.reading.pictures import Pictures
from pagesort.reading.views import Collator, View
from pagesort.training.report import Reporter

logger = logging.getLogger(__name__)

SHOWN = 16
"""Lines of which TensorBoard shows the reading, the same in each epoch."""


class ValidationLines:
    """Lines that validate, read at the end of each epoch.

    Args:
        pictures: of the lines.
        alphabet: that of the reader; characters that it lacks count as errors.
        collate: makes batches.
    """

    def __init__(
        self, pictures: Pictures, alphabet: Alphabet, device: torch.device, collate: Collator
    ) -> None:
        self.pictures = pictures
        self.alphabet = alphabet
        self.device = device
        self.collate = collate
        self._shapes = [
            shape_for(width, height, is_form=collate.is_form) for height, width in pictures.shapes
        ]
        missing = list(
            dict.fromkeys(each for line in pictures.lines for each in alphabet.lacks(line.text))
        )
        if missing:
            logger.warning(
                "characters of lines that validate, but of none that trains, which the reader "
                "cannot learn: %s",
                named(missing),
            )

    def measured(self, learner: Learner[Any]) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Read all lines with the weights of a learner.

        Returns:
            `cer`, `wer`, `loss` in nats a character, and `accuracy`, which is 1 - `cer`; and truth
            and reading of the first lines.
        """
        training = learner.training
        learner.eval()
        losses = np.zeros(len(self.pictures))
        readings = [""] * len(self.pictures)
        for batch in by_shape(self._shapes):
            views = [
                View(
                    self.pictures[place],
                    self.alphabet.classes(self.pictures.lines[place].text),
                    self._shapes[place],
                )
                for place in batch
            ]
            tensors = {name: each.to(self.device) for name, each in self.collate(views).items()}
            with torch.inference_mode():
                found = learner.read(**tensors, alphabet=self.alphabet)
            for place, loss, text in zip(batch, *found, strict=True):
                losses[place], readings[place] = loss, text
        learner.train(training)
        truths = [line.text for line in self.pictures.lines]
        total = sum(map(errors_of, truths, readings), Errors())
        figures = {"cer": total.cer, "wer": total.wer, "loss": float(losses.mean())}
        figures["accuracy"] = 1.0 - total.cer
        return figures, list(zip(truths, readings, strict=True))[:SHOWN]


class ReaderReporter(Reporter):
    """Tells of a reader's training; see `Reporter`."""

    unit = "lines"

    def _log_validation(self, figures: Mapping[str, float]) -> None:
        if self._bar is not None:
            self._bar.clear()
        logger.info(
            "epoch %d: CER %.1f %%, WER %.1f %% on the lines that validate, loss %.4f",
            figures["step"] // self.steps_per_epoch,
            100 * figures["eval_cer"],
            100 * figures["eval_wer"],
            figures["eval_loss"],
        )
