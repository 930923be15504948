"""Two models on the same pages: the figures, what does not count, and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pagesort.common.errors import PageSortError
from pagesort.evaluation.paired import Contender, compare_pair, paired_figures
from pagesort.labelled.trained_names import NO_NAMES
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.evaluations import colour_model, request_of, write_pages

__all__ = ["command", "workplace"]  # fixtures


def test_figures_are_those_computed_by_hand() -> None:
    true = np.zeros(20, int)
    first, second = np.zeros(20, int), np.zeros(20, int)
    first[[0, 1]] = 1  # wrong with A only
    second[2:11] = 1  # wrong with B only
    first[11], second[11] = 1, 1  # wrong with both, the same guess
    first[12], second[12] = 1, 2  # wrong with both, differently
    figures = paired_figures(true, first, second, np.arange(20), seed=1)
    assert (figures.pages, figures.documents, figures.only, figures.differ) == (20, 20, (9, 2), 12)
    assert [each[0] for each in figures.accuracies] == [0.8, 0.45]
    value, low, high = figures.difference
    assert value == pytest.approx(0.35) and low < 0.35 < high
    # 2 (C(11,0) + C(11,1) + C(11,2)) / 2^11
    assert figures.p_value == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_pairing_makes_the_interval_narrower_and_documents_wider() -> None:
    stream = np.random.default_rng(3)
    hard = stream.random(400) < 0.4  # pages that both fail
    first = np.where(hard, 1, 0)
    second = np.where(hard | (stream.random(400) < 0.05), 1, 0)
    true = np.zeros(400, int)
    figures = paired_figures(true, first, second, np.arange(400), seed=1)
    (_, a_low, a_high), (_, b_low, b_high) = figures.accuracies
    paired = figures.difference[2] - figures.difference[1]
    assert paired < 0.6 * np.hypot(a_high - a_low, b_high - b_low)
    same = paired_figures(true, first, first, np.arange(400), seed=1)
    assert (same.difference, same.p_value) == ((0.0, 0.0, 0.0), 1.0)


def _contender(name: str, labels: str = "ABC", **more: object) -> Contender:
    values = {"trained": frozenset(), "trained_names": NO_NAMES, "zero_shot": False}
    return Contender(colour_model(labels), name, "own", **(values | more))  # type: ignore[arg-type]


def test_the_table_says_which_of_them_is_right(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", "ABC", 6)
    # B takes the second label for the third, and the other way round.
    pair = [_contender("a"), _contender("b", "ACB")]
    outcome = compare_pair(pair, request_of(folder, tmp_path / "result"))
    rows = read_table(outcome.differing)
    right = {"A": "CLASS-A", "B": "CLASS-B"}
    assert len(rows) == outcome.figures.differ
    for row in rows:
        assert {row["CLASS-A"], row["CLASS-B"]} == {"B", "C"}
        assert row["RIGHT"] in right or row["TRUE"] == "A"
        assert all(
            (row[name] == row["TRUE"]) == (side == row["RIGHT"]) for side, name in right.items()
        )
    counts = [sum(row["RIGHT"] == side for row in rows) for side in right]
    assert tuple(counts) == outcome.figures.only and counts[0] > counts[1] > 0


def test_pages_that_either_was_trained_on_do_not_count(tmp_path: Path) -> None:
    from pagesort.labelled.folder import page_digests

    folder = write_pages(tmp_path / "pages", "ABC", 6)
    request = request_of(folder, tmp_path / "result")
    digests = [each for each in page_digests(request.pages) if each is not None]
    a = _contender("a", trained=frozenset(digests[:4]))
    outcome = compare_pair([a, _contender("b", trained=frozenset(digests[3:6]))], request)
    assert outcome.figures.pages == 12
    note = "note: left out: 6 pages that one of them was trained on (A: 4, B: 3)"
    assert note in outcome.lines
    report = json.loads(outcome.files[1].read_text(encoding="utf-8"))
    assert report["pages"]["trained_on"] == {"A": 4, "B": 3, "either": 6}
    with pytest.raises(PageSortError, match=r"each of the 18 pages .*4 by a, 14 by b"):
        compare_pair([a, _contender("b", trained=frozenset(digests[4:]))], request)


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Pages of two labels, a document a page."""
    folder = tmp_path / "pages"
    stream = np.random.default_rng(5)
    from tests.helpers.evaluations import write_page

    for label in ("DRAW", "TEXT_T"):
        for number in range(8):
            write_page(folder / label / f"d{number}-1.png", stream.integers(0, 256, 3))
    return folder


def test_the_command_tells_where_two_models_differ(
    command: Run, tiny_model_folder: Path, tmp_path: Path, shades: Path
) -> None:
    """A model whose labels have the descriptions of other labels differs from the right one."""
    other = tmp_path / "models" / "other ř"
    shutil.copytree(tiny_model_folder, other)
    settings = json.loads((other / "pagesort.json").read_text(encoding="utf-8"))
    texts = settings["descriptions"]
    settings["descriptions"] = dict(zip(texts, reversed(texts.values()), strict=True))
    (other / "pagesort.json").write_text(json.dumps(settings), encoding="utf-8")
    words = ("--compare_models", tiny_model_folder, "other ř", "--model_dir", other.parent)
    status, out, err = command(*words, "--eval_folder", shades, model=False)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("A: tiny, B: other ř: 16 pages of 8 documents, all pages of ")
    paths = {Path(line).name.split("_")[0]: Path(line) for line in lines if line.endswith(".csv")}
    rows = read_table(paths["COMPARED"])
    both = [pd.read_csv(line) for line in lines if Path(line).name.startswith("EVAL_table")]
    differ = both[0]["CLASS-1"] != both[1]["CLASS-1"]
    assert 0 < len(rows) == differ.sum()
    names = {"A": "CLASS-A", "B": "CLASS-B"}
    assert all(row["CLASS-A"] != row["CLASS-B"] for row in rows)
    assert all(row["TRUE"] == row[names[row["RIGHT"]]] for row in rows if row["RIGHT"] in names)
    assert f"{'different guesses':<30} {len(rows)} pages" in lines
    (report_file,) = [line for line in lines if "COMPARED" in line and line.endswith(".json")]
    report = json.loads(Path(report_file).read_text(encoding="utf-8"))
    right = [(each["CLASS-1"] == each["TRUE"]).mean() for each in both]
    assert report["figures"]["difference"][0] == pytest.approx(right[0] - right[1])
    assert command("--check", paths["COMPARED"], model=False)[0] == 0
    record = json.loads(paths["COMPARED"].with_suffix(".json").read_text(encoding="utf-8"))
    assert [model["name"] for model in record["models"]] == ["tiny", "other ř"]


def test_two_models_that_cannot_be_compared_are_told(
    command: Run, tiny_model_folder: Path, shades: Path
) -> None:
    twice = ("--compare_models", tiny_model_folder, tiny_model_folder, "--eval_folder", shades)
    assert "these are the same" in error_line(command(*twice, model=False), 2)
    missing = command("--compare_models", tiny_model_folder, "none", model=False)
    assert "the model does not exist" in error_line(missing)
    alone = command("--compare_models", tiny_model_folder, model=False)
    assert "Allowed: two models" in error_line(alone, 2)
    contradiction = command("--compare_models", "a", "b", model=True)
    assert "--compare_models and --model_path contradict" in error_line(contradiction, 2)
