"""A run whose pages are scored by the processes of a Ray cluster; its journal stays in this one.

Batches are given out as workers ask for them, two to each, and what comes back is written down at
once, so that memory does not grow with the pages. A batch whose worker dies is given to another
one; a page that ends every worker fails alone.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError
from pagesort.common.hardware import processors
from pagesort.common.optional import optional_package
from pagesort.common.paths import ROOT
from pagesort.models.protocols import Classifier
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction.likeness import Likeness
from pagesort.prediction.ray_worker import OpenModel, ScoredBatch, Worker, WorkerPlan
from pagesort.prediction.scoring import ScoredPage

logger = logging.getLogger(__name__)

ADDRESS = "RAY_ADDRESS"
REQUIREMENTS = "requirements-ray.txt"
AT_ONCE = 2  # batches at one worker: one is decoded while the model sees the other
MOST_DEATHS = 3
"""Workers that a page may end before it counts as one that cannot be read."""
MOST_IN_VAIN = 20  # workers that end one after the other before the run is given up
STARTS = 3
REMOVALS = 20
STORE_BYTES = 256 << 20  # of a cluster of our own; a batch is some kilobytes
SEEN_S = 1.0  # between looks at whether the run is to be stopped
ENDED = f"reading it has ended {MOST_DEATHS} processes"


@dataclass
class _Task:
    """Pages to be scored together, and how many workers have ended over them."""

    pages: list[PageRef]
    deaths: int = 0


@dataclass
class _Actor:
    """A worker, and what it has been given."""

    handle: Any
    opening: Any  # what will tell that it has opened the model; None: it has
    tasks: dict[Any, _Task] = field(default_factory=dict)

    def may_take(self, task: _Task) -> bool:
        """Whether a task can be given to it; one that has ended a worker is given alone."""
        if self.opening is not None:
            return False
        if task.deaths:
            return not self.tasks
        return len(self.tasks) < AT_ONCE and not any(each.deaths for each in self.tasks.values())


@dataclass(frozen=True)
class RayEngine:
    """Scores batches on a Ray cluster: that of `RAY_ADDRESS`, or one that lives as long as the run.

    Attributes:
        open_model: opens the model in another process, which has to be able to import it.
        workers: how many processes score; None: one a graphics card, or a processor.
    """

    open_model: OpenModel
    workers: int | None = None

    def score_batches(
        self,
        classifier: Classifier,
        groups: Iterable[Sequence[PageRef]],
        batch_size: int,
        total: int,
        max_megapixels: float,
        likeness: Likeness | None = None,
    ) -> Generator[list[ScoredPage | Failure]]:
        """Yield what became of each group's pages, as they are done.

        Args:
            classifier: the open model, which decides labels, fingerprint and precision.
            groups, batch_size, total: as `scoring.score_batches` takes them.
            max_megapixels: the size of the largest page.
            likeness: is told of the pages that are unlike the training pages.

        Raises:
            PageSortError: the cluster cannot be reached, or no worker can open the model.
        """
        gpu = str(classifier.device).startswith("cuda")
        with _cluster(self.workers) as is_own:
            most = max(1, int(_ray().cluster_resources().get("GPU" if gpu else "CPU", 1)))
            count = min(self.workers or most, most)
            plan = WorkerPlan(
                self.open_model,
                classifier.fingerprint,
                classifier.precision,
                batch_size,
                total,
                max_megapixels,
                share=count if is_own else 1,
            )
            logger.info("up to %d workers on a Ray cluster", count)
            for batch in _Pool(plan, count, gpu).score(groups):
                if likeness is not None:
                    likeness.add(batch.pages, batch.unlike)
                yield batch.results


class _Pool:
    """The workers of a run, as many as there are to be, whoever of them ends."""

    def __init__(self, plan: WorkerPlan, count: int, gpu: bool) -> None:
        self._ray = _ray()
        self._plan = self._ray.put(plan)
        self._gpu = gpu
        self._in_vain = 0
        self._waiting: deque[_Task] = deque()
        self._actors = [self._start() for _ in range(count)]

    def _start(self) -> _Actor:
        threads = {} if self._gpu else {"OMP_NUM_THREADS": "1"}
        remote = self._ray.remote(
            num_cpus=1,
            num_gpus=1 if self._gpu else 0,
            max_concurrency=AT_ONCE + 1,
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), **threads}},
        )
        handle = remote(Worker).remote(self._plan)
        return _Actor(handle, handle.problem.remote())

    def score(self, groups: Iterable[Sequence[PageRef]]) -> Iterator[ScoredBatch]:
        """Yield what workers make of groups of pages, in the order in which they are done."""
        fresh = (_Task(list(group)) for group in groups)
        while True:
            given = self._give_out(fresh)
            if not given and not self._has_more(fresh):
                return
            opening = [actor.opening for actor in self._actors if actor.opening is not None]
            ready, _ = self._ray.wait([*given, *opening], num_returns=1, timeout=SEEN_S)
            for reference in ready:
                yield from self._heard_of(reference)

    def _give_out(self, fresh: Iterator[_Task]) -> list[Any]:
        """Give tasks to workers that have time; returns all that are given out."""
        for actor in self._actors:
            while self._has_more(fresh) and actor.may_take(self._waiting[0]):
                task = self._waiting.popleft()
                actor.tasks[actor.handle.score.remote(task.pages)] = task
        return [reference for actor in self._actors for reference in actor.tasks]

    def _has_more(self, fresh: Iterator[_Task]) -> bool:
        """Whether a task waits to be given out; one is taken from the listing at a time."""
        if not self._waiting and (task := next(fresh, None)) is not None:
            self._waiting.append(task)
        return bool(self._waiting)

    def _heard_of(self, reference: Any) -> Iterator[ScoredBatch]:
        """Take what a worker says, or see to it that another one does its work."""
        for actor in self._actors:
            try:
                if reference == actor.opening:
                    self._opened(actor)
                elif reference in actor.tasks:
                    yield self._taken_back(actor, reference)
                else:
                    continue
            except self._ray.exceptions.RayTaskError as error:
                cause = getattr(error, "cause", None)
                raise (cause if isinstance(cause, PageSortError) else error) from error
            except self._ray.exceptions.RayError as error:
                yield from self._replaced(actor, error)
            return

    def _opened(self, actor: _Actor) -> None:
        problem = self._ray.get(actor.opening)
        if problem:
            raise PageSortError(
                f"a worker of the Ray cluster cannot open the model ({problem})",
                remedy="The same folders and the same environment are needed on all machines",
            )
        actor.opening = None

    def _taken_back(self, actor: _Actor, reference: Any) -> ScoredBatch:
        batch: ScoredBatch = self._ray.get(reference)
        del actor.tasks[reference]
        self._in_vain = 0
        return batch

    def _replaced(self, actor: _Actor, error: Exception) -> Iterator[ScoredBatch]:
        """Start a worker in the place of one that has ended, and take its tasks back."""
        self._in_vain += 1
        if self._in_vain > MOST_IN_VAIN:
            raise PageSortError(
                f"the workers of the Ray cluster end one after the other ({_short(error)})",
                remedy="What is scored is kept; look into the cluster, and go on with --resume",
            )
        logger.debug("a worker has ended, and another one takes its place: %s", _short(error))
        for task in actor.tasks.values():
            yield from self._done_again(task)
        with contextlib.suppress(Exception):
            self._ray.kill(actor.handle)
        self._actors[self._actors.index(actor)] = self._start()

    def _done_again(self, task: _Task) -> Iterator[ScoredBatch]:
        """Take a task up again: page by page, if it has ended two workers."""
        task.deaths += 1
        if task.deaths < 2 or (len(task.pages) == 1 and task.deaths < MOST_DEATHS):
            self._waiting.append(task)
        elif len(task.pages) > 1:
            self._waiting.extend(_Task([page], deaths=1) for page in task.pages)
        else:
            yield ScoredBatch([Failure(task.pages[0], ENDED)])


@contextlib.contextmanager
def _cluster(workers: int | None) -> Iterator[bool]:
    """Connect to the cluster of RAY_ADDRESS, or start one that ends with the run; whether it did.

    The processes of its own end with this one, however that ends.

    Raises:
        PageSortError: it cannot be reached or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")  # on a busy machine
    ray = _ray()
    address = os.environ.get(ADDRESS, "")
    how: dict[str, Any] = {"address": address}
    with contextlib.ExitStack() as held:
        if not address:
            folder = tempfile.mkdtemp(prefix="pagesort-ray-")
            held.callback(_remove, folder)
            # Some processes of a cluster that did not start end with this one only: by what Ray
            # registers later than this, and does earlier.
            atexit.register(_remove, folder)
            how = {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "num_cpus": workers or processors(),
                "_temp_dir": folder,
            }
        held.callback(ray.shutdown)
        try:
            _connect(how)
        except Exception as error:  # noqa: BLE001 - whatever Ray and the network have against it
            where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
            raise PageSortError(
                f"{where} cannot be {'reached' if address else 'started'} ({_short(error)})",
                remedy=f"Check {ADDRESS}, and set RAY_AUTH_MODE=token if the cluster has a token"
                if address
                else "Leave out --engine ray",
            ) from error
        yield not address


def _connect(how: Mapping[str, Any]) -> None:
    """Connect, trying again: a busy machine takes longer than Ray gives a new cluster."""
    for attempt in range(STARTS):
        try:
            with _own_signals():
                _ray().init(log_to_driver=False, configure_logging=False, **how)
            return
        except Exception:  # noqa: BLE001 - the caller tells what it is
            _ray().shutdown()
            if attempt == STARTS - 1:
                raise


def _remove(folder: str) -> None:
    """Remove the folder of a cluster that is ending, whose processes may still write there."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            return
        time.sleep(0.25)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the answers of this program to signals, which Ray would replace by its own."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers: list[Any] = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)


def _short(error: BaseException) -> str:
    """What Ray reports at length, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def check_ray() -> None:
    """Refuse, before a model is opened, to run without the package.

    Raises:
        PageSortError: it is not installed.
    """
    _ray()


def _ray() -> Any:
    return optional_package("ray", "--engine ray", REQUIREMENTS, "leave it out")
