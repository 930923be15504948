"""The program and its surroundings: messages, results, stop signals, and streams that close."""

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
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TextIO

from pagesort.common.addresses import readable
from pagesort.common.errors import PageSortError, Stopped, unusable
from pagesort.common.processes import is_first_process

# After a stop, further ones are passed over for this long, so that an impatient second Ctrl-C does
# not break the tidying up that the first one began.
PATIENCE_SECONDS = 5.0
UNREADABLE_PAGES_STATUS = 3
"""What an action ends with that was done, but not for all pages."""
OUR_LOGGERS = ("pagesort", "classifier", "utils", "run")


def emit(line: str) -> None:
    """Write one line of results to stdout; that nobody reads on is no error.

    Raises:
        PageSortError: there is no stdout, or it cannot be written.
    """
    if sys.stdout is None:
        raise PageSortError("there is no output to write to", remedy="Open stdout or pipe it")
    try:
        sys.stdout.write(visible(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        close_quietly(sys.stdout)
    except OSError as error:
        close_quietly(sys.stdout)
        raise PageSortError(f"cannot write the output ({error.strerror})") from error


def confirmation(is_given: bool) -> Callable[[str], bool] | None:
    """Return what answers a question: yes beforehand, a person, or None where nobody can."""
    if is_given:
        return lambda question: True
    if sys.stdin is None or not sys.stdin.isatty():
        return None

    def ask(question: str) -> bool:
        sys.stderr.write(f"{visible(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def visible(text: str) -> str:
    """Keep names with line breaks or terminal escapes in one harmless line; tabs stay.

    Addresses are shown as people write them, without what is secret in them.
    """
    text = readable(text)
    return "".join(
        repr(char)[1:-1] if char != "\t" and (char < " " or "\x7f" <= char <= "\x9f") else char
        for char in text
    )


def close_quietly(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that Python's exit stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def stop_signals() -> set[signal.Signals]:
    """The signals that ask a program to end: Ctrl-C, `kill`, and Ctrl-Break on Windows."""
    return {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}


class Stop:
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
        before = {number: signal.signal(number, self._handle) for number in stop_signals()}
        try:
            yield
        finally:
            if not (self.is_program and self._last > float("-inf")):
                for number, handler in before.items():
                    signal.signal(number, handler)


def farewell(interrupt: KeyboardInterrupt, arguments: Sequence[str], is_program: bool) -> str:
    """Say that the run was stopped and, if it can be taken up again, with which command."""
    kept = interrupt.kept if isinstance(interrupt, Stopped) else ""
    if isinstance(interrupt, Stopped) and interrupt.next_command is not None:
        return f"stopped; {kept}. {interrupt.next_command}"
    if not kept and {"--eval", "--eval_dir", "--compare_models"} & set(arguments):
        return "stopped; the same command starts again"
    if not kept and "--hf" in arguments:
        return "stopped; the same command goes on with what was fetched, or sends anew"
    trains = bool({"--train", "--train_reader"} & set(arguments))
    if not kept and "--resume" not in arguments:
        before = "the training began" if trains else "a page was scored"
        return f"stopped before {before}; the same command starts again"
    kept = kept or "what the interrupted run had scored is kept"
    command = list(sys.orig_argv) if is_program else ["python3", "run.py", *arguments]
    # A training goes on by itself where the same command is given again.
    if "--resume" not in arguments and not trains:
        command.append("--resume")
    return f"stopped; {kept}. To go on, type: {as_typed(command)}"


def log_failure(logger: logging.Logger, error: Exception, debug: bool) -> int:
    """Say in one line what ended the program, with the traceback to debug it; returns its status.

    Whatever the system has against a path is no fault of the program.
    """
    if isinstance(error, OSError) and error.filename is not None:
        error = unusable(error)
    if isinstance(error, PageSortError):
        logger.error("%s", error, exc_info=debug)
        return error.exit_status
    reason = f"{type(error).__name__}: {error}".replace("\n", " ")
    logger.error(
        "unexpected %s. Run the command again with --debug and report what it shows",
        reason,
        exc_info=debug,
    )
    return PageSortError.exit_status


def as_typed(command: Sequence[str]) -> str:
    """Quote a command the way this system's console wants it typed."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


class _StderrHandler(logging.Handler):
    """Writes messages to today's stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line, with its traceback if it carries one."""
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        line = prefix + visible(record.getMessage())
        if record.exc_info:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
        bars = sys.modules.get("tqdm")
        with contextlib.suppress(OSError, ValueError):
            if bars is None:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            else:
                bars.tqdm.write(line, file=sys.stderr)


@contextlib.contextmanager
def console(debug: bool) -> Iterator[None]:
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
    # Of several processes that train together only the first one speaks, unless something fails.
    speaks = logging.INFO if is_first_process() else logging.ERROR
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else speaks)
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level_before)
