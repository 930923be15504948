"""The journal and the finished tables: what is recorded survives, and comes out whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagesort.common.errors import PageSortError
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction import journal as journals
from pagesort.prediction import result_tables
from pagesort.prediction.journal import Counts, RunJournal
from tests.helpers.paths import ROOT
from tests.helpers.results import finish, scored

LABELS = ["DRAW", "PHOTO", "TEXT"]
NOW = datetime(2026, 3, 4, 5, 6)
SETTINGS = {"model": "a" * 64, "top_N": 2}


def _create(place: Path, listing: list[str], **more: Any) -> RunJournal:
    options = {"folder": place / "pages", "base": "ViT-B16", "settings": SETTINGS, "now": NOW}
    return RunJournal.create(place / "tables", listing=listing, **(options | more))


def _resume(place: Path, **more: Any) -> RunJournal:
    options = {"folder": place / "pages", "settings": SETTINGS}
    return RunJournal.open_for_resume(place / "tables", **(options | more))


def _scores(index: int) -> np.ndarray:
    """Scores that are a page's own: whoever scores it, they come out the same."""
    return np.random.default_rng(index).dirichlet(np.ones(len(LABELS))).astype(np.float32)


def _score(
    journal: RunJournal, size: int = 4, bad: tuple[int, ...] = (), stop: int = 10**9
) -> None:
    for number, batch in enumerate(journal.batches(size)):
        if number == stop:
            return
        good = [scored(ref.index, _scores(ref.index)) for ref in batch if ref.index not in bad]
        failures = [Failure(ref, "the file is empty") for ref in batch if ref.index in bad]
        journal.record([*good, *failures])


def _written(folder: Path) -> dict[str, bytes]:
    """The tables in place; the journal of a run with failures stays beside them."""
    return {path.name: path.read_bytes() for path in sorted((folder / "tables").glob("*.csv"))}


def _journals(folder: Path) -> list[Path]:
    return list((folder / "tables").glob("*.partial.sqlite"))


def test_tables_are_named_sorted_and_complete(tmp_path: Path) -> None:
    listing = ["b-2.png", "b-10.png", "a.png", "A-1.png", "b-1.png"]
    journal = _create(tmp_path, listing)
    values = {0: [0.2, 0.3004, 0.5], 1: [0.2, 0.2996, 0.5], 2: [0.1, 0.8, 0.1], 3: [1, 0, 0]}
    journal.record(map(scored, *zip(*values.items(), strict=True)))
    journal.record([Failure(PageRef(4, tmp_path / "pages" / "b-1.png"), 'cut "short", so')])
    assert journal.counts() == Counts(5, 4, 1) and journal.counts().waiting == 0
    done = finish(journal, LABELS, top_n=2, max_categ=500, raw=True)
    assert _written(tmp_path) == {
        "result_20260304-0506_ViT-B16_2n_500c.csv": (
            b"FILE,PAGE,CLASS-1,CLASS-2,SCORE-1,SCORE-2,NOTE,PATH\n"
            b"A,1,DRAW,PHOTO,1.0,0.0,,A-1.png\n"
            b"a,1,PHOTO,DRAW,0.8,0.1,,a.png\n"
            b"b,2,TEXT,PHOTO,0.5,0.3,,b-2.png\n"
            b"b,10,TEXT,PHOTO,0.5,0.3,,b-10.png\n"
        ),
        "20260304-0506_ViT-B16_RAW.csv": (
            b"FILE,PAGE,DRAW,PHOTO,TEXT,PATH\n"
            b"A,1,1.0,0.0,0.0,A-1.png\n"
            b"b,2,0.2,0.3,0.5,b-2.png\n"
            b"b,10,0.2,0.3,0.5,b-10.png\n"
            b"a,1,0.1,0.8,0.1,a.png\n"
        ),
        "20260304-0506_ViT-B16_FAILED.csv": (
            b'FILE,PAGE,REASON,PATH\nb,1,"cut ""short"", so",b-1.png\n'
        ),
    }
    assert done.categories == {"DRAW": 1, "PHOTO": 1, "TEXT": 2}
    assert done.raw is not None and done.failures is not None and done.result.exists()


