"""Services besides TensorBoard that show a training: Weights & Biases, and MLflow.

Where they send figures to, and under which name, is theirs to be told: by their own environment
variables and logins. Each keeps one run for a training, however often that is interrupted.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError
from pagesort.common.files import write_whole
from pagesort.training.loop import Watcher
from pagesort.training.tensorboard import title_of

if TYPE_CHECKING:
    from pagesort.training.state import RunFolder

logger = logging.getLogger(__name__)

SERVICES = ("wandb", "mlflow")
PROJECT = "pagesort"
_KEPT_RUN = "mlflow_run.txt"


def check_services(names: Sequence[str]) -> None:
    """Find the packages of services, without importing them.

    Raises:
        PageSortError: one is not installed.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise PageSortError(
            f"--report_to takes the package {missing[0]}, which is not installed",
            remedy=f"Type python3 -m pip install {' '.join(missing)}",
        )


def services(names: Sequence[str], run: RunFolder, settings: Mapping[str, Any]) -> list[Watcher]:
    """Return what sends the figures of a training to the services named.

    Args:
        run: of the training; its fingerprint is the same after an interruption.
        settings: hyper-parameters.
    """
    kinds = {"wandb": Wandb, "mlflow": MLflow}
    return [kinds[name](run, settings) for name in names]


class _Service(Watcher):
    """Sends figures; a service that fails is told once and then left alone."""

    name = ""

    def __init__(self, run: RunFolder, settings: Mapping[str, Any]) -> None:
        self.folder = run.folder
        self.key = run.fingerprint[:16]
        self.settings = dict(settings)
        self._module: Any = None

    def begin(self, step: int, steps: int) -> None:
        """Open the run, or go on with it."""
        self._try(self._import_and_open)

    def report(self, figures: Mapping[str, float]) -> None:
        """Send figures, under the names that TensorBoard has for them."""
        if self._module is not None:
            shown = {title_of(name): each for name, each in figures.items() if name != "step"}
            self._try(lambda: self._send(shown, int(figures["step"])))

    def end(self) -> None:
        """Close the run."""
        if self._module is not None:
            self._try(self._close)
            self._module = None

    def _try(self, do: Any) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever a network does, the training goes on
            lines = str(error).strip().splitlines() or [type(error).__name__]
            logger.warning("%s gets no more figures of this training: %s", self.name, lines[0])
            self._module = None

    def _import_and_open(self) -> None:
        module = importlib.import_module(self.name)
        self._open(module)
        self._module = module

    def _open(self, module: Any) -> None:
        raise NotImplementedError

    def _send(self, figures: Mapping[str, float], step: int) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class Wandb(_Service):
    """Weights & Biases."""

    name = "wandb"

    def _open(self, module: Any) -> None:
        module.init(
            project=PROJECT,
            id=self.key,
            name=self.folder.name,
            resume="allow",
            config=self.settings,
            dir=str(self.folder),
        )

    def _send(self, figures: Mapping[str, float], step: int) -> None:
        self._module.log(dict(figures), step=step)

    def _close(self) -> None:
        self._module.finish()


class MLflow(_Service):
    """MLflow."""

    name = "mlflow"

    def _open(self, module: Any) -> None:
        kept = self.folder / _KEPT_RUN
        module.set_experiment(PROJECT)
        if kept.is_file():
            module.start_run(run_id=kept.read_text(encoding="utf-8").strip())
            return
        run = module.start_run(run_name=self.folder.name)
        module.log_params(self.settings)
        write_whole(kept, run.info.run_id)

    def _send(self, figures: Mapping[str, float], step: int) -> None:
        self._module.log_metrics(dict(figures), step=step)

    def _close(self) -> None:
        self._module.end_run()
