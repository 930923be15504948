"""Drawing audits of finished runs, and saying what a person's answers tell of the whole run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.cli.actions.review import usual_labels
from pagesort.cli.console import as_typed, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.tables import table_form
from pagesort.common.text import counted

if TYPE_CHECKING:
    from pagesort.review.audit import Figure
    from pagesort.review.audit_files import AuditResult

logger = logging.getLogger(__name__)

NO_RUN = "Name its table after the number, as in --audit 200 result/tables/result_….csv"


def draw_audit(settings: Settings, wanted: int, table: Path | None) -> int:
    """Write the contact sheet of an audit; prints its path."""
    from pagesort.review import audit_files, finished_run, sheet

    table = table or _newest_table(settings.results_folder / "tables")
    if not table.is_file():
        raise PageSortError("the table is not there", where=table, remedy="Check the path")
    run = _run(settings, table)
    drawn = audit_files.draw_audit(
        finished_run.pages_of_table(table),
        run,
        wanted,
        settings.seed,
        settings.results_folder / "stats",
    )
    said = {page.guess for page in drawn.pages}
    name = drawn.path.stem
    try:
        written = sheet.write_sheet(
            sheet.Sheet(
                folder=settings.results_folder / "review" / name,
                root=Path(run["folder"]),
                labels=run["labels"] or usual_labels(said),
                mode="audit",
                title=f"Audit of {run['name']}",
                run=f"{finished_run.key_of_run(table)}-{name}",
                form=table_form(settings.csv_excel),
                max_megapixels=settings.max_megapixels,
            ),
            drawn.pages,
        )
    except BaseException as error:
        drawn.path.unlink(missing_ok=True)  # nobody can answer what was never asked
        if isinstance(error, Stopped):
            raise Stopped("nothing is kept of the audit", "Give the same command again") from None
        raise
    twice = "" if len(drawn.pages) >= wanted else ", as some were drawn twice or there are no more"
    logger.info("%s of %s to name%s", counted(len(drawn.pages)), table, twice)
    logger.info(
        "open it in a browser, give every page a category, and save the corrections; then "
        "python3 run.py %s",
        as_typed(["--audit_result", "corrections_….csv"]),
    )
    emit(str(written.index))
    return 0


def _newest_table(tables: Path) -> Path:
    """The result table that was written last."""
    found = sorted(tables.glob("result_*.csv"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise PageSortError("there is no finished run to audit", where=tables, remedy=NO_RUN)
    return found[-1]


def _run(settings: Settings, table: Path) -> dict[str, Any]:
    """What is known of the run that wrote a table; its model only where its scores are kept."""
    from pagesort.prediction.journal_files import run_of_table
    from pagesort.review import finished_run

    name = finished_run.name_of_run(table)
    journal = run_of_table(table, name) or {}
    folder = settings.directory or finished_run.folder_of_run(table)
    return {
        "table": table,
        "name": name,
        "folder": folder,
        "labels": list(journal.get("labels", ())),
        "model": {
            "name": str(journal.get("base", "")),
            "fingerprint": str(journal.get("settings", {}).get("model or descriptions", "")),
        },
    }


def read_audit(settings: Settings, table: Path) -> int:
    """Print what the answers of an audit tell of the whole run, and the paths of the tables."""
    from pagesort.review import audit_files

    stats = settings.results_folder / "stats"
    result = audit_files.read_audit(table, stats, table_form(settings.csv_excel))
    for line in _lines(result):
        emit(line)
    if settings.max_error is not None:
        for line in _budget_lines(settings.max_error, result):
            emit(line)
    for path in result.files:
        emit(str(path))
    return 0


def _lines(result: AuditResult) -> Iterator[str]:
    figures = result.figures
    yield f"{counted(result.pages)} looked at, for the whole run:"
    yield f"right: {_shown(figures.accuracy)}"
    width = max(map(len, figures.truths))
    yield f"{'category':<{width}}  {'right of the pages that got it':<40}  found of the pages of it"
    for label in figures.truths:
        own, recall = figures.precision.get(label), figures.recall(label)
        right = "-" if own is None else f"{_shown(own)}, {own.pages} looked at"
        found = "-" if recall is None else f"about {100 * recall:.0f} %"
        yield f"{label:<{width}}  {right:<40}  {found}"


def _shown(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f} %)"


def _budget_lines(max_error: float, result: AuditResult) -> Iterator[str]:
    """The error budget that the audit allows, and the command that decides by it."""
    from pagesort.review.audit_files import audit_source
    from pagesort.review.budget_lines import budget_lines
    from pagesort.review.error_budget import find_budget
    from pagesort.review.evidence import read_report

    report = read_report(result.report)
    source = audit_source(report, result.report, report["labels"])
    budget = find_budget(source.evidence, report["labels"], max_error)
    yield from budget_lines(budget, source.words, str(result.report))
    if budget.is_promised and report["model"].get("fingerprint"):
        decide = ["-d", report["run"]["folder"], "--update", "--max_error", f"{max_error:g}"]
        typed = as_typed([*decide, "--budget", str(result.report)])
        yield f"to write it into the table: python3 run.py {typed}"
