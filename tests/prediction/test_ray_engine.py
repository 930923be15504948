"""Batches that workers of a cluster score: all of them, once, whoever of the workers ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction import ray_engine
from pagesort.prediction.journal_files import JOURNAL_SUFFIX
from pagesort.prediction.ray_engine import ENDED
from pagesort.prediction.ray_worker import ScoredBatch
from pagesort.prediction.scoring import ScoredPage
from tests.helpers import ray_run
from tests.helpers.paths import ROOT


class RayError(Exception):
    """What stands for Ray's own."""


class FakeRay:
    """A cluster whose workers end when `kills` says so of what they are given."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=type("TaskError", (RayError,), {}))

    def __init__(self, kills: Callable[[list[PageRef]], bool], problem: str = "") -> None:
        self.kills, self.problem = kills, problem
        self.random = random.Random(5)
        self.started = 0
        self.most_given = 0
        self.given: dict[object, tuple[SimpleNamespace, list[PageRef] | None]] = {}

    def put(self, plan: object) -> object:
        return plan

    def remote(self, **_: object) -> Callable[[type], SimpleNamespace]:
        return lambda _: SimpleNamespace(remote=self._start)

    def _start(self, _: object) -> SimpleNamespace:
        self.started += 1
        actor = SimpleNamespace(is_dead=False)
        actor.problem = SimpleNamespace(remote=lambda: self._give(actor, None))
        actor.score = SimpleNamespace(remote=lambda pages: self._give(actor, pages))
        return actor

    def _give(self, actor: SimpleNamespace, pages: list[PageRef] | None) -> object:
        reference = object()
        self.given[reference] = actor, pages
        self.most_given = max(self.most_given, len(self.given))
        return reference

    def wait(self, references: list[object], **_: object) -> tuple[list[object], list[object]]:
        return [self.random.choice(references)], []

    def get(self, reference: object) -> Any:
        actor, pages = self.given.pop(reference)
        if pages is not None and not actor.is_dead and self.kills(pages):
            actor.is_dead = True
        if actor.is_dead:
            raise RayError("\nThe actor died\n")
        if pages is None:
            return self.problem
        return ScoredBatch([ScoredPage(ref, np.zeros(3, np.float32)) for ref in pages], len(pages))

    def kill(self, _: object) -> None:
        """It is dead already."""


def outcome(monkeypatch: pytest.MonkeyPatch, fake: FakeRay, pages: int = 60) -> dict[int, Any]:
    """What became of each page of a listing, each of which comes once."""
    monkeypatch.setattr(ray_engine, "_ray", lambda: fake)
    refs = [PageRef(n, Path(f"p-{n}.png")) for n in range(pages)]
    pool = ray_engine._Pool(object(), 3, gpu=False)
    found: dict[int, Any] = {}
    for batch in pool.score(refs[start : start + 4] for start in range(0, pages, 4)):
        for result in batch.results:
            assert result.ref.index not in found
            found[result.ref.index] = result
    assert sorted(found) == list(range(pages))
    return found


def test_every_page_comes_back_once_and_few_are_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(lambda _: False)
    found = outcome(monkeypatch, fake)
    assert all(isinstance(result, ScoredPage) for result in found.values())
    assert fake.started == 3 and fake.most_given <= 3 * (ray_engine.AT_ONCE + 1)


def test_workers_that_end_at_random_lose_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(1)
    fake = FakeRay(lambda _: drawn.random() < 0.15)
    found = outcome(monkeypatch, fake)
    assert fake.started > 4
    assert sum(isinstance(result, Failure) for result in found.values()) <= 2


def test_a_page_that_ends_every_worker_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(lambda pages: any(ref.index == 17 for ref in pages))
    found = outcome(monkeypatch, fake)
    assert [n for n, result in found.items() if isinstance(result, Failure)] == [17]
    assert found[17].reason == ENDED


def test_a_cluster_whose_workers_all_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PageSortError, match=r"one after the other.*The actor died"):
        outcome(monkeypatch, FakeRay(lambda _: True), 4000)


def test_a_worker_without_the_model_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PageSortError, match="cannot open the model .it is not there"):
        outcome(monkeypatch, FakeRay(lambda _: False, problem="it is not there"))


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PageSortError, match="requirements-ray.txt"):
        ray_engine.check_ray()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pages, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(40):
        Image.new("L", (30, 40), 6 * number).save(folder / f"p-{number}.png")
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray, with a short path for its sockets."""
    pytest.importorskip("ray")
    place = tempfile.mkdtemp(prefix="r-", dir="/tmp" if os.name == "posix" else None)
    monkeypatch.setenv("TMPDIR", place)
    monkeypatch.setattr(tempfile, "tempdir", place)
    yield
    shutil.rmtree(place, ignore_errors=True)


def test_a_cluster_that_does_not_start_leaves_no_folder(tmp_path: Path) -> None:
    words = """
import atexit
from pathlib import Path
from types import SimpleNamespace
from pagesort.prediction import ray_engine

def init(_temp_dir, **_):  # leaves processes that write until this one ends
    folder = Path(_temp_dir)
    atexit.register(lambda: (folder.mkdir(exist_ok=True), (folder / "log").touch()))
    raise TimeoutError("no answer")

ray_engine._ray = lambda: SimpleNamespace(init=init, shutdown=lambda: None)
with ray_engine._cluster(1):
    pass
"""
    place = os.environ | {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "RAY_ADDRESS": ""}
    command = [sys.executable, "-c", words]
    done = subprocess.run(
        command, cwd=ROOT, env=place, capture_output=True, text=True, check=False, timeout=300
    )
    assert "a Ray cluster on this machine cannot be started (" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_tables_are_those_of_one_process_though_a_worker_is_killed(
    scans: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "killed"
    here = ray_run.sort(scans, tmp_path / "here")
    there = ray_run.sort(scans, tmp_path / "there", engine=ray_run.engine(0.05, mark))
    assert mark.exists()
    for ours, theirs in zip(there, here, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    # What Ray has put in the place of the program's own answer to Ctrl-C is taken back.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_no_process_and_goes_on(
    scans: Path, tmp_path: Path, how: signal.Signals
) -> None:
    tables = tmp_path / "tables"
    program = Path(ray_run.__file__)
    process = subprocess.Popen(
        [sys.executable, str(program), str(scans), str(tables)], cwd=ROOT,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    progress = f"*{JOURNAL_SUFFIX}.json"
    wait_for(lambda: any(tables.glob(progress)) or process.poll() is not None, 240)
    assert process.poll() is None, "it has ended by itself"
    place = os.environ["TMPDIR"]
    assert processes_of(place)
    process.send_signal(how)
    process.wait(60)
    wait_for(lambda: not processes_of(place), 180)  # Ray's own helpers take their time
    # Whoever goes on with it needs no cluster.
    resumed = ray_run.sort(scans, tables, resume=True)
    for ours, theirs in zip(resumed, ray_run.sort(scans, tmp_path / "here"), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def processes_of(place: str) -> list[str]:
    """Processes that were started with this folder for temporary files, but this one."""
    wanted, found = f"TMPDIR={place}\0".encode(), []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            is_one = wanted in (each / "environ").read_bytes() + b"\0"
            state = (each / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if is_one and state != "Z" and int(each.name) != os.getpid():
            found.append(each.name)
    return found


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it has taken too long"
        time.sleep(0.2)
