"""The published way of fine-tuning, stated anew to compare with; run.py uses nothing of this.

One page of every label in a batch, so that page i belongs to text i; symmetric cross-entropy over
the batch; Adam with weight decay 1e-4; cosine schedule to 1e-10 without warm-up; CLIP's own
preprocessing (bicubic resize of the shorter side, centre crop); no augmentation; the epoch with the
best validation accuracy is kept. Facts from `ufal/atrium-page-classification`, branch clip,
`classifier.py`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LABELLED = tuple[Path, int]


@dataclass(frozen=True)
class Trained:
    """The classifier that came out, and how many pages a second went through training."""

    classifier: Any
    pages_per_second: float


def centre_crop_of(preprocessing: Any) -> Any:
    """Return CLIP's preprocessing with as many pixels as `preprocessing` has, in a square."""
    from pagesort.pages.preprocessing import Preprocessing

    height, width = preprocessing.input_size
    side = round((height * width) ** 0.5 / 32) * 32
    return Preprocessing(
        shortest_edge=side,
        crop=(side, side),
        mean=preprocessing.mean,
        std=preprocessing.std,
    )


def balanced_batches(
    labels: Sequence[int], classes: int, count: int, rng: np.random.Generator
) -> list[list[int]]:
    """Return `count` batches of page indices with one page of every label, each label cycled."""
    queues: list[list[int]] = [[] for _ in range(classes)]
    members = [np.flatnonzero(np.asarray(labels) == label) for label in range(classes)]
    batches = []
    for _ in range(count):
        batch = []
        for label in rng.permutation(classes):
            if not queues[label]:
                queues[label] = list(rng.permutation(members[label]))
            batch.append(int(queues[label].pop()))
        batches.append(batch)
    return batches


def train(
    start: Any,
    training: Sequence[LABELLED],
    validation: Sequence[LABELLED],
    *,
    learning_rate: float,
    epochs: int,
    views: int,
    seed: int,
    decode_each_time: bool = False,
) -> Trained:
    """Fine-tune a copy of `start` (a `classifier.CLIP`) on `views` pages in `epochs` epochs.

    The published loop reads every page anew in the training process: `decode_each_time` does the
    same, which matters for speed only.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classifier = _copy_of(start)
    model, classes = classifier.model, len(start.labels)
    text_of_label = start.label_embeddings
    pages, labels = prepared(training, classifier.preprocessing)
    kept_pages, kept_labels = prepared(validation, classifier.preprocessing)
    batches = balanced_batches(labels, classes, views // classes, rng)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches), eta_min=1e-10)
    best, best_accuracy, seconds = None, -1.0, 0.0
    for epoch in np.array_split(np.arange(len(batches)), epochs):
        started = time.perf_counter()
        model.train()
        for number in epoch:
            batch = batches[number]
            if decode_each_time:
                prepared([training[index] for index in batch], classifier.preprocessing)
            values = torch.from_numpy(classifier.preprocessing.normalise(pages[batch]))
            images = model.get_image_features(pixel_values=values).pooler_output
            logits = (
                model.logit_scale.exp()
                * functional.normalize(images, dim=-1)
                @ (text_of_label[[labels[index] for index in batch]].T)
            )
            own = torch.arange(len(batch))
            loss = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
            optimiser.zero_grad()
            (loss / 2).backward()
            optimiser.step()
            schedule.step()
        seconds += time.perf_counter() - started
        model.eval()
        accuracy = float(np.mean(scores(classifier, kept_pages).argmax(1) == kept_labels))
        if accuracy > best_accuracy:
            best_accuracy, best = accuracy, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return Trained(classifier, len(batches) * classes / seconds)


def scores(classifier: Any, pages: np.ndarray, batch: int = 16) -> np.ndarray:
    """Score prepared pages, uint8 (N, H, W, 3): float32 (N, labels)."""
    parts = [
        classifier.probabilities(pages[start : start + batch])
        for start in range(0, len(pages), batch)
    ]
    return np.concatenate(parts)


def prepared(pages: Sequence[LABELLED], preprocessing: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return all pages as the model sees them, uint8 (N, H, W, 3), and their label indices."""
    from pagesort.pages.loader import load_page

    pixels = [preprocessing.apply(load_page(path)) for path, _ in pages]
    return np.stack(pixels), np.array([label for _, label in pages])


def _copy_of(start: Any) -> Any:
    from classifier import CLIP

    return CLIP(
        copy.deepcopy(start.model),
        start.tokenizer,
        centre_crop_of(start.preprocessing),
        start.metadata,
    )
