"""Lines as a training sees them: in which order, varied, and some put together from others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from pagesort.reading.alphabet import Alphabet
from pagesort.reading.augmentation import varied
from pagesort.reading.batches import MULTIPLE, NARROWEST, WIDEST, greys, stretched, width_for
from pagesort.reading.network import HEIGHT, STEP, steps_of
from pagesort.reading.pictures import Pictures
from pagesort.reading.synthetic import Composer

WINDOW = 40  # batches whose lines are sorted by width
STRETCH = (0.82, 1.2)  # of the width
ROOM = 1.25  # steps a character, at least
_ORDER, _VIEW = 1, 2  # streams of random numbers


@dataclass(frozen=True)
class View:
    """A picture of a line, uint8 (H, W), and the classes of its characters.

    `width` is what it should be stretched to, and `stream` decides how it is varied, None not at
    all.
    """

    picture: np.ndarray
    classes: Sequence[int]
    width: int
    stream: np.random.Generator | None = None


class LineViews(Dataset[View]):
    """Views of lines; view `i` is the same whoever asks for it.

    Every line is seen once an epoch, in a new order, lines of about one width one after the other.

    Args:
        pictures: of the lines that train, and no others.
        alphabet: the classes of characters.
        batch_size: lines of a batch, which are taken in a row.
        views_per_epoch: as many as there are lines, or the few more that fill the last step.
        epochs: of the whole training.
        synthetic: share of the views that are put together from spans of the lines.
        augment: whether to vary them.
    """

    def __init__(
        self,
        pictures: Pictures,
        alphabet: Alphabet,
        seed: int,
        *,
        batch_size: int,
        views_per_epoch: int,
        epochs: int,
        synthetic: float = 0.0,
        augment: bool = True,
    ) -> None:
        self.pictures = pictures
        self.alphabet = alphabet
        self.seed = seed
        self.batch_size = batch_size
        self.views_per_epoch = views_per_epoch
        self.epochs = epochs
        self.synthetic = synthetic
        self.augment = augment
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))
        texts = [line.text for line in pictures.lines]
        hands = [line.document for line in pictures.lines]
        self._composer = Composer(pictures.__getitem__, texts, hands)

    def __len__(self) -> int:
        """Views of the whole training."""
        return self.views_per_epoch * self.epochs

    def __getitem__(self, number: int) -> View:
        """One view."""
        epoch, place = divmod(number, self.views_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, self._ordered(epoch)
        line = int(self._order[1][place])
        stream = np.random.default_rng([self.seed, _VIEW, number])
        picture, text = self.pictures[line], self.pictures.lines[line].text
        if stream.random() < self.synthetic:
            picture, text = self._composer.line(stream, picture.shape[1])
        return self._view(picture, self.alphabet.classes(text), stream)

    def _view(
        self, picture: np.ndarray, classes: Sequence[int], stream: np.random.Generator
    ) -> View:
        """A line in a width that has a step for each of its characters, and some to spare."""
        height, width = picture.shape
        if not self.augment:
            return View(picture, classes, max(width_for(width, height), _least(classes)))
        wanted = width * HEIGHT / height * stream.uniform(*STRETCH)
        return View(picture, classes, max(round(wanted), _least(classes)), stream)

    def _ordered(self, epoch: int) -> np.ndarray:
        """The lines of an epoch's views."""
        stream = np.random.default_rng([self.seed, _ORDER, epoch])
        count = len(self.pictures)
        rounds = math.ceil(self.views_per_epoch / count)
        order = np.concatenate([stream.permutation(count) for _ in range(rounds)])
        order = order[: self.views_per_epoch]
        widths = np.array(self.pictures.widths)
        window = WINDOW * self.batch_size
        order = np.concatenate(
            [
                part[np.argsort(widths[part], kind="stable")]
                for part in np.split(order, range(window, len(order), window))
            ]
        )
        batches = np.split(order, range(self.batch_size, len(order), self.batch_size))
        # All batches are full: an epoch is a whole number of steps.
        return np.concatenate([batches[place] for place in stream.permutation(len(batches))])


def _least(classes: Sequence[int]) -> int:
    """The fewest columns in which so many characters can be told apart."""
    return max(NARROWEST, round((len(classes) + 3) * STEP * ROOM))


def collate(views: Sequence[View]) -> Mapping[str, torch.Tensor]:
    """Make a batch: `greys` (N, 1, 48, W), its `steps` (N,), `targets` and their `lengths`.

    All are stretched to the mean of the widths that they should have.
    """
    mean = sum(view.width for view in views) / len(views)
    width = min(WIDEST, -(-round(mean) // MULTIPLE) * MULTIPLE)
    pictures = [
        torch.from_numpy(greys([stretched(view.picture, width)]))[0]
        if view.stream is None
        else varied(view.picture, width, view.stream)
        for view in views
    ]
    lengths = torch.tensor([len(view.classes) for view in views])
    targets = torch.zeros((len(views), max(1, int(lengths.max()))), dtype=torch.long)
    for place, view in enumerate(views):
        targets[place, : len(view.classes)] = torch.tensor(view.classes, dtype=torch.long)
    return {
        "greys": torch.stack(pictures),
        "steps": torch.full((len(views),), steps_of(width)),
        "targets": targets,
        "lengths": lengths,
    }
