"""How far a training is: lines or a bar while it runs, a picture of its curves afterwards."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.files import whole
from pagesort.common.progress import duration
from pagesort.training.loop import Watcher

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from tqdm import tqdm

    from pagesort.training.recipe import TrainOutcome

logger = logging.getLogger(__name__)

_LOSS_COLOUR, _RATE_COLOUR, _ACCURACY_COLOUR = "#1f5f8b", "#777777", "#b5482a"
_EXPORT_COLOUR = "#3b7a3b"


@dataclass(frozen=True)
class CurveEnds:
    """Figures of all validation pages before and after: of the start, and of the exported weights.

    `share` is the share of the trained weights in these; both are empty without pages.
    """

    start: Mapping[str, float]
    exported: Mapping[str, float]
    share: float = 1.0


NO_ENDS = CurveEnds({}, {})


class Reporter(Watcher):
    """Tells epoch, step, loss, learning rate, pages per second, time left and validation accuracy.

    Args:
        steps_per_epoch: steps.
        pages_per_step: of all processes together.
        is_terminal: whether to draw a bar; by default whether stderr is a terminal.
    """

    unit = "pages"

    def __init__(
        self, steps_per_epoch: int, pages_per_step: int, is_terminal: bool | None = None
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.pages_per_step = pages_per_step
        self._is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
        self._bar: tqdm | None = None
        self._begin_step = self._steps = 0
        self._begun = 0.0

    def begin(self, step: int, steps: int) -> None:
        """Start the clock and draw the bar."""
        self._begin_step, self._steps, self._begun = step, steps, time.monotonic()
        if self._is_terminal:
            from tqdm import tqdm

            self._bar = tqdm(
                total=steps,
                initial=step,
                unit=" steps",
                dynamic_ncols=True,
                file=sys.stderr,
                leave=False,
            )

    def after_step(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def report(self, figures: Mapping[str, float]) -> None:
        """Tell of a stretch of steps, or of a validation."""
        if "eval_accuracy" in figures:
            self._log_validation(figures)
        elif "loss" in figures:
            self._log_steps(figures)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _log_steps(self, figures: Mapping[str, float]) -> None:
        step = int(figures["step"])
        passed = time.monotonic() - self._begun
        left = passed / max(1, step - self._begin_step) * (self._steps - step)
        rate = self.pages_per_step / max(figures["seconds_per_step"], 1e-6)
        epoch, epochs = (-(-count // self.steps_per_epoch) for count in (step, self._steps))
        text = f"loss {figures['loss']:.4f}, lr {figures['learning_rate']:.2e}"
        text += f", {rate:.1f} {self.unit}/s"
        if self._bar is not None:
            self._bar.set_postfix_str(f"epoch {epoch} of {epochs}, {text}")
            return
        logger.info(
            "epoch %d of %d, step %d of %d: %s, %s left",
            epoch,
            epochs,
            step,
            self._steps,
            text,
            duration(left),
        )

    def _log_validation(self, figures: Mapping[str, float]) -> None:
        if self._bar is not None:
            self._bar.clear()
        shown = {name.removeprefix("eval_"): value for name, value in figures.items()}
        logger.info(
            "epoch %d: %s of the validation pages right%s, loss %.4f",
            figures["step"] // self.steps_per_epoch,
            *(percent(shown), interval(shown), shown["loss"]),
        )


def percent(figures: Mapping[str, float]) -> str:
    """Write the accuracy of figures of validation."""
    return f"{100 * figures['accuracy']:.1f} %"


def interval(figures: Mapping[str, float]) -> str:
    """Write the interval of the accuracy in brackets; nothing where there is none."""
    if "accuracy_low" not in figures:
        return ""
    low, high = (100 * figures[f"accuracy_{end}"] for end in ("low", "high"))
    return f" (95 % interval {low:.0f} to {high:.0f})"


def log_outcome(
    outcome: TrainOutcome,
    figures: Mapping[str, float],
    of_start: Mapping[str, float],
    is_probe: bool,
) -> None:
    """Tell which weights the new model has, and how it does beside its start.

    Args:
        figures, of_start: of the validation pages that the start has not seen.
        is_probe: whether the epochs are fits of a head.
    """
    mixed = f", mixed with {1 - outcome.wise_ft:.0%} of the start" if outcome.wise_ft < 1 else ""
    gain, is_worse = "", False
    if figures and of_start:
        is_worse = figures["accuracy"] < of_start["accuracy"]
        gain = (
            f": {percent(figures)} of the validation pages right{interval(figures)}, the starting "
            f"model {percent(of_start)}{interval(of_start)}; temperature {outcome.temperature:.2f}"
        )
    kind = "fit" if is_probe else "epoch"
    logger.info("the new model has the weights of %s %d%s%s", kind, outcome.epoch, mixed, gain)
    if is_worse:
        lower = "use towers = image" if is_probe else "lower --lr"
        logger.warning(
            "the new model sorts fewer validation pages right than the one it started from: %s, "
            "or train on more pages",
            lower,
        )


def pages_per_second(history: Sequence[Mapping[str, float]], pages_per_step: int) -> float:
    """Over all reported steps, validation and saving left out; 0 without a report."""
    reports = [each for each in history if "seconds_per_step" in each]
    seconds, before = 0.0, 0.0
    for each in reports:
        seconds += each["seconds_per_step"] * (each["step"] - before)
        before = each["step"]
    return before * pages_per_step / max(seconds, 1e-6)


def draw_curves(
    history: Sequence[Mapping[str, float]],
    steps_per_epoch: int,
    best_epoch: int,
    path: Path,
    ends: CurveEnds = NO_ENDS,
) -> None:
    """Draw loss, learning rate and validation accuracy over the epochs into a PNG.

    Args:
        history: the reports of `loop.fit`, in order, each with its `step`.
        best_epoch: from 1; marked.
        path: the PNG; its name, without the ending, is the title.
        ends: drawn at 0, and at the best epoch.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 8), layout="constrained")
    loss, rate, accuracy = figure.subplots(
        3, 1, sharex=True, height_ratios=(3, 1, 3), gridspec_kw={"hspace": 0.05}
    )
    figure.suptitle(path.stem, fontsize=11)
    steps, losses = _series(history, "loss", steps_per_epoch)
    loss.plot(steps, losses, _style(steps), color=_LOSS_COLOUR, label="training")
    epochs, eval_losses = _series(history, "eval_loss", steps_per_epoch)
    loss.plot(epochs, eval_losses, "o--", color=_ACCURACY_COLOUR, label="validation")
    if "loss" in ends.start:
        loss.plot(0, ends.start["loss"], "s", color=_ACCURACY_COLOUR)
    if "loss" in ends.exported:
        loss.plot(best_epoch, ends.exported["loss"], "D", ms=8, color=_EXPORT_COLOUR)
    loss.set_ylim(bottom=0)
    loss.set_ylabel("loss (nats a page)")
    loss.legend()
    _draw_rate(rate, history, steps_per_epoch)
    epochs, accuracies = _series(history, "eval_accuracy", steps_per_epoch)
    _draw_accuracy(accuracy, epochs, [100 * value for value in accuracies], best_epoch)
    _draw_ends(accuracy, history, steps_per_epoch, best_epoch, ends)
    is_probe = any("penalty" in entry for entry in history)
    accuracy.set_xlabel("fit, from the strongest penalty to the weakest" if is_probe else "epoch")
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss, rate, accuracy):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    accuracy.set_xlim(left=-0.1 if ends.start else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        figure.savefig(partial, dpi=120, format="png")


def _draw_accuracy(
    axes: Axes, epochs: Sequence[float], percents: Sequence[float], best_epoch: int
) -> None:
    axes.set_ylabel("validation pages right (%)")
    if not epochs:
        axes.text(0.5, 0.5, "no validation pages", ha="center", transform=axes.transAxes)
        return
    axes.plot(epochs, percents, "o-", color=_ACCURACY_COLOUR)
    least = min(percents)
    bottom = max(0.0, least - max(5.0, 0.3 * (100.0 - least)))
    axes.set_ylim(bottom, 101)
    axes.set_yticks([tick for tick in axes.get_yticks() if bottom <= tick <= 100.0])
    for epoch, percent in zip(epochs, percents, strict=True):
        if round(epoch) == best_epoch:
            text = f"best epoch: {percent:.1f} %"
            axes.plot(epoch, percent, "o", ms=12, mfc="none", color=_ACCURACY_COLOUR, label=text)
            axes.legend(loc="lower right")


def _draw_rate(axes: Axes, history: Sequence[Mapping[str, float]], steps_per_epoch: int) -> None:
    """Draw the learning rate; of a probe, the penalty in its place."""
    name = "penalty" if any("penalty" in entry for entry in history) else "learning_rate"
    steps, rates = _series(history, name, steps_per_epoch)
    axes.plot(steps, rates, _style(steps), color=_RATE_COLOUR)
    axes.set_ylabel(name.replace("_", " "))
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def _draw_ends(
    axes: Axes,
    history: Sequence[Mapping[str, float]],
    steps_per_epoch: int,
    best_epoch: int,
    ends: CurveEnds,
) -> None:
    """Draw start and export beside the epochs, and the intervals of all."""
    if not ends.start or not ends.exported:
        return
    start, exported = 100 * ends.start["accuracy"], 100 * ends.exported["accuracy"]
    axes.plot(0, start, "s", color=_ACCURACY_COLOUR, label=f"start: {start:.1f} %")
    mixed = f", {1 - ends.share:.0%} of the start in it" if ends.share < 1 else ""
    text = f"exported{mixed}: {exported:.1f} %"
    axes.plot(best_epoch, exported, "D", ms=8, color=_EXPORT_COLOUR, label=text)
    points = [(0.0, ends.start), (float(best_epoch), ends.exported)]
    points += [
        (
            entry["step"] / steps_per_epoch,
            {name.removeprefix("eval_"): value for name, value in entry.items()},
        )
        for entry in history
        if "eval_accuracy_low" in entry
    ]
    for place, figures in points:
        if "accuracy_low" in figures:
            low, high = (100 * figures[f"accuracy_{end}"] for end in ("low", "high"))
            axes.vlines(place, low, high, color=_ACCURACY_COLOUR, alpha=0.35)
    lowest = min(100 * figures.get("accuracy_low", 1.0) for _, figures in points)
    axes.set_ylim(bottom=min(axes.get_ylim()[0], max(0.0, lowest - 3)))
    axes.legend(loc="lower right", title="lines: 95 % intervals, pages taken one by one")


def _style(points: Sequence[float]) -> str:
    """Mark the points of a line that has next to none."""
    return "o-" if len(points) < 3 else "-"


def _series(
    history: Sequence[Mapping[str, float]], name: str, steps_per_epoch: int
) -> tuple[list[float], list[float]]:
    """Epochs and values of one kind of report."""
    found = [(entry["step"] / steps_per_epoch, entry[name]) for entry in history if name in entry]
    return [epoch for epoch, _ in found], [value for _, value in found]
