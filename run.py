"""The command: reads the settings, calls one handler per action, turns errors into one line."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from pagesort.cli import actions
from pagesort.cli.console import (
    Stop,
    as_typed,
    close_quietly,
    console,
    farewell,
    log_failure,
    stop_signals,
)
from pagesort.cli.logged import logged
from pagesort.cli.options import BY_NAME, OPTIONS
from pagesort.cli.parser import build_parser
from pagesort.cli.settings import Settings, read_settings
from pagesort.common.errors import PageSortError, Stopped, UsageError
from pagesort.common.processes import is_first_process

PROGRAM_FOLDER = Path(__file__).resolve().parent

logger = logging.getLogger("run")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status (0, 1, 2, 3, or 128 + signal)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    stop = Stop(is_program=argv is None)
    with console(debug), stop.watching():
        try:
            return _run(arguments, stop)
        except KeyboardInterrupt as interrupt:
            logger.error("%s", farewell(interrupt, arguments, argv is None), exc_info=debug)
            return 128 + stop.signal_number
        except SystemExit as leaving:  # argparse after --help
            return leaving.code if isinstance(leaving.code, int) else 0
        except Exception as error:  # noqa: BLE001 - the one border: a person gets a line
            return log_failure(logger, error, debug)


def _run(arguments: Sequence[str], stop: Stop) -> int:
    """Read the settings and do what they ask for."""
    settings = read_settings(arguments, PROGRAM_FOLDER, Path.cwd())
    if not settings.actions:
        build_parser().print_help(sys.stderr)
        return UsageError.exit_status
    return logged(settings, lambda: _carry_out(settings), lambda: 128 + stop.signal_number)


def _carry_out(settings: Settings) -> int:
    """Call the handlers of the actions that the settings name, in their order.

    A model trained by this very command is the one that is then evaluated and predicts.
    """
    _log_idle(settings)
    model = actions.hub.fetch_model(settings) if settings.hf or settings.fetches_first else None
    statuses = [0]
    if "train" in settings.actions:
        train = actions.folds.train_folds if settings.folds else actions.training.train_model
        model, status = train(settings)
        statuses.append(status)
        if not is_first_process():
            return 0  # the first one tells the status: torchrun ends all when one does not succeed
    try:
        statuses += _use_model(settings, model)
    except KeyboardInterrupt as stop:
        if "train" not in settings.actions or isinstance(stop, Stopped):
            raise
        use = as_typed(["--eval", "--model_path", str(model)])
        raise Stopped(
            f"the new model is complete in {model}", f"To evaluate it, add {use} instead of --train"
        ) from None
    return max(statuses)


def _use_model(settings: Settings, model: Path | None) -> Iterator[int]:
    """Evaluate, sort and publish as far as that is asked for; yields each action's exit status."""
    if settings.train_reader or settings.eval_reader or settings.synthetic_samples:
        yield actions.reader.teach_and_measure(settings)
    if settings.train_groups is not None:
        yield actions.grouping.train_groups(settings, settings.train_groups, model)
    if "eval" in settings.actions:
        yield actions.evaluation.evaluate_model(settings, model)
    if "eval_dir" in settings.actions:
        yield actions.evaluation.evaluate_models(settings)
    if settings.compare_models is not None:
        yield actions.evaluation.compare_models(settings, settings.compare_models)
    if "vis" in settings.actions:
        yield actions.evaluation.redraw_plots(settings)
    if settings.file is not None:
        yield actions.prediction.classify_page(settings, settings.file, model)
    if settings.is_search:
        yield actions.search.search_pages(settings, model)
    elif settings.reviewed_table is not None:
        yield actions.review.review_table(settings, settings.reviewed_table)
    elif settings.audit is not None:
        yield actions.audit.draw_audit(settings, *settings.audited)
    elif settings.directory is not None:
        yield _use_folder(settings, settings.directory, "-d", model)
    if settings.dir and not settings.is_search:
        if not settings.is_configured("input_folder"):
            logger.info(
                "[INPUT] FOLDER_INPUT is not set, so the sample pages are sorted; to sort "
                "your own, set it or give their folder with -d"
            )
        yield _use_folder(settings, settings.input_folder, "[INPUT] FOLDER_INPUT", model)
    if settings.read_source is not None:
        yield actions.reading.read_path(settings, settings.read_source)
    if settings.compare is not None and settings.groups:
        yield actions.grouping.compare_groups(settings, settings.compare, settings.groups)
    if settings.audit_result is not None:
        yield actions.audit.read_audit(settings, settings.audit_result)
    if settings.suspects_of is not None:
        yield actions.suspects.suspects_of_table(settings, settings.suspects_of)
    if settings.merge:
        yield actions.scale.merge_tables(settings, settings.merge)
    if settings.status:
        yield actions.scale.print_status(settings)
    if settings.undo and settings.sort_to is not None:
        yield actions.sorting.undo_sorting(settings.sort_to, settings.dry_run)
    if settings.check is not None:
        yield actions.records.check_table(settings.check)
    if settings.export_onnx is not None:
        actions.hub.export_model(settings, settings.export_onnx, model)
    if settings.hf:
        actions.hub.publish_model(settings, model)


def _use_folder(settings: Settings, folder: Path, named_by: str, model: Path | None) -> int:
    """Group the pages of a folder, or sort them into categories."""
    if settings.is_of_groups:
        return actions.grouping.group_folder(settings, folder, named_by, model)
    return actions.prediction.classify_folder(settings, folder, named_by, model)


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
