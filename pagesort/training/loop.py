"""`transformers.Trainer` made to measure: views in order, epochs by steps, complete checkpoints."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from pagesort.common.errors import PageSortError
from pagesort.models.precision import has_bf16
from pagesort.training.recipe import Recipe
from pagesort.training.state import RunFolder, translate_damaged, translate_unwritable
from pagesort.training.weight_averaging import MovingAverage

logger = logging.getLogger(__name__)

SAVE_SECONDS = 600.0
# Where several processes train, they agree on the time only at every so many steps.
_STEPS_BETWEEN_CLOCKS = 10
_PATIENCE_SECONDS = 12 * 3600
_MOST_WORKERS = 8
_SHORT_OF_MEMORY = ("not enough memory", "out of memory", "can't allocate", "bad alloc")


class PageTrainer(Trainer):
    """Trains a LabelLearner, and keeps its state in a RunFolder.

    Args:
        run: where checkpoints go.
        average: the moving average that is saved and restored with the weights, if there is one.
        validate: scores the present weights and keeps the best; called at the end of each epoch
            with the step, in every process.
    """

    def __init__(
        self,
        run: RunFolder,
        average: MovingAverage | None,
        validate: Callable[[int], dict[str, float]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._run = run
        self._average = average
        self._validate = validate
        # It prints every report to stdout, which belongs to results.
        self.remove_callback(PrinterCallback)

    def train_or_close(self, checkpoint: Path | None) -> None:
        """Train, from a checkpoint if there is one; if that fails, leave nothing running."""
        # The reports of TensorBoard meet a full disk outside of checkpoints, too.
        with translate_unwritable(self._run.folder):
            try:
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            except BaseException as error:
                # Frees the loader, whose processes would else be waited for at some later time.
                traceback.clear_frames(error.__traceback__)
                # Closing fails as well where the disk is full, and must not hide why it is closed.
                with contextlib.suppress(Exception):
                    self.callback_handler.on_train_end(self.args, self.state, self.control)
                raise

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        # The views are shuffled already; taken in order, they are the same after an interruption.
        return SequentialSampler(train_dataset or self.train_dataset)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the validation pages; the figures go to the log with `eval_` before their names."""
        figures = self._validate(self.state.global_step)
        metrics = {f"eval_{name}": value for name, value in figures.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._run.partial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with translate_unwritable(self._run.folder):
            super()._save_checkpoint(model, trial)
            step = self.state.global_step
            if self.args.should_save and self._average is not None:
                self._average.save(self._run.partial / f"checkpoint-{step}")
        wait_for_all()
        if self.args.should_save:
            self._run.adopt_checkpoint(step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with translate_damaged(self._run.folder):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            if self._average is not None:
                self._average.load(Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with translate_damaged(self._run.folder):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with translate_damaged(self._run.folder):
            super()._load_rng_state(checkpoint)


@contextlib.contextmanager
def translate_training_errors(recipe: Recipe) -> Iterator[None]:
    """Turn what the library raises for want of memory, and in its workers, into one line."""
    try:
        yield
    except PageSortError as error:
        # One of a worker process arrives with that process's whole traceback in it.
        if not error.what.startswith("Caught "):
            raise
        last = error.what.strip().splitlines()[-1]
        raise PageSortError(last.split(": ", 1)[-1]) from error
    except (RuntimeError, MemoryError) as error:
        short = any(words in str(error).lower() for words in _SHORT_OF_MEMORY)
        if not (short or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
            raise
        remedy = "Lower --batch_size and raise [TRAIN] accumulation as much"
        if not recipe.gradient_checkpointing:
            remedy += ", or set [TRAIN] gradient_checkpointing = True"
        raise PageSortError(
            f"there is not enough memory to train on {recipe.batch_size} pages at once",
            remedy=remedy,
        ) from error


class Schedule(TrainerCallback):
    """Ends an epoch every so many steps: report, validate, save; in between, saves by the clock."""

    def __init__(self, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._saved = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Decide what follows this step."""
        if state.global_step % self._steps_per_epoch == 0:
            control.should_log = control.should_evaluate = control.should_save = True
        elif self._is_time(args, state):
            # Logged too, as the sum of losses since the last report is not part of a checkpoint.
            control.should_log = control.should_save = True

    def on_save(self, args, state, control, **kwargs) -> None:
        """Start the clock anew."""
        self._saved = time.monotonic()

    def _is_time(self, args, state) -> bool:
        over = time.monotonic() - self._saved > SAVE_SECONDS
        if args.world_size == 1:
            return over
        if state.global_step % _STEPS_BETWEEN_CLOCKS:
            return False
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([over])[0]


class Watchdog(TrainerCallback):
    """Stops a training whose loss is no number any more, before that reaches a checkpoint."""

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Look at the losses that are reported.

        Raises:
            PageSortError: one is not finite.
        """
        for name in ("loss", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise PageSortError(
                    f"the training diverged: its loss is no number any more at step "
                    f"{state.global_step}",
                    remedy="Lower --lr, or raise [TRAIN] warmup_ratio",
                )


def training_arguments(
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    *,
    precision: str,
    processes: int,
    steps: int,
    seed: int,
    log_step: int,
    workers: int,
) -> TrainingArguments:
    """Say to the library what the recipe asks for; sets up the processes that train together.

    Args:
        device: where to train; of several GPUs one process takes one.
        precision: as `chosen_precision` returns it.
        processes: that train together.
        workers: processes that prepare pages, a training process.
    """
    use_cpu = device.type == "cpu"
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup_ratio * steps),
        lr_scheduler_type="cosine",
        max_grad_norm=recipe.gradient_clip if math.isfinite(recipe.gradient_clip) else 0.0,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=use_cpu,
        # Named for a single process, it would be taken for several.
        ddp_backend="gloo" if use_cpu and processes > 1 else None,
        ddp_find_unused_parameters=False,
        # Others wait while the first process prepares and exports.
        ddp_timeout=_PATIENCE_SECONDS,
        seed=seed,
        logging_steps=log_step,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to=["tensorboard"] if _has_tensorboard() else [],
        remove_unused_columns=False,
        dataloader_num_workers=workers,
        dataloader_pin_memory=device.type == "cuda",
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
    )
    if arguments.n_gpu > 1:
        logger.info(
            "training on one of %d GPUs; to use all: torchrun --nproc-per-node %d run.py --train",
            arguments.n_gpu,
            arguments.n_gpu,
        )
        # Else the library would copy the model to all of them at every step.
        arguments._n_gpu = 1
    return arguments


def chosen_precision(wanted: str, device: torch.device) -> str:
    """Return `no`, `bf16` or `fp16`.

    Raises:
        PageSortError: the device has not got what was asked for by name.
    """
    is_gpu = device.type == "cuda"
    native = has_bf16(device)
    if wanted == "auto":
        if native:
            return "bf16"
        return "fp16" if is_gpu else "no"
    if (wanted == "bf16" and is_gpu and not native) or (wanted == "fp16" and not is_gpu):
        raise PageSortError(
            f"{device.type} cannot train in {wanted}",
            where="[TRAIN] mixed_precision",
            remedy="Use auto",
        )
    return wanted


def default_workers(device: torch.device, processors: int) -> int:
    """Processes that prepare pages, a training process: beside a GPU, all others have time."""
    if device.type != "cpu":
        return max(1, min(_MOST_WORKERS, processors - 1))
    return 1 if processors > 1 else 0


def wait_for_all() -> None:
    """Let every process of this training come to this point."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def _has_tensorboard() -> bool:
    from transformers.integrations import is_tensorboard_available

    return is_tensorboard_available()
