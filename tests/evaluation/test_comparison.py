"""Models and description sets compared: rows that replace each other, and models that fail."""

from __future__ import annotations

import csv
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from pagesort.common.errors import PageSortError
from pagesort.evaluation import accuracies
from pagesort.evaluation.accuracies import COLUMNS, Row, read_rows, record, redraw
from pagesort.evaluation.comparison import DescriptionSet, evaluate_all
from pagesort.evaluation.evaluate import evaluate
from pagesort.labelled.trained_names import TrainedNames, write_trained_names
from tests.helpers.evaluations import ColourModel, colour_model, request_of, write_pages
from tests.helpers.plots import bar_lengths, figures, no_plots, texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures", "no_plots"]  # a fixture

ROW = Row(
    *("a model", "ViT-B/16", "v1.1", "own", True, "/data/pages", "all pages", 59, 51, 11),
    *(0.7288, 0.6078, 0.8413, 0.9661, 0.7081, 0.1615, 1.25, "20260102-0304"),
)


def _models(folder: Path, *names: str, metadata: str = '"labels": ["A", "B", "C"]') -> list[Path]:
    for name in names:
        (folder / name).mkdir(parents=True)
        text = f'{{"format": "pagesort", "version": 1, {metadata}}}'
        (folder / name / "pagesort.json").write_text(text)
    return [folder / name for name in names]


@pytest.mark.usefixtures("no_plots")
def test_models_and_description_sets_have_a_row_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pages(tmp_path / "pages", "ABC", 6)
    models = {"one": colour_model("ABC", texts=4), "two": colour_model("ABC", sharpness=9.0)}

    def open_model(path: Path) -> tuple[ColourModel, str]:
        if path.name not in models:
            raise PageSortError("the weights are gone", where=path)
        return models[path.name], "own"

    request = request_of(folder, tmp_path / "result")
    sets = [
        DescriptionSet("more.tsv", {label: ["x", "y"] for label in "ABC"}),
        DescriptionSet("misfit.tsv", {"Q": ["x"]}),
    ]
    outcome = evaluate_all(
        open_model, _models(tmp_path / "models", "one", "gone", "two"), request, sets
    )
    found = {(row.model, row.descriptions, row.averaged): row for row in outcome.rows}
    assert set(found) == {
        ("one", "own", True), ("one", "own", False),
        ("one", "more.tsv", True), ("one", "more.tsv", False),
        ("two", "own", False), ("two", "more.tsv", True), ("two", "more.tsv", False),
    }  # fmt: skip
    assert found["one", "own", True].ece != found["one", "own", False].ece
    # The towers see each page once, whatever the number of description sets.
    assert sum(models["one"].seen) == sum(models["two"].seen) == 18
    assert outcome.refused[0][0] == "gone" and "weights are gone" in outcome.refused[0][1]
    assert any("not evaluated: gone" in line for line in outcome.lines)
    assert "misfit.tsv are not for the model's labels, which differ by A, B, C, Q" in caplog.text
    assert outcome.files[0] == tmp_path / "result" / "stats" / "model_accuracies.csv"
    assert read_rows(outcome.files[0])[0].top_1 == max(round(row.top_1, 4) for row in outcome.rows)
    _check_rows(outcome.files[0], tmp_path / "result" / "tables")


def _check_rows(table: Path, tables: Path) -> None:
    """Every row follows from the EVAL table that its date names."""
    rows = pd.read_csv(table)
    assert list(rows.columns) == list(COLUMNS) and rows["DATE"].nunique() == len(rows)
    for row in rows.to_dict("records"):
        (path,) = tables.glob(f"EVAL_table_*_{row['DATE']}.csv")
        written = pd.read_csv(path)
        accuracy = accuracy_score(written["TRUE"], written["CLASS-1"])
        macro = f1_score(written["TRUE"], written["CLASS-1"], average="macro")
        assert (row["TOP-1"], row["MACRO-F1"]) == pytest.approx((accuracy, macro), abs=1e-4)


