"""The figures of a table agree with scikit-learn, and the bootstrap with a plain one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from pagesort.common.errors import PageSortError
from pagesort.evaluation.metrics import bootstrap_intervals, confidence_bins, report_of_table

LABELS = ["A", "None", "příloha č. 3", "D", "E"]


def _table(rows: int, guesses: int, labels: list[str] = LABELS, seed: int = 0) -> pd.DataFrame:
    """A random table of a model that is right more often than not."""
    stream = np.random.default_rng(seed)
    scores = stream.dirichlet(np.ones(len(labels)), rows)
    true = np.where(
        stream.random(rows) < 0.6, scores.argmax(axis=1), stream.integers(0, len(labels), rows)
    )
    order = np.argsort(-scores, axis=1)
    table = pd.DataFrame({"FILE": [f"doc{n % 7}" for n in range(rows)], "PAGE": range(rows)})
    for rank in range(guesses):
        table[f"CLASS-{rank + 1}"] = [labels[index] for index in order[:, rank]]
    for rank in range(guesses):
        ranked = scores[np.arange(rows), order[:, rank]]
        table[f"SCORE-{rank + 1}"] = np.round(ranked, 3)
    table["TRUE"] = [labels[index] for index in true]
    table.attrs = {"scores": scores, "true": true}
    return table


@pytest.mark.filterwarnings("ignore:.*:UserWarning:sklearn")
@pytest.mark.parametrize("rows", [1, 2, 5, 300])
@pytest.mark.parametrize("guesses", [1, 3, 5])
def test_figures_are_those_of_scikit_learn(rows: int, guesses: int) -> None:
    table = _table(rows, guesses, seed=rows)
    scores, true = table.attrs["scores"], table.attrs["true"]
    own = scores[np.arange(rows), true][:, None]
    report = report_of_table(table, LABELS, 420, (scores > own).sum(axis=1))
    given, guessed = table["TRUE"], table["CLASS-1"]
    for average, ours in (("macro", report.macro), ("micro", report.micro)):
        figures = precision_recall_fscore_support(given, guessed, average=average, zero_division=0)
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(figures[:3])
    each = precision_recall_fscore_support(
        given, guessed, labels=list(report.labels), average=None, zero_division=0
    )
    for column, name in enumerate(("precision", "recall", "f1", "pages")):
        assert [getattr(row, name) for row in report.by_label] == pytest.approx(each[column])
    expected = confusion_matrix(given, guessed, labels=list(report.labels))
    assert np.array_equal(report.confusion, expected)
    assert set(report.labels) == set(given) | set(guessed)
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(given, guessed))
    assert report.top_at(1).value == pytest.approx(accuracy_score(given, guessed))
    for top in report.top:
        expected = top_k_accuracy_score(true, scores, k=top.k, labels=range(len(LABELS)))
        assert top.value == pytest.approx(expected)
        assert top.source == ("table" if top.k <= guesses else "all scores")
        assert 0.0 <= top.low <= top.value <= top.high <= 1.0
    assert [top.k for top in report.top] == sorted({1, 3, guesses})
    assert report.ece == pytest.approx(_calibration_error(table))


def _calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error from scikit-learn's curve and NumPy's histogram."""
    right = table["TRUE"] == table["CLASS-1"]
    if right.nunique() == 1:  # the curve needs both kinds
        bins = np.searchsorted(np.linspace(0, 1, 16)[1:-1], table["SCORE-1"])
        parts = [table[bins == number] for number in np.unique(bins)]
        gaps = [len(part) * abs(part["SCORE-1"].mean() - right.mean()) for part in parts]
        return sum(gaps) / len(table)
    accuracy, confidence = calibration_curve(right, table["SCORE-1"], n_bins=15)
    pages = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], table["SCORE-1"]))
    return float((abs(accuracy - confidence) * pages[pages > 0]).sum() / len(table))


def test_top_k_beyond_the_table_is_left_out_where_nobody_can_tell_it() -> None:
    report = report_of_table(_table(20, 2), LABELS, 1)
    assert [top.k for top in report.top] == [1, 2]


