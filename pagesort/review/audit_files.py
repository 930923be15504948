"""The files of an audit: the drawn sample, what a person said of it, and what follows."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from pagesort.common.checked_json import Kind, is_of, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    file_digest,
    numbered,
    reserved,
    translate_unwritable,
    write_json,
    write_whole,
)
from pagesort.common.tables import TableForm, TableWriter
from pagesort.common.text import counted, named
from pagesort.review.audit import AuditFigures, Sample, draw, figures, thousandths
from pagesort.review.error_budget import STEPS, Evidence, Observed, Population
from pagesort.review.evidence import Source
from pagesort.review.sheet import SheetPage
from pagesort.sorting.table_rows import read_table

SAMPLE, RESULT = "pagesort audit sample", "pagesort audit"
VERSION = 1
SAMPLE_SHAPE: dict[str, Kind] = {
    "format": str, "run": dict, "model": dict, "labels": list, "scores": dict, "pages": list,
    "learn": list, "test": list, "extra": dict,
}  # fmt: skip
RESULT_SHAPE: dict[str, Kind] = {
    "format": str, "run": dict, "model": dict, "labels": list, "scores": dict, "learn": dict,
    "test": dict,
}  # fmt: skip
DAMAGED = "Draw the audit again with --audit"


@dataclass(frozen=True)
class Drawn:
    """An audit that was drawn: its record, and the pages to look at, in an order by chance."""

    path: Path
    pages: tuple[SheetPage, ...]


@dataclass(frozen=True)
class AuditResult:
    """What an audit found, and the files that say so; `report` serves as an error budget's."""

    figures: AuditFigures
    pages: int
    report: Path
    files: tuple[Path, ...]


def draw_audit(
    pages: Iterable[SheetPage], run: dict[str, Any], wanted: int, seed: int, stats: Path
) -> Drawn:
    """Draw the pages that a person is to look at, and keep which these are.

    Args:
        pages: of the run's table; those that could not be read are left out.
        run: `table`, `name` and `folder`, `labels` of its model and `model`, name and fingerprint.
        wanted: how many pages.
        seed: of the draws.
        stats: the folder for the record.

    Raises:
        PageSortError: the table has no scores or no pages, or the record cannot be written.
    """
    listed = [page for page in pages if not page.problem]
    if not listed or any(page.score is None for page in listed):
        raise PageSortError(
            "the table holds no pages with a score", where=run["table"],
            remedy="Name the table whose name begins with result_",
        )  # fmt: skip
    labels = [*run["labels"], *sorted({page.guess for page in listed} - set(run["labels"]))]
    places = {label: place for place, label in enumerate(labels)}
    guess = np.array([places[page.guess] for page in listed])
    score = thousandths([page.score or 0.0 for page in listed])
    rng = np.random.default_rng(seed)
    sample = draw(guess, score, wanted, rng)
    drawn = sample.pages()
    content = {
        "format": SAMPLE,
        "version": VERSION,
        "run": {
            "table": Path(run["table"]).name,
            "sha256": file_digest(Path(run["table"])),
            "folder": str(Path(run["folder"]).resolve()),
            "pages": len(listed),
        },
        "model": run["model"],
        "labels": labels,
        "seed": seed,
        "scores": _counted_scores(guess, score, labels),
        "pages": [
            [
                *(listed[page].file, listed[page].page, listed[page].path),
                *(int(guess[page]), int(score[page]), round(float(sample.chance[page]), 6)),
            ]
            for page in drawn
        ],
        "learn": np.searchsorted(drawn, sample.learn).tolist(),
        "test": np.searchsorted(drawn, sample.test).tolist(),
        "extra": {
            labels[category]: np.searchsorted(drawn, own).tolist()
            for category, own in sample.extra.items()
        },
    }
    with translate_unwritable(stats):
        stats.mkdir(parents=True, exist_ok=True)
        records = (stats / f"{name}.json" for name in numbered(f"AUDIT_{run['name']}"))
        with reserved(records, stats) as path:
            write_json(path, content)
    return Drawn(path, tuple(listed[page] for page in rng.permutation(drawn)))


