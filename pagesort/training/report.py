"""How far a training is: lines or a bar while it runs, a picture of its curves afterwards."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.files import whole
from pagesort.common.progress import duration
from pagesort.training.loop import Watcher

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from tqdm import tqdm

logger = logging.getLogger(__name__)

_LOSS_COLOUR, _RATE_COLOUR, _ACCURACY_COLOUR = "#1f5f8b", "#777777", "#b5482a"


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
        logger.info(
            "epoch %d: %.1f %% of the validation pages right, loss %.4f",
            figures["step"] // self.steps_per_epoch,
            100 * figures["eval_accuracy"],
            figures["eval_loss"],
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
    history: Sequence[Mapping[str, float]], steps_per_epoch: int, best_epoch: int, path: Path
) -> None:
    """Draw loss, learning rate and validation accuracy over the epochs into a PNG.

    Args:
        history: the reports of `loop.fit`, in order, each with its `step`.
        best_epoch: from 1; marked.
        path: the PNG; its name, without the ending, is the title.

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
    loss.set_ylim(bottom=0)
    loss.set_ylabel("loss (nats a page)")
    loss.legend()
    steps, rates = _series(history, "learning_rate", steps_per_epoch)
    rate.plot(steps, rates, _style(steps), color=_RATE_COLOUR)
    rate.set_ylim(bottom=0)
    rate.set_ylabel("learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    epochs, accuracies = _series(history, "eval_accuracy", steps_per_epoch)
    _draw_accuracy(accuracy, epochs, [100 * value for value in accuracies], best_epoch)
    accuracy.set_xlabel("epoch")
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss, rate, accuracy):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    accuracy.set_xlim(left=0)
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


def _style(points: Sequence[float]) -> str:
    """Mark the points of a line that has next to none."""
    return "o-" if len(points) < 3 else "-"


def _series(
    history: Sequence[Mapping[str, float]], name: str, steps_per_epoch: int
) -> tuple[list[float], list[float]]:
    """Epochs and values of one kind of report."""
    found = [(entry["step"] / steps_per_epoch, entry[name]) for entry in history if name in entry]
    return [epoch for epoch, _ in found], [value for _, value in found]