@pytest.mark.usefixtures("no_plots")
def test_untouched_models_have_their_own_table(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 3)
    request = request_of(folder, tmp_path / "result")
    paths = _models(tmp_path / "models", "tuned") + _models(
        tmp_path / "models", "base", metadata='"base": "b"'
    )
    evaluate_all(lambda _: (colour_model("AB"), "own"), paths, request)
    stats = tmp_path / "result" / "stats"
    assert [row.model for row in read_rows(stats / "model_accuracies.csv")] == ["tuned"]
    assert [row.model for row in read_rows(stats / "model_accuracies_zero.csv")] == ["base"]
    evaluate_all(lambda _: (colour_model("AB"), "own"), paths, replace(request, zero_shot=True))
    zero = read_rows(stats / "model_accuracies_zero.csv")
    assert sorted(row.model for row in zero) == ["base", "tuned"]
    assert {path.name for path in stats.glob("*.png")} == {
        "model_accuracies.png",
        "model_accuracies_zero.png",
    }


@pytest.mark.usefixtures("no_plots")
def test_models_are_ranked_on_pages_that_none_of_them_was_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pagesort.labelled.folder import write_trained_pages

    folder = write_pages(tmp_path / "pages", "ABC", 4)
    request = request_of(folder, tmp_path / "result")
    paths = _models(tmp_path / "models", "one", "two")
    write_trained_pages(paths[0], request.pages[:5])
    write_trained_pages(paths[1], request.pages[4:6])
    outcome = evaluate_all(lambda _: (colour_model("ABC"), "own"), paths, request)
    assert {row.model: row.pages for row in outcome.rows} == {"one": 6, "two": 6}
    assert len({row.page_set for row in outcome.rows}) == 1
    assert "6 of 12 pages (one alone: 5)" in caplog.text
    assert not any("do not compare" in line for line in outcome.lines)
    alone = evaluate_all(lambda _: (colour_model("ABC"), "own"), paths[1:], request)
    assert [row.pages for row in alone.rows] == [10]


@pytest.mark.usefixtures("no_plots")
def test_only_models_measured_on_the_same_pages_are_ranked(tmp_path: Path) -> None:
    from pagesort.labelled.folder import write_trained_pages

    folder = write_pages(tmp_path / "pages", "AB", 4)
    request = request_of(folder, tmp_path / "result")
    paths = _models(tmp_path / "models", "half", "all", "none", "nothing")
    write_trained_pages(paths[0], request.pages[:3])
    write_trained_pages(paths[1], request.pages)
    outcome = evaluate_all(lambda _: (colour_model("AB"), "own"), paths, request)
    assert {row.model: row.pages for row in outcome.rows[:3]} == {
        "half": 5,
        "none": 5,
        "nothing": 5,
    }
    assert (outcome.rows[3].model, outcome.rows[3].pages) == ("all", 8)
    shared = "all pages, without those that a compared model was trained on"
    assert [line for line in outcome.lines if "on " in line and line.endswith(":")] == [
        f"on 5 pages of 2 categories ({shared}):",
        "not ranked with these, on 8 pages of 2 categories (all pages, all of them trained on):",
    ]
    assert outcome.lines[-1] == "note: all was trained on 8 of the 8 pages"


@pytest.mark.usefixtures("no_plots")
def test_a_model_without_a_label_is_not_ranked_and_the_label_is_named(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "ABC", 4)
    request = request_of(folder, tmp_path / "result")
    paths = _models(tmp_path / "models", "few", "one", "two")
    outcome = evaluate_all(
        lambda path: (colour_model("AB" if path.name == "few" else "ABC"), "own"), paths, request
    )
    assert [row.model for row in outcome.rows][2:] == ["few"]
    assert outcome.lines[-1] == "note: few tells 2 categories apart, not 3; does not know C"


def test_a_table_without_the_set_of_pages_is_read(tmp_path: Path) -> None:
    path = record(tmp_path, [ROW], zero_shot=False)
    text = path.read_text(encoding="utf-8").replace(",PAGE-SET\n", "\n")
    path.write_text(text.rstrip().rstrip(",") + "\n", encoding="utf-8")
    assert read_rows(path) == [ROW]


