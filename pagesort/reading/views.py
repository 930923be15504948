"""Lines as a training sees them: in which order, varied, and some put together from others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from pagesort.common.errors import PageSortError
from pagesort.reading.alphabet import BREAK, Alphabet
from pagesort.reading.augmentation import toned, varied
from pagesort.reading.batches import MULTIPLE, NARROWEST, WIDEST, Shape, greys, shape_for, shaped
from pagesort.reading.network import HEIGHT, STEP
from pagesort.reading.pictures import Pictures
from pagesort.reading.synthetic import Composer

WINDOW = 40  # batches whose lines are sorted by width
STRETCH = (0.82, 1.2)  # of the width
ROOM = 1.25  # steps a character, at least
MOST_LINES = 8  # of a paragraph that is put together
PARAGRAPH_WIDTH = 1200  # pixels of its lines, at most
_ORDER, _VIEW = 1, 2  # streams of random numbers


@dataclass(frozen=True)
class View:
    """A picture of a line, uint8 (H, W), and the classes of its characters.

    `shape` is what it should be stretched to, and `stream` decides how it is varied, None not at
    all.
    """

    picture: np.ndarray
    classes: Sequence[int]
    shape: Shape
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
        is_form: whether pictures are whole forms, and paragraphs are put together.
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
        is_form: bool = False,
    ) -> None:
        self.pictures = pictures
        self.alphabet = alphabet
        self.seed = seed
        self.batch_size = batch_size
        self.views_per_epoch = views_per_epoch
        self.epochs = epochs
        self.synthetic = synthetic
        self.augment = augment
        self.is_form = is_form
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))
        self._composer = composer_of(pictures) if synthetic else None

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
        if self._composer is not None and stream.random() < self.synthetic:
            if self.is_form:
                lines = int(stream.integers(1, MOST_LINES + 1))
                picture, text = self._composer.paragraph(stream, lines, PARAGRAPH_WIDTH)
            else:
                picture, text = self._composer.line(stream, picture.shape[1])
        return self._view(picture, self.alphabet.classes(text), stream)

    def _view(
        self, picture: np.ndarray, classes: Sequence[int], stream: np.random.Generator
    ) -> View:
        """A picture in its size, lines in one that has a step for each character and some more."""
        height, width = picture.shape
        shape = shape_for(width, height, is_form=self.is_form)
        if not self.is_form:
            columns = shape[1]
            if self.augment:
                columns = round(width * HEIGHT / height * stream.uniform(*STRETCH))
            shape = HEIGHT, max(columns, _least(classes))
        return View(picture, classes, shape, stream if self.augment else None)

    def _ordered(self, epoch: int) -> np.ndarray:
        """The lines of an epoch's views."""
        stream = np.random.default_rng([self.seed, _ORDER, epoch])
        count = len(self.pictures)
        rounds = math.ceil(self.views_per_epoch / count)
        order = np.concatenate([stream.permutation(count) for _ in range(rounds)])
        order = order[: self.views_per_epoch]
        widths = np.array([width for _, width in self.pictures.shapes])
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


@dataclass(frozen=True)
class _Chosen:
    """Gives some of the pictures, by numbers of their own, in processes of their own, too."""

    pictures: Pictures
    places: Sequence[int]

    def __call__(self, number: int) -> np.ndarray:
        return self.pictures[self.places[number]]


def composer_of(pictures: Pictures) -> Composer:
    """What puts new pictures together from lines that train; forms among them are left aside.

    Raises:
        PageSortError: all of them are forms.
    """
    places = [place for place, line in enumerate(pictures.lines) if BREAK not in line.text]
    if not places:
        raise PageSortError(
            "nothing can be put together from forms", remedy="Give lines, or leave out --synthetic"
        )
    return Composer(
        _Chosen(pictures, places),
        [pictures.lines[place].text for place in places],
        [pictures.lines[place].document for place in places],
    )


def _least(classes: Sequence[int]) -> int:
    """The fewest columns in which so many characters can be told apart."""
    return max(NARROWEST, round((len(classes) + 3) * STEP * ROOM))


class Collator:
    """Makes a batch: `greys` (N, 1, H, W), `targets` (N, L) and their `lengths`.

    Args:
        is_form: whether pictures are whole forms, whose sizes differ: they are laid on white paper.
            Lines are stretched to the mean of the widths that they should have.
    """

    def __init__(self, is_form: bool = False) -> None:
        self.is_form = is_form

    def __call__(self, views: Sequence[View]) -> Mapping[str, torch.Tensor]:
        """Make one batch."""
        lengths = torch.tensor([len(view.classes) for view in views])
        targets = torch.zeros((len(views), max(1, int(lengths.max()))), dtype=torch.long)
        for place, view in enumerate(views):
            targets[place, : len(view.classes)] = torch.tensor(view.classes, dtype=torch.long)
        pictures = _forms(views) if self.is_form else _lines(views)
        return {"greys": pictures, "targets": targets, "lengths": lengths}


def _lines(views: Sequence[View]) -> torch.Tensor:
    mean = sum(view.shape[1] for view in views) / len(views)
    width = min(WIDEST, -(-round(mean) // MULTIPLE) * MULTIPLE)
    return torch.stack(
        [
            torch.from_numpy(greys([shaped(view.picture, (HEIGHT, width))]))[0]
            if view.stream is None
            else varied(view.picture, width, view.stream)
            for view in views
        ]
    )


def _forms(views: Sequence[View]) -> torch.Tensor:
    rows, columns = (max(view.shape[side] for view in views) for side in (0, 1))
    page = torch.ones((len(views), 1, rows, columns))
    for place, view in enumerate(views):
        form = torch.from_numpy(greys([shaped(view.picture, view.shape)]))
        if view.stream is not None:
            form = toned(form, view.stream)
        page[place, :, : view.shape[0], : view.shape[1]] = form[0]
    return page
