"""The command: reads the settings, calls one handler per action, turns errors into one line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pagesort.cli import jobs, opening
from pagesort.cli.console import (
    Stop,
    as_typed,
    close_quietly,
    confirmation,
    console,
    emit,
    farewell,
    log_failure,
    stop_signals,
)
from pagesort.cli.options import BY_NAME, OPTIONS
from pagesort.cli.parser import build_parser
from pagesort.cli.settings import Settings, read_settings
from pagesort.common.errors import PageSortError, Stopped, UsageError
from pagesort.common.processes import is_first_process

if TYPE_CHECKING:
    import numpy as np

    from classifier import CLIP
    from pagesort.pages.loader import PageRef

PROGRAM_FOLDER = Path(__file__).resolve().parent
UNREADABLE_PAGES_STATUS = 3

logger = logging.getLogger("run")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status (0, 1, 2, 3, or 128 + signal)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    stop = Stop(is_program=argv is None)
    with console(debug), stop.watching():
        try:
            return _run(arguments)
        except KeyboardInterrupt as interrupt:
            logger.error("%s", farewell(interrupt, arguments, argv is None), exc_info=debug)
            return 128 + stop.signal_number
        except SystemExit as leaving:  # argparse after --help
            return leaving.code if isinstance(leaving.code, int) else 0
        except Exception as error:  # noqa: BLE001 - the one border: a person gets a line
            return log_failure(logger, error, debug)


def _run(arguments: Sequence[str]) -> int:
    """Read the settings and call the handlers of the actions they name, in their order.

    A model trained by this very command is the one that is then evaluated and predicts.
    """
    settings = read_settings(arguments, PROGRAM_FOLDER, Path.cwd())
    actions = settings.actions
    if not actions:
        build_parser().print_help(sys.stderr)
        return UsageError.exit_status
    _log_idle(settings)
    model = fetch_model(settings)
    statuses = [0]
    if "train" in actions:
        model, status = train_model(settings)
        statuses.append(status)
        if not is_first_process():
            return 0  # the first one tells the status: torchrun ends all when one does not succeed
    try:
        statuses += _use_model(settings, model)
    except KeyboardInterrupt as stop:
        if "train" not in actions or isinstance(stop, Stopped):
            raise
        use = as_typed(["--eval", "--model_path", str(model)])
        raise Stopped(
            f"the new model is complete in {model}", f"To evaluate it, add {use} instead of --train"
        ) from None
    return max(statuses)


def _use_model(settings: Settings, model: Path | None) -> Iterator[int]:
    """Evaluate, sort and publish as far as that is asked for; yields each action's exit status."""
    if "eval" in settings.actions:
        yield evaluate_model(settings, model)
    if "eval_dir" in settings.actions:
        yield evaluate_models(settings)
    if "vis" in settings.actions:
        yield redraw_plots(settings)
    if settings.file is not None:
        yield classify_page(settings, settings.file, model)
    if settings.directory is not None:
        yield classify_folder(settings, settings.directory, "-d", model)
    if settings.dir:
        if not settings.is_configured("input_folder"):
            logger.info(
                "[INPUT] FOLDER_INPUT is not set, so that the sample pages are sorted; to sort "
                "your own, set it or give their folder with -d"
            )
        yield classify_folder(settings, settings.input_folder, "[INPUT] FOLDER_INPUT", model)
    if settings.undo and settings.sort_to is not None:
        yield undo_sorting(settings.sort_to, settings.dry_run)
    publish_model(settings, model)


def fetch_model(settings: Settings) -> Path | None:
    """Fetch the model of the settings from the hub or out of an archive, if that is asked for.

    Returns:
        The folder of the model, which predicts and is evaluated in this call; None if none came.
    """
    action, *file = settings.hf or ("",)
    if action == "import":
        from pagesort.models import archive

        folder = archive.import_model(Path(file[0]), settings.model_dir).folder
    elif action == "pull" or settings.fetches_first:
        from pagesort.hub import fetch

        others = [name for name in settings.actions if name != "hf"]
        revision = opening.wanted_revision(settings)
        request = jobs.pull_request(settings, revision, use_local=bool(others))
        try:
            folder = fetch.pull(request).folder
        except PageSortError as error:
            if action == "pull":
                raise
            logger.warning("%s: %s", settings.origins["use_hf"], error)
            return None
    else:
        return None
    if settings.hf:
        emit(str(folder))
    return folder


def publish_model(settings: Settings, model: Path | None) -> None:
    """Publish a model on the hub or pack it into an archive, if that is asked for."""
    action, *file = settings.hf or ("",)
    if action == "push":
        from pagesort.hub import publish

        folder = opening.folder_to_share(settings, model)
        request = jobs.push_request(settings, folder)
        emit(publish.push(request, confirmation(settings.yes)).url)
    elif action == "export":
        from pagesort.models import archive

        folder = opening.folder_to_share(settings, model)
        emit(str(archive.export_model(folder, Path(file[0]))))


