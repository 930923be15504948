"""The stages in which the bundled model is trained, each kept on disk as soon as it is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.page_classifier.cross_validation import LeftOut
from bundled_models.page_classifier.page_cache import PageCache
from bundled_models.page_classifier.real_pages import RealPages
from bundled_models.page_classifier.recipe import PROMPTS, Recipe
from bundled_models.synthetic_pages.page import REGIONS

if TYPE_CHECKING:
    import torch

    from bundled_models.page_classifier.learner import PageLearner
    from pagesort.training.recipe import Precision

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKPOINTS = 180.0
_STEPS_BETWEEN_REPORTS = 20
_SEED_OF_WEIGHTS = 420
# Every third left out page is looked at turned, too, by a quarter, a half or three quarters.
_TURNED_STEP = 3


@dataclass(frozen=True)
class Stage:
    """One training.

    Attributes:
        start: stages from the mean of whose weights it starts; the first starts from ImageNet's.
        shows_real: whether real pages are among its views.
        left_out: the fold of real pages that it never sees and is measured on.
    """

    name: str
    recipe: Recipe
    start: tuple[str, ...] = ()
    shows_real: bool = False
    left_out: int | None = None


@dataclass(frozen=True)
class Workshop:
    """What every stage needs; `folds` (N,) tells the fold of each page of `real`.

    Who keeps no pixels of artificial pages has no `drawn`.
    """

    drawn: PageCache | None
    real: RealPages | None
    folds: np.ndarray
    labels: tuple[str, ...]
    descriptions: dict[str, list[str]]
    tokenizer: Any
    folder: Path

    def weights(self, stage: str) -> Path:
        """Where the averaged weights of a finished stage lie."""
        return self.folder / f"{stage}.safetensors"

    def scores(self, stage: str) -> Path:
        """Where what a stage makes of its left out pages lies."""
        return self.folder / f"{stage}.npz"

    def facts(self, stage: str) -> Path:
        """Where what is to be told of a stage lies."""
        return self.folder / f"{stage}.json"

    def rows(self, left_out: int | None) -> np.ndarray:
        """The real pages that a training may show which leaves a fold out, or none."""
        assert self.real is not None
        held_out = self.folds == (-2 if left_out is None else left_out)
        return np.flatnonzero(self.real.may_train & ~held_out)

    def prompts(self, templates: Sequence[str] = PROMPTS[:1]) -> dict[str, list[str]]:
        """Label -> its descriptions in each of the templates."""
        from pagesort.models.descriptions import prompt_texts

        several = [prompt_texts(self.descriptions, template) for template in templates]
        return {
            label: [text for texts in several for text in texts[label]] for label in self.labels
        }


def run_stage(stage: Stage, workshop: Workshop) -> None:
    """Train a stage, unless it is done, as one process of possibly several."""
    from bundled_models.page_classifier.views import Collator, LabelTexts, PageViews
    from pagesort.common.processes import process_number, processes
    from pagesort.training.cpu import quick_on_processors
    from pagesort.training.loop import fit
    from pagesort.training.process_group import wait_for_all
    from pagesort.training.state import RunFolder
    from pagesort.training.weight_averaging import moving_average

    if workshop.weights(stage.name).exists():
        return
    started = time.time()
    recipe = stage.recipe
    assert workshop.drawn is not None
    learner = _learner_to_train(stage, workshop)
    views = PageViews(
        recipe,
        workshop.drawn,
        workshop.labels,
        workshop.real if stage.shows_real else None,
        workshop.rows(stage.left_out) if stage.shows_real else None,
        processes(),
    )
    average = moving_average(learner, recipe.ema_decay)
    precision = _precision()
    run = RunFolder(workshop.folder, stage.name, _deciding(stage, processes(), precision))
    if process_number() == 0:
        run.open()
    wait_for_all()
    with quick_on_processors(learner.dual_encoder, precision, 2 * recipe.batch):
        history = fit(
            learner,
            views,
            Collator(recipe, LabelTexts(workshop.prompts(PROMPTS), workshop.tokenizer)),
            _optimiser(learner, recipe),
            _schedule(recipe, precision),
            average=average,
            run=run,
        )
    if process_number() == 0:
        trained: PageLearner = average.module
        if stage.left_out is not None:
            _score_left_out(trained, stage, workshop)
        facts = {"hours": round((time.time() - started) / 3600, 3), "history": history}
        _keep(trained, stage, workshop, facts)
        run.close()


def _learner_to_train(stage: Stage, workshop: Workshop) -> PageLearner:
    """Build the learner with the weights that the stage starts from."""
    import torch

    from bundled_models.page_classifier.dual_encoder import freeze
    from bundled_models.page_classifier.start_weights import load_start

    torch.manual_seed(_SEED_OF_WEIGHTS)
    learner = _new_learner(stage, workshop)
    tower = learner.dual_encoder.vision_model.timm_model
    load_start(tower)
    tower.to(memory_format=torch.channels_last)
    if stage.start:
        learner.load_state_dict(_mean_weights(stage.start, workshop))
    freeze(tower, stage.recipe.frozen_blocks)
    for module in tower.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = stage.recipe.batch_norm_momentum
    return learner.train()


def load_learner(stage: Stage, workshop: Workshop) -> PageLearner:
    """Return the learner that a finished stage made."""
    learner = _new_learner(stage, workshop)
    learner.load_state_dict(_mean_weights([stage.name], workshop))
    return learner.eval()


def _mean_weights(names: Sequence[str], workshop: Workshop) -> dict[str, torch.Tensor]:
    """The mean of the weights of finished stages that started alike (arXiv 2203.05482)."""
    import torch
    from safetensors.torch import load_file

    parts = [load_file(workshop.weights(name)) for name in names]

    def mean(name: str) -> torch.Tensor:
        return reduce(torch.add, (part[name] for part in parts)) / len(parts)

    return {
        name: mean(name) if value.is_floating_point() else value for name, value in parts[0].items()
    }


def _new_learner(stage: Stage, workshop: Workshop) -> PageLearner:
    from bundled_models.page_classifier.dual_encoder import build_dual_encoder
    from bundled_models.page_classifier.learner import PageLearner

    model = build_dual_encoder(workshop.tokenizer)
    return PageLearner(model, len(workshop.labels), len(REGIONS), stage.recipe)


def _optimiser(learner: PageLearner, recipe: Recipe) -> Any:
    from bundled_models.page_classifier.learner import make_optimiser

    return make_optimiser(learner, recipe.learning_rate, recipe.weight_decay, recipe.tower_rate)


def _schedule(recipe: Recipe, precision: Precision) -> Any:
    from pagesort.training.loop import Schedule

    return Schedule(
        steps=recipe.steps,
        batch_size=recipe.batch,
        seed=recipe.seed,
        warmup_steps=round(recipe.warmup_ratio * recipe.steps),
        gradient_clip=1.0,
        precision=precision,
        log_every=_STEPS_BETWEEN_REPORTS,
        save_seconds=_SECONDS_BETWEEN_CHECKPOINTS,
    )


def _precision() -> Precision:
    """bfloat16 where the processors multiply it; others take ten times as long over it."""
    import torch

    from pagesort.training.plan import chosen_precision

    return chosen_precision("auto", torch.device("cpu"))


def _deciding(stage: Stage, world: int, precision: Precision) -> dict[str, Any]:
    """All that decides the weights of a stage, given the pages."""
    return {**asdict(stage), "world": world, "precision": precision}


def embed_left_out(
    learner: PageLearner, stage: Stage, workshop: Workshop
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clear pages of the fold that a stage left out, (N,), and their embeddings."""
    from bundled_models.page_classifier.learner import page_embeddings

    real = workshop.real
    assert real is not None
    rows = np.flatnonzero((workshop.folds == stage.left_out) & real.clear)
    pages = (real.pixels[row] for row in rows)
    return rows, page_embeddings(learner.dual_encoder, pages, stage.recipe)


