"""Evaluations: every figure follows from the written table, and nothing is left out unsaid."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import unicodedata
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

from pagesort.common.errors import PageSortError
from pagesort.evaluation.evaluate import (
    EvaluationOutcome,
    EvaluationRequest,
    evaluate,
    score_variants,
    write_variants,
)
from pagesort.evaluation.files import reserved_files
from pagesort.labelled.folder import page_digest
from pagesort.labelled.trained_names import TrainedNames
from tests.helpers.evaluations import (
    COLOURS,
    ColourModel,
    colour_model,
    request_of,
    write_page,
    write_pages,
)
from tests.helpers.plots import no_plots

__all__ = ["no_plots"]  # a fixture

# Labels that readers of CSV like to turn into something else.
ODD_LABELS = ("01", "1", "NA", "None", "null", "příloha č. 3, list")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as a researcher must: labels are text, and none of them means `missing`."""
    header = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in header if name in ("FILE", "TRUE") or name[:5] == "CLASS"}
    return pd.read_csv(path, keep_default_na=False, dtype=texts)


def unplotted(model: ColourModel, request: EvaluationRequest) -> EvaluationOutcome:
    """Evaluate without the plots, which take most of the time."""
    (outcome,) = write_variants(score_variants([model], [request]), draw=False)
    return outcome


def _figures(outcome: EvaluationOutcome) -> dict:
    (path,) = [path for path in outcome.files if path.suffix == ".json"]
    return json.loads(path.read_text(encoding="utf-8"))


def _named(outcome: EvaluationOutcome, part: str) -> Path:
    (path,) = [path for path in outcome.files if part in path.name]
    return path


def test_pages_of_documents_and_sources_that_were_trained_on_stand_apart(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "ABC", 9)
    sources = "path,source\n" + "".join(f"C/doc2x2-{n}.png,town\n" for n in (7, 8, 9))
    (folder / "sources.csv").write_text(sources, encoding="utf-8")
    names = TrainedNames.of(["doc0x0", "doc1x1"], ["town"])
    request = replace(
        request_of(folder, tmp_path / "result"), trained=frozenset(["0" * 16]), trained_names=names
    )
    outcome = unplotted(colour_model("ABC"), request)
    table = read_table(_named(outcome, "EVAL_table"))
    known = table["FILE"].isin(["doc0x0", "doc1x1", "doc2x2"])
    for name, shown, rows in (
        ("familiar", "familiar pages", table[known]), ("others", "all others", table[~known]),
    ):  # fmt: skip
        part = _figures(outcome)["figures"]["parts"][name]
        right = accuracy_score(rows["TRUE"], rows["CLASS-1"])
        assert (part["pages"], part["top"][0]["value"]) == (len(rows), pytest.approx(right))
        (line,) = [line for line in outcome.lines if line.startswith(f"top-1 of {shown}")]
        assert f"{100 * right:.1f} %  95 % interval" in line
        assert f"{len(rows)} pages of" in line
    assert any("9 pages come from documents or sources" in x for x in outcome.lines)
    silent = unplotted(colour_model("ABC"), replace(request, trained_names=TrainedNames()))
    assert "parts" not in _figures(silent)["figures"]
    assert any("does not say which documents" in line for line in silent.lines)