def test_a_run_without_any_readable_page_has_an_empty_table(tmp_path: Path) -> None:
    journal = _create(tmp_path, ["a-1.png"])
    _score(journal, bad=(0,))
    done = finish(journal, LABELS, 1, 10)
    assert done.result.read_text() == "FILE,PAGE,CLASS-1,SCORE-1,NOTE,PATH\n"
    assert done.raw is None and done.categories == dict.fromkeys(LABELS, 0)


def test_pages_of_one_name_stay_apart(tmp_path: Path) -> None:
    listing = ["x-1.png", "a/x-1.png", "a/b/x-01.png", "c/y-2.png", "c/y-2.jpg", "c/y_2.png"]
    listing += ["one/007.png", "two/7.png", "p/scans/1.png", "q/scans/1.png", "only-3.png", "5.png"]
    journal = _create(tmp_path, listing)
    _score(journal)
    lines = finish(journal, LABELS, 1, 10).result.read_text().splitlines()[1:]
    names = [tuple(line.split(",")[:2]) for line in lines]
    assert {line.split(",")[-1] for line in lines} == set(listing)
    assert set(names) == {
        *(("x", "1"), ("a/x", "1"), ("a/b/x", "1")),
        *(("c/y.jpg", "2"), ("c/y.png", "2")),  # two pages have this name, and their PATHs
        *(("one", "7"), ("two", "7"), ("p/scans/scans", "1"), ("q/scans/scans", "1")),
        *(("only", "3"), ("pages", "5")),
    }
    assert names == sorted(names)


def test_names_of_any_kind_are_written(tmp_path: Path) -> None:
    listing = ["caf\udce9-1.png", 'a,"b"-1.png', "two\nlines-1.png", "x-" + "9" * 30 + ".png"]
    listing += ["Příloha č-2.png", "x-3.png"]
    journal = _create(tmp_path, listing)
    assert [ref.path.name for ref in next(journal.batches(10))] == listing
    _score(journal, bad=(0,))
    finish(journal, LABELS, 1, 10)
    text = {name: data.decode("utf-8") for name, data in _written(tmp_path).items()}
    result = text["result_20260304-0506_ViT-B16_1n_10c.csv"]
    assert '"a,""b""",1,' in result and '"two\nlines",1,' in result and "Příloha č,2," in result
    assert result.index("x,3,") < result.index("x," + "9" * 30)
    failed = "caf\\udce9,1,the file is empty,caf\\udce9-1.png"
    assert failed in text["20260304-0506_ViT-B16_FAILED.csv"]


def test_batches_keep_their_slots_and_leave_out_what_is_scored(tmp_path: Path) -> None:
    listing = [f"p-{number}.png" for number in range(10)]
    with _create(tmp_path, listing) as journal:
        assert [len(batch) for batch in journal.batches(4)] == [4, 4, 2]
        _score(journal, bad=(1, 9), stop=2)
        journal.record([scored(8, _scores(8))])
    with _resume(tmp_path) as journal:
        assert [[ref.index for ref in batch] for batch in journal.batches(4)] == [[1], [9]]
        assert journal.counts() == Counts(10, 8, 1)
        first = next(journal.batches(4))[0]
        assert first.path == (tmp_path / "pages" / "p-1.png").resolve()


def test_failed_pages_are_tried_again(tmp_path: Path) -> None:
    with _create(tmp_path, ["a-1.png", "a-2.png"]) as journal:
        _score(journal, bad=(0, 1))
    with _resume(tmp_path) as journal:
        _score(journal, bad=(1,))
        assert journal.counts() == Counts(2, 1, 1)
        done = finish(journal, LABELS, 1, 10)
    assert done.failures is not None and "a,2," in done.failures.read_text()
    assert "a,1," in done.result.read_text()


def test_a_page_is_never_scored_twice(tmp_path: Path) -> None:
    journal = _create(tmp_path, ["a-1.png", "a-2.png"])
    journal.record([scored(0, _scores(0))])
    with pytest.raises(PageSortError):
        journal.record([scored(1, _scores(1)), scored(0, _scores(0))])
    assert journal.counts().scored == 1
    assert [ref.index for ref in next(journal.batches(9))] == [1]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    _create(tmp_path, ["a-1.png"]).close()
    with pytest.raises(PageSortError) as caught:
        _resume(tmp_path, settings={"model": "b" * 64, "top_N": 3, "new": True})
    message = str(caught.value)
    assert "model: then aaaaaaaaaaaa…, now bbbbbbbbbbbb…" in message
    assert "top_N: then 2, now 3" in message and "new: then null, now true" in message
    assert "--resume" in message and "\n" not in message


