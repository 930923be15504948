"""What a person sees of a training."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pagesort.training.report import CurveEnds, Reporter, draw_curves, pages_per_second
from tests.helpers.plots import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures"]  # a fixture

HISTORY = [
    {"step": 5, "loss": 2.1, "learning_rate": 5e-5},
    {"step": 10, "loss": 1.2, "learning_rate": 2e-5},
    {"step": 10, "eval_loss": 1.0, "eval_accuracy": 0.75},
    {"step": 20, "loss": 0.7, "learning_rate": 0.0},
    {"step": 20, "eval_loss": 0.8, "eval_accuracy": 0.7},
]


def told(step: int, **figures: float) -> dict[str, float]:
    return {"step": step, "learning_rate": 3e-5, "seconds_per_step": 2.0, **figures}


def test_lines_tell_all_that_matters(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    times = [100.0, 110.0]
    monkeypatch.setattr("pagesort.training.report.time.monotonic", lambda: times.pop(0))
    reporter = Reporter(steps_per_epoch=10, pages_per_step=8, is_terminal=False)
    with caplog.at_level(logging.INFO):
        reporter.begin(10, 30)
        reporter.report(told(15, loss=0.51))
        reporter.report({"step": 20, "eval_accuracy": 0.875, "eval_loss": 0.4})
    assert caplog.messages == [
        "epoch 2 of 3, step 15 of 30: loss 0.5100, lr 3.00e-05, 4.0 pages/s, 30 s left",
        "epoch 2: 87.5 % of the validation pages right, loss 0.4000",
    ]


def test_the_rate_is_that_of_all_steps() -> None:
    history = [
        told(5, loss=0.5, seconds_per_step=1.0),
        {"step": 5, "eval_loss": 0.4},
        told(10, loss=0.4, seconds_per_step=3.0),
    ]
    assert pages_per_second(history, pages_per_step=8) == 4.0
    assert pages_per_second([], pages_per_step=8) == 0.0


def test_a_terminal_has_a_bar(capsys: pytest.CaptureFixture[str], caplog) -> None:
    reporter = Reporter(steps_per_epoch=10, pages_per_step=8, is_terminal=True)
    with caplog.at_level(logging.INFO):
        reporter.begin(0, 30)
        reporter.report(told(30, loss=0.25))
        reporter.after_step(30)
        reporter.end()
    shown = capsys.readouterr()
    assert "0/30" in shown.err
    assert "epoch 3 of 3, loss 0.2500, lr 3.00e-05" in shown.err
    assert (shown.out, caplog.messages) == ("", [])


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:2], []])
def test_curves_become_a_picture(history, tmp_path: Path) -> None:
    path = tmp_path / "plots" / "training_ViT.png"
    draw_curves(history, 10, 1, path)
    with Image.open(path) as picture:
        assert min(picture.size) > 600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_curves_show_every_report(figures: list[Figure], tmp_path: Path) -> None:
    draw_curves(HISTORY, 10, 1, tmp_path / "curves.png")
    loss, rate, accuracy = figures[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[0.5, 2.1], [1.0, 1.2], [2.0, 0.7]]
    assert loss.lines[1].get_xydata().tolist() == [[1.0, 1.0], [2.0, 0.8]]
    assert rate.lines[0].get_ydata().tolist() == [5e-5, 2e-5, 0.0]
    assert accuracy.lines[0].get_xydata().tolist() == [[1.0, 75.0], [2.0, 70.0]]
    assert accuracy.lines[1].get_xydata().tolist() == [[1.0, 75.0]]


def test_short_lines_are_marked_and_no_tick_is_above_all(
    figures: list[Figure], tmp_path: Path
) -> None:
    perfect = [{"step": 10, "eval_loss": 0.1, "eval_accuracy": 1.0}]
    draw_curves([*HISTORY[:2], *perfect], 10, 1, tmp_path / "curves.png")
    draw_curves(HISTORY, 10, 1, tmp_path / "more.png")
    loss, rate, accuracy = figures[0].axes
    assert loss.lines[0].get_marker() == rate.lines[0].get_marker() == "o"
    assert figures[1].axes[0].lines[0].get_marker() != "o"
    assert max(accuracy.get_yticks()) == 100.0


def test_the_curves_show_start_and_export_with_their_intervals(
    figures: list[Figure], tmp_path: Path
) -> None:
    start = {"accuracy": 0.5, "accuracy_low": 0.3, "accuracy_high": 0.7, "loss": 1.5}
    exported = {"accuracy": 0.8, "accuracy_low": 0.6, "accuracy_high": 0.9, "loss": 0.7}
    history = [entry | ({"eval_accuracy_low": 0.6, "eval_accuracy_high": 0.85}
               if "eval_accuracy" in entry else {}) for entry in HISTORY]  # fmt: skip
    ends = CurveEnds(start, exported, share=0.7)
    draw_curves(history, 10, 1, tmp_path / "curves.png", ends)
    loss, _, accuracy = figures[0].axes
    points = [line.get_xydata().tolist() for line in accuracy.lines]
    assert [[0.0, 50.0]] in points
    assert [[1.0, 80.0]] in points
    assert [[0.0, 1.5]] in [line.get_xydata().tolist() for line in loss.lines]
    shown = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert "start: 50.0 %" in shown
    assert "exported, 30% of the start in it: 80.0 %" in shown
    assert len(accuracy.collections) == 4  # the intervals of start, export and two epochs
    assert accuracy.get_ylim()[0] < 30
