"""What is written beside the tables of a run, and checking a table against it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.cli.console import as_typed, emit
from pagesort.cli.options import OPTIONS
from pagesort.cli.settings import Settings
from pagesort.common.addresses import is_remote, readable, resolved
from pagesort.common.errors import PageSortError
from pagesort.common.run_log import log_event
from pagesort.common.text import counted, named

if TYPE_CHECKING:
    from pagesort.cli.opening import Opened
    from pagesort.prediction.likeness import Likeness
    from pagesort.prediction.result_tables import FinishedTables
    from pagesort.records.documents import DocumentCounts
    from pagesort.records.provenance import Written

logger = logging.getLogger(__name__)

TOKEN = re.compile(r"\bhf_\w{8,}")  # never an argument, but somebody may have tried


class TableRecords:
    """Writes what belongs beside the tables of a folder's run, a vote or a merge.

    That is the table of documents, by `DocumentRules` (below the larger of `review_below` and
    `min_score` a page is to be reviewed, where nothing was decided for it); the record of where the
    tables come from; where asked for, tables of pages in other formats, and ALTO and PAGE files
    with categories.

    Args:
        settings: of the run.
        models: what is told of its models; None where several vote, which the tables name.

    Attributes:
        likeness: what counts the pages unlike the training pages; None where nobody counts.
        problems: how many ALTO and PAGE files could not be copied.
        copies: the tables of pages in the other formats of `--format`.
    """

    def __init__(
        self, settings: Settings, models: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        self.settings = settings
        self.models = models
        self.started = datetime.now().astimezone()
        self.problems = 0
        self.copies: list[Path] = []
        self.likeness: Likeness | None = None

    def __call__(self, tables: FinishedTables) -> None:
        """Write the table of documents, and where every table comes from."""
        from pagesort.common.tables import FAILED_ENDING
        from pagesort.records.machine_tables import write_copies
        from pagesort.records.provenance import Written, forget

        documents = _write_documents(self.settings, tables)
        failed = tables.result.with_name(f"{tables.stem}{FAILED_ENDING}")
        forget(failed)
        written = [tables.result, tables.raw, tables.failures, tables.documents]
        counts = {
            "pages": sum(tables.categories.values()),
            "unread": documents.unread,
            "documents": documents.documents,
            "to_review": documents.review,
            "categories": tables.categories,
        }
        if self.likeness is not None:
            counts["training_pages"] = self.likeness.facts
        write_provenance(
            self.settings,
            Written(
                tuple(filter(None, written)),
                tables.failures,
                tables.folder,
                listing_beside(tables.result, tables.stem),
                tables.division,
            ),
            models=voters(tables.models) if self.models is None else self.models,
            started=self.started,
            counts=counts,
        )
        self.copies = write_copies(
            [path for path in (tables.result, tables.raw, tables.failures) if path],
            self.settings.table_formats,
            gone=[] if tables.failures else [failed],
            division=tables.division,
        )
        for path in (*filter(None, written), *self.copies):
            log_event("table", path=str(path))
        self._copy_layouts(tables)

    def _copy_layouts(self, tables: FinishedTables) -> None:
        """Write copies of ALTO and PAGE files, if they were asked for."""
        from pagesort.records.layout_files import log_report, write_copies

        target = self.settings.write_alto
        if target is not None:
            report = write_copies(tables.result, tables.folder, target)
            log_report(report, target)
            self.problems = len(report.problems)


class VoterRecord:
    """Writes where the tables of one of several voting models come from, beside them."""

    def __init__(self, settings: Settings, model: Path) -> None:
        self.settings = settings
        self.model = model
        self.started = datetime.now().astimezone()

    def __call__(self, tables: FinishedTables) -> None:
        """Write the records; the documents of the vote stand beside its own table."""
        from pagesort.records.provenance import Written

        write_provenance(
            self.settings,
            Written(
                tuple(filter(None, (tables.result, tables.raw, tables.failures))),
                tables.failures,
                tables.folder,
                listing_beside(tables.result, tables.stem),
            ),
            models=voters([self.model]),
            started=self.started,
            counts={
                "pages": sum(tables.categories.values()),
                "categories": tables.categories,
            },
        )


def listing_beside(table: Path, stem: str) -> Path:
    """Where the listing of a run's pages is: `stem` begins the names of its tables."""
    return table.with_name(f"{stem}_PAGES.txt.gz")