def test_a_comparison_sets_familiar_documents_apart(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 6)
    request = request_of(folder, tmp_path / "result")
    (path,) = _models(tmp_path / "models", "one")
    write_trained_names(path, TrainedNames.of(["doc0x0"]))
    outcome = evaluate_all(lambda _: (colour_model("AB"), "own"), [path], request)
    report = next(each for each in outcome.files if each.suffix == ".json")
    parts = json.loads(report.read_text(encoding="utf-8"))["figures"]["parts"]
    assert [parts[name]["pages"] for name in ("familiar", "others")] == [3, 9]


@pytest.mark.usefixtures("no_plots")
def test_figures_on_remembered_pages_replace_no_others(tmp_path: Path) -> None:
    from pagesort.labelled.folder import write_trained_pages

    folder = write_pages(tmp_path / "pages", "AB", 4)
    request = request_of(folder, tmp_path / "result")
    (path,) = _models(tmp_path / "models", "one")
    for trained in (request.pages[:3], request.pages):
        write_trained_pages(path, trained)
        evaluate_all(lambda _: (colour_model("AB"), "own"), [path], request)
    rows = read_rows(tmp_path / "result" / "stats" / "model_accuracies.csv")
    assert {row.part: row.pages for row in rows} == {
        "all pages, without those that a compared model was trained on": 5,
        "all pages, all of them trained on": 8,
    }


@pytest.mark.parametrize("name", [accuracies.TABLE, accuracies.ZERO_TABLE])
def test_a_damaged_table_is_told_before_pages_are_scored(tmp_path: Path, name: str) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 1)
    request = request_of(folder, tmp_path / "result")
    stats = tmp_path / "result" / "stats"
    record(stats, [ROW], zero_shot=name == accuracies.ZERO_TABLE)
    table = stats / name
    table.write_text(table.read_text(encoding="utf-8").replace("0.7288", "best"), encoding="utf-8")
    model = colour_model("AB")
    with pytest.raises(PageSortError, match="TOP-1 is 'best'"):
        evaluate(model, request)
    with pytest.raises(PageSortError, match="TOP-1 is 'best'"):
        evaluate_all(lambda _: (model, "own"), _models(tmp_path / "models", "one"), request)
    assert model.seen == []


def test_no_model_at_all_is_an_error(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 1)
    request = request_of(folder, tmp_path / "result")
    with pytest.raises(PageSortError, match="--model_dir"):
        evaluate_all(lambda _: (colour_model("AB"), "own"), [], request)
    paths = _models(tmp_path / "models", "one", "two")
    with pytest.raises(PageSortError, match=r"none of the 2 models.*one: no page has a label"):
        evaluate_all(lambda _: (colour_model("PQ"), "own"), paths, request)


def test_a_full_disk_ends_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 1)
    opened = []

    def open_model(path: Path) -> tuple[ColourModel, str]:
        opened.append(path.name)
        return colour_model("AB"), "own"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pagesort.common.files.os.fsync", full)
    paths = _models(tmp_path / "models", "one", "two")
    with pytest.raises(PageSortError, match="the disk is full"):
        evaluate_all(open_model, paths, request_of(folder, tmp_path / "result"))
    assert opened == ["one"]


def test_a_new_row_takes_the_place_of_its_own_kind_only(tmp_path: Path) -> None:
    path = record(tmp_path, [ROW, replace(ROW, averaged=False)], zero_shot=False)
    better = replace(ROW, top_1=0.9, date="20260202-0304")
    others = [replace(ROW, folder="/x"), replace(ROW, model="NA"), replace(ROW, part="test, part")]
    record(tmp_path, [better, *others], zero_shot=False)
    assert sorted(read_rows(path), key=str) == sorted(
        [better, replace(ROW, averaged=False), *others], key=str
    )
    with path.open(encoding="utf-8", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [("0.7288", "best", "TOP-1 is 'best'"), ("TOP-3", "TOP", "no column TOP-3")]
    + [
        (",yes,", ",perhaps,", "AVERAGED is 'perhaps'"),
        ("0.6078", "nan", "TOP-1-LOW is 'nan'"),
        (",59,51,11", ",59", "DOCUMENTS is '0.7288'"),
    ],
)
def test_a_damaged_table_is_told_and_kept(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = record(tmp_path, [ROW], zero_shot=False)
    text = path.read_text(encoding="utf-8").replace(old, new)
    path.write_text(text, encoding="utf-8")
    for action in (lambda: redraw(tmp_path), lambda: record(tmp_path, [ROW], zero_shot=False)):
        with pytest.raises(PageSortError, match=told):
            action()
    assert path.read_text(encoding="utf-8") == text


def test_evaluations_at_the_same_time_do_not_lose_each_others_rows(tmp_path: Path) -> None:
    def record_some(worker: int) -> None:
        for number in range(5):
            record(tmp_path, [replace(ROW, model=f"{worker}-{number}")], zero_shot=False)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(record_some, range(3)))
    assert len(read_rows(tmp_path / "model_accuracies.csv")) == 15


