"""Audits: intervals and promises hold, whatever the pages are, and answers are checked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pagesort.review.audit import FEW, Sample, draw, figures
from pagesort.review.error_budget import NEVER, STEPS, Evidence, Observed, Population, find_budget
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page

__all__ = ["command", "workplace"]  # fixtures

LABELS = tuple("ABCDEF")
SHARES = (0.6, 0.2, 0.1, 0.08, 0.015, 0.005)
TRUST = np.array([0.3, 0.5, 1.0, 1.0, 2.0, 4.0])


def collection(pages: int, worse: float, seed: int = 3) -> tuple[np.ndarray, ...]:
    """Guesses, scores in thousandths, and which are wrong: `worse` times what the scores say."""
    rng = np.random.default_rng(seed)
    guess = rng.choice(len(LABELS), pages, p=SHARES)
    score = np.rint(STEPS * (1 - rng.beta(0.5, 3, pages))).astype(int)
    return guess, score, rng.random(pages) < worse * TRUST[guess] * (1 - score / STEPS)


def named(sample: Sample, guess: np.ndarray, wrong: np.ndarray) -> dict[int, str]:
    return {int(p): "other" if wrong[p] else LABELS[guess[p]] for p in sample.pages()}


@pytest.mark.parametrize(
    ("pages", "wanted", "worse", "max_error"),
    [(4000, 40, 1.0, 0.1), (4000, 200, 3.0, 0.05), (400, 150, 0.5, 0.05), (2000, 300, 0.1, 0.02)],
)
def test_intervals_and_promises_hold_in_nineteen_of_twenty_audits(
    pages: int, wanted: int, worse: float, max_error: float
) -> None:
    guess, score, wrong = collection(pages, worse)
    sizes = np.bincount(guess, minlength=len(LABELS))
    population = Population(guess, score, np.ones(pages, int))
    rng = np.random.default_rng(1)
    audits, missed, missed_labels, broken = 60, 0, [], 0
    for _ in range(audits):
        sample = draw(guess, score, wanted, rng)
        found = figures(guess, sizes, sample, named(sample, guess, wrong), LABELS)
        missed += not found.accuracy.low <= 1 - wrong.mean() <= found.accuracy.high
        missed_labels += [
            not each.low - 1e-9
            <= 1 - wrong[guess == LABELS.index(label)].mean()
            <= each.high + 1e-9
            for label, each in found.precision.items()
        ]
        learn, test = (
            Observed(guess[own], score[own], wrong[own], own) for own in (sample.learn, sample.test)
        )
        draws = (len(learn), len(test))
        budget = find_budget(Evidence(learn, test, population, draws), LABELS, max_error)
        limits = [NEVER if each is None else each * STEPS for each in budget.thresholds.values()]
        accepted = score >= np.rint(np.array(limits))[guess]
        broken += bool(accepted.any()) and wrong[accepted].mean() > max_error
        assert budget.accepted == pytest.approx(accepted.mean())
    assert missed <= 0.05 * audits and broken <= 0.05 * audits
    assert np.mean(missed_labels) <= 0.05


def test_every_page_has_the_chance_that_is_told() -> None:
    guess, score, _ = collection(200, 1.0)
    rng = np.random.default_rng(2)
    samples = [draw(guess, score, 40, rng) for _ in range(600)]
    seen = np.mean([np.isin(np.arange(200), sample.pages()) for sample in samples], axis=0)
    assert np.abs(seen - samples[0].chance).max() < 0.1
    assert abs(seen.mean() - samples[0].chance.mean()) < 0.01


def test_rare_categories_and_all_bands_of_scores_are_looked_at() -> None:
    guess, score, _ = collection(4000, 1.0)
    sample = draw(guess, score, 200, np.random.default_rng(1))
    assert 190 <= len(sample.pages()) <= 200
    for category, pages in enumerate(np.bincount(guess)):
        assert (guess[sample.pages()] == category).sum() >= min(FEW, pages) - 2
    common = sample.pages()[guess[sample.pages()] == 0]
    halves = score[common] > np.median(score[guess == 0])
    assert 0.35 < halves.mean() < 0.65


@pytest.mark.parametrize("wanted", [1, 2, 3, 7, 30, 31])
def test_a_tiny_run_can_be_audited_whole_or_in_part(wanted: int) -> None:
    guess, score, wrong = collection(30, 2.0)
    sample = draw(guess, score, wanted, np.random.default_rng(1))
    found = figures(
        guess, np.bincount(guess, minlength=6), sample, named(sample, guess, wrong), LABELS
    )
    if wanted >= 30:
        assert len(sample.pages()) == 30
        assert found.accuracy.low == found.accuracy.high == 1 - wrong.mean()
    else:
        assert 1 <= len(sample.pages()) <= wanted
        assert found.accuracy.low < found.accuracy.high


def answer(audit: Path, target: Path, form: str = ",") -> list[list[str]]:
    """Write what a contact sheet would save: every page is what the model said, but the first."""
    content = json.loads(audit.read_text(encoding="utf-8"))
    rows = [["FILE", "PAGE", "CLASS", "GUESS", "SCORE", "FOLDER", "PATH"]]
    for place, (file, page, path, guess, *_) in enumerate(content["pages"]):
        label = "UNCLEAR" if place == 0 else content["labels"][guess]
        rows.append([file, page, label, "", "", content["run"]["folder"], path])
    save(rows, target, form)
    return rows


def save(rows: list[list[str]], target: Path, form: str = ",") -> None:
    with target.open("w", encoding="utf-8-sig" if form == ";" else "utf-8", newline="") as file:
        csv.writer(file, delimiter=form).writerows(rows)


def test_a_walk_from_a_run_through_an_audit_to_decisions(command: Run, tmp_path: Path) -> None:
    for number in range(1, 13):
        write_page(tmp_path / "my scans ř" / f"a-{number}.png", seed=number)
    table = Path(command("-d", tmp_path / "my scans ř")[1].splitlines()[0])
    status, out, log = command("--audit", "6", table, model=False)
    sheet = Path(out.strip())
    assert status == 0 and sheet.name == "index.html" and sheet.is_file() and "to name" in log
    (audit,) = Path("result/stats").glob("AUDIT_*.json")
    saved = tmp_path / "saved.csv"
    rows = answer(audit, saved, ";")
    status, out, _ = command("--audit_result", saved, "--max_error", "60%", model=False)
    looked = len(rows) - 1
    assert status == 0 and f"{looked} pages looked at" in out and "UNCLEAR" in out
    *_, categories, confusion, report = map(Path, out.splitlines())
    assert sum(int(row["PAGES"]) for row in read_table(categories)) == 12
    assert sum(float(row["TRUE-PAGES"]) for row in read_table(categories)) == pytest.approx(
        12, 0.01
    )
    assert read_table(confusion)[-1]["TRUE"] == "UNCLEAR"
    drawn, before = audit.read_bytes(), set(audit.parent.iterdir())
    assert command("--audit", "6", table, model=False)[0] == 0
    (second,) = set(audit.parent.iterdir()) - before
    assert second.name == f"{audit.stem}-2.json"
    assert audit.read_bytes() == drawn
    decide = ("-d", tmp_path / "my scans ř", "--update", "--max_error", "60%")
    status, out, log = command(*decide)
    assert status == 0 and str(report) in log and "to look at" in log
    assert {row["DECISION"] for row in read_table(out.splitlines()[0])} <= {"ACCEPT", "REVIEW"}


def test_answers_that_are_none_are_told_in_one_line(command: Run, tmp_path: Path) -> None:
    for number in range(1, 7):
        write_page(tmp_path / "scans" / f"a-{number}.png", seed=number)
    line = error_line(command("--audit", "3", model=False))
    assert "no finished run" in line
    command("-d", tmp_path / "scans")
    assert command("--audit", "6", model=False)[0] == 0
    (audit,) = Path("result/stats").glob("AUDIT_*.json")
    saved = tmp_path / "saved.csv"
    rows = answer(audit, saved)

    def told(changed: list[list[str]]) -> str:
        save(changed, saved)
        return error_line(command("--audit_result", saved, model=False))

    assert "2 of 6 pages have no category yet" in told(rows[:-2])
    assert "1 of 6 pages" in told([*rows[:-1], [*rows[-1][:2], "", *rows[-1][3:]]])
    assert "another category than a line before" in told([*rows, [*rows[1][:2], "B", *rows[1][3:]]])
    assert "names no page of an audit" in told([rows[0], ["x", "1", "B", "", "", "", "x.png"]])
    foreign = [*rows, ["x", "1", "B", "", "", "", "x.png"]]
    assert "of the table's 7 pages, no audit has more than 6" in told(foreign)
    assert "does not name the columns" in told([["a", "b"]])
    content = json.loads(audit.read_text(encoding="utf-8"))
    content["test"] = [99]
    audit.write_text(json.dumps(content), encoding="utf-8")
    assert "names no page of an audit" in told(rows)
    assert "contradict" in error_line(command("--audit", "3", "--audit_result", saved), status=2)
    assert "a number of pages" in error_line(command("--audit", "0"), status=2)
