"""Plots of evaluations: what is drawn, and that every size stays readable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pagesort.common.shares import wilson
from pagesort.evaluation.metrics import report_of_table
from pagesort.evaluation.plots import (
    SamplePage,
    reliability_diagram,
    sample_figure,
    spread_over_labels,
)
from tests.helpers.evaluations import COLOURS, write_page
from tests.helpers.plots import bar_lengths, figures, texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures"]  # a fixture


def test_samples_are_spread_over_the_labels() -> None:
    true = np.array([0] * 50 + [3] * 2 + [7])
    chosen = spread_over_labels(true, 420)
    assert len(chosen) == len(set(chosen)) == 12
    assert np.bincount(true[chosen]).tolist() == [9, 0, 0, 2, 0, 0, 0, 1]
    assert true[chosen].tolist() == sorted(true[chosen])
    assert chosen == spread_over_labels(true, 420) != spread_over_labels(true, 421)
    many = spread_over_labels(np.repeat(np.arange(40), 3), 1)
    assert len({place // 3 for place in many}) == 12
    assert max(many) // 3 > 30
    assert spread_over_labels(np.array([2]), 1) == [0]


@pytest.mark.parametrize(
    ("right", "pages", "expected"),
    [(0, 1, (0.0, 0.793)), (5, 10, (0.237, 0.763)), (10, 10, (0.722, 1.0))],
)
def test_wilson_intervals(right: int, pages: int, expected: tuple[float, float]) -> None:
    # Values of R's binom.confint(right, pages, methods = "wilson").
    assert wilson(right, pages) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("pages", [1, 40])
def test_the_reliability_diagram_shows_the_report(
    tmp_path: Path, figures: list[Figure], pages: int
) -> None:
    import pandas as pd

    scores = np.linspace(0.3, 1.0, pages)
    table = pd.DataFrame({"FILE": "doc", "PAGE": range(pages), "CLASS-1": "A", "SCORE-1": scores})
    table["TRUE"] = ["A" if number % 3 else "B" for number in range(pages)]
    report = report_of_table(table, ["A", "B"], 1)
    path = tmp_path / "plots" / "reliability.png"
    reliability_diagram(report, "a model with a $ sign", path)
    (figure,) = figures
    upper, lower = figure.axes
    filled = [each for each in report.bins if each.pages]
    assert bar_lengths(upper) == pytest.approx([100 * each.accuracy for each in filled])
    assert bar_lengths(lower) == [each.pages for each in filled]
    assert texts(lower) == [str(each.pages) for each in filled]
    title = figure.get_suptitle()
    assert title.startswith("a model with a \\$ sign\n")
    assert f"{report.ece:.3f}" in title and f"of {pages} pages" in title
    assert min(Image.open(path).size) >= 500


@pytest.mark.parametrize("count", [1, 5, 12])
def test_sample_pages_show_their_pixels_and_guesses(
    tmp_path: Path, figures: list[Figure], count: int
) -> None:
    samples = []
    for number in range(count):
        path = tmp_path / f"page-{number}.png"
        write_page(path, COLOURS[number])
        samples.append(SamplePage(path, "ab"[number % 2], (0.9, 0.1)))
    (tmp_path / "page-0.png").write_bytes(b"damaged meanwhile")
    sample_figure(samples, ["a", "b"], "title", tmp_path / "samples.png")
    pages = [axes for axes in figures[0].axes if axes.get_title()]
    guesses = [axes for axes in figures[0].axes if len(axes.texts) == 2]
    assert not pages[0].images and len(pages) == len(guesses) == count
    shown = [axes.images[0].get_array()[0, 0].tolist() for axes in pages[1:]]
    assert shown == COLOURS[1:count].tolist()
    signs = [f"{'✗' if number % 2 else '✓'} {'ab'[number % 2]}" for number in range(count)]
    assert [axes.get_title().splitlines()[0] for axes in pages] == signs
    for axes in guesses:
        assert texts(axes) == ["90.0 %  a", "10.0 %  b"]
        assert bar_lengths(axes) == [0.9, 0.1]