def train_model(settings: Settings) -> tuple[Path, int]:
    """Fine-tune a model on the training pages; prints the paths of its folder and its curves.

    Returns:
        The folder of the new model, and the exit status.
    """
    from pagesort.training import train

    recipe = jobs.training_recipe(settings)  # refuses wrong values before pages are read
    split, left_out = jobs.training_split(settings)
    classifier = opening.open_start(settings, split.labels)
    request = jobs.training_request(settings, recipe, split)
    outcome = train.train(classifier, request)
    if is_first_process():
        for path in filter(None, (outcome.model_folder, outcome.curves)):
            emit(str(path))
    failed = bool(left_out or outcome.left_out)
    return outcome.model_folder, UNREADABLE_PAGES_STATUS if failed else 0


def evaluate_model(settings: Settings, model: Path | None = None) -> int:
    """Score labelled pages; prints the report and the paths of all that was written."""
    from pagesort.evaluation import evaluate
    from pagesort.labelled import folder as labelled
    from pagesort.labelled import trained_names

    request = jobs.evaluation_request(settings)
    zero_shot = settings.zero_shot and model is None
    if zero_shot:
        opened = opening.open_zero_shot(settings, request.labels)
    else:
        opened = opening.open_classifier(settings, model)
    _check_topn(settings, opened.classifier)
    request = replace(
        request,
        model=opened.name,
        descriptions=opened.descriptions,
        trained=labelled.read_trained_pages(opened.folder),
        trained_names=trained_names.read_trained_names(opened.folder),
        zero_shot=zero_shot,
    )
    outcome = evaluate.evaluate(opened.classifier, request)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def evaluate_models(settings: Settings) -> int:
    """Evaluate every model of the model folder; prints a comparison and the paths of all tables."""
    from pagesort.evaluation import comparison
    from pagesort.voting import vote

    request = replace(jobs.evaluation_request(settings), zero_shot=settings.zero_shot)
    folders = vote.model_folders(settings.model_dir)
    if settings.zero_shot:
        folders += opening.base_models(settings)

    def open_model(folder: Path) -> tuple[CLIP, str]:
        if settings.zero_shot:
            opened = opening.open_zero_shot(settings, request.labels, folder)
        else:
            opened = opening.open_classifier(settings, folder, own_descriptions=True)
        return opened.classifier, opened.descriptions

    sets = [
        comparison.DescriptionSet(opening.with_prompts(settings, name), texts)
        for name, texts in opening.description_sets(settings).items()
    ]
    outcome = comparison.evaluate_all(open_model, folders, request, sets)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    if outcome.refused:
        return PageSortError.exit_status
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def redraw_plots(settings: Settings) -> int:
    """Draw the plots that compare models anew from their tables; prints their paths."""
    from pagesort.evaluation import comparison

    for path in comparison.redraw(settings.results_folder / "stats"):
        emit(str(path))
    return 0


def classify_page(settings: Settings, path: Path, model: Path | None = None) -> int:
    """Print the most likely categories of one page, a line each: label, tab, percentage."""
    from pagesort.pages import documents
    from pagesort.pages.image_file import check_page
    from pagesort.prediction import scoring

    if path.is_dir():
        raise UsageError("-f takes one page, and this is a folder", where=path, remedy="Use -d")
    if not os.path.lexists(path):
        raise PageSortError("the page does not exist", where=path, remedy="Check the path")
    refs = documents.pages_of(path)
    if refs[0].page is not None:
        return _classify_document(settings, refs, model)
    check_page(path, settings.max_megapixels)
    if settings.best:
        return _vote_on_page(settings, path)
    classifier = _open_to_predict(settings, model)
    scores = scoring.score_page(classifier, path, settings.max_megapixels)
    emit(str(path))
    for guess in _shown_guesses(classifier, scores, settings.topn):
        emit("\t".join(guess))
    return 0


def _classify_document(settings: Settings, refs: Sequence[PageRef], model: Path | None) -> int:
    """Print the pages of a PDF or TIFF as a table, columns parted by tabs."""
    from pagesort.pages.loader import Failure, PageLoader
    from pagesort.prediction import scoring

    path = refs[0].path
    if settings.best:
        raise UsageError(
            "--best votes on one page, and this file has several or is a PDF",
            where=path,
            remedy=f"Put it into a folder and use -d FOLDER --best -ff {path.suffix[1:].lower()}",
        )
    classifier = _open_to_predict(settings, model)
    columns = [f"{cell}-{n + 1}" for cell in ("CLASS", "SCORE") for n in range(settings.topn)]
    rows: list[list[str]] = [["FILE", "PAGE", *columns]]
    unread: list[Failure] = []
    with PageLoader(classifier.preprocessing, settings.max_megapixels) as loader:
        for result in scoring.score_pages(classifier, loader, refs, settings.batch_size):
            if isinstance(result, Failure):
                unread.append(result)
                continue
            guesses = _shown_guesses(classifier, result.scores, settings.topn)
            labels, shares = zip(*guesses, strict=True)
            rows.append([path.stem, str(result.ref.page), *labels, *shares])
            for row in rows:
                emit("\t".join(row))
            rows.clear()
    if len(unread) == len(refs):
        raise PageSortError(unread[0].reason, where=path, remedy="No page of it could be read")
    for failure in unread:
        logger.warning("cannot read %s: %s", failure.ref, failure.reason)
    return UNREADABLE_PAGES_STATUS if unread else 0


