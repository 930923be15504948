"""Files that are there whole or not at all, locks and hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pagesort.common import files
from pagesort.common.errors import PageSortError
from tests.helpers.paths import ROOT
from tests.helpers.processes import ended_process


def names(folder: Path) -> list[str]:
    """All that lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.whole_text(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old" and names(tmp_path) == ["table.csv"]
    with files.whole_text(path) as file:
        file.write("new\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == b"new\n" and names(tmp_path) == ["table.csv"]


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    with files.whole(tmp_path / "model") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner" / "a").write_text("a")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "inner" / "a").read_text() == "a" and names(tmp_path) == ["model"]


def test_names_as_long_as_a_disk_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ř" * 127)
    files.write_whole(path, b"x")
    files.write_whole(path, b"y")
    assert path.read_bytes() == b"y" and len(names(tmp_path)) == 1


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(
    tmp_path: Path,
) -> None:
    machine = files._machine()
    left = tmp_path / f".list.csv.{ended_process()}-{machine}-0.partial"
    old = tmp_path / f".list.csv.{ended_process()}-00000000-3.partial"
    kept = [
        tmp_path / f".list.csv.{os.getppid()}-{machine}-0.partial",
        tmp_path / f".list.csv.{ended_process()}-00000000-0.partial",
        tmp_path / f".other.csv.{ended_process()}-{machine}-0.partial",
        tmp_path / ".list.csv.partial",
    ]
    left.mkdir()
    (left / "part").touch()
    for path in (old, *kept):
        path.touch()
    os.utime(old, (time.time() - 2 * files.ABANDONED_SECONDS,) * 2)
    files.write_whole(tmp_path / "list.csv", "x")
    assert names(tmp_path) == sorted(["list.csv", *(path.name for path in kept)])


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    code = (
        "import sys\nfrom pathlib import Path\nfrom pagesort.common.files import write_whole\n"
        "print('ready', flush=True)\nnumber = 0\n"
        "while True:\n    number += 1\n"
        "    write_whole(Path(sys.argv[1]), f'{number}\\n' * 20000)\n"
    )
    for pause in (0.0, 0.01, 0.02, 0.05, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(pause)
        process.kill()
        process.wait()
        process.stdout.close()
        if path.exists():
            lines = path.read_text().splitlines()
            assert len(lines) == 20000 and len(set(lines)) == 1
    files.write_whole(path, "end")
    assert names(tmp_path) == ["state.json"]


def test_an_error_names_place_reason_and_help(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    line = str(files.unwritable(full, tmp_path, "no table"))
    assert line.startswith(f"no table (the disk is full): {tmp_path}. Free some space and give")
    assert line.endswith(", or name another folder.")
    with pytest.raises(PageSortError, match=r"a file is in the way.*Check the permissions"):
        (tmp_path / "file").touch()
        files.write_whole(tmp_path / "file" / "list", "x")
    with pytest.raises(PageSortError, match="cannot be read"), files.translate_unreadable(tmp_path):
        (tmp_path / "absent").read_text()


def test_a_folder_is_held_by_one_process_and_left_clean(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom pagesort.common.files import exclusive\n"
        "with exclusive(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    with pytest.raises(PageSortError, match="another process"), files.exclusive(tmp_path):
        pass
    process.kill()
    process.communicate()
    with files.exclusive(tmp_path):
        assert names(tmp_path) == [files.LOCK_NAME]
        with pytest.raises(PageSortError, match="another process"), files.exclusive(tmp_path):
            pass
    assert names(tmp_path) == []


def test_one_of_many_holds_a_lock_at_a_time(tmp_path: Path) -> None:
    """A lock's file is removed by whoever held it, under the eyes of those who wait."""
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with files.locked(tmp_path / "lock", tmp_path, wait_s=60):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80 and max(most) == 1 and names(tmp_path) == []


def test_a_hash_is_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"page" * (1 << 20))
    assert files.file_digest(path) == hashlib.sha256(b"page" * (1 << 20)).hexdigest()


def test_trying_to_write_names_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    files.try_writing(tmp_path / "new" / "inner")
    assert list((tmp_path / "new" / "inner").iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError) as raised:
        files.try_writing(tmp_path / "file" / "inner")
    assert raised.value.filename == str(tmp_path / "file" / "inner")


def test_a_name_is_kept_for_the_first_who_asks(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "a-2", "a-3")]
    paths[1].write_text("of another")
    assert [files.reserve(path) for path in paths] == [True, False, True]
    assert [files.reserve(path) for path in paths] == [False, False, False]
    assert paths[1].read_text() == "of another"
    with pytest.raises(FileNotFoundError):
        files.reserve(tmp_path / "gone" / "a")


def test_a_name_that_is_held_goes_if_nothing_is_written(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "a-2.csv"]
    paths[0].write_text("of another")
    with pytest.raises(KeyboardInterrupt), files.reserved(paths, tmp_path) as path:
        assert path == paths[1] and path.exists()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a.csv"]
    with files.reserved(paths, tmp_path) as path:
        path.write_text("mine")
    assert paths[1].read_text() == "mine"
    with (
        pytest.raises(PageSortError, match="no free name") as caught,
        files.reserved(paths, tmp_path),
    ):
        pass
    assert (caught.value.where, paths[0].read_text()) == (tmp_path, "of another")


def test_names_are_numbered_from_two_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_NUMBER", 4)
    assert list(files.numbered("run")) == ["run", "run-2", "run-3", "run-4"]


def test_a_file_whose_name_says_that_something_is_full_fills_no_disk() -> None:
    assert not files.is_full(PermissionError(errno.EACCES, "Permission denied", "this is full/x"))
    assert files.is_full(OSError(errno.ENOSPC, "No space left on device", "x"))
    assert files.is_full(RuntimeError("write failed: No space left on device"))
