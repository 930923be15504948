"""How many bytes of pages are held at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pagesort.common.errors import PageUnreadableError
from pagesort.pages import memory_budget
from pagesort.pages.memory_budget import MemoryBudget


def _most_held(limit: int, needs: list[int]) -> int:
    """Hold so much in threads of their own, and see how much that is at once."""
    pages = MemoryBudget(limit)
    lock, held, most = threading.Lock(), 0, 0

    def take(need: int) -> None:
        nonlocal held, most
        with pages.hold(need):
            with lock:
                held += need
                most = max(most, held)
            time.sleep(0.01)
            with lock:
                held -= need

    with ThreadPoolExecutor(len(needs)) as pool:
        list(pool.map(take, needs))
    assert pages.held == 0
    return most


def test_no_more_than_the_budget_is_held_at_once() -> None:
    assert _most_held(100, [30] * 12) == 90


def test_a_page_larger_than_the_budget_goes_alone() -> None:
    assert _most_held(100, [20, 150, 20, 150, 20]) == 150


def test_a_page_larger_than_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "free_memory", lambda: 3 << 29)
    pages = MemoryBudget()
    assert pages.limit == 3 << 28
    with pages.hold(1 << 30):
        pass
    with (
        pytest.raises(PageUnreadableError, match=r"about 2.0 GiB of memory, and 1.5 GiB are free"),
        pages.hold(2 << 30),
    ):
        pytest.fail("let in")
    with pages.hold(1 << 30):
        pass
    monkeypatch.setattr(memory_budget, "free_memory", lambda: 0)
    with MemoryBudget().hold(100 << 20):  # a guess is no reason to refuse an ordinary page
        pass


def test_those_who_wait_give_up_when_the_run_stops() -> None:
    pages = MemoryBudget(10)

    def wait() -> str:
        with pytest.raises(PageUnreadableError) as caught, pages.hold(10):
            pytest.fail("let in")
        return caught.value.what

    with ThreadPoolExecutor(1) as pool, pages.hold(10):
        waiting = pool.submit(wait)
        time.sleep(0.05)
        assert not waiting.done()
        pages.stop()
        assert waiting.result(timeout=5) == "the run was stopped"
