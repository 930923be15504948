"""The plots of evaluations: reliability, sample pages with their guesses, and models compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.drawing import plot_text, save_png
from pagesort.common.errors import PageUnreadableError
from pagesort.common.shares import wilson
from pagesort.evaluation.metrics import Report
from pagesort.pages.loader import load_page
from utils import top_guesses

if TYPE_CHECKING:
    from pagesort.evaluation.accuracies import Row

BLUE, ORANGE, GREEN, RED, GREY = "#2166ac", "#e08214", "#1a7f37", "#b2182b", "#8a94a0"
MOST_SAMPLES = 12
SAMPLES_A_ROW = 4
SAMPLE_GUESSES = 3
THUMBNAIL = (360, 480)  # pixels, width and height at most
MOST_BARS = 200  # of one folder's pages; a longer plot nobody reads


@dataclass(frozen=True)
class SamplePage:
    """A page of the figure of samples: `scores` are probabilities in label order."""

    path: Path
    true: str
    scores: tuple[float, ...]


def reliability_diagram(report: Report, title: str, path: Path) -> None:
    """Draw how many pages of each range of scores are right, and how many pages it has.

    Whiskers are Wilson's 95 % intervals, which are wide where a range has few pages.

    Raises:
        OSError: the plot cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 6.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = [each for each in report.bins if each.pages]
    centres = [100 * (each.low + each.high) / 2 for each in filled]
    width = 100 * (report.bins[0].high - report.bins[0].low) * 0.92
    accuracy = np.array([100 * (each.accuracy or 0.0) for each in filled])
    confidence = [100 * (each.confidence or 0.0) for each in filled]
    ends = 100 * np.array([wilson(each.right, each.pages) for each in filled])
    upper.plot((0, 100), (0, 100), color=GREY, linestyle="--", label="perfect calibration")
    upper.bar(centres, accuracy, width, color=BLUE, alpha=0.35, label="pages right")
    whiskers = np.clip([accuracy - ends[:, 0], ends[:, 1] - accuracy], 0, None)
    upper.errorbar(
        confidence, accuracy, whiskers, fmt="o", color=BLUE, capsize=3, markersize=5,
        label="at their mean score, with 95 % interval",
    )  # fmt: skip
    upper.set(ylabel="pages right, %", xlim=(0, 100), ylim=(-2, 102))
    upper.legend(loc="upper left", fontsize=8)
    counts = [each.pages for each in filled]
    lower.bar(centres, counts, width, color=GREY)
    for centre, count in zip(centres, counts, strict=True):
        lower.annotate(
            str(count), (centre, count), (0, 1), textcoords="offset points", ha="center", fontsize=7
        )
    lower.margins(y=0.2)
    lower.set(xlabel="score of the first guess, %", ylabel="pages")
    lower.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(
        f"{plot_text(title, 70)}\nexpected calibration error {report.ece:.3f}, "
        f"mean score {100 * report.mean_confidence:.1f} %, accuracy "
        f"{100 * report.top_at(1).value:.1f} % of {report.pages} pages",
        fontsize=9,
    )
    save_png(figure, path)


