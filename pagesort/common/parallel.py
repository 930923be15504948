"""Work done by several threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 4  # tasks given out for each thread

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    tasks: Iterable[Task],
    do: Callable[[Task], Result],
    threads: int,
    give_up: Callable[[], object] | None = None,
) -> Generator[tuple[Task, Result]]:
    """Yield each task with its result, in order, while threads work some tasks ahead.

    Tasks are taken as they are needed. When the consumer stops early, waiting tasks are dropped,
    and `give_up` is called, which may bring those at work to an early end.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, threads), thread_name_prefix="jobs")
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.submit(do, task)))
            if len(waiting) > AHEAD * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BaseException:
        if give_up is not None:
            give_up()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
