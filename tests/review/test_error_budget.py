"""The error budget: the promise holds where it is made, and none is made where it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError
from pagesort.evaluation.evaluate import score_variants, write_variants
from pagesort.prediction import folder_run
from pagesort.prediction.request import Request
from pagesort.review.budget_lines import budget_lines
from pagesort.review.error_budget import (
    NEVER,
    STEPS,
    Budget,
    Evidence,
    Observed,
    find_budget,
    likeness,
)
from pagesort.review.evidence import (
    Source,
    check_model,
    evaluation_source,
    newest_report,
    parted,
    read_report,
)
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.evaluations import COLOURS, ColourModel, colour_model, request_of, write_page
from tests.helpers.pages import write_page as write_scan
from tests.helpers.plots import no_plots

__all__ = ["command", "workplace", "no_plots"]  # fixtures

LABELS = tuple("ABCDEF")
TRUST = np.array([0.3, 0.5, 1.0, 1.0, 2.0, 4.0])
"""How often each category is wrong, as a multiple of what its scores say."""


def drawn(rng: np.random.Generator, pages: int, size: int = 1, alike: float = 0.0) -> Observed:
    """Pages of documents of `size`, of which that share of pages shares its document's fate."""
    document = np.arange(pages) // size
    guess = rng.integers(0, len(LABELS), pages)
    score = np.rint(STEPS * (1 - rng.beta(0.5, 3, pages))).astype(int)
    risk = np.minimum(1.0, TRUST[guess] * (1 - score / STEPS))
    fate = rng.random(pages // size + 1)[document]
    own = rng.random(pages)
    return Observed(guess, score, np.where(rng.random(pages) < alike, fate, own) < risk, document)


def evidence(pages: Observed) -> Evidence:
    learns = parted(pages.group)
    return Evidence(pages.part(learns), pages.part(~learns))


def true_error(budget: Budget, far: Observed) -> float:
    """The error of accepted pages in a collection that has no end."""
    limits = np.array(
        [NEVER if limit is None else round(limit * STEPS) for limit in budget.thresholds.values()]
    )
    accepted = far.score >= limits[far.guess]
    risk = np.minimum(1.0, TRUST[far.guess] * (1 - far.score / STEPS))
    return float(risk[accepted].mean()) if accepted.any() else 0.0


@pytest.mark.parametrize(
    ("max_error", "pages", "size", "alike", "least_promised"),
    [(0.05, 900, 1, 0.0, 0.9), (0.05, 250, 1, 0.0, 0.25), (0.05, 900, 6, 0.5, 0.4)],
)
def test_the_promise_is_broken_less_than_once_in_twenty_times(
    max_error: float, pages: int, size: int, alike: float, least_promised: float
) -> None:
    rng = np.random.default_rng(5)
    far = drawn(rng, 20_000)
    budgets = [
        find_budget(evidence(drawn(rng, pages, size, alike)), LABELS, max_error) for _ in range(60)
    ]
    broken = sum(true_error(budget, far) > max_error for budget in budgets)
    assert broken <= 0.05 * len(budgets)
    assert sum(budget.is_promised for budget in budgets) >= least_promised * len(budgets)


def test_thresholds_are_stricter_for_categories_that_are_less_right_than_they_say() -> None:
    budget = find_budget(evidence(drawn(np.random.default_rng(2), 3000)), LABELS, 0.05)
    assert budget.by_category and budget.is_promised
    limits = [1.1 if each is None else each for each in budget.thresholds.values()]
    assert limits[0] < limits[3] < limits[5]
    assert budget.bound <= 0.05 and budget.wrong / budget.tested < 0.05
    assert budget.accepts("A", limits[0]) and not budget.accepts("A", limits[0] - 0.001)
    assert not budget.accepts("unheard of", 1.0)


@pytest.mark.parametrize(("pages", "is_promised"), [(299, True), (298, False)])
def test_299_pages_without_an_error_promise_one_percent(pages: int, is_promised: bool) -> None:
    rows = np.arange(pages)
    perfect = Observed(rows % 2, np.full(pages, 990), np.zeros(pages, bool), rows)
    budget = find_budget(evidence(perfect), ("A", "B", "C"), 0.01)
    assert budget.is_promised is is_promised and budget.needed == 299
    # No labelled page was taken for C, so that nothing is known of it.
    assert budget.thresholds["C"] is None
    told = "\n".join(budget_lines(budget, "pages", "x.json"))
    assert ("too few to promise 1 %" in told and "299" in told) is not is_promised


def test_one_error_among_299_is_too_many() -> None:
    rows = np.arange(299)
    spoilt = Observed(rows % 2, np.full(299, 990), rows == 7, rows)
    budget = find_budget(evidence(spoilt), ("A", "B"), 0.01)
    assert not budget.is_promised and budget.accepted == 0.0 and budget.bound == 1.0
    assert "all are to review" in "\n".join(budget_lines(budget, "pages", "x.json"))


def test_pages_of_few_documents_count_for_less() -> None:
    rng = np.random.default_rng(1)
    document = np.repeat(np.arange(30), 20)
    wrong = (rng.random(30) < 0.3)[document]
    pages = Observed(np.zeros(600, int), np.full(600, 900), wrong, document)
    assert likeness(pages) > 0.9
    assert likeness(replace(pages, wrong=rng.random(600) < 0.3)) < 0.1
    assert likeness(replace(pages, group=np.arange(600))) == 0.0
    assert likeness(replace(pages, wrong=np.zeros(600, bool))) == 0.0


def colours(folder: Path, pages: int, wrong: int = 0) -> Path:
    """Labelled pages of two colours, each a document of its own; the first ones are mislabelled."""
    for number in range(pages):
        label = number % 2 if number >= wrong else 1 - number % 2
        write_page(folder / "AB"[label] / f"doc{number}x-1.png", COLOURS[number % 2])
    return folder


def evaluated(tmp_path: Path, pages: int = 70, **more: object) -> tuple[ColourModel, Path]:
    """Evaluate pages of two colours; returns the model and the report."""
    request = request_of(colours(tmp_path / "labelled", pages), tmp_path / "result", top_n=1)
    model = colour_model(("A", "B"), sharpness=20.0)
    (outcome,) = write_variants(
        score_variants([model], [replace(request, **more)]),
        draw=False,  # type: ignore[arg-type]
    )
    (report,) = [path for path in outcome.files if path.suffix == ".json"]
    return model, report


def source_of(report: Path) -> Source:
    return evaluation_source(read_report(report), report, ("A", "B"))


def test_an_evaluation_decides_over_a_folder_and_over_where_its_pages_go(tmp_path: Path) -> None:
    model, report = evaluated(tmp_path)
    assert newest_report(report.parent, model.fingerprint, tmp_path) == report
    assert newest_report(report.parent, "f" * 64, tmp_path) is None
    budget = find_budget(source_of(report).evidence, model.labels, 0.05)
    scans = tmp_path / "scans"
    write_page(scans / "p-1.png", COLOURS[0])
    write_page(scans / "p-2.png", (COLOURS[0] + COLOURS[1]) // 2)
    request = Request(
        scans, ("png",), True, tmp_path / "tables", 1, True, 10, 4, 20.0, False,
        sort_to=tmp_path / "sorted", accepts=budget.accepts,
    )  # fmt: skip
    outcome = folder_run.predict_folder(ByColour(model), request)
    rows = read_table(outcome.tables[0])
    assert list(rows[0]) == ["FILE", "PAGE", "CLASS-1", "SCORE-1", "DECISION", "NOTE", "PATH"]
    assert [row["DECISION"] for row in rows] == ["ACCEPT", "REVIEW"]
    assert "DECISION" not in read_table(outcome.tables[1])[0]
    assert (tmp_path / "sorted" / "A" / "p-1.png").exists()
    assert (tmp_path / "sorted" / "_review" / "p-2.png").exists()


class ByColour:
    """The colour model as what scores a folder."""

    def __init__(self, model: ColourModel) -> None:
        self.model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3)."""
        return self.model.scores(self.model.embed_images(pixels))


def test_pages_whose_documents_were_trained_on_do_not_count(tmp_path: Path) -> None:
    from pagesort.labelled.trained_names import TrainedNames

    names = TrainedNames.of([f"doc{number}x" for number in range(0, 70, 3)])
    _, report = evaluated(tmp_path, trained_names=names, absolute_paths=True)
    unseen = source_of(report).evidence
    assert len(unseen.learn) + len(unseen.test) == 70 - len(range(0, 70, 3))


def test_what_cannot_prove_anything_is_refused_with_its_reason(tmp_path: Path) -> None:
    model, report = evaluated(tmp_path)
    content = json.loads(report.read_text(encoding="utf-8"))
    check_model(content, report, model.fingerprint, "m")
    with pytest.raises(PageSortError, match="of another model"):
        check_model(content, report, "f" * 64, "m")
    with pytest.raises(PageSortError, match="trained on all"):
        pages = content["pages"] | {"trained_on_all": True}
        evaluation_source(content | {"pages": pages}, report, ("A", "B"))
    with pytest.raises(PageSortError, match="every one of these documents"):
        (table,) = (tmp_path / "result" / "tables").glob("EVAL_table*")
        familiar = [row["PATH"] for row in read_table(table)]
        pages = content["pages"] | {"familiar": familiar}
        evaluation_source(content | {"pages": pages}, report, ("A", "B"))
    with pytest.raises(PageSortError, match="'table' is missing"):
        evaluation_source({**content, "table": None}, report, ("A", "B"))
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(PageSortError, match="was changed since"):
        source_of(report)
    table.unlink()
    with pytest.raises(PageSortError, match="cannot be read"):
        source_of(report)


def test_the_command_says_what_is_missing(command: Run, tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "a-1.png")
    line = error_line(command("-d", tmp_path / "scans", "--max_error", "1%"))
    assert "has never seen" in line and "--eval --eval_folder" in line
    report = tmp_path / "x.json"
    report.write_text('{"format": "pagesort evaluation", "model": {"fingerprint": "1"}}')
    line = error_line(command("-d", tmp_path / "scans", "--max_error", "0.01", "--budget", report))
    assert "of another model" in line
    report.write_text("[]")
    line = error_line(command("-d", tmp_path / "scans", "--max_error", "1%", "--budget", report))
    assert "not a JSON object" in line
    for wrong in ("0", "100%", "1", "-1%", "nan", "x", "0%"):
        line = error_line(command("-d", tmp_path / "scans", f"--max_error={wrong}"), status=2)
        assert "such as 1% or 0.01" in line
    line = error_line(command("-d", tmp_path / "scans", "--budget", report), status=2)
    assert "--budget belongs to --max_error" in line


@pytest.mark.usefixtures("no_plots")
def test_the_command_evaluates_and_then_decides(command: Run, tmp_path: Path) -> None:
    colours(tmp_path / "labelled", 4)
    folder = tmp_path / "labelled"
    for old, new in (("A", "TEXT_T"), ("B", "PHOTO")):
        (folder / old).rename(folder / new)
    assert command("--eval", "--eval_folder", folder)[0] == 0
    status, out, log = command("-d", folder, "--inner", "--max_error", "1 %")
    assert status == 0
    assert "4 pages are too few to promise 1 %" in log and "to look at: 4 pages (100.0 %)" in log
    assert {row["DECISION"] for row in read_table(out.splitlines()[0])} == {"REVIEW"}
    later = command("-d", folder, "--update")[1].splitlines()[0]
    assert "DECISION" in read_table(later)[0]