def _shown_guesses(classifier: CLIP, scores: np.ndarray, top_n: int) -> list[tuple[str, str]]:
    """Return the first guesses as (label, percentage), rounded as in the tables first."""
    from utils import round_scores, top_guesses

    guesses = top_guesses(scores, top_n)
    return [(classifier.labels[index], f"{round_scores(score):.1%}") for index, score in guesses]


def _vote_on_page(settings: Settings, path: Path) -> int:
    """Print what the best models make of one page: the vote, then the guess of each."""
    from pagesort.voting import vote

    outcome = vote.vote_page(_opener(settings), _voters(settings), path, settings.max_megapixels)
    emit(str(path))
    emit(f"{outcome.label}\t{outcome.agreement:.0%} of {len(outcome.guesses)} models")
    for name, label, score in outcome.guesses:
        emit(f"{name}\t{label}\t{score:.1%}")
    return 0


def classify_folder(
    settings: Settings, folder: Path, named_by: str, model: Path | None = None
) -> int:
    """Write the tables of a folder's pages and print their paths, one a line."""
    from pagesort.cli.begun import as_begun

    if folder.is_file():
        what = f"{named_by} takes a folder, and this is a file"
        raise UsageError(what, where=folder, remedy="Use -f")
    settings = as_begun(settings, folder)
    request = jobs.prediction_request(settings, folder)
    if settings.best:
        from pagesort.voting import vote

        voters = () if settings.resume else _voters(settings)
        result = vote.predict_vote(_opener(settings), voters, request)
    else:
        from pagesort.prediction import folder_run

        folder_run.check_request(request)
        classifier = _open_to_predict(settings, model)
        request = replace(request, slow_hint=opening.quicker_precision(settings, classifier))
        result = folder_run.predict_folder(classifier, request)
    for path in result.tables:
        emit(str(path))
    if result.sorting is not None and result.sorting.manifest is not None:
        emit(str(result.sorting.manifest))
    left = result.failed or (result.sorting is not None and result.sorting.problems)
    return UNREADABLE_PAGES_STATUS if left else 0


def undo_sorting(folder: Path, dry_run: bool) -> int:
    """Take the last sorting into a folder back; prints how many pages that were."""
    from pagesort.common.text import counted
    from pagesort.sorting import manifests

    done = manifests.undo(folder, dry_run)
    what = "would be taken back" if dry_run else "taken back"
    emit(f"{counted(done.taken_back)} {what} out of {folder}")
    return UNREADABLE_PAGES_STATUS if done.kept else 0


def _open_to_predict(settings: Settings, model: Path | None) -> CLIP:
    """Open the model that sorts pages: the one just trained, else the one that is asked for."""
    if settings.zero_shot and model is None:
        classifier = opening.open_zero_shot(settings).classifier
    else:
        classifier = opening.open_classifier(settings, model).classifier
    _check_topn(settings, classifier)
    return classifier


def _voters(settings: Settings) -> tuple[Path, ...]:
    """Return the folders of the models that vote."""
    from pagesort.voting import vote

    table = settings.results_folder / "stats" / "model_accuracies.csv"
    return vote.choose_voters(settings.model_dir, table)


def _opener(settings: Settings) -> Callable[[Path], CLIP]:
    """Return a function that opens one of several models."""
    return lambda folder: opening.open_classifier(settings, folder).classifier


def _check_topn(settings: Settings, classifier: CLIP) -> None:
    """Refuse more guesses than there are labels, which only the model tells."""
    if settings.topn > len(classifier.labels):
        raise UsageError(
            f"{settings.topn} guesses ({settings.origins['topn']}) are more than the model has "
            "categories",
            remedy=f"Allowed: a whole number, 1 to {len(classifier.labels)}",
        )


def _log_idle(settings: Settings) -> None:
    """Warn of flags on the command line that mean nothing to what is asked for."""
    for option in OPTIONS:
        idle = option.used_by and not set(option.used_by) & set(settings.actions)
        if idle and settings.is_named(option.name):
            flags = ", ".join(BY_NAME[action].flags[0] for action in option.used_by)
            logger.warning("%s: for %s only, not used", settings.flag(option.name), flags)


def _leave() -> NoReturn:
    """Run as a program: flush what is left, quietly if its reader has gone, and exit."""
    status = main()
    if status > 128:
        # Python's end puts back the defaults for handlers of its own, not for signals passed over.
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            close_quietly(stream)
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                status = status or PageSortError.exit_status
    sys.exit(status)


if __name__ == "__main__":
    _leave()