def test_a_table_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracies, "LOCK_WAIT_S", 0.05)
    path = tmp_path / "model_accuracies.csv"
    with accuracies._locked(path), pytest.raises(PageSortError, match="another evaluation"):
        record(tmp_path, [ROW], zero_shot=False)
    record(tmp_path, [ROW], zero_shot=False)


def test_plots_are_redrawn_from_the_tables_alone(tmp_path: Path, figures: list[Figure]) -> None:
    with pytest.raises(PageSortError, match=r"no table of accuracies.*--eval"):
        redraw(tmp_path)
    stats, plots = tmp_path / "stats", tmp_path / "plots"
    record(stats, [ROW], zero_shot=False)
    (one,) = redraw(stats)
    low = Image.open(one).size
    (axes,) = figures[0].axes
    assert bar_lengths(axes) == [100 * ROW.top_1]
    assert texts(axes) == [f"{100 * ROW.top_1:.1f} %"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"] == [
        100 * ROW.top_3
    ]
    (name,) = (label.get_text() for label in axes.get_yticklabels())
    assert name.startswith(f"{ROW.model}, {ROW.descriptions}")
    rows = [
        replace(
            ROW,
            model=f"model {n} $x$ " + "l" * 60,
            averaged=n % 2 == 0,
            folder=f"/data/pages{n // 20}",
        )
        for n in range(30)
    ]
    record(stats, rows, zero_shot=True)
    first, second = redraw(stats, plots)
    assert (first.parent, second.name) == (plots, "model_accuracies_zero.png")
    high = Image.open(second).size
    assert low[0] == high[0] and high[1] > 4 * low[1]
    panels = figures[-1].axes
    assert [len(bar_lengths(axes)) for axes in panels] == [20, 10]
    assert [axes.get_title().partition(",")[0] for axes in panels] == ["data/pages0", "data/pages1"]


@pytest.mark.usefixtures("no_plots")
def test_the_real_classifier_fits(
    tmp_path: Path, tiny_model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from classifier import CLIP

    caplog.set_level(logging.INFO)
    folder = write_pages(tmp_path / "pages", ("DRAW", "TEXT_T", "PHOTO"), 2)
    request = request_of(folder, tmp_path / "result", max_categ=5)
    outcome = evaluate_all(
        lambda path: (CLIP.open(path, lean=True), "own"), [tiny_model_folder], request
    )
    assert {(row.model, row.averaged, row.labels) for row in outcome.rows} == {
        ("tiny", True, 11),
        ("tiny", False, 11),
    }
    pixels = [page.path for page in request.pages]
    classifier = CLIP.open(tiny_model_folder)
    from pagesort.pages.loader import load_page
    from utils import round_scores

    (averaged,) = [row for row in outcome.rows if row.averaged]
    table = pd.read_csv(next((tmp_path / "result" / "tables").glob(f"EVAL*{averaged.date}.csv")))
    for path in pixels:
        scores = classifier.probabilities(classifier.preprocessing.apply(load_page(path))[None])[0]
        file, page = path.stem.rsplit("-", 1)
        row = table[(table["FILE"] == file) & (table["PAGE"] == int(page))].iloc[0]
        assert row["CLASS-1"] == classifier.labels[scores.argmax()]
        assert row["SCORE-1"] == pytest.approx(float(round_scores(scores.max())), abs=0.0011)