@pytest.mark.parametrize("labels", [ODD_LABELS, tuple(f"L{n:02}" for n in range(40))])
def test_all_figures_follow_from_the_written_table(tmp_path: Path, labels: tuple[str, ...]) -> None:
    folder = write_pages(tmp_path / "pages", labels, 5)
    outcome = unplotted(colour_model(labels), request_of(folder, tmp_path / "result"))
    written, table = _figures(outcome), read_table(_named(outcome, "EVAL_table"))
    assert list(table.columns) == [
        *("FILE", "PAGE", "CLASS-1", "CLASS-2", "CLASS-3", "SCORE-1", "SCORE-2", "SCORE-3"),
        *("TRUE", "PATH"),
    ]
    figures, true, first = written["figures"], table["TRUE"], table["CLASS-1"]
    assert figures["pages"] == len(table) == 5 * len(labels)
    report = classification_report(true, first, output_dict=True, zero_division=0)
    for each in figures["by_label"]:
        expected = report[each["label"]]
        assert each["precision"] == pytest.approx(expected["precision"])
        assert each["recall"] == pytest.approx(expected["recall"])
        assert each["f1"] == pytest.approx(expected["f1-score"])
        assert each["pages"] == expected["support"]
    assert figures["macro"]["f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert figures["macro"]["precision"] == pytest.approx(report["macro avg"]["precision"])
    assert figures["micro"]["f1"] == pytest.approx(accuracy_score(true, first))
    assert figures["confusion"] == confusion_matrix(true, first, labels=figures["labels"]).tolist()
    right = [(table[f"CLASS-{k}"] == true).to_numpy() for k in (1, 2, 3)]
    assert [(top["k"], top["source"]) for top in figures["top"]] == [(1, "table"), (3, "table")]
    names, numbers = np.unique(table["FILE"], return_inverse=True)
    assert figures["documents"] == len(names)
    drawn = np.random.default_rng(420).integers(0, len(names), (2000, len(names)))
    pages = np.bincount(numbers)
    for top, hits in zip(figures["top"], (right[0], np.any(right, axis=0)), strict=True):
        assert top["value"] == pytest.approx(hits.mean())
        sums = np.bincount(numbers, weights=hits)
        means = sums[drawn].sum(axis=1) / pages[drawn].sum(axis=1)
        interval = np.percentile(means, (2.5, 97.5))
        assert (top["low"], top["high"]) == pytest.approx(tuple(interval))
    bins = np.searchsorted(np.linspace(0, 1, 16)[1:-1], table["SCORE-1"])
    gaps = abs(
        (table["SCORE-1"] - right[0]).groupby(bins).mean() * np.bincount(bins)[np.unique(bins)]
    )
    assert figures["ece"] == pytest.approx(gaps.sum() / len(table))


def test_top_3_beyond_the_table_is_that_of_the_raw_table(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", ODD_LABELS, 12)
    outcome = unplotted(colour_model(ODD_LABELS), request_of(folder, tmp_path / "result", top_n=1))
    table = read_table(_named(outcome, "EVAL_table_1n"))
    raw = read_table(_named(outcome, "RAW"))
    assert list(raw.columns) == ["FILE", "PAGE", *ODD_LABELS, "PATH"]
    merged = raw.merge(table, on=["FILE", "PAGE", "PATH"])
    scores = merged[list(ODD_LABELS)].to_numpy()
    own = np.array(
        [row[ODD_LABELS.index(label)] for row, label in zip(scores, merged["TRUE"], strict=True)]
    )
    # Rounded to three places two scores may be equal, and then the table leaves the order open.
    least, most = (
        np.mean((compare(scores, own[:, None])).sum(axis=1) < limit)
        for compare, limit in ((np.greater_equal, 4), (np.greater, 3))
    )
    third = outcome.report.top_at(3)
    assert third.source == "all scores" and least <= third.value <= most
    assert third.value > outcome.report.top_at(1).value
    assert any("from all scores" in line and "top-3" in line for line in outcome.lines)
    first = raw[list(ODD_LABELS)].to_numpy().tolist()
    assert first == sorted(first, reverse=True)


def test_rows_are_sorted_and_pages_of_one_name_stay_apart(tmp_path: Path) -> None:
    names = ("A/doc-2.png", "A/doc-10.png", "B/doc-2.png", "B/x-1.png", "B/x-01.png", "B/7.png")
    for name in names:
        write_page(tmp_path / "pages" / name, COLOURS[0])
    outcome = unplotted(colour_model("AB"), request_of(tmp_path / "pages", tmp_path / "result"))
    table = read_table(_named(outcome, "EVAL_table"))
    assert table[["FILE", "PAGE", "TRUE"]].to_numpy().tolist() == [
        ["B", 7, "B"],
        ["doc", 2, "A"],
        ["doc", 2, "B"],
        ["doc", 10, "A"],
        ["x", 1, "B"],
        ["x", 1, "B"],
    ]
    assert list(table["PATH"]) == [
        *("B/7.png", "A/doc-2.png", "B/doc-2.png", "A/doc-10.png", "B/x-01.png", "B/x-1.png")
    ]
    assert outcome.report.documents == 3  # doc, x, and the page without a name
    assert set(read_table(_named(outcome, "RAW"))["FILE"]) == set(table["FILE"])


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_odd_names_and_whole_paths_can_be_written(tmp_path: Path) -> None:
    write_page(tmp_path / "pages" / "A" / "caf\udce9-1.png", COLOURS[0])
    request = request_of(tmp_path / "pages", tmp_path / "result", absolute_paths=True)
    outcome = unplotted(colour_model("AB"), request)
    (row,) = read_table(_named(outcome, "EVAL_table"))[["FILE", "PATH"]].to_numpy().tolist()
    assert row == ["caf\\udce9", f"{tmp_path}/pages/A/caf\\udce9-1.png"]


def test_unreadable_pages_are_listed_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 4, wrong=0.0)
    (folder / "A" / "bad-1.png").write_bytes(b"no image")
    (folder / "B" / "empty-2.png").touch()
    model = colour_model("AB")
    outcome = unplotted(model, request_of(folder, tmp_path / "result", batch_size=3))
    assert outcome.failed == 2 and outcome.report.pages == 8
    failed = pd.read_csv(_named(outcome, "FAILED"))
    assert failed[["FILE", "PAGE", "PATH"]].to_numpy().tolist() == [
        ["bad", 1, "A/bad-1.png"],
        ["empty", 2, "B/empty-2.png"],
    ]
    assert "the file is empty" in failed["REASON"][1]
    assert "bad-1.png" in caplog.text
    assert any("2 pages that could not be read" in line for line in outcome.lines)
    assert [each["page"] for each in _figures(outcome)["pages"]["unreadable"]][0] == "A/bad-1.png"


def test_no_readable_page_is_an_error(tmp_path: Path) -> None:
    write_pages(tmp_path / "pages", "A", 1)
    (page,) = (tmp_path / "pages" / "A").iterdir()
    page.write_bytes(b"no image")
    with pytest.raises(PageSortError, match="none of the 1 labelled pages can be read"):
        unplotted(colour_model("AB"), request_of(tmp_path / "pages", tmp_path / "result"))


def test_labels_that_one_side_does_not_know_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pages(tmp_path / "pages", ("A", "B", "X"), 4)
    (folder / "Y").mkdir()
    outcome = unplotted(colour_model("ABC"), request_of(folder, tmp_path / "result"))
    assert outcome.report.pages == 8
    told = _figures(outcome)["pages"]
    assert told["unknown_labels"] == {"X": 4, "Y": 0} and told["labels_without_pages"] == ["C"]
    assert "X (4 pages), Y (0 pages)" in caplog.text and "no page has: C" in caplog.text
    assert any("4 pages of labels that the model does not know (X, Y)" in t for t in outcome.lines)
    assert any("no page has the labels C of the model" in line for line in outcome.lines)
    with pytest.raises(PageSortError, match=r"the folder's are A, B, X, Y.*The model's are P, Q"):
        unplotted(colour_model("PQ"), request_of(folder, tmp_path / "result"))


def test_pages_of_the_training_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 4, wrong=0.5)
    request = request_of(folder, tmp_path / "result")
    digests = [page_digest(page.path) for page in request.pages]
    some = unplotted(colour_model("AB"), replace(request, trained=frozenset(digests[:3])))
    assert some.report.pages == 5 and _figures(some)["pages"]["trained_on"] == 3
    assert any("3 pages that the model was trained on" in line for line in some.lines)
    caplog.clear()
    every = unplotted(colour_model("AB"), replace(request, trained=frozenset(digests)))
    assert every.report.pages == 8 and _figures(every)["pages"]["trained_on_all"]
    assert "trained on every one of these 8 pages" in caplog.text
    assert any("trained on all these pages" in line for line in every.lines)