def _counted_scores(
    guess: np.ndarray, score: np.ndarray, labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many pages of the run have which first guess and score."""
    counts: dict[str, dict[str, int]] = {}
    for (place, value), pages in sorted(Counter(zip(guess, score, strict=True)).items()):
        counts.setdefault(labels[place], {})[str(value)] = pages
    return counts


def read_audit(table: Path, stats: Path, form: TableForm) -> AuditResult:
    """Read what a person said of the pages of an audit, and write what follows for the whole run.

    Args:
        table: the CSV that the contact sheet saved.
        stats: where the audits' records are; the tables are written beside it, in `tables`.
        form: of the tables.

    Raises:
        PageSortError: the table is not that of an audit, or lacks pages.
    """
    said = _answers(table)
    path, content = _audit_of(said, table, stats)
    keys = [_key(page) for page in content["pages"]]
    blank = [key for key in keys if key not in said]
    if blank:
        raise PageSortError(
            f"{len(blank)} of {counted(len(keys))} have no category yet "
            f"({named([f'{path} {page}' for path, page in blank[:3]])}{' …' * (len(blank) > 3)})",
            where=table,
            remedy="Give every page one in the contact sheet, one of your own if none fits, and "
            "save again",
        )
    truth = {place: said[key] for place, key in enumerate(keys)}
    labels: list[str] = content["labels"]
    guess, score, sample = _as_drawn(content)
    found = figures_of(content, sample, truth)
    name = path.stem
    report, tables = path.with_name(f"{name}_RESULT.json"), path.parent.parent / "tables"
    categories, confusion = (tables / f"{name}_{kind}.csv" for kind in ("CATEGORIES", "CONFUSION"))
    parts = {
        part: {
            "guess": guess[own].tolist(),
            "score": score[own].tolist(),
            "wrong": [bool(truth[page] != labels[guess[page]]) for page in own.tolist()],
        }
        for part, own in (("learn", sample.learn), ("test", sample.test))
    }
    head = {key: content[key] for key in ("run", "model", "labels", "scores")}
    with translate_unwritable(tables):
        tables.mkdir(parents=True, exist_ok=True)
        _write(categories, _category_rows(found, content), form)
        _write(confusion, _confusion_rows(found, labels), form)
        shares = {"accuracy": vars(found.accuracy)}
        precision = {label: vars(figure) for label, figure in found.precision.items()}
        write_json(
            report,
            {"format": RESULT, "version": VERSION, **head, **shares, "precision": precision}
            | parts,
        )
    return AuditResult(found, len(keys), report, (categories, confusion, report))


def figures_of(content: dict[str, Any], sample: Sample, truth: dict[int, str]) -> AuditFigures:
    """The figures of an audit's record: the run's pages are counted there, the drawn ones told."""
    labels = content["labels"]
    sizes = [sum(content["scores"].get(label, {}).values()) for label in labels]
    drawn = np.array([page[3] for page in content["pages"]])
    return figures(drawn, np.array(sizes), sample, truth, labels)


def _as_drawn(content: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, Sample]:
    """Guesses, scores and parts of a record's pages, named by their places in it."""
    labels = content["labels"]
    guess, score = (np.array([page[cell] for page in content["pages"]]) for cell in (3, 4))
    learn, test = (np.array(content[part], int) for part in ("learn", "test"))
    extra = {labels.index(name): np.array(own, int) for name, own in content["extra"].items()}
    return guess, score, Sample(learn, test, extra, np.array([]))


def _answers(table: Path) -> dict[tuple[str, int], str]:
    """PATH and PAGE -> what the person called the page; pages without a name are left out."""
    rows, problems = read_table(table)
    said: dict[tuple[str, int], str] = {}
    for row in rows:
        key = (row.path or row.file, row.page)
        label = normalize("NFC", row.label)
        if said.setdefault(key, label) != label:
            raise PageSortError(
                f"line {row.line} gives a page another category than a line before",
                where=table,
                remedy="Leave one of the two",
            )
    broken = [problem for problem in problems if problem[3]]
    if broken:
        line, *_, what = broken[0]
        raise PageSortError(
            f"line {line} cannot be read ({what})", where=table,
            remedy="Save the corrections again from the contact sheet",
        )  # fmt: skip
    return said


def _audit_of(
    said: dict[tuple[str, int], str], table: Path, stats: Path
) -> tuple[Path, dict[str, Any]]:
    """The newest audit that has all pages of which a person said something."""
    found: list[tuple[float, Path, dict[str, Any]]] = []
    best = 0
    for path in stats.glob("AUDIT_*.json"):
        with contextlib.suppress(PageSortError, FileNotFoundError):
            content = read_json(path, DAMAGED, shape=SAMPLE_SHAPE)
            if content["format"] != SAMPLE or not _is_sound(content):
                continue
            known = said.keys() & set(map(_key, content["pages"]))
            best = max(best, len(known))
            if said and len(known) == len(said):
                found.append((path.stat().st_mtime, path, content))
    if not found:
        what = (
            f"of the table's {counted(len(said))}, no audit has more than {best}"
            if best
            else "the table names no page of an audit"
        )
        raise PageSortError(
            what, where=table,
            remedy=f"Name the table that the contact sheet of --audit saved; audits are in {stats}",
        )  # fmt: skip
    return max(found)[1:]


def _is_sound(content: dict[str, Any]) -> bool:
    """Whether the parts of a record fit together, so that it can be used without a stumble."""
    pages, labels = content["pages"], content["labels"]
    kinds: tuple[type, ...] = (str, str, str, int, int, float)
    parts = [content["learn"], content["test"], *content["extra"].values()]
    counts = [counts for counts in content["scores"].values() if isinstance(counts, dict)]
    return (
        all(isinstance(page, list) and len(page) == len(kinds) for page in pages)
        and all(is_of(cell, kind) for page in pages for cell, kind in zip(page, kinds, strict=True))
        and all(0 <= page[3] < len(labels) and page[1].isdigit() for page in pages)
        and all(isinstance(part, list) for part in parts)
        and all(is_of(one, int) and 0 <= one < len(pages) for part in parts for one in part)
        and bool(content["test"])
        and set(content["extra"]) <= set(labels)
        and all(is_of(pages, int) for each in counts for pages in each.values())
    )


def _key(page: Sequence[Any]) -> tuple[str, int]:
    """PATH and PAGE of a page of a record; FILE stands for a PATH that the table had not."""
    return page[2] or page[0], int(page[1])


def _category_rows(found: AuditFigures, content: dict[str, Any]) -> Iterable[Sequence[object]]:
    yield (
        *("CATEGORY", "PAGES", "AUDITED", "RIGHT", "RIGHT-LOW", "RIGHT-HIGH"),
        *("TRUE-PAGES", "FOUND"),
    )
    for label in found.truths:
        own = found.precision.get(label)
        shares = [round(each, 4) for each in (own.value, own.low, own.high)] if own else [""] * 3
        recall = found.recall(label)
        yield (
            label,
            sum(content["scores"].get(label, {}).values()),
            own.pages if own else 0,
            *shares,
            round(float(found.confusion[found.truths.index(label)].sum()), 1),
            "" if recall is None else round(recall, 4),
        )


def _confusion_rows(found: AuditFigures, labels: Sequence[str]) -> Iterable[Sequence[object]]:
    yield ("TRUE", *labels)
    for label, row in zip(found.truths, found.confusion, strict=True):
        yield (label, *(round(float(pages), 1) for pages in row))


def _write(path: Path, rows: Iterable[Sequence[object]], form: TableForm) -> None:
    content = io.StringIO()
    writer = TableWriter(content, form)
    for row in rows:
        writer.write(row)
    write_whole(path, content.getvalue().encode())


def audit_source(report: dict[str, Any], path: Path, labels: Sequence[str]) -> Source:
    """Take the pages of an audit as the proof of an error budget for the audited run.

    Raises:
        PageSortError: the report is damaged.
    """
    try:
        for key, kind in RESULT_SHAPE.items():
            if not is_of(report.get(key), kind):
                raise ValueError(f"'{key}' is missing")
        places = [list(labels).index(label) for label in report["labels"]]
        learn, test = (_observed(report[part], places) for part in ("learn", "test"))
        triples = [
            (places[report["labels"].index(label)], int(score), int(pages))
            for label, counts in report["scores"].items()
            for score, pages in counts.items()
        ]
        population = Population(*np.array(triples).T)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PageSortError(
            f"the audit cannot be used ({error})", where=path, remedy=DAMAGED
        ) from error
    draws = (len(learn), len(test))
    words = f"an audit of {sum(draws)} pages of {report['run'].get('table')}"
    return Source(path, Evidence(learn, test, population, draws), words)


def _observed(part: dict[str, Any], places: Sequence[int]) -> Observed:
    guess = np.array([places[place] for place in part["guess"]], int)
    score = np.array(part["score"], int)
    wrong = np.array(part["wrong"], bool)
    if not len(guess) == len(score) == len(wrong) or (abs(score) > STEPS).any():
        raise ValueError("its parts do not fit together")
    return Observed(guess, score, wrong, np.arange(len(guess)))
