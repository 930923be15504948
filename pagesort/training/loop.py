"""The loop that trains every model of this project, on one process or on several.

It is a loop of our own because what it has to keep, the order of the views, checkpoints by the
clock and a resumption to the bit, is what `transformers.Trainer` hides behind private methods.
"""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from transformers import get_cosine_schedule_with_warmup

from pagesort.common.errors import PageSortError
from pagesort.common.processes import process_number, processes
from pagesort.training.process_group import agreed, mean_of_all, wait_for_all
from pagesort.training.state import RunFolder, translate_damaged, translate_unwritable

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

    from pagesort.training.recipe import Precision


Figures = Mapping[str, float]

_KINDS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STATE_FILE = "state.pt"
# Where several processes train, they agree on the time only at every so many steps.
_STEPS_BETWEEN_CLOCKS = 10


@dataclass(frozen=True)
class Schedule:
    """How many views make a step, how many steps are made, and what happens when.

    Args:
        steps: of the whole training.
        batch_size: views that a process takes at once.
        accumulation: batches of each process whose gradients are averaged for one step.
        warmup_steps: over which the learning rates rise; then they fall to 0 along a cosine.
        gradient_clip: the longest gradient of a step.
        precision: of the forward pass.
        steps_per_epoch: after so many steps the weights are validated and a checkpoint is kept; by
            default after the last one.
        log_every: steps between two reports.
        save_seconds: time between two checkpoints within an epoch.
        workers: processes that prepare views, for each training process.
    """

    steps: int
    batch_size: int
    seed: int
    accumulation: int = 1
    warmup_steps: int = 0
    gradient_clip: float = math.inf
    precision: Precision = "no"
    steps_per_epoch: int | None = None
    log_every: int = 10
    save_seconds: float = 600.0
    workers: int = 0

    def batches(self, first_step: int, process: int, of: int) -> list[range]:
        """Numbers of the views of every batch of one process: the processes take turns."""
        numbers = range(first_step * self.accumulation * of, self.steps * self.accumulation * of)
        size = self.batch_size
        return [range(number * size, (number + 1) * size) for number in numbers[process::of]]


class Watcher:
    """What looks on while a model is trained; this one sees nothing."""

    def begin(self, step: int, steps: int) -> None:
        """The training begins after `step` of all its steps."""

    def after_step(self, step: int) -> None:
        """A step is made, and the moving average has followed it."""

    def report(self, figures: Figures) -> None:
        """Figures of the steps since the last report, or, as `eval_…`, of a validation."""

    def end(self) -> None:
        """The training has ended, or has failed."""


def fit(
    learner: nn.Module,
    views: Dataset[Any],
    collate: Callable[[list[Any]], Mapping[str, torch.Tensor]],
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    *,
    average: ModelEmaV3 | None = None,
    validate: Callable[[int], Figures] | None = None,
    run: RunFolder | None = None,
    watchers: Sequence[Watcher] = (),
    is_enough: Callable[[Sequence[Figures]], bool] | None = None,
) -> list[dict[str, float]]:
    """Train a learner in place to the last step, from the last checkpoint if there is one.

    Of several processes each calls this, after `join_processes`.

    Args:
        learner: returns a dictionary with `loss`, a mean over the views of a batch.
        views: view `i` is the same whoever asks for it; they are taken in order, each batch holding
            consecutive ones.
        collate: makes the learner's keyword arguments of views.
        optimiser: of the learner's parameters; the learning rates are its greatest.
        average: of `moving_average`; follows every step.
        validate: returns figures of the present weights; called at the end of each epoch with the
            step, in every process.
        run: an open folder for checkpoints; without one none is kept.
        is_enough: asked at the end of each epoch, with all reports, whether the training ends
            early; nothing else must decide its answer.

    Returns:
        All reports of this training, those before an interruption included, each with its `step`.

    Raises:
        PageSortError: the loss is no number any more, a checkpoint is damaged or cannot be written.
    """
    training = _Training(
        learner, views, collate, optimiser, schedule, average, validate, run, watchers, is_enough
    )
    with translate_unwritable(run.folder) if run else contextlib.nullcontext():
        try:
            training.run_all()
        except BaseException as error:
            # Frees the loader, whose processes would else be waited for at some later time.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            for watcher in watchers:
                watcher.end()
    return training.history


