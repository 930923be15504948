"""Groups as the pages of a contact sheet: one run's, or those of several side by side."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.tables import read_rows, share
from pagesort.grouping.metrics import agreement
from pagesort.grouping.truth import Grouping, paired, read_grouping
from pagesort.records.check import read_record
from pagesort.review.sheet import RunItem, SheetPage, SheetRun

UNSURE = 0.3, 0.7
"""Probabilities of a boundary between which a person should look."""
# The settings of each method, to tell runs apart by.
SETTINGS = {
    "sequence": ("items", "sizes"),
    "ward": ("distance", "items"),
    "agglomerative": ("distance", "linkage", "items"),
    "dbscan": ("eps", "min_samples"),
}
LONGEST_VALUE = 40


@dataclass(frozen=True)
class _Run:
    """A GROUPS table: its rows by the names of their pages, and what the run is called."""

    name: str
    grouping: Grouping
    rows: Mapping[str, Mapping[str, str]]

    @cached_property
    def groups(self) -> dict[str, str]:
        """The group of each page."""
        return dict(zip(self.grouping.pages, self.grouping.groups, strict=True))

    @cached_property
    def starts(self) -> dict[str, bool]:
        """Whether a group begins at each page."""
        return dict(zip(self.grouping.pages, _starts(self.grouping.groups), strict=True))


class GroupsSheet:
    """Some GROUPS tables as a sheet, with the true items where they are known.

    Raises:
        PageSortError: a table cannot be read, or one names other pages than the true items.
    """

    def __init__(self, tables: Sequence[Path], truth: Path | None = None) -> None:
        names = Counter(map(_name, tables))
        self._runs = [
            _read_run(table, name if names[name] == 1 else f"{name} ({table.stem})")
            for table, name in zip(tables, map(_name, tables), strict=True)
        ]
        self._truth = read_grouping(truth) if truth is not None else None

    @property
    def runs(self) -> tuple[SheetRun, ...]:
        """The runs that are shown side by side, with their figures; none if there is only one."""
        if len(self._runs) == 1:
            return ()
        return tuple(SheetRun(run.name, self._about(run)) for run in self._runs)

    def pages(self) -> Iterator[SheetPage]:
        """Yield the pages in scan order; those that only further tables name come last.

        Their notes tell where somebody should look: where a single run is not sure whether an item
        begins, where runs differ, or, with the true items, where runs are wrong.
        """
        first, *others = self._runs
        colours = [_numbers(first)]
        colours += [_alike(run.grouping, first, colours[0]) for run in others]
        items: Mapping[str, str] = {}
        true_colours: Mapping[str, int] = {}
        if self._truth is not None:
            items = dict(zip(self._truth.pages, self._truth.groups, strict=True))
            true_colours = _alike(self._truth, first, colours[0])
        really = [_really(run, items) for run in self._runs]
        for page in dict.fromkeys(name for run in self._runs for name in run.grouping.pages):
            place = next(place for place, run in enumerate(self._runs) if page in run.rows)
            run, item = self._runs[place], items.get(page, "")
            known = [each.get(page) for each in really]
            yield _sheet_page(
                page,
                run.rows[page],
                group=colours[0][first.groups[page]] if place == 0 else 0,
                notes=self._notes(page, known),
                runs=self._side_by_side(page, colours, known) if others else (),
                true_item=item,
                true_group=true_colours.get(item, 0),
            )

    def _side_by_side(
        self, page: str, colours: Sequence[Mapping[str, int]], really: Sequence[bool | None]
    ) -> tuple[RunItem, ...]:
        parts = zip(self._runs, colours, really, strict=True)
        return tuple(_run_item(run, own, each, page) for run, own, each in parts)

    def _notes(self, page: str, really: Sequence[bool | None]) -> list[str]:
        """What is to be said of whether an item begins at a page."""
        starts = {run.name: run.starts[page] for run in self._runs if page in run.starts}
        truth = next((each for each in really if each is not None), None)
        fact = "an item begins here" if truth else "no item begins here"
        if len(self._runs) == 1:
            doubt = _doubt(self._runs[0].rows[page])
            return [doubt, fact if truth is not None and truth not in starts.values() else ""]
        wrong = [
            run.name
            for run, each in zip(self._runs, really, strict=True)
            if each is not None and each is not run.starts[page]
        ]
        if wrong:
            return [f"{fact}; wrong: {', '.join(wrong)}"]
        if truth is None and len(set(starts.values())) > 1:
            begin = ", ".join(name for name, begins in starts.items() if begins)
            return [f"an item begins here for {begin} only"]
        return []

    def _about(self, run: _Run) -> str:
        if self._truth is None:
            return run.grouping.path.name
        _, true, found = paired(self._truth, run.grouping)
        figures = agreement(true, found)
        return (
            f"Panoptic Quality {figures.pq:.2f}, F1 of boundaries {figures.f1:.2f}: "
            f"{run.grouping.path.name}"
        )


def _read_run(table: Path, name: str) -> _Run:
    grouping = read_grouping(table)
    rows = [{key.strip().upper(): cell for key, cell in row.items()} for row in read_rows(table)]
    return _Run(name, grouping, dict(zip(grouping.pages, rows, strict=True)))


def _name(table: Path) -> str:
    """What a run is called: its method and settings, if a record beside the table tells them."""
    with contextlib.suppress(PageSortError):
        settings = read_record(table).get("settings")
        facts = settings if isinstance(settings, dict) else {}
        values = {
            name: option.get("value") for name, option in facts.items() if isinstance(option, dict)
        }
        method = values.get("group_method")
        if isinstance(method, str) and method in SETTINGS:
            own = [(name.replace("_", " "), values.get(name)) for name in SETTINGS[method]]
            parts = [
                f"{name} {value!s:.{LONGEST_VALUE}}" for name, value in own if value is not None
            ]
            return f"{method} ({', '.join(parts)})" if parts else method
    return table.stem


def _starts(groups: Sequence[str]) -> list[bool]:
    return [place == 0 or groups[place] != groups[place - 1] for place in range(len(groups))]


def _really(run: _Run, items: Mapping[str, str]) -> dict[str, bool]:
    """Whether an item really begins at each page of a run where that is known.

    Beside a page that the true grouping leaves out, nobody knows.
    """
    found = {}
    before = None
    for page in run.grouping.pages:
        item = items.get(page, "")
        if item and before != "":
            found[page] = item != before
        before = item
    return found


def _numbers(run: _Run) -> dict[str, int]:
    """A number from 1 for each group: its own, where all have one."""
    groups = list(dict.fromkeys(run.grouping.groups))
    if all(group.isascii() and group.isdigit() and 0 < int(group) < 2**31 for group in groups):
        return {group: int(group) for group in groups}
    return {group: place for place, group in enumerate(groups, start=1)}


def _alike(grouping: Grouping, first: _Run, numbers: Mapping[str, int]) -> dict[str, int]:
    """Number groups so that colours part only where groupings do.

    A group has the number of the first run's that begins with it, or else a new one.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    for page, group in zip(grouping.pages, grouping.groups, strict=True):
        if group in found:
            continue
        number_ = numbers.get(first.groups.get(page, ""), 0)
        is_free = number_ and number_ not in taken
        found[group] = number_ if is_free else max(numbers.values()) + len(found) + 1
        taken.add(number_)
    return found