def spread_over_labels(true: np.ndarray, seed: int, most: int = MOST_SAMPLES) -> list[int]:
    """Choose sample pages: of each label in turn one, drawn at random, until there are `most`.

    Of more labels than samples, some are taken at even steps.
    """
    stream = np.random.default_rng(seed)
    labels = np.unique(true)
    if len(labels) > most:
        labels = labels[np.arange(most) * len(labels) // most]
    drawn = [stream.permutation(np.flatnonzero(true == label)).tolist() for label in labels]
    chosen: list[tuple[int, int]] = []
    for turn in range(max(map(len, drawn))):
        chosen += [(label, pages[turn]) for label, pages in enumerate(drawn) if turn < len(pages)]
    return [place for _, place in sorted(chosen[:most])]


def sample_figure(
    samples: Sequence[SamplePage],
    labels: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draw pages with their true label and best guesses.

    Raises:
        OSError: the plot cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(SAMPLES_A_ROW, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(max(3.1 * columns, 6.0), 4.4 * rows + 0.6), layout="constrained")
    cells = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(4, 1) * rows)
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        page, guesses = cells[2 * row, column], cells[2 * row + 1, column]
        guesses.axis("off")
        if number < len(samples):
            _draw_sample(page, guesses, samples[number], labels)
        else:
            page.axis("off")
    caption = "true label above each page, best guesses below"
    figure.suptitle(f"{plot_text(title, 70)}\n{caption}", fontsize=10)
    save_png(figure, path)


def _draw_sample(page: Any, guesses: Any, sample: SamplePage, labels: Sequence[str]) -> None:
    page.set(xticks=(), yticks=())
    page.spines[:].set_color(GREY)
    try:
        image = load_page(sample.path, math.inf)  # none that was scored is too large
        image.thumbnail(THUMBNAIL)
        page.imshow(np.asarray(image.convert("RGB")))
    except PageUnreadableError as error:  # it was readable a moment ago
        page.text(0.5, 0.5, plot_text(error.what, 40), ha="center", transform=page.transAxes)
    best = top_guesses(sample.scores, min(SAMPLE_GUESSES, len(labels)))
    right = labels[best[0][0]] == sample.true
    page.set_title(
        f"{'✓' if right else '✗'} {plot_text(sample.true, 24)}\n{plot_text(sample.path.name, 34)}",
        fontsize=8,
        color=GREEN if right else RED,
    )
    for line, (index, score) in enumerate(best):
        colour = GREEN if labels[index] == sample.true else GREY
        guesses.barh(line, score, color=colour, alpha=0.35, height=0.85)
        text = f"{100 * score:.1f} %  {plot_text(labels[index], 26)}"
        guesses.text(0.01, line, text, va="center", fontsize=8)
    guesses.set(xlim=(0, 1), ylim=(SAMPLE_GUESSES - 0.4, -0.6))


def accuracy_bars(rows: Sequence[Row], path: Path, *, zero_shot: bool) -> None:
    """Draw top-1 (with its interval) and top-3 of models and description sets, the best on top.

    Rows of different folders or parts cannot be compared, so each has a panel of its own.

    Raises:
        OSError: the plot cannot be written.
    """
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        panels.setdefault((row.folder, row.part), []).append(row)
    for place, members in panels.items():
        panels[place] = sorted(members, key=lambda row: (-row.top_1, row.key))[:MOST_BARS]
    lengths = [len(members) + 1.6 for members in panels.values()] or [1.0]
    figure = Figure(figsize=(10.0, 0.34 * sum(lengths) + 1.4), layout="constrained")
    all_axes = figure.subplots(len(lengths), 1, squeeze=False, height_ratios=lengths)[:, 0]
    for axes, (place, members) in zip(all_axes, panels.items(), strict=False):
        _draw_bars(axes, members)
        folder = "/".join(PurePath(place[0]).parts[-2:])
        axes.set_title(f"{plot_text(folder, 50)}, {plot_text(place[1], 50)}", fontsize=9)
    kind = "untouched models (zero-shot)" if zero_shot else "models"
    figure.suptitle(f"Accuracy of {kind}: top-1 with its 95 % interval, and top-3", fontsize=11)
    all_axes[-1].set_xlabel("pages right, %")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save_png(figure, path)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(color=BLUE, alpha=0.55, label="averaged descriptions"),
        Patch(color=ORANGE, alpha=0.55, label="one description a label"),
        Line2D([], [], color="black", marker="D", linestyle="", markersize=4, label="top-3"),
    ]


def _draw_bars(axes: Any, rows: Sequence[Row]) -> None:
    names = []
    for line, row in enumerate(rows):
        values = 100 * np.array((row.top_1_low, row.top_1, row.top_1_high, row.top_3))
        low, value, high, third = values
        axes.barh(line, value, color=BLUE if row.averaged else ORANGE, alpha=0.55, height=0.72)
        whisker = np.clip([[value - low], [high - value]], 0, None)
        axes.errorbar(value, line, xerr=whisker, color="black", capsize=2.5, linewidth=1)
        axes.plot(third, line, "D", color="black", markersize=4, clip_on=False)
        axes.text(1.0, line, f"{value:.1f} %", va="center", fontsize=8)
        texts = f"{plot_text(row.descriptions, 24)}{', averaged' if row.averaged else ''}"
        names.append(f"{plot_text(row.model, 36)}, {texts} ({row.pages} pages)")
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.4, -0.6))
    axes.grid(axis="x", color="#d8dde3", linewidth=0.6)
    axes.set_axisbelow(True)
