"""The command: reads the settings, calls one handler per action, turns errors into one line."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

from pagesort.errors import PageSortError, UsageError
from pagesort.settings import Settings, build_parser, read_settings

if TYPE_CHECKING:
    from classifier import CLIP
    from pagesort.metadata import ModelMetadata

PROGRAM_FOLDER = Path(__file__).resolve().parent
UNREADABLE_PAGES_STATUS = 3
# After a stop, further ones are passed over for this long, so that an impatient second Ctrl-C does
# not break the tidying up that the first one began.
PATIENCE_SECONDS = 5.0
OUR_LOGGERS = ("pagesort", "classifier", "utils", "run")
FOLDER_ONLY = ("inner", "file_format", "raw", "batch_size")

Descriptions = tuple[Path, Mapping[str, Sequence[str]]]

logger = logging.getLogger("run")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status (0, 1, 2, 3, or 128 + signal)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    stop = _Stop(is_program=argv is None)
    with _console(debug), stop.watching():
        try:
            return _run(arguments)
        except PageSortError as error:
            logger.error("%s", error, exc_info=debug)
            return error.exit_status
        except KeyboardInterrupt as interrupt:
            logger.error("%s", _farewell(interrupt, arguments, argv is None), exc_info=debug)
            return 128 + stop.signal_number
        except SystemExit as leaving:  # argparse after --help
            return leaving.code if isinstance(leaving.code, int) else 0
        except Exception as error:  # noqa: BLE001 - the one border: a person gets a line
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")
            logger.error(
                "unexpected %s. Run the command again with --debug and report what it shows",
                reason,
                exc_info=debug,
            )
            return 1


def _run(arguments: Sequence[str]) -> int:
    """Read the settings and call the handler of the action they name."""
    settings = read_settings(arguments, PROGRAM_FOLDER, Path.cwd())
    _tell_idle_settings(settings)
    if settings.file is not None:
        return classify_page(settings, settings.file)
    if settings.directory is not None:
        return classify_folder(settings, settings.directory, "-d")
    if settings.dir:
        return classify_folder(settings, settings.input_folder, "[INPUT] FOLDER_INPUT")
    build_parser().print_help(sys.stderr)
    return UsageError.exit_status


def classify_page(settings: Settings, path: Path) -> int:
    """Print the most likely categories of one page, a line each: label, tab, percentage."""
    from pagesort.images import load_page
    from utils import round_scores, top_guesses

    if path.is_dir():
        raise UsageError("-f takes one page, and this is a folder", where=path, remedy="Use -d")
    if not os.path.lexists(path):
        raise PageSortError("the page does not exist", where=path, remedy="Check the path")
    idle = [settings.origins[name].split()[-1] for name in FOLDER_ONLY if settings.is_named(name)]
    if idle:
        logger.warning("%s: for folders only, not used with -f", ", ".join(idle))
    image = load_page(path, settings.max_megapixels)
    classifier = _open_classifier(settings)
    _check_topn(settings, classifier)
    scores = classifier.probabilities(classifier.preprocessing.apply(image)[None])[0]
    _emit(str(path))
    for index, score in top_guesses(scores, settings.topn):
        # Rounded as in the tables first, so that both show one number.
        _emit(f"{classifier.labels[index]}\t{round_scores(score):.1%}")
    return 0


def classify_folder(settings: Settings, folder: Path, named_by: str) -> int:
    """Write the tables of a folder's pages and print their paths, one a line."""
    from pagesort import prediction

    if folder.is_file():
        what = f"{named_by} takes a folder, and this is a file"
        raise UsageError(what, where=folder, remedy="Use -f")
    tables = settings.results_folder / "tables"
    request = prediction.Request(
        folder=folder,
        formats=settings.file_format,
        inner=settings.inner,
        tables=tables,
        top_n=settings.topn,
        raw=settings.raw,
        max_categ=settings.max_categ,
        batch_size=min(settings.batch_size, settings.chunk_size),
        max_megapixels=settings.max_megapixels,
        resume=settings.resume,
    )
    prediction.check_request(request)
    classifier = _open_classifier(settings)
    _check_topn(settings, classifier)
    result = prediction.predict_folder(classifier, request)
    for path in result.tables:
        _emit(str(path))
    return UNREADABLE_PAGES_STATUS if result.failed else 0


