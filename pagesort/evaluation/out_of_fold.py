"""Scores of a cross-validation, every page by the training that has not seen it, as files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pagesort.evaluation.evaluate import (
    EvaluationOutcome,
    EvaluationRequest,
    ScoredVariants,
    write_variants,
)
from pagesort.evaluation.files import check_writable
from pagesort.evaluation.scores import ScoredPages, select_pages
from pagesort.models.protocols import WholeClassifier


def write_out_of_fold(
    classifier: WholeClassifier,
    request: EvaluationRequest,
    scores: Mapping[str, np.ndarray],
    failed: Mapping[str, str],
) -> EvaluationOutcome:
    """Write tables, report and plots of pages that several trainings have scored.

    Args:
        classifier: what the trainings started from; its labels are those of the scores.
        request: with the fold of each page.
        scores: page name -> probabilities (labels,).
        failed: page name -> why it could not be read.

    Raises:
        PageSortError: the results cannot be written.
    """
    check_writable(request.results)
    selection = select_pages(
        request.pages,
        request.folder,
        request.labels,
        classifier.labels,
        request.trained,
        request.trained_names,
    )
    names = [page.name for page in selection.pages]
    places = np.array([place for place, name in enumerate(names) if name not in failed])
    scored = ScoredPages(
        places=places,
        scores=(np.stack([scores[names[place]] for place in places]),),
        failures=tuple((place, failed[name]) for place, name in enumerate(names) if name in failed),
    )
    variants = ScoredVariants([classifier], [request], selection, scored)
    (outcome,) = write_variants(variants, draw=True)
    return outcome
