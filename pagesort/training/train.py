"""Fine-tuning: from a classifier and labelled pages to a new model folder."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader

from pagesort.common.errors import Stopped
from pagesort.common.processes import is_first_process
from pagesort.models.formats import quiet_transformers, save_folder
from pagesort.models.transformers_loader import load_towers
from pagesort.training.cpu import quick_on_processors
from pagesort.training.data import TrainingViews
from pagesort.training.export import (
    digests_of_start,
    export,
    model_facts,
    names_of_start,
    rounded,
    seen_by_start,
    whole_page_settings,
    with_facts,
)
from pagesort.training.loop import Schedule, Watcher, fit
from pagesort.training.lora import add_adapters, merged_copy, remove_adapters
from pagesort.training.objective import Collator, LabelLearner, LabelTexts, save_memory
from pagesort.training.optimiser import make_optimiser
from pagesort.training.plan import (
    Plan,
    deciding_facts,
    default_workers,
    label_weights,
    make_plan,
    memory_remedy,
    processors,
    threads,
    translate_training_errors,
)
from pagesort.training.probe import fit_probe, strengths
from pagesort.training.process_group import join_processes, wait_for_all
from pagesort.training.recipe import Recipe, TrainOutcome, TrainRequest
from pagesort.training.report import CurveEnds, Reporter, draw_curves, log_outcome, pages_per_second
from pagesort.training.seen_pages import sum_up_seen
from pagesort.training.services import services
from pagesort.training.state import Best, RunFolder, quality, translate_damaged
from pagesort.training.tensorboard import TensorBoard
from pagesort.training.validation import ValidationPages
from pagesort.training.weight_averaging import best_share, interpolated, moving_average

__all__ = ["Recipe", "TrainOutcome", "TrainRequest", "train"]

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.data import Dataset
    from transformers import PreTrainedTokenizerBase

    from pagesort.models.protocols import WholeClassifier

logger = logging.getLogger(__name__)


def train(classifier: WholeClassifier, request: TrainRequest) -> TrainOutcome:
    """Fine-tune the classifier's towers on the pages of a split, and write the model that results.

    A training that was interrupted goes on at its last checkpoint when the same is asked for again,
    and ends at the weights that it would have had without the interruption. Under `torchrun` every
    process calls this; the first one writes.

    Args:
        classifier: an open `classifier.CLIP` with the labels, descriptions and prompts of the new
            model. It is left as it was.
        request: what to train on, how, and where everything goes.

    Raises:
        PageSortError: the pages, labels or settings do not allow it, the training diverges, memory
            or disk do not suffice.
        Stopped: the training was stopped; it tells what is kept.
    """
    try:
        plan = make_plan(classifier, request)
    except KeyboardInterrupt:
        raise Stopped("the pages that are prepared are kept") from None
    facts = deciding_facts(classifier, request, plan)
    run = RunFolder(request.checkpoints, classifier.name, facts)
    start = {name: value.cpu().clone() for name, value in classifier.model.state_dict().items()}
    try:
        remedy = memory_remedy(plan.recipe)
        with translate_training_errors(plan.recipe.batch_size, remedy), quiet_transformers():
            return _Session(classifier, request, plan, facts, run, start).outcome()
    except KeyboardInterrupt:
        raise Stopped(_what_is_kept(run, plan)) from None
    finally:
        run.close()
        _restore(classifier.model, start)


class _Session:
    """One call of `train`, after all that can be checked beforehand."""

    def __init__(
        self,
        classifier: WholeClassifier,
        request: TrainRequest,
        plan: Plan,
        facts: Mapping[str, Any],
        run: RunFolder,
        start: Mapping[str, torch.Tensor],
    ) -> None:
        self.classifier = classifier
        # A `LeanTokenizer` is only there where a model was opened to predict.
        self.tokenizer = cast("PreTrainedTokenizerBase", classifier.tokenizer)
        self.request = request
        self.plan = plan
        self._facts = facts
        self.run = run
        self.start = start
        self.is_first = is_first_process()

    def outcome(self) -> TrainOutcome:
        """Train what is left to train, choose the weights, write the model."""
        workers = self.request.workers
        if workers is None:
            workers = default_workers(self.classifier.device, processors())
        # Of several processes each has its own GPU.
        self.classifier.model.to(join_processes(self.classifier.device))
        self._open_run()
        learner = self._learner()
        validation = self._validation()
        with self._spared():
            history = self._fit(learner, validation, workers)
        remove_adapters(self.classifier.model)
        best = self.run.kept_best()
        share, figures, of_start, ends = self._choose_weights(learner, validation, best)
        folder, curves = self._write(learner, best, share, figures, of_start, history, ends)
        validation.remove()
        outcome = TrainOutcome(
            model_folder=folder,
            accuracy=figures.get("accuracy"),
            temperature=figures.get("temperature", 1.0),
            wise_ft=share,
            epoch=best.step // self.plan.steps_per_epoch,
            curves=curves,
            left_out=tuple(
                (page.name, reason) for page, reason in (*self.plan.left_out, *validation.left_out)
            ),
            pages_per_second=pages_per_second(history, self.plan.pages_per_step),
            checkpoints=self.run.folder,
        )
        if self.is_first:
            log_outcome(outcome, figures, of_start, self.plan.is_probe)
        wait_for_all()  # a process that ended early would have the others stopped
        return outcome

    def _spared(self) -> contextlib.AbstractContextManager[None]:
        """What makes a training on a CPU quicker."""
        if self.classifier.device.type != "cpu":
            return contextlib.nullcontext()
        most = max(self.plan.recipe.batch_size, len(self.request.split.labels))
        return quick_on_processors(self.classifier.model, self.plan.precision, most)

    def _open_run(self) -> None:
        """Find the state of this training, if there is any."""
        if self.is_first:
            made = self.run.made_model
            self.run.open()
            if made is not None:
                logger.info("this training was done before (%s); it begins anew", made)
                self.run.clear()
        wait_for_all()

    def _learner(self) -> LabelLearner:
        recipe, model = self.plan.recipe, self.classifier.model
        longest = model.config.text_config.max_position_embeddings
        texts = LabelTexts.tokenised(self.classifier.prompts, self.tokenizer, longest)
        if recipe.gradient_checkpointing:
            for tower in save_memory(model, True):
                logger.warning("the %s cannot save memory by computing twice", tower)
        weights = label_weights(recipe, self.request.split)
        if recipe.towers == "lora":
            add_adapters(model, recipe.lora_rank, self.request.seed)
        return LabelLearner(
            model,
            texts,
            self.plan.preprocessing,
            contrastive=recipe.objective == "contrastive",
            image_only=recipe.towers != "both",
            class_weights=None if weights is None else torch.tensor(weights),
            freeze_batch_norm=recipe.batch_norm == "frozen",
        )

    def _validation(self) -> ValidationPages:
        pages = ValidationPages.prepared(
            self.request.split.validation,
            self.request.split.labels,
            self.plan.preprocessing,
            self.run.folder,
            self.request.max_megapixels,
            threads(),
            seen_by_start(self.classifier, self.request.split),
        )
        if not len(pages.labels) and self.is_first:
            logger.warning(
                "no page validates: the last epoch counts as the best, and scores stay uncalibrated"
            )
        seen = int((~pages.fresh).sum())
        if seen and self.is_first:
            logger.warning(
                "%d of %d validation pages were seen by the starting model in its training: they "
                "choose the best epoch, but do not count in the figures, nor for wise_ft and the "
                "temperature%s",
                seen,
                len(pages.labels),
                "" if pages.fresh.any() else ": scores stay uncalibrated",
            )
        return pages

    def _fit(
        self, learner: LabelLearner, validation: ValidationPages, workers: int
    ) -> list[dict[str, float]]:
        """Train from the last checkpoint to the last step; returns the reports."""
        if self.plan.is_probe:
            return self._fit_probe(learner, validation, workers)
        last = self.run.last_checkpoint()
        if last is not None and last[0] < self.plan.steps and self.is_first:
            logger.info(
                "going on with the interrupted training at step %d of %d (remove %s to begin anew)",
                last[0],
                self.plan.steps,
                self.run.folder,
            )
        try:
            return self._fit_with(learner, validation, workers)
        except RuntimeError as error:
            # Of several training processes, the others would wait.
            if "DataLoader worker" not in str(error) or not workers or self.plan.processes > 1:
                raise
            logger.warning(
                "a process that prepares pages died, perhaps for want of shared memory; going on "
                "without such processes ([TRAIN] workers = 0)"
            )
            _restore(self.classifier.model, self.start)
            return self._fit(self._learner(), validation, workers=0)

    def _fit_probe(
        self, learner: LabelLearner, validation: ValidationPages, workers: int
    ) -> list[dict[str, float]]:
        """See every page once, and fit heads."""
        plan, split = self.plan, self.request.split
        weights = torch.tensor(label_weights(plan.recipe, split) or [1.0] * len(split.labels))
        if plan.recipe.sampling == "balanced":
            counts = Counter(page.label for page in plan.pages)
            weights /= torch.tensor([max(1, counts[label]) for label in split.labels])
        batches = DataLoader(
            cast("Dataset[Any]", self._views()),
            batch_size=plan.recipe.batch_size,
            collate_fn=Collator(learner.texts, self.request.seed, False, with_texts=False),
            num_workers=workers,
            generator=torch.Generator(),
        )
        return fit_probe(
            learner,
            batches,
            len(plan.pages),
            weights,
            strengths(bool(split.validation)),
            lambda step: self._validate(step, learner, validation),
            self._watchers(),
        )

    def _fit_with(
        self, learner: LabelLearner, validation: ValidationPages, workers: int
    ) -> list[dict[str, float]]:
        recipe = self.plan.recipe
        average = moving_average(learner, recipe.ema) if recipe.ema else None
        return fit(
            learner,
            cast("Dataset[Any]", self._views()),
            Collator(
                learner.texts,
                self.request.seed,
                a_text_each=learner.contrastive,
                with_texts=not learner.image_only,
            ),
            make_optimiser(
                learner.dual_encoder,
                learning_rate=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                layer_decay=recipe.layer_decay,
                adam_beta2=recipe.adam_beta2,
            ),
            self._schedule(workers),
            average=average,
            validate=lambda step: self._validate(
                step, average.module if average else learner, validation
            ),
            is_enough=self._is_enough if recipe.patience else None,
            run=self.run,
            watchers=self._watchers(),
        )

    def _is_enough(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last epochs, as many as patience has, were none better than one before."""
        reached = [
            quality({name: entry[f"eval_{name}"] for name in ("accuracy", "calibrated_loss")})
            for entry in history
            if "eval_accuracy" in entry
        ]
        since = len(reached) - 1 - reached.index(max(reached)) if reached else 0
        if since >= self.plan.recipe.patience and self.is_first:
            logger.info("%d epochs without a better one: the training ends here", since)
        return since >= self.plan.recipe.patience

    def _schedule(self, workers: int) -> Schedule:
        plan, recipe, request = self.plan, self.plan.recipe, self.request
        return Schedule(
            steps=plan.steps,
            batch_size=recipe.batch_size,
            seed=request.seed,
            accumulation=recipe.accumulation,
            warmup_steps=round(recipe.warmup_ratio * plan.steps),
            gradient_clip=recipe.gradient_clip,
            precision=plan.precision,
            steps_per_epoch=plan.steps_per_epoch,
            log_every=request.log_step,
            save_seconds=request.save_seconds,
            workers=workers,
        )

    def _watchers(self) -> list[Watcher]:
        if not self.is_first:
            return []
        plan = self.plan
        settings = asdict(plan.recipe) | {
            "seed": self.request.seed,
            "precision": plan.precision,
            "processes": plan.processes,
            "training_pages": len(plan.pages),
            "base": self.classifier.metadata.base,
        }
        watchers = services(self.request.report_to, self.run, settings)
        watchers.append(TensorBoard(self.run.folder / "runs", settings))
        if not plan.is_probe:
            watchers.append(Reporter(plan.steps_per_epoch, plan.pages_per_step))
        return watchers

    def _views(self) -> TrainingViews:
        plan, recipe = self.plan, self.plan.recipe
        once = plan.is_probe
        return TrainingViews(
            plan.pages,
            self.request.split.labels,
            self.request.pages_folder,
            plan.preprocessing.input_size,
            self.request.seed,
            1 if once else recipe.epochs,
            views_per_epoch=None if once else plan.steps_per_epoch * plan.pages_per_step,
            sampling="natural" if once else recipe.sampling,
            augment=recipe.augment and not once,
        )

    def _validate(
        self, step: int, learner: LabelLearner, validation: ValidationPages
    ) -> dict[str, float]:
        """Score the weights at the end of an epoch, and keep them if they are the best so far."""
        _share_buffers(learner, self.plan.processes)
        figures = validation.figures(validation.logits(learner, self.plan.recipe.batch_size))
        best = self.run.best()
        if self.is_first and (best is None or not figures or quality(figures) > best.quality):
            self.run.save_best(step, lambda folder: self._save_best(folder, learner, figures))
        return figures

    def _save_best(self, folder: Path, learner: LabelLearner, figures: Mapping[str, float]) -> None:
        temperature = figures.get("temperature", 1.0)
        is_lora = self.plan.recipe.towers == "lora"
        save_folder(
            folder,
            merged_copy(learner.dual_encoder) if is_lora else learner.dual_encoder,
            self.tokenizer,
            whole_page_settings(self.plan.preprocessing),
            with_facts(self.classifier.metadata, {"figures": dict(figures)}, temperature),
        )

    def _choose_weights(
        self, learner: LabelLearner, validation: ValidationPages, best: Best
    ) -> tuple[float, dict[str, float], dict[str, float], CurveEnds]:
        """Mix the best epoch's weights with the starting ones.

        Returns:
            Their share, the figures of the mixture and of the starting model on the pages that the
            start has not seen, and both on all validation pages, as the epochs have theirs.
        """
        wait_for_all()  # until the first process has written the last best epoch
        with translate_damaged(self.run.folder):
            trained = load_towers(best.folder)[0].state_dict()

        def logits_of(share: float) -> np.ndarray:
            learner.dual_encoder.load_state_dict(interpolated(self.start, trained, share))
            return validation.logits(learner, self.plan.recipe.batch_size)

        def figures_of(share: float) -> dict[str, float]:
            return validation.figures(logits_of(share), fresh=True)

        at_start = logits_of(0.0)
        of_start = validation.figures(at_start, fresh=True)
        share = self.plan.recipe.wise_ft
        if share is None:
            share = best_share(lambda each: quality(figures_of(each))) if of_start else 1.0
        exported = logits_of(share)
        ends = CurveEnds(validation.figures(at_start), validation.figures(exported), share)
        return share, validation.figures(exported, fresh=True), of_start, ends

    def _write(
        self,
        learner: LabelLearner,
        best: Best,
        share: float,
        figures: Mapping[str, float],
        of_start: Mapping[str, float],
        history: list[dict[str, float]],
        ends: CurveEnds,
    ) -> tuple[Path, Path | None]:
        """Write the model and the picture of its curves, in the first process only."""
        from accelerate.utils import broadcast_object_list

        made: list[Any] = [None, None]
        if self.is_first:
            facts = model_facts(
                self._facts, self.plan, self.request.split, best, share, figures, history
            )
            facts |= self.request.notes
            facts["start"] = {**facts["start"], "validation": rounded(of_start)}
            temperature = figures.get("temperature", 1.0)
            folder = export(
                self.request.models,
                self.classifier.name,
                learner.dual_encoder,
                self.tokenizer,
                self.plan.preprocessing,
                with_facts(self.classifier.metadata, facts, temperature),
                (*self.plan.pages, *self.request.split.validation),
                digests_of_start(self.classifier.model),
                names_of_start(self.classifier.model),
                sum_up_seen(self.classifier, self.request, self.plan),
            )
            self.run.finish(folder.name)
            made = [folder, self._curves(folder, best, history, ends)]
        folder, curves = broadcast_object_list(made)
        return folder, curves

    def _curves(
        self, folder: Path, best: Best, history: list[dict[str, float]], ends: CurveEnds
    ) -> Path | None:
        """Draw the picture; the model is complete without it."""
        path = self.request.plots / f"training_{folder.name}.png"
        steps = self.plan.steps_per_epoch
        try:
            draw_curves(history, steps, best.step // steps, path, ends)
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            logger.warning("the curves cannot be drawn (%s): %s", reason, path)
            return None
        return path


def _restore(model: nn.Module, start: Mapping[str, torch.Tensor]) -> None:
    """Give the classifier back the towers that it came with."""
    remove_adapters(model)
    model.load_state_dict(start)
    model.requires_grad_(True)
    save_memory(model, False)
    model.zero_grad(set_to_none=True)
    model.eval()


def _share_buffers(learner: LabelLearner, processes: int) -> None:
    """Let all processes score with the first one's statistics of batch normalisation."""
    if processes > 1:
        for buffer in learner.dual_encoder.buffers():
            torch.distributed.broadcast(buffer, 0)


def _what_is_kept(run: RunFolder, plan: Plan) -> str:
    last = run.last_checkpoint()
    if last is None:
        return "no step is kept yet, but the prepared pages are"
    return (
        f"step {last[0]} of {plan.steps} is kept in {run.folder}, and the same command goes on "
        "from there"
    )
