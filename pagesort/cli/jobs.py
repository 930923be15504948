"""What is to be done, as the library takes it: from the settings to requests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.begun import kept_options
from pagesort.cli.opening import wanted_revision
from pagesort.cli.settings import Settings

if TYPE_CHECKING:
    from pagesort.evaluation.evaluate import EvaluationRequest
    from pagesort.hub.fetch import PullRequest
    from pagesort.hub.publish import PushRequest
    from pagesort.labelled.split_files import PageSplit
    from pagesort.prediction.folder_run import Request
    from pagesort.training.recipe import Recipe, TrainRequest


def prediction_request(settings: Settings, folder: Path) -> Request:
    """Say which pages of a folder are sorted into which tables."""
    from pagesort.common.tables import PLAIN, excel_form
    from pagesort.prediction.folder_run import Request

    return Request(
        folder=folder,
        formats=settings.file_format,
        inner=settings.inner,
        tables=settings.results_folder / "tables",
        top_n=settings.topn,
        raw=settings.raw,
        max_categ=settings.max_categ,
        batch_size=min(settings.batch_size, settings.chunk_size),
        max_megapixels=settings.max_megapixels,
        resume=settings.resume,
        update=settings.update,
        sort_to=settings.sort_to,
        link=settings.link,
        min_score=settings.min_score,
        dry_run=settings.dry_run,
        absolute_paths=settings.absolute_paths,
        form=excel_form() if settings.csv_excel else PLAIN,
        options=kept_options(settings),
    )


def training_split(settings: Settings) -> tuple[PageSplit, int]:
    """Return the split of the training pages, and how many a check has left out."""
    from pagesort.labelled import folder as labelled
    from pagesort.labelled import split_files

    data = labelled.read_labelled_folder(
        settings.train_folder,
        named_by="--train_folder or [TRAIN] FOLDER_PAGES",
        max_categ=settings.max_categ,
        safe=settings.safe,
        max_megapixels=settings.max_megapixels,
    )
    split = split_files.open_split(
        data,
        settings.results_folder / "stats",
        seed=settings.seed,
        test_size=settings.test_size,
        by=settings.split,
        max_categ=settings.max_categ,
    )
    return split, len(data.left_out)


def training_recipe(settings: Settings) -> Recipe:
    """Say what decides the weights, beside pages and seed.

    Raises:
        PageSortError: a value cannot be meant.
    """
    from pagesort.training.recipe import Recipe

    return Recipe(
        epochs=settings.epochs,
        learning_rate=settings.lr,
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        objective=settings.objective,
        towers=settings.towers,
        sampling=settings.sampling,
        augment=settings.augment,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        warmup_ratio=settings.warmup_ratio,
        ema=settings.ema,
        wise_ft=settings.wise_ft,
        batch_norm=settings.batch_norm,
        mixed_precision=settings.mixed_precision,
        gradient_checkpointing=settings.gradient_checkpointing,
    )


def training_request(settings: Settings, recipe: Recipe, split: PageSplit) -> TrainRequest:
    """Say how a model is trained on a split."""
    from pagesort.training.recipe import TrainRequest

    return TrainRequest(
        split=split,
        recipe=recipe,
        checkpoints=settings.checkpoint_folder,
        models=settings.model_dir,
        plots=settings.results_folder / "plots",
        seed=settings.seed,
        log_step=settings.log_step,
        workers=settings.workers,
        max_megapixels=settings.max_megapixels,
    )


def evaluation_request(settings: Settings) -> EvaluationRequest:
    """Say which pages are scored: all of a folder, or of the training folder the test part."""
    from pagesort.common.tables import PLAIN, excel_form
    from pagesort.evaluation.evaluate import EvaluationRequest
    from pagesort.labelled import folder as labelled

    folder, part = settings.eval_folder, "all pages"
    if _is_same_folder(folder, settings.train_folder):
        split, _ = training_split(settings)
        pages, labels, part = split.test, split.labels, f"test part of {split.path.name}"
        pages = labelled.cap_pages(pages, settings.max_categ_eval)
    else:
        data = labelled.read_labelled_folder(
            folder,
            named_by="--eval_folder or [EVAL] FOLDER_PAGES",
            max_categ=settings.max_categ_eval,
            empty_ok=True,
        )
        pages, labels = data.pages, data.labels
    if max(Counter(page.label for page in pages).values(), default=0) >= settings.max_categ_eval:
        part += f", at most {settings.max_categ_eval} a label"
    return EvaluationRequest(
        pages=pages,
        labels=labels,
        folder=folder,
        part=part,
        results=settings.results_folder,
        top_n=settings.topn,
        raw=settings.raw,
        max_categ=settings.max_categ,
        batch_size=settings.batch_size,
        max_megapixels=settings.max_megapixels,
        seed=settings.seed,
        absolute_paths=settings.absolute_paths,
        form=excel_form() if settings.csv_excel else PLAIN,
    )


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # what is missing is told by whoever reads it
        return one.resolve() == other.resolve()


def pull_request(settings: Settings, revision: str, *, use_local: bool) -> PullRequest:
    """Say what is fetched from the hub; `use_local`: what is here does, if there is no hub."""
    from pagesort.hub.client import IMPATIENT, Patience
    from pagesort.hub.fetch import PullRequest

    return PullRequest(
        repository=settings.repo_name,
        revision=revision,
        models_dir=settings.model_dir,
        storage=settings.model_storage,
        token=settings.token,
        use_local=use_local,
        # If nobody has asked for the hub in this call, nobody waits for it.
        patience=IMPATIENT if settings.fetches_first else Patience(),
    )


def push_request(settings: Settings, folder: Path) -> PushRequest:
    """Say what is published on the hub, and as what."""
    from pagesort.hub.publish import PushRequest

    return PushRequest(
        folder=folder,
        repository=settings.repo_name,
        revision=wanted_revision(settings),
        public=settings.public,
        results=settings.results_folder,
        token=settings.token,
    )