def _open_classifier(settings: Settings) -> CLIP:
    """Open the model the settings name, else the bundled one; tell which, and the device."""
    source = _model_source(settings)
    named = _named_descriptions(settings)
    # Imported only now: this takes seconds, and everything above may already be an error.
    from classifier import CLIP
    from pagesort import checkpoints

    if source is None:
        source = checkpoints.bundled_model()
    storage = settings.model_storage or settings.model_dir / "converted"
    folder = checkpoints.open_model_folder(source, storage)
    metadata = checkpoints.read_metadata(folder)
    _check_base(settings, metadata)
    fallback = None
    if named is None:
        if metadata is None or not metadata.descriptions:
            fallback = _configured_descriptions(settings)
        else:
            _tell_unused_table(settings)
    where, descriptions = named or fallback or (None, None)
    classifier = CLIP.open(
        folder,
        device=settings.device,
        descriptions=descriptions if named else None,
        fallback_descriptions=descriptions if fallback else None,
        where=where or folder,
        # Not asked for on the command line, `False` leaves it to the model.
        average=settings.avg if settings.avg or settings.is_named("avg") else None,
        prompt=settings.prompt,
    )
    logger.info("model %s on %s", folder, classifier.device)
    return classifier


def _model_source(settings: Settings) -> Path | None:
    """Return the path of the model to use; None stands for the bundled one.

    Raises:
        PageSortError: a model named on the command line is not there.
    """
    if settings.model_path is not None:
        if not settings.model_path.exists():
            raise PageSortError(
                "the model does not exist",
                where=settings.model_path,
                remedy=f"--model_path takes a model folder or a .pt file. {_models_in(settings)}",
            )
        return settings.model_path
    from pagesort import catalogue

    code, revision = _wanted_model(settings)
    base, revision = catalogue.resolve(code, revision)
    folder = settings.model_dir / catalogue.model_folder_name(base.code, revision)
    if folder.is_dir():
        return folder
    if settings.is_named("model", "revision", "model_dir"):
        raise PageSortError(
            f"the model {base.code} revision {revision} is not on this machine",
            where=folder,
            remedy=f"{_models_in(settings)}; leave out -m, -rev and --model_dir to use the "
            "bundled model",
        )
    # `hf` is the hub's own command, which comes with the requirements.
    fetch = ["hf", "download", settings.repo_name, "--revision", revision, "--local-dir"]
    logger.info(
        "%s revision %s is not on this machine, so the bundled small model answers. To fetch the "
        "full one: %s",
        base.code,
        revision,
        _as_typed([*fetch, str(folder)]),
    )
    return None


def _wanted_model(settings: Settings) -> tuple[str | None, str | None]:
    """Return base code and revision, without the one that a stronger setting of the other beats.

    The command line is stronger than the settings file, which is stronger than a default; of equal
    strength both count, and must belong together.
    """

    def strength(name: str) -> int:
        return settings.is_configured(name) + settings.is_named(name)

    code, revision = strength("model"), strength("revision")
    return (
        settings.model if code >= revision else None,
        settings.revision if revision >= code else None,
    )


def _models_in(settings: Settings) -> str:
    """Say which models the folder of models holds."""
    try:
        names = sorted(path.name for path in settings.model_dir.iterdir() if path.is_dir())
    except OSError:
        return f"The folder {settings.model_dir} cannot be read"
    return f"{settings.model_dir} holds {', '.join(names) or 'no model'}"


def _named_descriptions(settings: Settings) -> Descriptions | None:
    """Read the descriptions that the command line asks for; None if it asks for none."""
    from pagesort import descriptions

    if settings.is_named("cat_dir", "cat_prefix"):
        return _description_folder(settings)
    if settings.is_named("avg") and settings.avg:
        return _configured_descriptions(settings)
    if settings.is_named("cat_csv"):
        return settings.cat_csv, descriptions.read_descriptions(settings.cat_csv)
    return None


def _configured_descriptions(settings: Settings) -> Descriptions:
    """Read the table of descriptions, or where averaging needs several all tables of the folder."""
    from pagesort import descriptions

    table = descriptions.read_descriptions(settings.cat_csv)
    if not settings.avg or any(len(texts) > 1 for texts in table.values()):
        return settings.cat_csv, table
    logger.info("%s holds one description a label, too few to average", settings.cat_csv)
    return _description_folder(settings)


def _description_folder(settings: Settings) -> Descriptions:
    """Read every table of the folder of descriptions."""
    from pagesort import descriptions

    logger.info("averaging the tables %s* in %s", settings.cat_prefix, settings.cat_dir)
    tables = descriptions.read_description_tables(settings.cat_dir, settings.cat_prefix)
    return settings.cat_dir, tables


def _tell_unused_table(settings: Settings) -> None:
    """Say so if the settings file names a table that the model's own descriptions pass over."""
    shipped = PROGRAM_FOLDER / "category_description_total.tsv"
    if settings.is_configured("cat_csv") and settings.cat_csv.resolve() != shipped:
        logger.info(
            "the model brings its own descriptions; to use %s (%s) instead, give it with -cc",
            settings.cat_csv,
            settings.origins["cat_csv"],
        )