@dataclass
class _Training:
    """One call of `fit`."""

    learner: nn.Module
    views: Dataset[Any]
    collate: Callable[[list[Any]], Mapping[str, torch.Tensor]]
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    average: ModelEmaV3 | None
    validate: Callable[[int], Figures] | None
    run: RunFolder | None
    watchers: Sequence[Watcher]
    is_enough: Callable[[Sequence[Figures]], bool] | None
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        schedule = self.schedule
        self._device = next(self.learner.parameters()).device
        self._rates = get_cosine_schedule_with_warmup(
            self.optimiser, schedule.warmup_steps, schedule.steps
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=schedule.precision == "fp16")
        self._loss = torch.zeros((), device=self._device)
        self._reported_step = 0
        self._seconds = 0.0
        self._saved = time.monotonic()

    def run_all(self) -> None:
        """Make every step that is left to make."""
        from accelerate.utils import set_seed

        set_seed(self.schedule.seed)
        step = self._reported_step = self._resume()
        batches = self._batches(step)
        model = self._shared(self.learner.train())
        for watcher in self.watchers:
            watcher.begin(step, self.schedule.steps)
        self._saved = time.monotonic()
        while step < self.schedule.steps and not self._ends_early(step):
            begun = time.monotonic()
            rate, norm = self._step(model, batches)
            step += 1
            if self.average is not None:
                self.average.update(self.learner, step)
            self._seconds += time.monotonic() - begun
            self._after_step(step, rate, norm)

    def _ends_early(self, step: int) -> bool:
        """Whether an epoch has just ended, or the interrupted one had, as the last one."""
        is_end = step > 0 and step % (self.schedule.steps_per_epoch or self.schedule.steps) == 0
        return is_end and self.is_enough is not None and self.is_enough(self.history)

    def _batches(self, step: int) -> Any:
        loader = DataLoader(
            self.views,
            # Declared as lists; any sequence of numbers serves.
            batch_sampler=self.schedule.batches(step, process_number(), processes()),  # type: ignore[arg-type]
            collate_fn=self.collate,
            num_workers=self.schedule.workers,
            pin_memory=self._device.type == "cuda",
            # Of its own, or going on would take one number more than an undisturbed training.
            generator=torch.Generator(),
        )
        return iter(loader)

    def _shared(self, learner: nn.Module) -> nn.Module:
        """The learner, its gradients averaged over all processes."""
        if processes() == 1:
            return learner
        devices = [self._device] if self._device.type == "cuda" else None
        # The first process's statistics of batch normalisation are the ones that are kept.
        return DistributedDataParallel(learner, device_ids=devices, broadcast_buffers=False)

    def _step(self, model: nn.Module, batches: Any) -> tuple[float, torch.Tensor]:
        """Make one step; returns its learning rate, and the length of its gradient."""
        schedule, kind = self.schedule, _KINDS[self.schedule.precision]
        for part in reversed(range(schedule.accumulation)):
            batch = {
                name: value.to(self._device, non_blocking=True)
                for name, value in next(batches).items()
            }
            share_later: AbstractContextManager[None] = contextlib.nullcontext()
            if part > 0 and isinstance(model, DistributedDataParallel):
                share_later = model.no_sync()
            with share_later:
                with torch.autocast(self._device.type, kind, enabled=schedule.precision != "no"):
                    loss = model(**batch)["loss"] / schedule.accumulation
                self._scaler.scale(loss).backward()
            self._loss += loss.detach()
        self._scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), schedule.gradient_clip)
        rate, scale = max(self._rates.get_last_lr()), self._scaler.get_scale()
        self._scaler.step(self.optimiser)
        self._scaler.update()
        if self._scaler.get_scale() >= scale:  # else the step was left out for its overflow
            self._rates.step()
        self.optimiser.zero_grad()
        return rate, norm

    def _after_step(self, step: int, rate: float, norm: torch.Tensor) -> None:
        """Report, validate and keep what is due after this step."""
        schedule = self.schedule
        for watcher in self.watchers:
            watcher.after_step(step)
        ends_epoch = step % (schedule.steps_per_epoch or schedule.steps) == 0
        # A checkpoint is reported, as it does not hold the sum of losses since the last report.
        saves = self.run is not None and (ends_epoch or self._is_time(step))
        if saves or ends_epoch or step % schedule.log_every == 0:
            self._report_steps(step, rate, norm)
        if ends_epoch and self.validate is not None:
            figures = self.validate(step)
            self._report(step, {f"eval_{name}": value for name, value in figures.items()})
        if saves:
            self._save(step)

    def _is_time(self, step: int) -> bool:
        if processes() > 1 and step % _STEPS_BETWEEN_CLOCKS:
            return False
        return agreed(time.monotonic() - self._saved > self.schedule.save_seconds)

    def _report_steps(self, step: int, rate: float, norm: torch.Tensor) -> None:
        count = step - self._reported_step
        loss = mean_of_all(self._loss) / count
        figures = {"loss": loss, "learning_rate": rate, "grad_norm": norm.item()}
        self._report(step, figures | {"seconds_per_step": self._seconds / count})
        self._loss.zero_()
        self._reported_step, self._seconds = step, 0.0

    def _report(self, step: int, figures: Figures) -> None:
        """Note figures down and let them be seen.

        Raises:
            PageSortError: a loss is no number any more, before that reaches a checkpoint.
        """
        figures = {"step": step, **figures}
        if not all(math.isfinite(figures.get(name, 0.0)) for name in ("loss", "eval_loss")):
            raise PageSortError(
                f"the training diverged: its loss is no number any more at step {step}",
                remedy="Lower --lr, or raise [TRAIN] warmup_ratio",
            )
        self.history.append(figures)
        for watcher in self.watchers:
            watcher.report(figures)

    def _save(self, step: int) -> None:
        """Keep all that decides the following steps."""
        assert self.run is not None
        folder = self.run.partial / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(_random_state(self._device), folder / f"random-{process_number()}.pt")
        if process_number() == 0:
            parts = {name: part.state_dict() for name, part in self._parts().items()}
            torch.save({"step": step, "history": self.history, **parts}, folder / _STATE_FILE)
        wait_for_all()
        if process_number() == 0:
            self.run.adopt_checkpoint(step)
        self._saved = time.monotonic()

    def _resume(self) -> int:
        """Load the last checkpoint; returns its step, 0 without one."""
        last = self.run.last_checkpoint() if self.run else None
        if self.run is None or last is None:
            return 0
        with translate_damaged(self.run.folder):
            state = torch.load(last[1] / _STATE_FILE, map_location="cpu", weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.history = state["history"]
            file = last[1] / f"random-{process_number()}.pt"
            _set_random_state(torch.load(file, weights_only=True), self._device)
            return state["step"]

    def _parts(self) -> dict[str, Any]:
        parts = {
            "learner": self.learner,
            "optimiser": self.optimiser,
            "rates": self._rates,
            "scaler": self._scaler,
        }
        return parts if self.average is None else parts | {"average": self.average}


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _set_random_state(state: Mapping[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