def _run_item(run: _Run, colours: Mapping[str, int], really: bool | None, page: str) -> RunItem:
    """What a run says of a page, to be shown beside what others say."""
    group = run.groups.get(page)
    if group is None:
        return RunItem("", 0)
    is_wrong = really is not None and really is not run.starts[page]
    doubt = _doubt(run.rows[page])
    return RunItem(group, colours[group], "wrong" if is_wrong else "unsure" if doubt else "")


def _sheet_page(
    name: str,
    row: Mapping[str, str],
    *,
    group: int,
    notes: Sequence[str],
    runs: tuple[RunItem, ...],
    true_item: str,
    true_group: int,
) -> SheetPage:
    note = row.get("NOTE", "")
    problem = note if note.startswith("cannot be read") else ""
    shown = [each for each in notes if not (problem and each.startswith("unsure"))]
    return SheetPage(
        file=row.get("FILE") or name,
        page=row.get("PAGE", ""),
        path=row.get("PATH") or row.get("FILE") or name,
        guess=row.get("CLASS", ""),
        score=share(row.get("SCORE", "")),
        note="; ".join(filter(None, [*([] if problem else [note]), *shown])),
        problem=problem,
        group=group,
        runs=runs,
        true_item=true_item,
        true_group=true_group,
    )


def _doubt(row: Mapping[str, str]) -> str:
    """What is to be said of the probability that an item begins here, if it is not clear."""
    boundary = share(row.get("BOUNDARY", ""))
    is_unsure = boundary is not None and UNSURE[0] < boundary < UNSURE[1]
    return f"unsure whether an item begins here ({boundary:.0%})" if is_unsure else ""
