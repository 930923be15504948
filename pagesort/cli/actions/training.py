"""Training a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.cli import opening
from pagesort.cli.actions.review import corrected_images
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.cli.value_types import class_weights
from pagesort.common.processes import is_first_process

if TYPE_CHECKING:
    from pagesort.labelled.split_files import PageSplit
    from pagesort.labelled.train_list import TrainList
    from pagesort.training.recipe import Recipe, TrainOutcome, TrainRequest


def train_model(settings: Settings) -> tuple[Path, int]:
    """Fine-tune a model on the training pages; prints the paths of its folder and its curves.

    Returns:
        The folder of the new model, and the exit status.
    """
    from pagesort.training import train

    recipe = training_recipe(settings)  # refuses wrong values before pages are read
    split, left_out = training_split(settings)
    classifier = opening.open_start(settings, split.labels)
    request = training_request(settings, recipe, split)
    outcome = train.train(classifier, request)
    report_model(outcome)
    failed = bool(left_out or outcome.left_out)
    return outcome.model_folder, UNREADABLE_PAGES_STATUS if failed else 0


def report_model(outcome: TrainOutcome) -> None:
    """Print the paths of a new model and of the picture of its curves."""
    if is_first_process():
        for path in filter(None, (outcome.model_folder, outcome.curves)):
            emit(str(path))


def training_split(settings: Settings) -> tuple[PageSplit, int]:
    """Return the split of the training pages, and how many a check has left out."""
    from pagesort.labelled import split_files

    pages, lost = training_pages(settings)
    split = split_files.open_list_split(
        pages,
        settings.results_folder / "stats",
        seed=settings.seed,
        test_size=settings.test_size,
        by=settings.split,
        max_categ=settings.max_categ,
    )
    return split, len(pages.data.left_out) + lost


def training_pages(settings: Settings) -> tuple[TrainList, int]:
    """Return the labelled pages of the list or the folder, and how many corrections are lost."""
    from pagesort.labelled import train_list
    from pagesort.labelled.folder import read_labelled_folder

    corrected, lost = corrected_images(settings)
    asked: Any = {
        "max_categ": settings.max_categ,
        "safe": settings.safe,
        "max_megapixels": settings.max_megapixels,
        "corrected": corrected,
    }
    if settings.train_list is not None:
        return train_list.read_train_list(settings.train_list, **asked), lost
    folder, named_by = settings.train_folder, "--train_folder or [TRAIN] FOLDER_PAGES"
    data = read_labelled_folder(folder, named_by=named_by, **asked)
    return train_list.TrainList(data, None, folder), lost


def training_recipe(settings: Settings) -> Recipe:
    """Say what decides the weights, beside pages and seed.

    Raises:
        PageSortError: a value cannot be meant.
    """
    from pagesort.training.lora import check_package
    from pagesort.training.recipe import Recipe
    from pagesort.training.services import check_services

    check_services(settings.report_to)
    if settings.towers == "lora":
        check_package()
    words = ("none", "balanced")
    weights: Any = settings.class_weights
    return Recipe(
        epochs=settings.epochs,
        learning_rate=settings.lr,
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        objective=settings.objective,
        towers=settings.towers,
        sampling=settings.sampling,
        class_weights=weights if weights in words else class_weights(weights),
        augment=settings.augment,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        warmup_ratio=settings.warmup_ratio,
        ema=settings.ema,
        wise_ft=settings.wise_ft,
        batch_norm=settings.batch_norm,
        mixed_precision=settings.mixed_precision,
        gradient_checkpointing=settings.gradient_checkpointing,
        patience=settings.patience,
        lora_rank=settings.lora_rank,
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
        report_to=settings.report_to,
    )
