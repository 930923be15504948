"""Grouping the pages of piles into items."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening
from pagesort.cli.actions.records import listing_beside, opened_facts, write_provenance
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import UsageError
from pagesort.common.paths import SMALL_MODEL

if TYPE_CHECKING:
    from pagesort.grouping.clustering import ClusterSettings
    from pagesort.grouping.group_run import GroupOutcome, GroupRequest
    from pagesort.grouping.methods import Method


logger = logging.getLogger(__name__)


def group_folder(settings: Settings, folder: Path, named_by: str, model: Path | None = None) -> int:
    """Group the pages of a folder; prints the paths of the tables of groups and of items.

    With `--groups`, its tables say which pages belong together.
    """
    from pagesort.grouping import group_run
    from pagesort.grouping.truth import read_grouping

    if folder.is_file():
        raise UsageError(f"{named_by} takes a folder, and this is a file", where=folder)
    if settings.groups and not settings.group:
        return _use_tables(settings, [Path(table) for table in settings.groups], folder)
    request = group_request(settings, folder)
    group_run.check_request(request)
    if settings.compare is not None:
        read_grouping(settings.compare)  # one that is no such table is told before hours of work
    started = datetime.now().astimezone()
    opened = opening.open_classifier(settings, model, bundled=SMALL_MODEL)
    outcome = group_run.group_folder(opened.classifier, request)
    _write_record(settings, opened, outcome, folder, started)
    for path in (outcome.groups, outcome.items):
        emit(str(path))
    if settings.compare is not None:
        _log_seen(request)
        compare_groups(settings, settings.compare, (str(outcome.groups),))
    if settings.review is not None:
        _write_sheet(settings, [outcome.groups], folder)
    status = UNREADABLE_PAGES_STATUS if outcome.failed else 0
    if settings.sort_to is not None:
        status = max(status, _sort_by_group(settings, outcome.groups, folder))
    return status


def _use_tables(settings: Settings, tables: Sequence[Path], folder: Path) -> int:
    """Show the groups of tables that were written before, or sort by those of one."""
    status = _sort_by_group(settings, tables[0], folder) if settings.by == "group" else 0
    if settings.review is not None:
        _write_sheet(settings, tables, folder)
    return status


def _write_record(
    settings: Settings,
    opened: opening.Opened,
    outcome: GroupOutcome,
    folder: Path,
    started: datetime,
) -> None:
    """Write where both tables come from, beside them."""
    from pagesort.records.provenance import Written

    write_provenance(
        settings,
        Written(
            (outcome.groups, outcome.items),
            None,
            folder,
            listing_beside(outcome.groups, outcome.groups.stem),
        ),
        models=[opened_facts(opened)],
        started=started,
        counts={"pages": outcome.pages, "items": outcome.found, "unread": outcome.failed},
    )


def _log_seen(request: GroupRequest) -> None:
    """Say of how many pages the boundary model knew the items, before figures of it are shown."""
    from pagesort.grouping.listing import piles
    from utils import PassedOver

    model = request.method.model
    files = {ref.path for pile in piles(request.source, PassedOver()) for ref in pile}
    seen = sum(path.is_file() and model.was_seen(path) for path in files)
    if seen:
        logger.warning(
            "the boundary model was trained on %d of these %d files, so that these figures say "
            "nothing of other piles",
            seen,
            len(files),
        )


def _sort_by_group(settings: Settings, table: Path, folder: Path) -> int:
    """Put the pages of each item into a folder of its own; prints the manifest, or the plan."""
    from pagesort.sorting.from_table import SortJob, sort_by_table

    assert settings.sort_to is not None, "checked together with --by"
    job = SortJob(table, folder, settings.sort_to, settings.link, settings.dry_run, ("GROUP",))
    report = sort_by_table(job)
    for line in (*report.planned, *filter(None, (report.manifest, report.problem_list))):
        emit(str(line))
    return UNREADABLE_PAGES_STATUS if report.problems else 0


def _write_sheet(settings: Settings, tables: Sequence[Path], folder: Path) -> None:
    """Write a page for the browser that shows groups in scan order; prints its path."""
    from pagesort.common.tables import table_form
    from pagesort.grouping.sheet import GroupsSheet
    from pagesort.review import sheet

    shown = GroupsSheet(tables, settings.compare)
    name = tables[0].stem if len(tables) == 1 else f"{tables[0].stem}_COMPARED"
    written = sheet.write_sheet(
        sheet.Sheet(
            folder=settings.results_folder / "review" / name,
            root=folder,
            labels=(),
            mode="groups",
            title=f"{folder.resolve().name}, {name}",
            run=name,
            runs=shown.runs,
            form=table_form(settings.csv_excel),
            max_megapixels=settings.max_megapixels,
        ),
        shown.pages(),
    )
    emit(str(written.index))


def compare_groups(settings: Settings, truth: Path, tables: Sequence[str]) -> int:
    """Compare tables of groups with the true ones; prints figures and the paths of what is written.

    It is written beside the first of the tables.
    """
    from pagesort.common.tables import table_form
    from pagesort.grouping import comparing

    paths = [Path(table) for table in tables]
    target = settings.results_folder / "tables" / f"{paths[0].stem}_COMPARED"
    found = comparing.compare(truth, paths, target, table_form(settings.csv_excel))
    for line in (*found.lines(), *map(str, found.files)):
        emit(line)
    return 0


def train_groups(settings: Settings, folder: Path, model: Path | None = None) -> int:
    """Train a boundary model and measure all methods; prints figures and where the model is."""
    from pagesort.grouping import drawn_covers, labelled_piles, training_run

    classifier = opening.open_classifier(settings, model, bundled=SMALL_MODEL).classifier
    request = labelled_piles.LabelledRequest(
        folder,
        settings.results_folder / "embeddings",
        settings.batch_size,
        settings.max_megapixels,
    )
    piles = labelled_piles.read_piles(classifier, request)
    outcome = training_run.train_and_measure(
        piles,
        cluster_settings(settings),
        covers=drawn_covers.seen_covers(classifier),
        models=settings.model_dir,
        stats=settings.results_folder / "stats",
        embedded_by=classifier.model_fingerprint,
    )
    for line in (*outcome.lines, str(outcome.table), str(outcome.model)):
        emit(line)
    return 0


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
    from pagesort.grouping.methods import Method

    return Method(
        model=read_model(settings.group_model),
        name=settings.group_method,
        clusters=cluster_settings(settings),
        items=settings.items,
        size=settings.sizes,
    )


def cluster_settings(settings: Settings) -> ClusterSettings:
    """Return the settings of the methods beside `sequence`."""
    from pagesort.grouping.clustering import ClusterSettings

    return ClusterSettings(settings.eps, settings.min_samples, settings.distance, settings.linkage)