def _check_base(settings: Settings, metadata: ModelMetadata | None) -> None:
    """Refuse a base or revision on the command line that contradicts the model it stands beside."""
    from pagesort import catalogue

    if settings.model_path is None or metadata is None:
        return
    asked = {}
    if settings.is_named("model"):
        asked[f"-m {settings.model}"] = settings.model
    if settings.is_named("revision"):
        asked[f"-rev {settings.revision}"] = catalogue.base_of_revision(settings.revision).code
    for words, code in asked.items():
        if code != metadata.base:
            raise UsageError(
                f"{words} contradicts the model, whose base is {metadata.base}",
                where=settings.model_path,
                remedy=f"Leave out {words.split()[0]}",
            )


def _check_topn(settings: Settings, classifier: CLIP) -> None:
    """Refuse more guesses than there are labels, which only the model tells."""
    if settings.topn > len(classifier.labels):
        raise UsageError(
            f"{settings.topn} guesses ({settings.origins['topn']}) are more than the model has "
            "categories",
            remedy=f"Allowed: a whole number, 1 to {len(classifier.labels)}",
        )


def _tell_idle_settings(settings: Settings) -> None:
    """Warn of what the settings file asks for and this version cannot do yet."""
    for name in ("training", "testing", "use_hf", "zero_shot", "visualize"):
        if getattr(settings, name):
            logger.warning("%s = True has no effect in this version", settings.origins[name])


def _emit(line: str) -> None:
    """Write one line of results to stdout; that nobody reads on is no error.

    Raises:
        PageSortError: there is no stdout, or it cannot be written.
    """
    if sys.stdout is None:
        raise PageSortError("there is no output to write to", remedy="Open stdout or pipe it")
    try:
        sys.stdout.write(_visible(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly(sys.stdout)
    except OSError as error:
        _close_quietly(sys.stdout)
        raise PageSortError(f"cannot write the output ({error.strerror})") from error


def _visible(text: str) -> str:
    """Keep names with line breaks or terminal escapes in one harmless line; tabs stay."""
    return "".join(
        repr(char)[1:-1] if char != "\t" and (char < " " or "\x7f" <= char <= "\x9f") else char
        for char in text
    )


def _close_quietly(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that Python's exit stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def _stop_signals() -> set[signal.Signals]:
    """The signals that ask a program to end: Ctrl-C, `kill`, and Ctrl-Break on Windows."""
    return {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}


class _Stop:
    """Turns Ctrl-C and a request to end into one KeyboardInterrupt."""

    def __init__(self, is_program: bool) -> None:
        self.is_program = is_program
        self.signal_number = int(signal.SIGINT)
        self._last = float("-inf")

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before > PATIENCE_SECONDS:
            self.signal_number = number
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Answer the signals while the body runs; only a main thread can.

        A program that was stopped goes on answering until it has ended, or a second signal would
        kill it between the two.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in _stop_signals()}
        try:
            yield
        finally:
            if not (self.is_program and self._last > float("-inf")):
                for number, handler in before.items():
                    signal.signal(number, handler)


def _farewell(interrupt: KeyboardInterrupt, arguments: Sequence[str], is_program: bool) -> str:
    """Say that the run was stopped and, if it can be taken up again, with which command."""
    kept = str(interrupt)
    if not kept and "--resume" not in arguments:
        return "stopped before a page was scored; the same command starts again"
    kept = kept or "what the interrupted run had scored is kept"
    command = list(sys.orig_argv) if is_program else ["python3", "run.py", *arguments]
    if "--resume" not in arguments:
        command.append("--resume")
    return f"stopped; {kept}. To go on, type: {_as_typed(command)}"


def _as_typed(command: Sequence[str]) -> str:
    """Quote a command the way this system's console wants it typed."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


class _StderrHandler(logging.Handler):
    """Writes messages to today's stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line, with its traceback if it carries one."""
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        line = prefix + _visible(record.getMessage())
        if record.exc_info:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
        bars = sys.modules.get("tqdm")
        with contextlib.suppress(OSError, ValueError):
            if bars is None:
                print(line, file=sys.stderr, flush=True)
            else:
                bars.tqdm.write(line, file=sys.stderr)


@contextlib.contextmanager
def _console(debug: bool) -> Iterator[None]:
    """Send messages to stderr and let no name that the console cannot show end the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            is_utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            # A file name that is not UTF-8 keeps its bytes, so that it can be piped on.
            keeps_bytes = is_utf8 and stream is sys.stdout and os.name != "nt"
            stream.reconfigure(errors="surrogateescape" if keeps_bytes else "backslashreplace")
    if not debug:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    handler = _StderrHandler()
    root = logging.getLogger()
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO if debug else logging.ERROR)
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level_before)


def _leave() -> NoReturn:
    """Run as a program: flush what is left, quietly if its reader has gone, and exit."""
    status = main()
    if status > 128:
        # Python's end puts back the defaults for handlers of its own, not for signals passed over.
        for number in _stop_signals():
            signal.signal(number, signal.SIG_IGN)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            _close_quietly(stream)
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                status = status or PageSortError.exit_status
    sys.exit(status)


if __name__ == "__main__":
    _leave()
