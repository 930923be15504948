"""Labelled pages for an error budget: where evaluations and audits have left them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.checked_json import Kind, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import file_digest, translate_unreadable
from pagesort.common.tables import number, read_rows
from pagesort.common.text import shown
from pagesort.evaluation.metrics import documents_of_table
from pagesort.review.error_budget import LEARNING_SHARE, STEPS, Evidence, Observed

EVALUATION = "pagesort evaluation"
SEED = 420
"""Of the parting of documents: fixed, so that nobody draws until the promise suits them."""
SHAPE: dict[str, Kind] = {"format": str, "model": dict}
EVALUATION_SHAPE: dict[str, Kind] = {"pages": dict, "table": dict}
OLD = "Evaluate the model again: the report is of an earlier version of this program"


@dataclass(frozen=True)
class Source:
    """Where labelled pages come from.

    Attributes:
        path: the report.
        evidence: the pages.
        words: what they are, for a person.
    """

    path: Path
    evidence: Evidence
    words: str


def newest_report(stats: Path, fingerprint: str, folder: Path) -> Path | None:
    """The newest report that tells of a model's pages in a folder.

    Args:
        stats: where evaluations and audits leave their reports.
        fingerprint: the model's.
        folder: audits of other folders do not count.
    """
    ages: list[tuple[float, Path]] = []
    for path in (*stats.glob("EVAL_*.json"), *stats.glob("AUDIT_*_RESULT.json")):
        with contextlib.suppress(FileNotFoundError):
            ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages, reverse=True):
        # One that is damaged is told when it is named.
        with contextlib.suppress(PageSortError, FileNotFoundError):
            report = read_json(path, shape=SHAPE)
            is_its = report["model"].get("fingerprint") == fingerprint
            if is_its and (_has_unseen(report) or _is_of(report, folder)):
                return path
    return None


def _has_unseen(report: dict[str, Any]) -> bool:
    """Whether it is an evaluation that a budget can rest on."""
    pages, table = report.get("pages"), report.get("table")
    if not isinstance(pages, dict) or not isinstance(table, dict):
        return False
    return pages.get("trained_on_all") is False


def _is_of(report: dict[str, Any], folder: Path) -> bool:
    """Whether it is an audit of a folder."""
    run = report.get("run")
    return isinstance(run, dict) and run.get("folder") == str(folder.resolve())


def read_report(path: Path) -> dict[str, Any]:
    """Read what an evaluation or an audit has found.

    Raises:
        PageSortError: it is something else.
    """
    remedy = "Name the JSON that an evaluation or an audit has written under result/stats"
    try:
        report = read_json(path, remedy, shape=SHAPE)
    except FileNotFoundError:
        raise PageSortError("there is no such report", where=path, remedy=remedy) from None
    if not report["format"].startswith("pagesort "):
        raise PageSortError("no report of this program", where=path, remedy=remedy)
    return report


def check_model(report: dict[str, Any], path: Path, fingerprint: str, name: str) -> None:
    """Refuse a report of another model.

    Raises:
        PageSortError: it is.
    """
    if report["model"].get("fingerprint") != fingerprint:
        other = shown(report["model"].get("name"))[:60]
        raise PageSortError(
            f"the labelled pages are of another model ({other}), or of the same with other "
            f"descriptions, not of {name}",
            where=path,
            remedy="Name a report of this model with --budget",
        )


def evaluation_source(report: dict[str, Any], path: Path, labels: Sequence[str]) -> Source:
    """Take the pages of an evaluation whose documents and sources the model never saw.

    Raises:
        PageSortError: there are none, or the table beside the report is not that of it.
    """
    import pandas as pd

    for key, kind in EVALUATION_SHAPE.items():
        if not isinstance(report.get(key), kind):
            raise PageSortError(f"the key '{key}' is missing", where=path, remedy=OLD)
    if not _has_unseen(report):
        raise PageSortError(
            "the model was trained on all of these pages, so that they promise nothing of others",
            where=path,
            remedy="Evaluate it on other pages: --eval --eval_folder FOLDER",
        )
    rows = _unseen_rows(report, path)
    if not rows["FILE"]:
        raise PageSortError(
            "other pages of every one of these documents or sources were trained on, so that they "
            "promise nothing of new ones",
            where=path,
            remedy="Evaluate it on other pages: --eval --eval_folder FOLDER",
        )
    places = {label: place for place, label in enumerate(labels)}
    try:
        guess = np.array([places[label] for label in rows["CLASS-1"]])
        scores = np.array([number(cell) for cell in rows["SCORE-1"]])
    except (KeyError, ValueError) as error:
        raise PageSortError(
            f"the evaluation's table holds what none can ({shown(error)})", where=path, remedy=OLD
        ) from error
    group = np.unique(documents_of_table(pd.DataFrame(rows)), return_inverse=True)[1]
    observed = Observed(
        guess=guess,
        score=np.rint(scores * STEPS).astype(int),
        wrong=np.array(rows["CLASS-1"]) != np.array(rows["TRUE"]),
        group=group,
    )
    learns = parted(group)
    documents = len(np.unique(group))
    words = f"{len(observed)} pages of {documents} documents that the model never saw"
    return Source(path, Evidence(observed.part(learns), observed.part(~learns)), words)


def parted(group: np.ndarray) -> np.ndarray:
    """Which pages teach, and do not prove: about a third, whole documents."""
    names = np.unique(group)
    drawn = np.random.default_rng(SEED).permutation(names)
    return np.isin(group, drawn[: len(names) // LEARNING_SHARE])


def _unseen_rows(report: dict[str, Any], path: Path) -> dict[str, list[str]]:
    """The columns of the evaluation's table, without familiar pages."""
    facts = {key: str(report["table"].get(key, "")) for key in ("name", "sha256", "root")}
    table = path.parent.parent / "tables" / Path(facts["name"]).name
    remedy = "Evaluate the model again"
    with translate_unreadable(table, "the table of the evaluation cannot be read", remedy):
        digest = file_digest(table)
    if digest != facts["sha256"]:
        raise PageSortError("the table was changed since", where=table, remedy=remedy)
    rows = list(read_rows(table, remedy))
    familiar = {facts["root"] + shown(name) for name in report["pages"].get("familiar", ())}
    kept = [row for row in rows if row["PATH"] not in familiar]
    columns = ("FILE", "PAGE", "CLASS-1", "SCORE-1", "TRUE")
    return {column: [row[column] for row in kept] for column in columns}
