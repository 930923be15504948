"""What is written beside the tables of a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pagesort.cli.settings import Settings
from pagesort.common.text import counted, named

if TYPE_CHECKING:
    from pagesort.prediction.result_tables import FinishedTables

logger = logging.getLogger(__name__)


def write_documents(settings: Settings, tables: FinishedTables) -> None:
    """Write the table of documents beside the finished tables, and say what it holds.

    Its path is logged, not printed: scripts take what is printed for tables of pages.
    """
    from pagesort.cli.options.prediction import ROUTES
    from pagesort.common.tables import table_form
    from pagesort.records import documents

    rules = documents.DocumentRules(settings.routes, max(settings.review_below, settings.min_score))
    counts = documents.write_documents(
        tables.result, tables.failures, tables.documents, rules, table_form(settings.csv_excel)
    )
    logger.info(
        "table of documents: %s (%d documents, %s to review)",
        tables.documents,
        counts.documents,
        counted(counts.review),
    )
    labels = {label.casefold() for label in (*tables.categories, *ROUTES)}
    unknown = [label for label in settings.routes if label.casefold() not in labels]
    if unknown:
        logger.warning("[ROUTES] of config.txt: no category is called %s", named(unknown))
    if counts.unset:
        logger.info(
            "no next tool is known for %s: name it in config.txt under [ROUTES]",
            named(sorted(counts.unset)),
        )