def read_left_out(stage: Stage, workshop: Workshop) -> LeftOut:
    """Return what a finished stage makes of the fold that it left out."""
    kept = np.load(workshop.scores(stage.name))
    return LeftOut(**kept, model=load_learner(stage, workshop).dual_encoder)


def _score_left_out(learner: PageLearner, stage: Stage, workshop: Workshop) -> None:
    """Keep the embeddings of the clear pages of the left out fold, of some of them turned, too."""
    from bundled_models.page_classifier.learner import page_embeddings

    real = workshop.real
    assert real is not None
    rows, embeddings = embed_left_out(learner, stage, workshop)
    turned = rows[::_TURNED_STEP]
    quarters = np.arange(len(turned)) % 3 + 1
    model, recipe = learner.dual_encoder, stage.recipe
    turned_pages = (
        np.ascontiguousarray(np.rot90(real.pixels[row], int(quarter)))
        for row, quarter in zip(turned, quarters, strict=True)
    )
    np.savez(
        workshop.scores(stage.name),
        rows=rows,
        embeddings=embeddings,
        turned_rows=turned,
        quarters=quarters,
        turned_embeddings=page_embeddings(model, turned_pages, recipe),
    )


def _keep(learner: PageLearner, stage: Stage, workshop: Workshop, facts: dict[str, Any]) -> None:
    """Put the averaged weights in place when all about them is there."""
    from safetensors.torch import save_file

    from pagesort.common.files import write_json

    write_json(workshop.facts(stage.name), facts)
    file = workshop.weights(stage.name)
    temporary = file.with_suffix(".tmp")
    weights = {name: value.contiguous() for name, value in learner.state_dict().items()}
    save_file(weights, temporary)
    temporary.replace(file)
