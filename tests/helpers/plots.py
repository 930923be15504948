"""Figures as they were drawn, so that tests read their bars and labels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is written as a PNG from now on, in order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn: list[Figure] = []
    write = FigureCanvasAgg.print_png

    @functools.wraps(write)
    def note(canvas: Any, *arguments: Any, **more: Any) -> None:
        if canvas.figure not in drawn:  # savefig begins a drawing twice
            drawn.append(canvas.figure)
        write(canvas, *arguments, **more)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", note)
    return drawn


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the files of plots empty: to draw one takes a third of a second."""

    def touch(_: Figure, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    for module in ("pagesort.evaluation.plots", "utils"):
        monkeypatch.setattr(f"{module}.save_png", touch)


def texts(axes: Axes) -> list[str]:
    """What is written into a panel, in the order of drawing."""
    return [text.get_text() for text in axes.texts]


def bar_lengths(axes: Axes) -> list[float]:
    """The lengths of a panel's bars, whichever way they lie, in the order of drawing."""
    lengths: list[float] = []
    for bars in axes.containers:
        if hasattr(bars, "patches"):
            lying = bars.orientation == "horizontal"
            lengths += [bar.get_width() if lying else bar.get_height() for bar in bars.patches]
    return lengths
