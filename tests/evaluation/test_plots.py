"""Plots of evaluations: what is drawn, and that every size stays readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.evaluation.metrics import ConfidenceBin, report_of_table
from pagesort.evaluation.plots import (
    SamplePage,
    _wilson,
    reliability_diagram,
    sample_figure,
    spread_over_labels,
)
from tests.helpers.evaluations import COLOURS, write_page


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
    found = _wilson(ConfidenceBin(0.0, 1.0, pages, right, 0.5, right / pages))
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("pages", [1, 40])
def test_reliability_of_few_pages(tmp_path: Path, pages: int) -> None:
    import pandas as pd

    scores = np.linspace(0.3, 1.0, pages)
    table = pd.DataFrame({"FILE": "doc", "PAGE": range(pages), "CLASS-1": "A", "SCORE-1": scores})
    table["TRUE"] = ["A" if number % 3 else "B" for number in range(pages)]
    report = report_of_table(table, ["A", "B"], 1)
    reliability_diagram(report, "a model with a $ sign", tmp_path / "plots" / "reliability.png")
    pixels = np.asarray(Image.open(tmp_path / "plots" / "reliability.png").convert("RGB"))
    assert min(pixels.shape[:2]) >= 500 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("count", [1, 5, 12])
def test_sample_pages_show_their_pixels(tmp_path: Path, count: int) -> None:
    samples = []
    for number in range(count):
        path = tmp_path / f"page-{number}.png"
        write_page(path, COLOURS[number])
        samples.append(SamplePage(path, "ab"[number % 2], (0.9, 0.1)))
    (tmp_path / "page-0.png").write_bytes(b"damaged meanwhile")
    sample_figure(samples, ["a", "b"], "title", tmp_path / "samples.png")
    pixels = np.asarray(Image.open(tmp_path / "samples.png").convert("RGB")).reshape(-1, 3)
    shown = [bool((pixels == colour).all(axis=1).any()) for colour in COLOURS[:count]]
    assert shown == [False] + [True] * (count - 1)
