"""Teaching readers of lines, and measuring them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import UsageError

if TYPE_CHECKING:
    from pagesort.reading.examples import Examples, Format
    from pagesort.reading.recipe import ReaderRecipe, ReaderRequest
    from pagesort.reading.split import LineSplit

logger = logging.getLogger(__name__)


def teach_and_measure(settings: Settings) -> int:
    """Train a reader, write samples of lines put together, and measure, as far as it is asked for.

    A reader trained by this very command is the one that is measured.
    """
    examples = _examples(settings)
    status = UNREADABLE_PAGES_STATUS if examples.left_out else 0
    folder = settings.reader_path
    if settings.train_reader or settings.synthetic_samples:
        recipe = reader_recipe(settings)  # refuses wrong values before lines are prepared
        split = _split(settings, examples)
        if settings.synthetic_samples:
            _write_samples(settings, split, settings.synthetic_samples)
        if settings.train_reader:
            folder, lost = _train(settings, split, recipe)
            status = max(status, UNREADABLE_PAGES_STATUS if lost else 0)
    if settings.eval_reader:
        status = max(status, _evaluate(settings, examples, folder))
    return status


def _examples(settings: Settings) -> Examples:
    """Read the lines of --data; those that cannot be used are listed in a table."""
    from pagesort.common.files import write_list
    from pagesort.reading.examples import read_examples

    assert settings.data is not None, "checked together with the actions"
    if not settings.data.exists():
        raise UsageError("--data does not exist", where=settings.data, remedy="Check the path")
    examples = read_examples(settings.data, _form(settings), settings.max_megapixels)
    table = settings.results_folder / "tables" / f"{settings.data.stem}_LINES_LEFT_OUT.csv"
    if examples.left_out or table.exists():
        table.parent.mkdir(parents=True, exist_ok=True)
        write_list(table, ("LINE", "REASON"), examples.left_out)
    if examples.left_out:
        name, reason = examples.left_out[0]
        logger.warning(
            "%d lines are left out, as %s (%s): %s", len(examples.left_out), name, reason, table
        )
    return examples


def _form(settings: Settings) -> Format:
    """What a picture to learn from shows: a line, unless --data_format says something else."""
    return "line" if settings.data_format == "page" else settings.data_format


def _split(settings: Settings, examples: Examples) -> LineSplit:
    from pagesort.reading.split import split_lines

    stats = settings.results_folder / "stats"
    return split_lines(examples, stats, seed=settings.seed, test_size=settings.reader_test_size)


def reader_recipe(settings: Settings) -> ReaderRecipe:
    """Say what decides a reader's weights, beside lines and seed.

    Raises:
        PageSortError: a value cannot be meant.
    """
    from pagesort.reading.recipe import ReaderRecipe

    named = settings.is_named
    return ReaderRecipe(
        architecture=settings.architecture,
        form=_form(settings),
        resnet=int(settings.resnet),
        width=settings.decoder_width,
        layers=settings.decoder_layers,
        epochs=settings.epochs if named("epochs") else settings.reader_epochs,
        learning_rate=settings.lr if named("lr") else settings.reader_lr,
        batch_size=settings.batch_size if named("batch_size") else settings.reader_batch,
        accumulation=settings.reader_accumulation,
        synthetic=settings.synthetic,
        augment=settings.reader_augment,
        weight_decay=settings.reader_weight_decay,
        warmup_ratio=settings.reader_warmup,
        ema=settings.reader_ema,
        patience=settings.reader_patience,
        mixed_precision=settings.reader_precision,
    )


def _train(settings: Settings, split: LineSplit, recipe: ReaderRecipe) -> tuple[Path, int]:
    """Train a reader; prints its folder, and returns it and how many lines could not be read."""
    from classifier import choose_device
    from pagesort.reading.training import train_reader

    outcome = train_reader(_request(settings, split, recipe), choose_device(settings.device))
    for name, reason in outcome.left_out:
        logger.warning("left out: %s (%s)", name, reason)
    emit(str(outcome.folder))
    return outcome.folder, len(outcome.left_out)


def _request(settings: Settings, split: LineSplit, recipe: ReaderRecipe) -> ReaderRequest:
    from pagesort.reading.recipe import ReaderRequest

    assert settings.data is not None, "checked together with the actions"
    return ReaderRequest(
        split=split,
        recipe=recipe,
        start=None if settings.from_scratch else settings.reader_path,
        checkpoints=settings.checkpoint_folder,
        models=settings.model_dir,
        seed=settings.seed,
        log_step=settings.log_step,
        workers=settings.workers,
        source=settings.data.name,
    )


def _write_samples(settings: Settings, split: LineSplit, count: int) -> None:
    """Write lines and paragraphs put together from lines that train; prints their folder."""
    from pagesort.reading.samples import write_samples

    folder = write_samples(
        split.train,
        count,
        settings.results_folder / "synthetic",
        settings.checkpoint_folder,
        seed=settings.seed,
    )
    emit(str(folder))


def _evaluate(settings: Settings, examples: Examples, folder: Path) -> int:
    """Read lines whose text is known; prints figures and the paths of all that is written."""
    from classifier import choose_device
    from pagesort.common.tables import table_form
    from pagesort.reading.evaluation import evaluate_reader
    from pagesort.reading.reader import Reader

    device = choose_device(settings.device)
    reader = Reader.open(folder, device, language_model=settings.language_model)
    form = table_form(settings.csv_excel)
    outcome = evaluate_reader(reader, examples, settings.results_folder, form)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    return UNREADABLE_PAGES_STATUS if outcome.unread else 0
