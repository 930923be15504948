"""The option table: every setting once, for parser, INI reader, help and the README's test."""

from __future__ import annotations

from pagesort.cli.options import (
    evaluation,
    everyone,
    grouping,
    hub,
    models,
    prediction,
    reader,
    reading,
    review,
    scale,
    search,
    training,
)
from pagesort.cli.options.option import (
    ACTIONS,
    AUDIENCES,
    EVALUATIONS,
    FOLDER_ACTIONS,
    PREDICTIONS,
    READER_ACTIONS,
    SEARCHES,
    Option,
)

OPTIONS: tuple[Option, ...] = (
    *prediction.OPTIONS,
    *review.OPTIONS,
    *grouping.OPTIONS,
    *search.OPTIONS,
    *models.OPTIONS,
    *everyone.OPTIONS,
    *training.OPTIONS,
    *reading.OPTIONS,
    *reader.OPTIONS,
    *evaluation.OPTIONS,
    *hub.OPTIONS,
    *scale.OPTIONS,
)
BY_NAME = {option.name: option for option in OPTIONS}

__all__ = [
    "ACTIONS",
    "AUDIENCES",
    "BY_NAME",
    "EVALUATIONS",
    "FOLDER_ACTIONS",
    "OPTIONS",
    "PREDICTIONS",
    "READER_ACTIONS",
    "SEARCHES",
    "Option",
]
