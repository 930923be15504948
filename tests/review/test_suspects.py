"""Suspect labels: those spoilt on purpose are found, as the method's authors find them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pagesort.review.suspects import find_suspects
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page

__all__ = ["command", "workplace"]  # fixtures


def spoilt(pages: int = 400, labels: int = 5, seed: int = 1) -> tuple[np.ndarray, ...]:
    """True labels, given ones of which one in ten is wrong, and scores of a fair model."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, pages)
    given = np.where(rng.random(pages) < 0.1, rng.integers(0, labels, pages), true)
    logits = rng.normal(0, 1, (pages, labels))
    logits[np.arange(pages), true] += 3.0
    powers = np.exp(logits)
    return true, given, powers / powers.sum(axis=1, keepdims=True)


def test_spoilt_labels_are_found_and_the_true_one_is_suggested() -> None:
    true, given, scores = spoilt()
    places, suggested = find_suspects(given, scores)
    wrong = np.flatnonzero(true != given)
    assert len(np.intersect1d(places, wrong)) > 0.6 * len(wrong)
    first, rather = places[: len(wrong) // 2], suggested[: len(wrong) // 2]
    assert (true[first] != given[first]).mean() > 0.9
    assert (rather == true[first]).mean() > 0.9


def test_what_no_page_has_is_suggested_to_none() -> None:
    scores = np.array([[0.1, 0.1, 0.8], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    places, suggested = find_suspects(np.array([0, 0, 1]), scores)
    assert 2 not in suggested
    assert places.tolist() == []


@pytest.mark.parametrize("seed", range(4))
def test_the_pages_are_those_that_cleanlab_finds(seed: int) -> None:
    filters = pytest.importorskip("cleanlab.filter")
    _, given, scores = spoilt(seed=seed)
    theirs = filters.find_label_issues(
        given, scores, filter_by="confident_learning", n_jobs=1,
        return_indices_ranked_by="normalized_margin",
    )  # fmt: skip
    places, _ = find_suspects(given, scores)
    assert set(places.tolist()) == set(theirs.tolist())


def table_of_scores(path: Path, folder: Path) -> Path:
    """Two labels, one page of which lies in the other's folder."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["FILE", "PAGE", "A", "B", "PATH"])
        for number in range(1, 9):
            label, score = "AB"[number % 2], 0.05 if number % 2 else 0.95
            if number == 3:
                score = 0.99
            name = f"{label}/d-{number}.png"
            write_page(folder / name, seed=number)
            writer.writerow(["d", number, score, round(1 - score, 2), name])
    return path


def test_training_pages_are_listed_and_shown(command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "training"
    table = table_of_scores(tmp_path / "x_RAW.csv", folder)
    status, out, log = command("--suspects_of", table, "--train_folder", folder, model=False)
    listed, sheet = map(Path, out.splitlines())
    assert status == 0 and sheet.is_file() and "1 page of 8" in log
    assert read_table(listed) == [
        {
            "FILE": "d",
            "PAGE": "3",
            "LABEL": "B",
            "SUGGESTED": "A",
            "SCORE-LABEL": "0.01",
            "SCORE-SUGGESTED": "0.99",
            "PATH": "B/d-3.png",
        }
    ]


def test_tables_without_scores_or_labels_are_told(command: Run, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"

    def told(text: str) -> str:
        table.write_text(text, encoding="utf-8")
        return error_line(command("--suspects_of", table, model=False))

    assert "no scores" in told("")
    assert "no table of all scores" in told("FILE,PAGE,CLASS-1,SCORE-1,PATH\na,1,A,0.5,A/a.png\n")
    assert "without a column of scores: C" in told("FILE,PAGE,A,B,PATH\na,1,0.5,0.5,C/a.png\n")
    assert "no scores" in told("FILE,PAGE,A,B,PATH\na,1,nan,0.5,A/a.png\n")


def test_an_evaluation_lists_its_suspects(command: Run, tmp_path: Path) -> None:
    for number in range(1, 7):
        label = ("PHOTO", "TEXT_T")[number % 2]
        write_page(tmp_path / "labelled" / label / f"d{number}x-1.png", seed=number)
    arguments = ("--eval", "--suspects", "--eval_folder", tmp_path / "labelled")
    status, out, log = command(*arguments)
    (table,) = Path("result/tables").glob("*_SUSPECTS.csv")
    assert status == 0 and str(table) in out and "probably wrong" in log
    for row in read_table(table):
        assert row["LABEL"] != row["SUGGESTED"] and (tmp_path / "labelled" / row["PATH"]).is_file()
