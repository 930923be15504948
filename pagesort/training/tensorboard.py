"""What TensorBoard shows of a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.training.loop import Watcher

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


_EVALUATION = "eval_"
_FLUSH_SECONDS = 1
"""What is drawn passes through a thread of the writer's, where a flush does not reach all."""


def title_of(name: str) -> str:
    """Return what a curve is called: `eval/…` for validation, `train/…` for the steps."""
    if name.startswith(_EVALUATION):
        return f"eval/{name.removeprefix(_EVALUATION)}"
    return f"train/{name}"


class TensorBoard(Watcher):
    """Writes curves and hyper-parameters for TensorBoard.

    Args:
        folder: of this training; made where it is missing.
        settings: hyper-parameters; what is no number, truth value or text is written as text.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.settings = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in settings.items()
        }
        self._writer: SummaryWriter | None = None

    def begin(self, step: int, steps: int) -> None:
        """Begin a file; curves that an interrupted training drew beyond `step` are left out."""
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams

        self._writer = SummaryWriter(
            str(self.folder), purge_step=step + 1 if step else None, flush_secs=_FLUSH_SECONDS
        )
        *beginning, _ = hparams(self.settings, {"eval/accuracy": 0.0})
        for summary in beginning:
            self._writer.file_writer.add_summary(summary)

    def report(self, figures: Mapping[str, float]) -> None:
        """Draw each figure on."""
        if self._writer is None:
            return
        for name, value in figures.items():
            if name != "step":
                self._writer.add_scalar(title_of(name), value, int(figures["step"]))
        if any(name.startswith(_EVALUATION) for name in figures):
            self._writer.flush()

    def write_text(self, title: str, text: str, step: int) -> None:
        """Show a text, which may be a table in Markdown, at a step."""
        if self._writer is not None:
            self._writer.add_text(title, text, step)

    def end(self) -> None:
        """Complete the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
