"""The error budget of `--max_error`: which labelled pages prove it, and what they allow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from pagesort.prediction.scoring import Classifier
    from pagesort.review.error_budget import Budget
    from pagesort.review.evidence import Source

logger = logging.getLogger(__name__)


def error_budget(settings: Settings, classifier: Classifier, folder: Path) -> Budget | None:
    """Find which pages of a folder need no look, and tell it; None if it is not asked for.

    Raises:
        PageSortError: there are no labelled pages that tell it, or they are of another model.
    """
    if settings.max_error is None:
        return None
    from pagesort.review.budget_lines import budget_lines
    from pagesort.review.error_budget import find_budget

    labels: Sequence[str] = tuple(classifier.labels)
    source = _source(settings, classifier, labels, folder)
    budget = find_budget(source.evidence, labels, settings.max_error)
    for line in budget_lines(budget, source.words, str(source.path)):
        logger.info("%s", line)
    return budget


def _source(
    settings: Settings, classifier: Classifier, labels: Sequence[str], folder: Path
) -> Source:
    """Read the labelled pages: those that are named, else the newest.

    An audit tells of its own folder, and of others only as far as they are alike.
    """
    from pagesort.review import audit_files, evidence

    stats = settings.results_folder / "stats"
    path = settings.budget or evidence.newest_report(stats, classifier.fingerprint, folder)
    if path is None:
        raise PageSortError(
            f"--max_error needs labelled pages that {classifier.name} has never seen, and there "
            "is no evaluation of it, and no audit of this folder",
            where=stats,
            remedy="Evaluate it first, with --eval --eval_folder FOLDER (a subfolder a category), "
            "or sort the folder without --max_error and audit that with --audit 300",
        )
    report = evidence.read_report(path)
    evidence.check_model(report, path, classifier.fingerprint, classifier.name)
    if report["format"] != audit_files.RESULT:
        return evidence.evaluation_source(report, path, labels)
    audited = report["run"].get("folder")
    if audited != str(folder.resolve()):
        logger.warning("the audit is of another folder (%s): its promise is for that one", audited)
    return audit_files.audit_source(report, path, labels)
