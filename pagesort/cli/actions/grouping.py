"""Grouping the pages of piles into items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import UsageError

if TYPE_CHECKING:
    from pagesort.grouping.group_run import GroupRequest
    from pagesort.grouping.methods import Method


def group_folder(settings: Settings, folder: Path, named_by: str, model: Path | None = None) -> int:
    """Group the pages of a folder; prints the paths of the tables of groups and of items."""
    from pagesort.grouping import group_run

    if folder.is_file():
        raise UsageError(f"{named_by} takes a folder, and this is a file", where=folder)
    request = group_request(settings, folder)
    group_run.check_request(request)
    classifier = opening.open_classifier(settings, model).classifier
    outcome = group_run.group_folder(classifier, request)
    for path in (outcome.groups, outcome.items):
        emit(str(path))
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def group_request(settings: Settings, folder: Path) -> GroupRequest:
    """Say which pages are grouped and how."""
    from pagesort.common.tables import table_form
    from pagesort.grouping.group_run import GroupRequest
    from pagesort.grouping.listing import PileSource

    return GroupRequest(
        source=PileSource(folder, settings.file_format, settings.inner, settings.order),
        method=grouping_method(settings),
        tables=settings.results_folder / "tables",
        embeddings=settings.results_folder / "embeddings",
        batch_size=settings.batch_size,
        max_megapixels=settings.max_megapixels,
        absolute_paths=settings.absolute_paths,
        form=table_form(settings.csv_excel),
    )


def grouping_method(settings: Settings) -> Method:
    """Return the method that was chosen, with its settings.

    Raises:
        PageSortError: there is no boundary model.
    """
    from pagesort.grouping.boundary_model import read_model
    from pagesort.grouping.clustering import ClusterSettings
    from pagesort.grouping.methods import Method

    return Method(
        model=read_model(settings.group_model),
        name=settings.group_method,
        clusters=ClusterSettings(
            settings.eps, settings.min_samples, settings.distance, settings.linkage
        ),
        items=settings.items,
    )