def test_no_page_at_all_is_an_error(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 1)
    request = replace(request_of(folder, tmp_path / "result"), pages=())
    with pytest.raises(PageSortError, match=r"no page to evaluate.*--eval_folder"):
        unplotted(colour_model("AB"), request)


def test_one_page_and_one_label(tmp_path: Path) -> None:
    write_page(tmp_path / "pages" / "A" / "only-1.png", COLOURS[0])
    outcome = unplotted(
        colour_model("A"), request_of(tmp_path / "pages", tmp_path / "result", top_n=5)
    )
    assert outcome.report.top_at(1).value == 1.0 and outcome.report.documents == 1
    assert list(read_table(_named(outcome, "EVAL_table_1n")).columns) == [
        *("FILE", "PAGE", "CLASS-1", "SCORE-1", "TRUE", "PATH")
    ]
    assert any("one document only" in line for line in outcome.lines)


def test_figures_that_promise_too_much_are_marked(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 4, wrong=0.0)
    outcome = unplotted(colour_model("AB"), request_of(folder, tmp_path / "result"))
    assert outcome.report.top_at(1) == replace(
        outcome.report.top_at(1), value=1.0, low=1.0, high=1.0
    )
    assert any("interval of top-1 is too narrow" in line for line in outcome.lines)


def test_equal_scores_fall_to_the_first_labels(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "ABCDE", 2)
    model = colour_model("ABCDE", sharpness=0.0)
    outcome = unplotted(model, request_of(folder, tmp_path / "result", top_n=1))
    assert set(read_table(_named(outcome, "EVAL_table"))["CLASS-1"]) == {"A"}
    assert [top.value for top in outcome.report.top] == [0.2, pytest.approx(0.6)]
    assert outcome.report.ece == 0.0


def test_pages_without_a_number_for_a_score_count_as_failed(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 4)
    model = colour_model("AB")
    sound = model.scores

    def damaged(embeddings: np.ndarray) -> np.ndarray:
        scores = sound(embeddings)
        scores[0] = np.nan
        return scores

    model.scores = damaged  # type: ignore[method-assign]
    outcome = unplotted(model, request_of(folder, tmp_path / "result", batch_size=4))
    assert (outcome.failed, outcome.report.pages) == (2, 6)


