"""The command against everything that goes wrong: bad files, kills, full disks, other runs."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.command import error_line, read_table
from tests.helpers.pages import DAMAGES, KINDS, write_page
from tests.helpers.paths import ROOT

PAGES = 40
BATCH = 4
PATIENCE = 300  # seconds, for a machine that has much else to do

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


class Place:
    """A working folder with scans and a model, in which the stand-in program can be started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scans = folder / "scans"
        self.model = folder / "model"
        self.model.mkdir(parents=True)
        for number in range(PAGES):
            write_page(self.scans / f"CTX{number % 3}-{number}.png", seed=number, size=(24, 30))
        (self.scans / "broken-1.png").write_bytes(b"")
        self.use_results("result")

    def use_results(self, results: str | Path) -> None:
        """Let tables go to another folder."""
        self.tables = self.folder / results / "tables"
        (self.folder / "config.txt").write_text(f"[OUTPUT]\nFOLDER_RESULTS = {results}\n")

    def start(
        self, *arguments: str, pace: float | str = 0.0, **options: object
    ) -> subprocess.Popen:
        """Start a run over the scans, at a pace of the stand-in."""
        words = ["-d", "scans", "--raw", "-tn", "2", "--batch_size", str(BATCH), *arguments]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "helpers" / "stand_in.py"), str(pace), *words]
            + ["--model_path", "model"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            **options,
        )

    def run(self, *arguments: str, **options: object) -> tuple[int, str, str]:
        """Run to the end: exit status, stdout, stderr."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def begun(self, *arguments: str) -> subprocess.Popen:
        """Start a run that has scored pages, and is held until it may go on."""
        process = self.start(*arguments, pace="held")
        log = self.folder / "batches.log"
        deadline = time.monotonic() + PATIENCE
        while not log.exists() or log.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def go_on(self) -> None:
        """Hold the run no longer."""
        (self.folder / "go_on").touch()

    def journals(self) -> list[Path]:
        """The unfinished runs."""
        return sorted(self.tables.glob("*.partial.sqlite"))


def contents(out: str, folder: Path) -> list[bytes]:
    return [(folder / line).read_bytes() for line in out.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Result, RAW and failures table of a run that nothing disturbs."""
    place = Place(tmp_path_factory.mktemp("whole") / "place")
    status, out, err = place.run()
    assert status == 3, err
    tables = contents(out, place.folder)
    assert len(tables) == 3
    assert tables[0].count(b"\n") == PAGES + 1
    return tables


# ----- bad files


def test_every_kind_of_file_gets_its_row(place: Place) -> None:
    shutil.rmtree(place.scans)
    place.scans.mkdir()
    for name, (write, _) in KINDS.items():
        write(place.scans / name)
    for name, (write, _) in DAMAGES.items():
        write(place.scans / name)
    status, out, err = place.run("-ff", "png,jpg,tif,gif,webp,bmp")
    assert status == 3, err
    result, _, failed = (read_table(place.folder / line) for line in out.splitlines())
    reasons = {row["PATH"]: row["REASON"] for row in failed}
    # A folder is no page whatever its name, and a file that vanished before the start is not seen.
    unlisted = {"folder.png", "vanished.png"}
    assert set(reasons) == set(DAMAGES) - unlisted
    for name, (_, part) in DAMAGES.items():
        assert name in unlisted or part in reasons[name]
    pages = len(KINDS) + 1  # one of them is a TIFF of two pages
    assert len(result) == pages
    assert len({(row["FILE"], row["PAGE"]) for row in result}) == pages


@pytest.mark.parametrize("name", [name for name in DAMAGES if name != "folder.png"])
def test_every_bad_file_alone_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import run

    write, part = DAMAGES[name]
    write(tmp_path / name)
    part = {"vanished.png": "does not exist", "document.png": "damaged"}.get(name, part)
    status = run.main(["-f", str(tmp_path / name)])
    out, err = capsys.readouterr()
    assert out == ""
    error = error_line((status, out, err))
    assert err.endswith(error + "\n")
    assert part in error
    assert name in error


# ----- stops


def test_a_live_run_cannot_be_taken_over_and_a_stopped_one_goes_on(
    place: Place, uninterrupted: list[bytes]
) -> None:
    process = place.begun()
    status, _, err = place.run("--resume")
    assert status == 1
    assert "Another process is working on this run" in err
    typed = stopped(place, process, signal.SIGINT, 130)
    # The stand-in takes its first argument off the line; a person's line holds it still.
    done = subprocess.run(typed, cwd=place.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert contents(done.stdout, place.folder) == uninterrupted
    # No page is scored twice.
    begun = next(line for line in done.stderr.splitlines() if line.startswith("going on: "))
    scored = int(begun.split()[2])
    assert 0 < scored < PAGES
    assert scored % BATCH in (0, BATCH - 1)


def test_an_end_by_the_system_is_as_clean(place: Place) -> None:
    stopped(place, place.begun(), signal.SIGTERM, 143)


def stopped(
    place: Place, process: subprocess.Popen, number: signal.Signals, status: int
) -> list[str]:
    """Stop a run by two signals, and return the words that it says to type to go on."""
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)
    place.go_on()  # the batch that the model is at is waited for
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (status, "")
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert "pages are scored and kept in" in last
    typed = shlex.split(last.partition("To go on, type: ")[2])
    assert typed[-1] == "--resume"
    assert "-d" in typed
    return typed