def test_few_labels_have_no_top_3() -> None:
    two = report_of_table(_table(20, 1, ["A", "B"]), ["A", "B"], 1, np.zeros(20, int))
    assert [(top.k, top.value) for top in two.top][1] == (2, 1.0)
    assert two.top_at(3).k == 2
    one = report_of_table(_table(4, 1, ["A"]), ["A"], 1, np.zeros(4, int))
    assert [(top.k, top.value) for top in one.top] == [(1, 1.0)]
    assert one.macro.f1 == one.balanced_accuracy == 1.0


def test_all_wrong_and_all_right() -> None:
    table = _table(12, 1)
    table["TRUE"] = ["A" if guess != "A" else "D" for guess in table["CLASS-1"]]
    wrong = report_of_table(table, LABELS, 1)
    assert wrong.top_at(1).value == wrong.top_at(1).high == wrong.macro.f1 == wrong.micro.f1 == 0.0
    table["TRUE"] = table["CLASS-1"]
    right = report_of_table(table, LABELS, 1)
    assert right.top_at(1).low == right.macro.precision == right.balanced_accuracy == 1.0


def test_labels_without_pages_count_only_where_they_are_guessed() -> None:
    table = _table(3, 1)
    table["TRUE"], table["CLASS-1"] = ["A", "A", "D"], ["A", "E", "D"]
    report = report_of_table(table, LABELS, 1)
    assert report.labels == ("A", "D", "E") and report.labels_without_pages == ("E",)
    assert report.macro.recall == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert report.balanced_accuracy == pytest.approx((0.5 + 1.0) / 2)
    assert (report.by_label[0].taken_for, report.by_label[0].taken) == ("E", 1)
    assert report.by_label[1].taken_for is None


def test_intervals_draw_whole_documents() -> None:
    table = _table(60, 1)
    documents = np.array(table["FILE"])
    hits = (table["TRUE"] == table["CLASS-1"]).to_numpy()
    names = np.unique(documents)
    stream = np.random.default_rng(420)
    drawn = stream.integers(0, len(names), (2000, len(names)))
    means = [
        np.concatenate([hits[documents == names[number]] for number in row]).mean() for row in drawn
    ]
    top = report_of_table(table, LABELS, 420).top_at(1)
    assert (top.low, top.high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))))
    again = report_of_table(table, LABELS, 420).top_at(1)
    assert again == top
    assert report_of_table(table, LABELS, 421).top_at(1).value == top.value


def test_pages_of_one_document_do_not_narrow_the_interval() -> None:
    hits = np.repeat(np.random.default_rng(3).random(20) < 0.7, 50).astype(float)[None]
    by_document = bootstrap_intervals(hits, np.repeat(np.arange(20), 50), 1)
    by_page = bootstrap_intervals(hits, np.arange(1000), 1)
    widths = [float((high - low)[0]) for low, high in (by_document, by_page)]
    assert widths[0] > 4 * widths[1]


def test_many_documents_are_drawn_in_parts_of_the_same_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hits = (np.arange(300) % 3 > 0).astype(float)[None]
    whole = bootstrap_intervals(hits, np.arange(300), 5)
    monkeypatch.setattr("pagesort.evaluation.metrics.MOST_DRAWN_AT_ONCE", 300 * 7)
    assert bootstrap_intervals(hits, np.arange(300), 5) == whole


def test_documents_are_told_from_the_table() -> None:
    table = _table(6, 1)
    table["FILE"] = ["doc", "doc", "doc", "other", "A", "A"]
    table["PAGE"] = [1, 2, 2, 1, 1, 2]
    table["TRUE"] = table["CLASS-1"] = "A"
    # Pages that are named by their number alone have their label for FILE, and are no document.
    assert report_of_table(table, LABELS, 1).documents == 4


def test_bins_hold_their_upper_end() -> None:
    bins = confidence_bins(np.array([0.0, 0.2, 0.201, 1.0]), np.array([0, 1, 1, 1], bool))
    assert [each.pages for each in bins] == [1, 0, 1, 1] + [0] * 10 + [1]
    assert (bins[2].accuracy, bins[1].accuracy) == (1.0, None)


def test_tables_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(PageSortError, match="no page"):
        report_of_table(_table(3, 1).iloc[:0], LABELS, 1)
    with pytest.raises(PageSortError, match="E, příloha"):
        report_of_table(_table(99, 1), LABELS[:2] + ["D"], 1)