def test_labels_match_however_a_file_system_writes_letters(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "příloha")
    folder = write_pages(tmp_path / "pages", (apart, "B"), 2, wrong=0.0)
    model = colour_model((unicodedata.normalize("NFC", apart), "B"))
    outcome = unplotted(model, request_of(folder, tmp_path / "result"))
    assert outcome.report.pages == 4
    assert set(read_table(_named(outcome, "EVAL_table"))["TRUE"]) == set(model.labels)


@pytest.mark.usefixtures("no_plots")
def test_the_same_seed_gives_the_same_report(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "ABC", 9)
    request = request_of(folder, tmp_path / "result")
    first, second = (evaluate(colour_model("ABC"), request) for _ in range(2))
    assert first.report == second.report
    other = evaluate(colour_model("ABC"), replace(request, seed=1))
    assert other.report.top_at(1).value == first.report.top_at(1).value
    assert other.report.top != first.report.top
    apart = [
        {path for path in each.files if "accuracies" not in path.name} for each in (first, second)
    ]
    assert not apart[0] & apart[1] and all(path.exists() for path in (*apart[0], *apart[1]))


def test_names_are_held_while_an_evaluation_writes(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4)
    with (
        reserved_files(tmp_path, "m", 3, 9, now) as one,
        reserved_files(tmp_path, "m", 1, 9, now) as two,
    ):
        assert one.table.name == "EVAL_table_3n_9c_m_20260102-0304.csv"
        assert two.table.name == "EVAL_table_1n_9c_m_20260102-0304-2.csv"
        assert one.raw.name == "20260102-0304_m_RAW.csv"
    with reserved_files(tmp_path, "m", 3, 9, now) as again:
        assert again.date_time == "20260102-0304"
        again.report.touch()
    (tmp_path / "tables" / "20260102-0304-2_m.partial.sqlite").touch()  # a folder's run goes on
    with reserved_files(tmp_path, "m", 3, 9, now) as third:
        assert third.date_time == "20260102-0304-3"
    assert [path.name for path in (tmp_path / "tables").iterdir()] == [
        "20260102-0304-2_m.partial.sqlite"
    ]


def test_results_that_cannot_be_written_are_told_before_pages_are_scored(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 2)
    (tmp_path / "result").write_text("a file")
    model = colour_model("AB")
    with pytest.raises(PageSortError, match=r"cannot be written.*FOLDER_RESULTS"):
        evaluate(model, request_of(folder, tmp_path / "result"))
    assert model.seen == []


def test_a_full_disk_leaves_whole_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", full)
        with pytest.raises(PageSortError, match="the disk is full"):
            evaluate(colour_model("AB"), request_of(folder, tmp_path / "result"))
    kept = sorted(path.name for path in (tmp_path / "result").rglob("*.*"))
    assert [name.split("_")[0] for name in kept] == [kept[0].split("_")[0], "EVAL", "EVAL"]
    monkeypatch.setattr("pagesort.common.files.os.fsync", full)
    with pytest.raises(PageSortError, match="the disk is full"):
        evaluate(colour_model("AB"), request_of(folder, tmp_path / "result"))
    assert sorted(path.name for path in (tmp_path / "result").rglob("*.*")) == kept


def test_too_little_memory_names_the_setting(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "AB", 2)
    model = colour_model("AB")

    def refuse(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("CUDA out of memory")

    model.embed_images = refuse  # type: ignore[method-assign]
    with pytest.raises(PageSortError, match=r"memory for 4 pages.*--batch_size"):
        unplotted(model, request_of(folder, tmp_path / "result"))


def test_plots_belong_to_the_evaluation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    labels = ("a $x$ label", "日本", "l" * 80, "ř\n")
    folder = write_pages(tmp_path / "pages", labels, 3)
    request = request_of(folder, tmp_path / "result", model="some $model$")
    outcome = evaluate(colour_model(labels), request)
    kinds = {path.name.split("_3n")[0] for path in outcome.files if path.parent.name == "plots"}
    assert kinds == {"conf_mat", "reliability"}
    zero = evaluate(colour_model(labels), replace(request, zero_shot=True))
    kinds = {path.name.split("_3n")[0] for path in zero.files if path.parent.name == "plots"}
    assert kinds == {"conf_mat", "reliability", "samples"}
    assert all(
        min(Image.open(path).size) >= 300
        for path in zero.files
        if "3n" in path.name and path.suffix == ".png"
    )
    assert {path.name for path in (tmp_path / "result" / "stats").glob("model*.csv")} == {
        "model_accuracies.csv",
        "model_accuracies_zero.csv",
    }
