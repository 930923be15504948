"""What a new model is to know of its training pages, to tell a collection that is unlike them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.labelled.folder import LabelledPage, page_pixels
from pagesort.models.training_pages import TrainingPages, sum_up_measured
from pagesort.pages.loader import PageLoader

if TYPE_CHECKING:
    from pagesort.training.plan import Plan
    from pagesort.training.recipe import TrainRequest
    from pagesort.training.validation import ValidationPages

MOST_OF_A_GROUP = 8
MOST = 512
"""Pages; k-means finds no other centres with more, and large models take a second for each."""
FEWEST_MEASURED, FEWEST_GROUPS = 20, 10
"""Validation pages, and documents or sources of them: what is far cannot be told from fewer."""
_BATCH = 16


def sum_up_seen(
    classifier: Any, request: TrainRequest, plan: Plan, validation: ValidationPages
) -> TrainingPages | None:
    """Sum up the training pages as the trained towers see them.

    What is far from them is measured on validation pages: the towers have learnt the others by
    heart, and put new pages further from them.

    Args:
        classifier: with the weights of the new model.

    Returns:
        None where too few pages validate.
    """
    if not request.sums_up:
        return None
    lost = dict(validation.left_out)
    kept = [page for page in request.split.validation if page not in lost]
    measured = [kept[place] for place in validation.places]
    groups = [group_of(page) for page in measured]
    if len(groups) < FEWEST_MEASURED or len(set(groups)) < FEWEST_GROUPS:
        return None
    chosen = some_of_every_group(plan.pages, request.seed)
    loader = PageLoader(plan.preprocessing, request.max_megapixels)
    pixels = (found for _, found in page_pixels(chosen, loader) if not isinstance(found, str))
    places = sorted(random.Random(request.seed).sample(range(len(groups)), min(MOST, len(groups))))
    classifier.model.eval()
    seen = _embedded(classifier, pixels)
    unseen = _embedded(classifier, (validation.pixels[place] for place in places))
    if not len(seen):
        return None
    return sum_up_measured(seen, unseen, [groups[place] for place in places], request.seed)


def group_of(page: LabelledPage) -> str:
    """What pages that look alike share: their source where it is known, else their document."""
    return f"source {page.source}" if page.source else f"document {page.document}"


def some_of_every_group(pages: Sequence[LabelledPage], seed: int) -> list[LabelledPage]:
    """Draw pages of all documents or sources in turn, so that large ones do not take all."""
    rng = random.Random(seed)
    of_group: defaultdict[str, list[LabelledPage]] = defaultdict(list)
    for page in sorted(pages, key=lambda page: page.name):
        of_group[group_of(page)].append(page)
    groups = [of_group[name] for name in sorted(of_group)]
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    rounds = (
        [group[turn] for group in groups if turn < len(group)] for turn in range(MOST_OF_A_GROUP)
    )
    return list(chain.from_iterable(rounds))[:MOST]


def _embedded(classifier: Any, pages: Iterator[np.ndarray]) -> np.ndarray:
    """Embeddings of pages, uint8 (H, W, 3) each: float32 (N, D)."""
    rows: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for pixels in pages:
        batch.append(pixels)
        if len(batch) == _BATCH:
            rows.append(classifier.embed_images(np.stack(batch)).cpu().numpy())
            batch = []
    if batch:
        rows.append(classifier.embed_images(np.stack(batch)).cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