@pytest.mark.parametrize(("seed", "most"), [(1, 3), pytest.param(2, 6, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing(
    place: Place, uninterrupted: list[bytes], seed: int, most: int
) -> None:
    moments = random.Random(seed)
    kills = 0
    resume: list[str] = []
    while kills < most:
        process = place.start(*resume, pace=0.05)
        try:
            process.wait(moments.uniform(0.2, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == 3:
            break
        # Killed before the listing was written, there is nothing to go on with.
        resume = [] if process.returncode == 1 and "no interrupted run" in err else ["--resume"]
        assert process.returncode in (1, -9), err
    else:
        status, out, err = place.run("--resume")
        if status == 1 and "no interrupted run" in err:
            status, out, err = place.run()
        assert status == 3, err
    assert contents(out, place.folder) == uninterrupted
    left = {path.name for path in place.tables.iterdir()}
    assert not {name for name in left if "tmp" in name}


# ----- other runs


@pytest.mark.slow
def test_two_runs_at_once_write_a_table_each(place: Place, uninterrupted: list[bytes]) -> None:
    processes = [place.start(pace=0.05) for _ in range(2)]
    outs = []
    for process in processes:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 3, err
        outs.append(out)
        assert contents(out, place.folder) == uninterrupted
    assert not set(outs[0].splitlines()) & set(outs[1].splitlines())


# ----- disks


def check_disk_error(place: Place, result: tuple[int, str, str]) -> None:
    assert "cannot be written" in error_line(result)
    assert result[1] == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB, where we may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_full_disk_stops_with_one_line_and_resumes(
    place: Place, small_disk: Path, uninterrupted: list[bytes]
) -> None:
    place.use_results(small_disk)
    (small_disk / "tables").mkdir()
    (small_disk / "filler").write_bytes(bytes(220 * 1024))
    result = place.run()
    check_disk_error(place, result)
    (small_disk / "filler").unlink()
    resume = ["--resume"] if place.journals() else []
    status, out, err = place.run(*resume)
    assert status == 3, err
    assert contents(out, place.folder) == uninterrupted


@pytest.mark.parametrize("kilobytes", [pytest.param(4, marks=pytest.mark.slow), 20])
def test_writing_that_fails_midway_is_one_line(
    place: Place, uninterrupted: list[bytes], kilobytes: int
) -> None:
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    status, out, err = place.run(preexec_fn=limit)
    if status == 3:  # everything fits
        assert contents(out, place.folder) == uninterrupted
        return
    check_disk_error(place, (status, out, err))
    resume = ["--resume"] if place.journals() else []
    status, out, err = place.run(*resume)
    assert status == 3, err
    assert contents(out, place.folder) == uninterrupted


@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_results_folder(place: Place) -> None:
    place.tables.mkdir(parents=True)
    place.tables.chmod(0o555)
    status, out, err = place.run()
    assert (status, out) == (1, "")
    assert "cannot write tables" in err
    assert len(err.splitlines()) == 1


def test_pages_that_vanish_during_the_run_fail_alone(place: Place) -> None:
    process = place.begun()
    shutil.rmtree(place.scans)
    place.go_on()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err
    failed = read_table(place.folder / out.splitlines()[2])
    assert len(failed) > 1
    assert any("no longer there" in row["REASON"] for row in failed)


# ----- the same with a real model


@pytest.mark.slow
def test_real_model_killed_and_resumed(tmp_path: Path, tiny_model_folder: Path) -> None:
    place = Place(tmp_path / "place")
    start: Callable[[Sequence[str]], subprocess.Popen] = lambda words: subprocess.Popen(  # noqa: E731
        [sys.executable, str(ROOT / "run.py"), "-d", "scans", "--raw", "--batch_size", "1"]
        + ["--model_path", str(tiny_model_folder), *words],
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    whole, err = start([]).communicate(timeout=PATIENCE)
    process = start([])
    deadline = time.monotonic() + PATIENCE
    while not place.journals() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    process.communicate()
    resumed, err = start(["--resume"]).communicate(timeout=PATIENCE)
    assert contents(resumed, place.folder) == contents(whole, place.folder), err


@pytest.mark.slow
def test_a_killed_part_goes_on_and_all_parts_merge(
    place: Place,
    uninterrupted: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import run

    part = place.begun("--shard", "1/2")
    part.kill()
    part.communicate()
    place.go_on()
    assert len(place.journals()) == 1
    assert place.run("--shard", "2/2")[0] in (0, 3)
    monkeypatch.chdir(place.folder)
    parts = [str(path) for path in place.tables.glob("*.sqlite")]
    assert run.main(["--merge", *parts]) == 1
    assert "of part 1/2 are not scored yet" in capsys.readouterr().err
    assert place.run("--shard", "1/2", "--resume")[0] in (0, 3)
    parts = [str(path) for path in place.tables.glob("result_*part*.csv")]
    assert run.main(["--merge", *parts]) == 3
    assert contents(capsys.readouterr().out, place.folder) == uninterrupted
