"""Putting the parts of a run together, and saying how far runs are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.actions.records import TableRecords, models_of_parts
from pagesort.cli.begun import as_parts
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings

if TYPE_CHECKING:
    from pagesort.prediction.run_status import RunStatus

MOST_FINISHED = 20


def merge_tables(settings: Settings, parts: Sequence[str]) -> int:
    """Write the tables of a whole run out of those of its parts; prints their paths."""
    from pagesort.common.tables import table_form
    from pagesort.prediction import merging
    from pagesort.records.machine_tables import check_formats

    paths = tuple(path for part in parts for path in _expanded(part))
    settings = as_parts(settings, merging.options_of(paths))
    check_formats(settings.table_formats)
    beside = TableRecords(settings, models_of_parts(paths))
    merged = merging.merge_parts(
        merging.MergeRequest(
            parts=paths,
            tables=settings.results_folder / "tables",
            top_n=settings.topn,
            raw=settings.raw,
            max_categ=settings.max_categ,
            absolute_paths=settings.absolute_paths,
            form=table_form(settings.csv_excel),
            beside=(beside,),
            processes=settings.engine_workers,
        )
    )
    for path in (*merged.tables, *beside.copies):
        emit(str(path))
    return UNREADABLE_PAGES_STATUS if merged.failed or beside.problems else 0


def _expanded(name: str) -> list[Path]:
    """The files that a name means: Windows leaves `*` to the program."""
    path = Path(name)
    if path.exists() or not set("*?[") & set(path.name):
        return [path]
    return sorted(path.parent.glob(path.name)) or [path]


def print_status(settings: Settings) -> int:
    """Print how far each run is: all that are not finished, and the last ones that are."""
    from pagesort.prediction.run_status import run_statuses

    tables = settings.results_folder / "tables"
    runs = run_statuses(tables)
    if not runs:
        emit(f"no runs in {tables}")
        return 0
    finished = [run for run in runs if run.state == "finished"][:MOST_FINISHED]
    for run in runs:
        if run.state != "finished" or run in finished:
            emit(_line(run))
    for line in _divided(runs):
        emit(line)
    return 0


def _line(run: RunStatus) -> str:
    """One run as a line: state, name, pages, and, where it is running, rate and time left."""
    from pagesort.common.progress import duration

    done = run.scored + run.failed
    share = done / run.total if run.total else 1.0
    line = f"{run.state}\t{run.name}\t{done} of {run.total} pages ({share:.0%})"
    if run.failed:
        line += f", {run.failed} failed"
    if run.state == "running":
        left = run.seconds_left
        line += f", {run.rate:.1f} pages/s"
        line += f", {duration(left)} left" if left is not None else ""
    if run.machine:
        line += f", on {run.machine}"
    return f"{line}\t{run.folder}"


def _divided(runs: Sequence[RunStatus]) -> list[str]:
    """For each folder that is sorted in parts: how far all of them are together."""
    from pagesort.common.progress import duration
    from pagesort.prediction.run_status import together

    groups: dict[tuple[str, str], dict[str, RunStatus]] = {}
    for run in runs:
        if run.shard:
            # Of several runs over one part the last one counts, which comes first.
            divided = (run.folder, run.shard.partition("/")[2])
            groups.setdefault(divided, {}).setdefault(run.shard, run)
    lines = []
    for (folder, count), by_shard in groups.items():
        parts = list(by_shard.values())
        counts = together(parts)
        done, rate = counts.scored + counts.failed, sum(part.rate for part in parts)
        states = [part.state for part in parts]
        said = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        line = f"together\t{len(parts)} of {count} parts begun ({said})\t"
        line += f"{done} of {counts.total} pages"
        if rate:
            line += f", {rate:.1f} pages/s, {duration(counts.waiting / rate)} left"
        lines.append(f"{line}\t{folder}")
    return lines
