"""What a new model is to know of its training pages, to tell a collection that is unlike them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from pagesort.labelled.folder import LabelledPage, page_pixels
from pagesort.models.training_pages import TrainingPages, sum_up_measured
from pagesort.pages.loader import PageLoader

if TYPE_CHECKING:
    from pagesort.models.protocols import WholeClassifier
    from pagesort.training.plan import Plan
    from pagesort.training.recipe import TrainRequest

MOST_OF_A_GROUP = 8
MOST = 512
"""Pages; k-means finds no other centres with more, and large models take a second for each."""
FEWEST_MEASURED, FEWEST_GROUPS = 20, 10
"""Validation pages, and documents or sources of them: what is far cannot be told from fewer."""
_BATCH = 16


def sum_up_seen(
    classifier: WholeClassifier, request: TrainRequest, plan: Plan
) -> TrainingPages | None:
    """Sum up the training pages as the trained towers see them.

    What is far from them is measured on validation pages: the towers have learnt the others by
    heart, and put new pages further from them. Of several processes only one calls this.

    Args:
        classifier: with the weights of the new model.

    Returns:
        None where too few pages validate.
    """
    measured = request.split.validation
    if not request.sums_up or _are_few(measured):
        return None
    if len(measured) > MOST:
        measured = tuple(random.Random(request.seed).sample(measured, MOST))
    classifier.model.eval()
    chosen = some_of_every_group(plan.pages, request.seed)
    seen, _ = _embedded(classifier, chosen, plan, request.max_megapixels)
    unseen, read = _embedded(classifier, measured, plan, request.max_megapixels)
    if not len(seen) or _are_few(read):
        return None
    return sum_up_measured(seen, unseen, [group_of(page) for page in read], request.seed)


def _are_few(pages: Sequence[LabelledPage]) -> bool:
    """Whether they are too few to tell what is far."""
    groups = {group_of(page) for page in pages}
    return len(pages) < FEWEST_MEASURED or len(groups) < FEWEST_GROUPS


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


def _embedded(
    classifier: WholeClassifier, pages: Sequence[LabelledPage], plan: Plan, max_megapixels: float
) -> tuple[np.ndarray, list[LabelledPage]]:
    """Embeddings of the pages that can be read, float32 (N, D), and these pages."""
    read: list[LabelledPage] = []

    def pixels() -> Iterator[np.ndarray]:
        for page, found in page_pixels(pages, PageLoader(plan.preprocessing, max_megapixels)):
            if not isinstance(found, str):
                read.append(page)
                yield found

    rows = []
    waiting = pixels()
    while batch := list(islice(waiting, _BATCH)):
        rows.append(classifier.embed_images(np.stack(batch)).cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32), read