def test_the_newest_run_of_the_same_folder_and_settings_is_taken_up(tmp_path: Path) -> None:
    for number, settings in enumerate((SETTINGS, SETTINGS, SETTINGS | {"top_N": 5})):
        with _create(tmp_path, ["a-1.png"], settings=settings) as journal:
            os.utime(journal.path, (number, number))
    with _create(tmp_path, ["a-1.png"], folder=tmp_path / "other"):
        pass
    with _resume(tmp_path) as journal:
        assert journal.path.name == "20260304-0506-2_ViT-B16.partial.sqlite"


def test_nothing_to_resume_is_told(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="no interrupted run of .*pages"):
        _resume(tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x.partial.sqlite").touch()  # killed while its pages were listed
    with pytest.raises(PageSortError, match="no interrupted run of .*pages"):
        _resume(tmp_path)
    (tmp_path / "tables" / "y.partial.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(PageSortError, match="damaged"):
        _resume(tmp_path)


@pytest.mark.parametrize("table", ["pages", "scores"])
def test_a_journal_whose_pages_are_damaged_is_told_and_keeps_no_new_run_from_starting(
    tmp_path: Path, table: str
) -> None:
    names = [f"a-{number}.png" for number in range(3000)]
    with _create(tmp_path, names) as journal:
        path = journal.path
        journal.record([scored(index, [0.5, 0.5]) for index in range(3000)])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        find = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (root,) = connection.execute(find, (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(PageSortError, match="journal of this run is damaged .*Leave out --resume"):
        _resume(tmp_path)
    with _create(tmp_path, names) as other:
        assert next(other.batches(10))[0].index == 0


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    with _create(tmp_path, ["a-1.png"]) as journal:
        path = journal.path
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE run SET value = '99' WHERE key = 'version'")
    with pytest.raises(PageSortError, match="another version"):
        _resume(tmp_path)


def test_runs_of_one_minute_share_no_name(tmp_path: Path) -> None:
    first, second = _create(tmp_path, ["a-1.png"]), _create(tmp_path, ["a-1.png"])
    for journal in (first, second):
        _score(journal)
    finish(second, LABELS, 1, 10, raw=True)
    third = _create(tmp_path, ["a-1.png"])
    _score(third, bad=(0,))
    finish(third, LABELS, 2, 10)
    finish(first, LABELS, 1, 10)
    fourth = _create(tmp_path, ["a-1.png"])
    _score(fourth)
    finish(fourth, LABELS, 3, 99, raw=True)
    assert list(_written(tmp_path)) == [
        "20260304-0506-2_ViT-B16_RAW.csv",
        "20260304-0506-3_ViT-B16_FAILED.csv",
        "20260304-0506-4_ViT-B16_RAW.csv",
        "result_20260304-0506-2_ViT-B16_1n_10c.csv",
        "result_20260304-0506-3_ViT-B16_2n_10c.csv",
        "result_20260304-0506-4_ViT-B16_3n_99c.csv",
        "result_20260304-0506_ViT-B16_1n_10c.csv",
    ]


def test_base_names_are_made_safe_for_files(tmp_path: Path) -> None:
    with _create(tmp_path, [], base="ViT-L/14@336px: *new*") as journal:
        assert journal.path.name == "20260304-0506_ViT-L-14@336px-new.partial.sqlite"


def test_new_pages_are_counted_and_left_out(tmp_path: Path) -> None:
    with _create(tmp_path, ["a-1.png", "caf\udce9.png"]) as journal:
        assert journal.count_new(["a-1.png", "caf\udce9.png"]) == 0
        assert journal.count_new(["a-1.png", "a-2.png", "a-3.png"]) == 2
        assert journal.counts().total == 2


def test_a_failed_listing_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "a-1.png"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _create(tmp_path, broken())  # type: ignore[arg-type]
    assert _written(tmp_path) == {}


# A run as another process has it: scores come from a page's index, slowly enough to be killed.
WORKER = """
import sys, time
from datetime import datetime
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.prediction import test_journal as t
folder, action, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
listing = [f"d{{n % 7}}/p-{{n}}.png" for n in range(120)]
journal = t._create(folder, listing) if action == "create" else t._resume(folder)
print("open", flush=True)
for batch in journal.batches(4):
    time.sleep(pause)
    bad = [ref for ref in batch if ref.index % 50 == 3]
    good = [t.scored(ref.index, t._scores(ref.index)) for ref in batch if ref not in bad]
    journal.record([*good, *(t.Failure(ref, "the file is empty") for ref in bad)])
    print(len(good), flush=True)
t.finish(journal, t.LABELS, 2, 10, raw=True)
print("finished", flush=True)
"""


def _worker(folder: Path, action: str, pause: float) -> subprocess.Popen:
    script = WORKER.format(root=str(ROOT))
    command = [sys.executable, "-c", script, str(folder), action, str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
def test_a_run_killed_again_and_again_gives_the_same_tables(tmp_path: Path) -> None:
    output, errors = _worker(tmp_path / "whole", "create", 0).communicate(timeout=120)
    assert output.endswith("finished\n"), errors
    expected = _written(tmp_path / "whole")
    assert len(expected) == 3
    random = np.random.default_rng(5)
    scored, killed = 0, 0
    for attempt in range(60):
        process = _worker(tmp_path / "cut", "resume" if attempt else "create", 0.02)
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        time.sleep(float(random.uniform(0.0, 0.25)))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        killed += process.returncode == -signal.SIGKILL
        # A batch may have been recorded, and not told, when the signal came: at most one each time.
        scored += sum(int(line) for line in output.split() if line.isdigit())
        if "finished" in output:
            break
        if killed == 12:
            output, errors = _worker(tmp_path / "cut", "resume", 0).communicate(timeout=120)
            assert output.endswith("finished\n"), errors
            break
    assert killed >= 3
    assert scored <= 120
    assert _written(tmp_path / "cut") == expected


def test_a_killed_run_leaves_no_lock_and_a_running_one_holds_it(tmp_path: Path) -> None:
    process = _worker(tmp_path, "create", 0.05)
    assert process.stdout is not None
    while process.stdout.readline() in ("open\n",):
        pass
    with pytest.raises(PageSortError, match="Another process is working on this run"):
        _resume(tmp_path)
    process.kill()
    process.communicate()
    with _resume(tmp_path) as journal:
        assert journal.counts().scored >= 3
        with pytest.raises(PageSortError, match="Another process"):
            _resume(tmp_path)


@contextlib.contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of a few kilobytes, where the system lets us mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _fill(folder: Path, leave: int = 0) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
    if leave:
        os.truncate(path, path.stat().st_size - leave)
    return path


def test_a_disk_that_fills_keeps_what_is_recorded(tmp_path: Path) -> None:
    listing = [f"p-{number}.png" for number in range(2000)]
    whole = _create(tmp_path, listing)
    _score(whole, 100)
    finish(whole, LABELS, 2, 10, raw=True)
    with _small_disk(tmp_path / "disk", 1000) as disk:
        with _create(disk, listing, folder=tmp_path / "pages") as journal:
            _score(journal, 100, stop=3)
            filler = _fill(disk)
            with pytest.raises(PageSortError) as caught:
                _score(journal, 100)
            assert "full" in str(caught.value) and "--resume" in str(caught.value)
            assert str(journal.path) in str(caught.value)
            recorded = journal.counts().scored
        filler.unlink()
        with _resume(disk, folder=tmp_path / "pages") as journal:
            assert journal.counts().scored == recorded >= 300
            _score(journal, 100)
            filler = _fill(disk, leave=24_000)
            with pytest.raises(PageSortError, match="the disk is full.*--resume"):
                finish(journal, LABELS, 2, 10, raw=True)
            assert not list((disk / "tables").glob("*csv*"))
        filler.unlink()
        with _resume(disk, folder=tmp_path / "pages") as journal:
            assert not list(journal.batches(100))
            finish(journal, LABELS, 2, 10, raw=True)
        assert _written(disk) == _written(tmp_path)


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk", 100) as disk:
        (disk / "tables").mkdir()
        filler = _fill(disk)
        with pytest.raises(PageSortError, match="full.*FOLDER_RESULTS"):
            _create(disk, ["a-1.png"])
        assert _written(disk) == {}
        filler.unlink()
        with pytest.raises(PageSortError, match="full"):
            _create(disk, [f"a-{number}.png" for number in range(5000)])
        assert _written(disk) == {}


def test_a_result_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk", 100) as disk:
        (disk / "tables").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(PageSortError, match="(?i)read-only.*FOLDER_RESULTS"):
            _create(disk, ["a-1.png"])
    (tmp_path / "tables").write_text("a file where the folder should be")
    with pytest.raises(PageSortError, match="cannot be written"):
        _create(tmp_path, ["a-1.png"])


def test_finishing_streams_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = [f"d{number % 5}/p-{number // 2}.png" for number in range(100)]
    contents = []
    for rows in (3, 2000):
        monkeypatch.setattr(result_tables, "CHUNK_ROWS", rows)
        folder = tmp_path / str(rows)
        journal = _create(folder, listing, folder=tmp_path / "pages")
        _score(journal)
        finish(journal, LABELS, 3, 10, raw=True)
        contents.append(_written(folder))
    assert contents[0] == contents[1]


def test_a_run_stopped_while_its_tables_are_moved_can_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _create(tmp_path, ["a-1.png", "a-2.png"])
    _score(journal, bad=(1,))
    replace, moved = Path.replace, []

    def stop_at_second(self: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_at_second)
        with journal, pytest.raises(KeyboardInterrupt):
            finish(journal, LABELS, 1, 10, raw=True)
    assert len(_written(tmp_path)) == len(_journals(tmp_path)) == 1
    with _resume(tmp_path) as journal:
        finish(journal, LABELS, 1, 10, raw=True)
    assert len(_written(tmp_path)) == 3


def test_failed_pages_can_be_tried_again_after_the_tables_are_written(tmp_path: Path) -> None:
    journal = _create(tmp_path, ["a-1.png", "a-2.png"])
    _score(journal, bad=(1,))
    finish(journal, LABELS, 1, 10)
    names = set(_written(tmp_path))
    assert any(name.endswith("_FAILED.csv") for name in names)
    with _resume(tmp_path) as journal:
        assert [ref.index for batch in journal.batches(2) for ref in batch] == [1]
        _score(journal)
        done = finish(journal, LABELS, 1, 10)
    assert (
        set(_written(tmp_path))
        == {done.result.name}
        == names - {name for name in names if name.endswith("_FAILED.csv")}
    )
    assert len(done.result.read_text().splitlines()) == 3
    assert _journals(tmp_path) == []


def test_a_journal_of_other_labels_is_refused(tmp_path: Path) -> None:
    journal = _create(tmp_path, ["a-1.png"])
    _score(journal)
    with pytest.raises(PageSortError, match="3 scores a page, for 2 labels"):
        finish(journal, LABELS[:2], 1, 10)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove an open file")
def test_a_journal_removed_during_the_run_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SYNC_INTERVAL_S", 0.0)
    listing = [f"p-{number}.png" for number in range(12)]
    with _create(tmp_path / "whole", listing, folder=tmp_path / "pages") as journal:
        _score(journal)
        finish(journal, LABELS, 2, 10, raw=True)
    with _create(tmp_path, listing) as journal:
        _score(journal, stop=1)
        shutil.rmtree(tmp_path / "tables")
        batches = journal.batches(4)
        journal.record([scored(ref.index, _scores(ref.index)) for ref in next(batches)])
        assert journal.path.exists()
        shutil.rmtree(tmp_path / "tables")
        assert journal.keep()
    with _resume(tmp_path) as journal:
        assert journal.counts() == Counts(12, 8, 0)
        _score(journal)
        shutil.rmtree(tmp_path / "tables")
        finish(journal, LABELS, 2, 10, raw=True)
    assert _written(tmp_path) == _written(tmp_path / "whole")
    assert not _journals(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove an open file")
def test_nothing_is_promised_that_is_gone(tmp_path: Path) -> None:
    with _create(tmp_path, ["a-1.png"]) as journal:
        _score(journal)
        shutil.rmtree(tmp_path / "tables")
        (tmp_path / "tables").write_text("a file where the folder was")
        assert not journal.keep()
        with pytest.raises(PageSortError, match="nothing is kept") as caught:
            journal.write_tables(LABELS, 1, 10)
        assert "--resume" not in str(caught.value)
