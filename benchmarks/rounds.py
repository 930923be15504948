"""Measurements in turn: each contender in a process of its own, in random order, several rounds."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

TRIES = 3  # of a batch size
WARM_UPS = 2
"""Pages that are sorted before anything is measured."""


@dataclass
class Measured:
    """What one contender did: wall and processor seconds of each round, for all `pages` together.

    `answers` are what it found in each round.
    """

    pages: int
    batch: int
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Pages per second of every round."""
        return [self.pages / each for each in self.seconds]


class Worker:
    """A contender in a process of its own, so that none works with another's threads or memory."""

    def __init__(self, name: str, job: Any, make: Callable[[str, Any], Any]) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, theirs = context.Pipe()
        # No daemon, as those may not start the processes of a DataLoader.
        self._process = context.Process(target=serve, args=(theirs, name, job, make))
        self._process.start()
        theirs.close()
        self.ask()

    def ask(self, *message: Any) -> Any:
        """Send a message, if there is one, and wait for the answer.

        Raises:
            SystemExit: the process failed; its traceback is shown.
        """
        try:
            if message:
                self._connection.send(message)
            answer = self._connection.recv()
        except (EOFError, OSError):
            sys.exit(f"{self.name}: the process died")
        if isinstance(answer, _Failed):
            sys.exit(f"{self.name}: {answer.trace}")
        return answer

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join(timeout=20)
        if self._process.is_alive():
            self._process.terminate()


@dataclass(frozen=True)
class _Failed:
    trace: str


def serve(connection: Connection, name: str, job: Any, make: Callable[[str, Any], Any]) -> None:
    """Make a contender, and measure it whenever that is asked for."""
    logging.disable(logging.WARNING)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115,PTH123 - progress bars
    try:
        contender = make(name, job)
        connection.send("ready")
        while (message := connection.recv()) is not None:
            kind, *rest = message
            if kind == "prepare":
                contender.prepare(*rest)
                connection.send("ready")
            else:
                connection.send(_measure(contender))
    except EOFError:
        return
    except BaseException:  # noqa: BLE001 - whatever it is, the benchmark ends with it
        connection.send(_Failed(traceback.format_exc()))


def _measure(contender: Any) -> tuple[float, float, Any]:
    """Run once: wall and processor seconds, and what was found."""
    used, started = _processor_seconds(), time.perf_counter()
    contender.run()
    seconds = time.perf_counter() - started
    return seconds, _processor_seconds() - used, contender.scores()


def _processor_seconds() -> float:
    """Processor seconds of this process and of those that it started."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def workers(names: Sequence[str], job: Any, make: Callable[[str, Any], Any]) -> Iterator[list]:
    """Start a process for each contender, one after the other, and end them."""
    started: list[Worker] = []
    try:
        for name in names:
            started.append(Worker(name, job, make))
        yield started
    finally:
        for worker in started:
            worker.close()


def settle(worker: Worker, count: int, batches: Sequence[int]) -> int:
    """Warm a contender up, make it ready for `count` pages, and return its best batch size.

    Every size is tried on as many pages as the largest takes, in turn, and its best try counts.
    """
    few = min(count, max(1, *batches))
    worker.ask("prepare", min(few, WARM_UPS), batches[0])
    worker.ask("run")
    seconds = {}
    if len(batches) > 1:
        for batch in batches * TRIES:
            worker.ask("prepare", few, batch)
            seconds[batch] = min(worker.ask("run")[0], seconds.get(batch, math.inf))
    best = min(batches, key=lambda batch: seconds.get(batch, 0.0))
    worker.ask("prepare", count, best)
    return best


def in_turn(
    running: Sequence[Worker],
    rounds: int,
    pages: int,
    batches: Mapping[str, int],
    log_line: Callable[[str], None],
) -> dict[str, Measured]:
    """Measure prepared contenders in `rounds` rounds, each in another random order."""
    order = random.Random(0)
    found = {each.name: Measured(pages, batches[each.name]) for each in running}
    for number in range(rounds):
        for worker in order.sample(list(running), len(running)):
            seconds, processor, answer = worker.ask("run")
            measured = found[worker.name]
            measured.seconds.append(seconds)
            measured.processor.append(processor)
            measured.answers.append(answer)
            log_line(f"  round {number + 1}: {worker.name}, {seconds:.2f} s")
    return found


def ratios(quicker: Sequence[float], slower: Sequence[float]) -> list[float]:
    """How many times as quick, round by round, as both met the same load of the machine."""
    return [one / other for one, other in zip(quicker, slower, strict=True)]