def replaced_pages(tables: Path, folder: Path) -> Callable[[str], frozenset[str]]:
    """What finds the pages of an earlier run whose files are others now, by its tables' stem."""

    def find(stem: str) -> frozenset[str]:
        from pagesort.records.check import replaced_files

        try:
            return frozenset(replaced_files(listing_beside(tables / stem, stem), resolved(folder)))
        except PageSortError as error:
            logger.warning("pages that were replaced keep their scores: %s", error)
            return frozenset()

    return find


def write_provenance(
    settings: Settings,
    written: Written,
    *,
    models: Sequence[Mapping[str, Any]],
    started: datetime,
    counts: Mapping[str, Any],
) -> None:
    """Write where tables come from: program, command, settings, models, machine, times, counts."""
    from pagesort.records.provenance import machine_facts, write_records

    finished = datetime.now().astimezone()
    facts = {
        "command": typed_command(settings),
        "settings": written_settings(settings),
        "models": list(models),
        "machine": machine_facts(),
        "times": {
            "started": started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - started).total_seconds(), 1),
        },
        "counts": dict(counts),
    }
    write_records(written, facts)


def opened_facts(opened: Opened) -> dict[str, Any]:
    """What is told of a model that is open."""
    from pagesort.records.provenance import model_facts

    classifier = opened.classifier
    return model_facts(
        opened.folder,
        called=opened.name,
        base=classifier.metadata.base,
        revision=classifier.metadata.revision,
        descriptions=opened.descriptions,
        fingerprint=classifier.fingerprint,
        precision=classifier.precision,
        device=str(classifier.device),
    )


def check_table(table: Path) -> int:
    """Say of a table whether it, its model and its pages are still those of its record.

    Raises:
        PageSortError: something differs, or there is no record.
    """
    from pagesort.records import check

    findings = check.check_table(table)
    for finding in findings:
        emit(finding.line)
    differing = [finding.line.split(":")[0] for finding in findings if not finding.same]
    if differing:
        raise PageSortError(
            f"no longer what it was when the table was written: {named(differing)}",
            where=table,
        )
    return 0


def models_of_parts(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What the records of a run's parts tell of its models; parts without a record tell nothing.

    Args:
        paths: the parts' result tables, or the scores beside them.
    """
    from pagesort.prediction.journal_files import FINISHED_SUFFIX
    from pagesort.records.check import read_record

    models: list[dict[str, Any]] = []
    for path in paths:
        stem = path.name.removesuffix(FINISHED_SUFFIX)
        tables = [path] if path.suffix == ".csv" else [*path.parent.glob(f"result_{stem}_*.csv")]
        for table in tables:
            with contextlib.suppress(PageSortError):
                models += [model for model in read_record(table)["models"] if model not in models]
    return models


def voters(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """What is told of models that are not open any more."""
    from pagesort.records.provenance import model_facts

    return [model_facts(folder) for folder in folders]


def typed_command(settings: Settings) -> str:
    """The command line as a person would type it, without secrets."""
    return readable(TOKEN.sub("hf_…", as_typed(["python3", "run.py", *settings.arguments])))


def written_settings(settings: Settings) -> dict[str, Any]:
    """Every setting that is no secret, with where it was set."""
    facts = {}
    for option in OPTIONS:
        if not option.secret:
            value = getattr(settings, option.name)
            if isinstance(value, Path) and is_remote(value):
                value = readable(str(value))
            if isinstance(value, Mapping):
                value = dict(value)
            facts[option.name] = {"value": value, "origin": str(settings.origins[option.name])}
    return facts


def _write_documents(settings: Settings, tables: FinishedTables) -> DocumentCounts:
    """Write the table of documents beside the finished tables, and say what it holds.

    Its path is logged, not printed: scripts take what is printed for tables of pages.
    """
    from pagesort.cli.options.prediction import ROUTES
    from pagesort.common.tables import table_form
    from pagesort.records import documents

    rules = documents.DocumentRules(settings.routes, max(settings.review_below, settings.min_score))
    counts = documents.write_documents(
        tables.result,
        tables.failures,
        tables.documents,
        rules,
        table_form(settings.csv_excel),
        tables.division,
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
    return counts
