"""Suspect labels: those spoilt on purpose are found, as the method's authors find them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pagesort.review.suspects import LabelledScores, doubt_of_model, find_suspects
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page
from tests.helpers.plots import no_plots

__all__ = ["command", "workplace", "no_plots"]  # fixtures


def spoilt(
    pages: int = 400, labels: int = 5, seed: int = 1, skill: float = 3.0
) -> tuple[np.ndarray, ...]:
    """True labels, given ones of which one in ten is wrong, and scores of a fair model."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, pages)
    given = np.where(rng.random(pages) < 0.1, rng.integers(0, labels, pages), true)
    logits = rng.normal(0, 1, (pages, labels))
    logits[np.arange(pages), true] += skill
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


def doubt(given: np.ndarray, scores: np.ndarray) -> str:
    return doubt_of_model(
        LabelledScores([("d", "1", "d.png")] * len(given), "ABCDE", given, scores)
    )


@pytest.mark.parametrize("skill, is_told", [(3.0, False), (1.5, False), (0.2, True), (0.0, True)])
def test_a_model_that_knows_little_is_told(skill: float, is_told: bool) -> None:
    _, given, scores = spoilt(skill=skill)
    share = len(find_suspects(given, scores)[0]) / len(given)
    assert (share > 1 / 3) is is_told
    assert doubt(given, scores).startswith(f"{share * 400:.0f} of 400 pages is") is is_told
    assert is_told or not doubt(given, scores)


def test_a_label_that_the_model_mixes_up_is_named() -> None:
    true, given, scores = spoilt()
    mixed = scores.copy()
    mixed[true == 2] = np.roll(scores[true == 2], 1, axis=1)  # nearly all look like D's
    assert not doubt(given, scores)
    told = doubt(given, mixed)
    assert "does not know C well" in told and "\n" not in told


def test_a_handful_of_pages_says_nothing_of_a_model() -> None:
    scores = np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    given = np.array([0, 0, 1, 1])
    assert len(find_suspects(given, scores)[0]) == 2
    assert not doubt(given, scores)


def test_a_poor_model_still_gets_its_table(command: Run, tmp_path: Path) -> None:
    table = tmp_path / "x_RAW.csv"
    rows = [
        f"d,{n},{0.9 - n % 3 / 10},{0.1 + n % 3 / 10},{'AB'[n % 2]}/d-{n}.png" for n in range(12)
    ]
    for n in range(12):
        write_page(tmp_path / f"{'AB'[n % 2]}/d-{n}.png", seed=n)
    table.write_text("\n".join(["FILE,PAGE,A,B,PATH", *rows]), encoding="utf-8")
    status, out, log = command("--suspects_of", table, "--train_folder", tmp_path, model=False)
    listed, sheet = map(Path, out.splitlines())
    told = [line for line in log.splitlines() if line.startswith("warning: ")]
    assert status == 0 and sheet.is_file() and len(told) == 1
    assert told[0].startswith(f"warning: {len(read_table(listed))} of 12 pages is more")


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


@pytest.mark.usefixtures("no_plots")
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
