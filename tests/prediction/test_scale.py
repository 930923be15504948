"""A million pages: what a run does for each page, and what it keeps of it, does not grow."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import utils
from pagesort.pages.loader import PageRef
from pagesort.prediction import folder_run, listing, result_tables
from pagesort.prediction import journal as tables
from pagesort.prediction.journal import Counts, RunJournal
from pagesort.prediction.request import Request, check_request
from pagesort.sorting import manifests
from pagesort.sorting.manifests import HEADER, undo
from pagesort.sorting.placer import SortedPage, sort_pages
from tests.helpers.brightness import ByBrightness
from tests.helpers.paths import ROOT
from tests.helpers.results import finish, scored
from utils import (
    dataframe_results,
    has_pages,
    list_names,
    list_pages,
    page_name,
    round_scores,
    top_guesses,
)

LABELS = ["DRAW", "PHOTO, old", "TEXT"]
SETTINGS = {"model": "m"}


def begun(place: Path, listing: list[str]) -> RunJournal:
    return RunJournal.create(
        place / "tables", folder=place / "pages", base="m", settings=SETTINGS, listing=listing
    )


def resumed(place: Path, tables_dir: Path | None = None) -> RunJournal:
    return RunJournal.open_for_resume(
        tables_dir or place / "tables", folder=place / "pages", settings=SETTINGS
    )


def scores_of(index: int) -> np.ndarray:
    """Scores of which many are equal once they are rounded."""
    drawn = np.random.default_rng(index % 40).dirichlet(np.ones(3))
    return (drawn + index % 3 * 1e-5).astype(np.float32)


def odd_names() -> list[str]:
    folders = ["", "a/", "a/b/", "vol-10/", "vol-2/", 'x,"y"/', "caf\udce9/"]
    stems = ["p-1", "p-01", "p_1", "p-10", "P-2", "no number", "007", "x-" + "9" * 30, "l\nx-3"]
    return [f"{d}{s}{e}" for d in folders for s in stems for e in (".png", ".jpg")]


def shown_names(names: list[str], folder: Path) -> list[str]:
    """FILE of every page: of documents of one name, told apart by folder, or by ending, too."""
    plain = [page_name(f"{folder}/{name}") for name in names]
    places = [os.path.dirname(name) for name in names]  # noqa: PTH120 - none is ""
    met = Counter(zip(plain, places, strict=True))
    twice = {(file, place) for ((file, _), place), count in met.items() if count > 1}
    documents = [
        (file, place, os.path.splitext(name)[1] if (file, place) in twice else "")  # noqa: PTH122
        for name, (file, _), place in zip(names, plain, places, strict=True)
    ]
    of_file = Counter(file for file, _, _ in set(documents))
    first = {
        (file, place, ending): f"{place}/{file}" if place and of_file[file] > 1 else file
        for file, place, ending in documents
    }
    again = Counter(first.values())
    shown = {key: name + key[2] if again[name] > 1 else name for key, name in first.items()}
    return [shown[key].encode("utf-8", "backslashreplace").decode("utf-8") for key in documents]


def test_tables_are_those_of_a_sort_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = odd_names()
    np.random.default_rng(0).shuffle(names)
    journal = begun(tmp_path, names)
    rows = [scores_of(index) for index in range(len(names))]
    for batch in journal.batches(10):
        journal.record([scored(ref.index, rows[ref.index]) for ref in batch])
    monkeypatch.setattr(result_tables, "CHUNK_ROWS", 17)
    done = finish(journal, LABELS, 2, 10, raw=True)

    files = shown_names(names, journal.folder)
    pages = [page_name(f"{journal.folder}/{name}")[1] for name in names]

    def by_name(index: int) -> tuple[bytes, int, bytes]:
        return files[index].encode(), pages[index], os.fsencode(names[index])

    def by_scores(index: int) -> tuple[Any, ...]:
        return (*(-round_scores(rows[index])), *by_name(index))

    for path, order in ((done.result, by_name), (done.raw, by_scores)):
        indices = sorted(range(len(names)), key=order)
        matrix = np.stack([rows[index] for index in indices])
        guesses = [top_guesses(row, 2) for row in matrix]
        both = dataframe_results(["x"] * len(names), guesses, LABELS, 2, raw_scores=matrix)
        table = both[0] if path == done.result else both[1]
        assert table is not None and path is not None
        table["FILE"] = [files[index] for index in indices]
        table["PAGE"] = [str(pages[index]) for index in indices]
        paths = [names[index] for index in indices]
        if path == done.result:
            table["NOTE"] = ""
        table["PATH"] = [name.encode("utf-8", "backslashreplace").decode() for name in paths]
        expected = table.to_csv(index=False, lineterminator="\n")
        assert path.read_bytes() == expected.encode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is locked cannot be copied")
def test_what_is_recorded_outlives_a_killed_process(tmp_path: Path) -> None:
    with begun(tmp_path, [f"p-{number}.png" for number in range(50)]) as journal:
        for batch in list(journal.batches(10))[:3]:
            journal.record([scored(ref.index, scores_of(ref.index)) for ref in batch])
        # What a kill leaves: the files as they are, without the end of their process.
        shutil.copytree(tmp_path / "tables", tmp_path / "left")
    with resumed(tmp_path, tmp_path / "left") as journal:
        assert journal.counts() == Counts(50, 30, 0)
        assert next(journal.batches(10))[0].index == 30


def test_the_disk_is_waited_for_now_and_then_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begun(tmp_path, [f"p-{number}.png" for number in range(60)]) as journal:
        statements: list[str] = []
        journal._connection.set_trace_callback(statements.append)

        def waits(batches: list[list[PageRef]]) -> int:
            statements.clear()
            for batch in batches:
                journal.record([scored(ref.index, scores_of(ref.index)) for ref in batch])
            return sum(statement == "PRAGMA synchronous = FULL" for statement in statements)

        batches = list(journal.batches(2))
        monkeypatch.setattr(tables, "SYNC_INTERVAL_S", 1000.0)
        journal._synced = -1e9
        assert waits(batches[:10]) == 1
        monkeypatch.setattr(tables, "SYNC_INTERVAL_S", 0.0)
        assert waits(batches[10:20]) == 10
        journal._is_ahead = False  # a file system that has no such journal waits each time
        monkeypatch.setattr(tables, "SYNC_INTERVAL_S", 1000.0)
        assert waits(batches[20:]) == 10


def test_what_is_scored_is_passed_over_in_one_step(tmp_path: Path) -> None:
    with begun(tmp_path, [f"p-{number}.png" for number in range(4000)]) as journal:
        journal.record([scored(index, scores_of(1)) for index in range(3990)])
        statements: list[str] = []
        journal._connection.set_trace_callback(statements.append)
        assert [[ref.index for ref in batch] for batch in journal.batches(4)] == [
            [3990, 3991], [3992, 3993, 3994, 3995], [3996, 3997, 3998, 3999],
        ]  # fmt: skip
        assert len(statements) <= 8


def pages_in(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20).save(folder / name)
    return folder


def request(place: Path, **more: Any) -> Request:
    options = {
        "folder": place / "pages", "formats": ("png",), "inner": True, "tables": place / "tables",
        "top_n": 1, "raw": False, "max_categ": 10, "batch_size": 2, "max_megapixels": 9.0,
        "resume": False,
    }  # fmt: skip
    return Request(**(options | more))


def test_a_resumed_run_scores_before_it_lists_the_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    class Model(ByBrightness):
        def probabilities(self, pixels: np.ndarray) -> np.ndarray:
            if "stop" in done:
                raise KeyboardInterrupt
            done.append("stop" if "listed" in done else "scored")
            return super().probabilities(pixels)

    def listed(*arguments: Any, **more: Any) -> Any:
        done.append("listed")
        return list_names(*arguments, **more)

    monkeypatch.setattr(listing, "list_names", listed)
    pages_in(tmp_path / "pages", *(f"p-{number}.png" for number in range(8)))
    with pytest.raises(KeyboardInterrupt, match="2 of 8"):
        folder_run.predict_folder(Model(), request(tmp_path))
    assert done == ["listed", "stop"]
    done.clear()
    pages_in(tmp_path / "pages", "new-1.png", "new-2.png")
    again = request(tmp_path, resume=True)
    check_request(again)
    outcome = folder_run.predict_folder(Model(), again)
    assert done == ["scored"] * 3 + ["listed"]
    assert "2 pages are new since the run began" in caplog.text
    assert len(outcome.tables[0].read_text().splitlines()) == 9


def test_a_folder_that_is_gone_at_the_end_costs_no_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages_in(tmp_path / "pages", "a-1.png", "a-2.png")
    listing = ["a-1.png", "a-2.png"]
    settings = {"x": 1}
    folder = tmp_path / "pages"
    journal = RunJournal.create(
        tmp_path / "tables", folder=folder, base="m", settings=settings, listing=listing
    )
    with journal:
        shutil.rmtree(folder)
        folder_run._log_new(journal, request(tmp_path, resume=True))


def test_listing_asks_for_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        path = tmp_path / f"v{number % 3}" / f"p-{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    asked: list[object] = []
    stat = os.stat

    def count(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        asked.append(path)
        return stat(path, *arguments, **more)

    monkeypatch.setattr(os, "stat", count)
    assert sum(1 for _ in list_pages(tmp_path, inner=True)) == 60
    assert len(asked) == 4


def test_a_folder_has_pages_if_any_are_listed(tmp_path: Path) -> None:
    for name in ("in/deep/a.png", ".b.png", "c.txt", "d.png/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for formats in ("png", "PNG,jpg", ("txt",), "jpg", "tif"):
        for inner in (False, True):
            for folder in (tmp_path, tmp_path / "in", tmp_path / "in" / "deep"):
                expected = any(True for _ in list_pages(folder, formats, inner))
                assert has_pages(folder, formats, inner) == expected
    with pytest.raises(FileNotFoundError):
        has_pages(tmp_path / "nowhere")


def test_one_look_tells_that_a_folder_has_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages_in(tmp_path / "pages", *(f"p-{number}.png" for number in range(3)))

    def sort(_: str) -> str:
        raise AssertionError("the folder is listed and sorted")

    monkeypatch.setattr(utils, "natural_key", sort)
    check_request(request(tmp_path))


def manifest_of(folder: Path, entries: int) -> None:
    """A sorting of pages that are all gone by now."""
    folder.mkdir()
    with (folder / "manifest_20260101-000000.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for number in range(entries):
            writer.writerow(["copy", f"A/p-{number}.png", f"/pages/p-{number}.png", 1, "0" * 64])


def kept_in_memory(do: Callable[[Path], object], folder: Path) -> int:
    """The most that a call holds at a time, in bytes."""
    tracemalloc.start()
    do(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("job", ["undo", "sort"])
def test_earlier_sortings_are_not_kept_in_memory(tmp_path: Path, job: str) -> None:
    do = {"undo": lambda at: undo(at, dry_run=True), "sort": lambda at: sort_pages([], at)}
    for entries in (3_000, 12_000):
        manifest_of(tmp_path / str(entries), entries)
    # Python now and then makes room for what it keeps of all strings it meets: not in each call.
    few, many = (
        min(kept_in_memory(do[job], tmp_path / entries) for _ in range(3))
        for entries in ("3000", "12000")
    )
    assert many - few < 2_000_000  # bytes; lists of them took four times that


@pytest.mark.parametrize("most", [3, 20_000])
def test_a_large_folder_is_listed_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(utils, "SORTED_AT_ONCE", most)
    names = ["b10", "B9", "a/2", "a/10", "a/c/1", "ř-2", "ř-10", "é", "z-4", "Z-5", "z\U00010000"]
    undecodable = os.fsdecode(b"z\xff-3.png") if sys.platform == "linux" else "z\ue000.png"
    for name in (*(f"{name}.png" for name in names), undecodable, "x.txt", ".b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_pages(tmp_path, inner=True)]
    assert found == [
        "a/2.png", "a/10.png", "a/c/1.png", "B9.png", "b10.png", "z-4.png", "Z-5.png",
        undecodable, "z\U00010000.png", "é.png", "ř-2.png", "ř-10.png",
    ]  # fmt: skip


@pytest.mark.slow
def test_one_large_folder_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "SORTED_AT_ONCE", 800)
    for count in (1_600, 4_800):
        (tmp_path / str(count)).mkdir()
        for number in range(count):
            (tmp_path / str(count) / f"page-{number}.png").touch()

    def count_all(folder: Path) -> int:
        return sum(1 for _ in list_pages(folder))

    few, many = (
        min(kept_in_memory(count_all, tmp_path / count) for _ in range(3))
        for count in ("1600", "4800")
    )
    assert many - few < 200_000  # bytes; a list of them took 640,000


def sorted_by_hard_links(place: Path, names: list[str], label: str = "A") -> Any:
    pages = [SortedPage(PageRef(n, place / name), label) for n, name in enumerate(names)]
    return sort_pages(pages, place / "out", link="hard")


def test_sorting_remembers_earlier_places_without_asking_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p-{number}.png" for number in range(20)]
    pages_in(tmp_path, *names)
    sorted_by_hard_links(tmp_path, names)
    asked: list[object] = []
    exists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or exists(path))
    report = sorted_by_hard_links(tmp_path, names[:1], "B")
    assert report.left_out == 1 and "sorted before, as A" in report.problems[0][1]
    assert len(asked) == 1


def test_a_name_that_was_free_again_is_another_pages(tmp_path: Path) -> None:
    pages_in(tmp_path, "x/p-1.png", "y/p-1.png")
    sorted_by_hard_links(tmp_path, ["x/p-1.png"])
    (tmp_path / "out" / "A" / "p-1.png").unlink()
    pages = [
        SortedPage(PageRef(0, tmp_path / "y" / "p-1.png"), "A"),
        SortedPage(PageRef(1, tmp_path / "x" / "p-1.png"), "B"),
    ]
    report = sort_pages(pages, tmp_path / "out", link="hard")
    assert report.placed == 2 and report.left_out == 0


def test_pages_of_one_name_do_not_ask_for_all_names_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"volume-{number}/p-1.png" for number in range(60)]
    pages_in(tmp_path, *names)
    asked: list[object] = []
    exists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or exists(path))
    report = sorted_by_hard_links(tmp_path, names)
    assert report.placed == 60 and len(asked) == 60
    mine = tmp_path / "out" / "A" / "p~3-1.png"
    placed_third = mine.stat().st_ino
    report = sorted_by_hard_links(tmp_path, names[5:] + names[:5])
    assert report.present == 60 and mine.stat().st_ino == placed_third
    assert len(list((tmp_path / "out" / "A").iterdir())) == 60


def test_of_many_problems_some_are_kept_and_all_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages_in(tmp_path, "there-1.png")
    missing = [f"gone-{number}.png" for number in range(30)]
    report = sorted_by_hard_links(tmp_path, ["there-1.png", *missing])
    assert (report.placed, report.left_out, len(report.problems)) == (1, 30, 20)
    assert "and 10 more" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible there")
def test_undo_goes_backwards_in_blocks_and_keeps_the_rest_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "BLOCK", 3)
    names = ["a-1.png", "two\nlines-1.png", 'c,"d"-1.png', "caf\udce9-1.png", "r\r-1.png"]
    names += [f"p-{number}.png" for number in range(6)]
    pages_in(tmp_path, *names)
    sorted_by_hard_links(tmp_path, names)
    for name in (names[1], names[4], "p-0.png"):  # replaced: no longer what was put there
        target = tmp_path / "out" / "A" / name
        target.unlink()
        target.write_bytes(b"mine")
    taken: list[str] = []
    take_back = manifests._take_back
    monkeypatch.setattr(
        manifests,
        "_take_back",
        lambda entry, *more: taken.append(entry.source.name) or take_back(entry, *more),
    )
    done = undo(tmp_path / "out")
    assert taken == names[::-1]
    assert (done.taken_back, done.left_alone) == (8, 3)
    taken.clear()
    undo(tmp_path / "out")
    assert taken == ["p-0.png", names[4], names[1]]


def test_a_manifest_damaged_at_its_end_takes_nothing_back(tmp_path: Path) -> None:
    pages_in(tmp_path, "a-1.png", "a-2.png")
    sorted_by_hard_links(tmp_path, ["a-1.png", "a-2.png"])
    (manifest,) = (tmp_path / "out").glob("manifest_*.csv")
    with manifest.open("a") as file:
        file.write("hard,../a-1.png,/x,1,\n")
    with pytest.raises(Exception, match="damaged"):
        undo(tmp_path / "out")
    assert len(list((tmp_path / "out" / "A").iterdir())) == 2


def peak_of(step: str, pages: int, place: Path) -> float:
    """Peak memory of one step of benchmarks/scale.py, in MiB."""
    command = [sys.executable, str(ROOT / "benchmarks" / "scale.py"), "--stages", step]
    command += ["--pages", str(pages), "--place", str(place)]
    place.mkdir()
    for what in ("--prepare", "--measure"):
        done = subprocess.run([*command, what], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["peak"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read on Linux")
@pytest.mark.parametrize("step", ["raw", "journal", "resume"])
def test_memory_does_not_grow_with_the_pages(tmp_path: Path, step: str) -> None:
    few, many = (10_000, 100_000) if step != "resume" else (2_000, 20_000)
    low, high = (peak_of(step, pages, tmp_path / str(pages)) for pages in (few, many))
    assert high - low < 20  # MiB; a list of these rows takes fifty


@pytest.mark.slow
def test_the_benchmark_of_scale_measures_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scale

    for step in ("list", "undo", "failures"):
        bench = scale.Bench(tmp_path / step, 200)
        bench.place.mkdir()
        for what in scale.STEPS[step]:
            assert scale.measured(what, bench)["peak"] >= 0
    assert peak_of("list", 200, tmp_path / "as a program") >= 0
