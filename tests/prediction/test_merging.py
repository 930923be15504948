"""Putting parts together in pieces and by several processes, without a page or a model."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError
from pagesort.common.tables import PLAIN, TableForm, excel_form
from pagesort.common.workers import Workers
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction.journal import FinishedTables, RunJournal
from pagesort.prediction.journal_files import FINISHED_SUFFIX, JOURNAL_SUFFIX
from pagesort.prediction.merging import Merged, MergeRequest, merge_parts
from pagesort.prediction.scoring import ScoredPage
from pagesort.prediction.shards import Shard
from pagesort.records.documents import DocumentRules, write_documents
from pagesort.records.machine_tables import write_copies
from pagesort.records.provenance import Written, record_of, write_records
from tests.helpers.paths import ROOT

LABELS = ["A", "B", "C,\n'd'"]
PARTS = 3
NOW = datetime(2026, 1, 1)
# Documents that share FILE: in several folders, and in one, where endings tell them apart; pages
# that share a number; names as nobody should give them.
NAMES = [
    *(f"box {box}/page-{number}.png" for box in (1, 2, 10) for number in range(1, 8)),
    *(f"box 1/page-{number}.tif" for number in (2, 9)),
    *(f"box 3/letter{sign}{number}.{ending}" for sign in "-_" for number in (1, 2)
      for ending in ("png", "jpg")),
    *(f"box 4/alone-{number}.png" for number in (3, 1, 2)),
    *(f"box 4/{number:03d}.png" for number in range(5)),
    "box 5/=1+1.png", "box 5/a,\"b\".png", "box 5/ř.PNG", "box 5/\udcff-1.png", "last.png",
    "box 5/x.y/page-3.png", "box 5/png", "box 5/png.png", ".png",
]  # fmt: skip


def write_run(place: Path, shard: str = "", names: list[str] = NAMES) -> RunJournal:
    """The journal of a run over the pages, or a part of them: every seventh cannot be read."""
    listed = place / "list.txt"
    part = Shard.parse(shard) if shard else None
    settings = {"files_format": "png", "inner": True, "list": str(listed), "shard": shard or None}
    ours = [name for name in names if part is None or part.holds(name)]
    journal = RunJournal.create(
        place / ("parts" if shard else "whole"), folder=place / "pages", settings=settings,
        base=part.base("stub") if part else "stub", labels=LABELS, listing=ours, now=NOW,
    )  # fmt: skip
    for batch in journal.batches(8):
        journal.record(_score(journal, ref) for ref in batch)
    return journal


def _score(journal: RunJournal, ref: PageRef) -> ScoredPage | Failure:
    name = ref.path.relative_to(journal.folder).as_posix()
    place = NAMES.index(name) if name in NAMES else 99
    if place % 7 == 3:
        return Failure(ref, "torn")
    scores = np.array([place % 5, 2, place % 3], np.float32) + 1
    return ScoredPage(ref, scores / scores.sum(), note="blank" if place % 11 == 0 else "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts, and the list of their pages."""
    place = tmp_path_factory.mktemp("merging")
    (place / "pages").mkdir()
    text = "\n".join(NAMES).encode("utf-8", "surrogateescape")
    (place / "list.txt").write_bytes(text)
    for number in range(1, PARTS + 1):
        write_run(place, f"{number}/{PARTS}").close()
    with write_run(place) as journal:
        journal.write_tables(LABELS, 2, 9, raw=True)
    return place


def merge(place: Path, out: Path, **more: object) -> Merged:
    parts = tuple(sorted((place / "parts").glob(f"*{JOURNAL_SUFFIX}")))
    return merge_parts(MergeRequest(parts, out, 2, raw=True, max_categ=9, **more))


def contents(tables: list[Path]) -> list[bytes]:
    return [table.read_bytes() for table in tables]


@pytest.mark.parametrize("more", [{}, {"form": excel_form(), "absolute_paths": True}])
@pytest.mark.parametrize("pages_at_once", [1, 5, 1000])
def test_pieces_of_any_size_give_the_tables_of_one_run(
    place: Path, tmp_path: Path, pages_at_once: int, more: dict[str, object]
) -> None:
    with write_run(place) as journal:
        whole = journal.write_tables(LABELS, 2, 9, raw=True, **more)
        scored = [(page, scores.tobytes()) for page, scores in journal.scored()]
        failed = list(journal.failed())
    merged = merge(place, tmp_path, processes=1, pages_at_once=pages_at_once, **more)
    assert contents(merged.tables) == contents([whole.result, whole.raw, whole.failures])
    assert len({row.split(b",")[0] for row in whole.result.read_bytes().split(b"\n")}) > 12
    settings = journal.settings | {"shard": None}
    with RunJournal.open_for_resume(tmp_path, folder=place / "pages", settings=settings) as ours:
        assert [(page, scores.tobytes()) for page, scores in ours.scored()] == scored
        assert list(ours.failed()) == failed
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def write_beside(tables: FinishedTables, form: TableForm = PLAIN) -> None:
    """Write what a run writes beside its tables, under names without a time of day."""
    out = tables.result.parent / "beside"
    out.mkdir()
    every = (tables.result, tables.raw, tables.failures)
    rules = DocumentRules({"A": "OCR"}, 0.5)
    how = (rules, form, tables.division)
    counts = write_documents(tables.result, tables.failures, out / "documents.csv", *how)
    listing = out / "pages.txt.gz"
    written = Written(every, tables.failures, tables.folder, listing, tables.division)
    write_records(written, {"counts": asdict(counts) | {"unset": sorted(counts.unset)}})
    for number, table in enumerate(every):
        record_of(table).rename(out / f"{number}.json")
    for number, copy in enumerate(write_copies(every, ("jsonl", "parquet"), [], tables.division)):
        copy.rename(out / f"copy-{number}")


def beside(out: Path) -> dict[str, bytes]:
    """What is written there, records without the tables' names."""
    found = {path.name: path.read_bytes() for path in (out / "beside").iterdir()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        del record["table"]["name"]
        found[name] = json.dumps(record).encode()
    return found


@pytest.mark.parametrize(
    ("processes", "pages_at_once", "form"), [(1, 1, excel_form()), (2, 20, PLAIN)]
)
def test_pieces_by_several_processes_give_what_one_run_writes_beside_its_tables(
    place: Path, tmp_path: Path, processes: int, pages_at_once: int, form: TableForm
) -> None:
    with write_run(place) as journal:
        whole = journal.write_tables(LABELS, 2, 9, raw=True, form=form)
    shutil.rmtree(place / "whole" / "beside", ignore_errors=True)
    write = partial(write_beside, form=form)
    write(whole)
    more = {"processes": processes, "pages_at_once": pages_at_once, "form": form}
    merged = merge(place, tmp_path, beside=(write,), **more)
    assert contents(merged.tables) == contents([whole.result, whole.raw, whole.failures])
    expected, found = beside(whole.result.parent), beside(tmp_path)
    assert len(expected) == 11
    assert found == expected
    assert found["documents.csv"].count(f"\nbox 10/page{form.delimiter}7".encode()) == 1
    lines = gzip.decompress(found["pages.txt.gz"]).splitlines()
    assert len(lines) == len(NAMES)


def test_missing_and_doubled_pages_are_counted_over_all_pieces(place: Path, tmp_path: Path) -> None:
    parts = sorted((place / "parts").glob(f"*{JOURNAL_SUFFIX}"))
    request = MergeRequest(tuple(parts[1:]), tmp_path, 2, False, 9, processes=1, pages_at_once=4)
    lost = [name for name in NAMES if Shard(1, PARTS).holds(name)]
    with pytest.raises(PageSortError, match="missing: part 1/3") as raised:
        merge_parts(request)
    assert f"{len(lost)} pages in none of the tables" in str(raised.value)
    assert "; ".join(lost[:3]) in str(raised.value)
    other = tmp_path / "other"
    shutil.copytree(place / "parts", other)
    copied = sorted(other.glob("*part-1-of*"))[0]
    doubled = MergeRequest((*parts, copied), tmp_path, 2, False, 9, processes=1, pages_at_once=4)
    with pytest.raises(PageSortError, match="in part 1/3 and in another one, too") as raised:
        merge_parts(doubled)
    assert f"{len(lost)} pages" in str(raised.value)
    assert sorted(tmp_path.iterdir()) == [other]


def test_gone_pages_of_several_parts_stay_and_count_once(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = [name for name in NAMES if not name.startswith("box 1")]
    listed = place / "list.txt"
    before = listed.read_bytes()
    listed.write_bytes("\n".join(left).encode("utf-8", "surrogateescape"))
    try:
        merged = merge(place, tmp_path / "out", processes=1, pages_at_once=9)
    finally:
        listed.write_bytes(before)
    assert "of the parts no longer in the folder" in caplog.text
    assert contents(merged.tables) == contents(
        [sorted((place / "whole").glob(name))[0] for name in ("result_*", "*_RAW*", "*_FAILED*")]
    )


def end(number: int) -> int:
    """A task that ends its process as a full memory does."""
    if number == 2:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return number


def test_a_process_that_is_killed_is_one_clear_line() -> None:
    with (
        pytest.raises(PageSortError, match="one of 2 processes was killed.*fewer processes"),
        Workers(2) as workers,
    ):
        list(workers.in_order(end, range(4)))


@pytest.mark.skipif(os.name == "nt", reason="reads /proc")
@pytest.mark.parametrize("sent", [pytest.param(2, marks=pytest.mark.slow), 9])
def test_a_merge_that_is_stopped_leaves_no_table_and_no_process(
    place: Path, tmp_path: Path, sent: int
) -> None:
    words = (
        "import signal, sys; from pathlib import Path\n"
        "from tests.prediction import test_merging as t\n"
        # Where tests run in the background, Ctrl-C is ignored, and so by their children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pagesort.prediction import merging\n"
        "def wait(*_): print('there', flush=True); import time; time.sleep(600)\n"
        "merging.write_pieces = wait\n"
        "t.merge(Path(sys.argv[1]), Path(sys.argv[2]), processes=2, pages_at_once=20)"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", words, str(place), str(out)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.send_signal(sent)
    process.wait(60)
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.05)
    left = list(out.iterdir())
    assert not [path for path in left if not path.name.startswith(".")]
    assert bool(left) == (sent == 9)
    merge(place, out, processes=1)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_names_of_tables_are_those_of_finished_runs(place: Path, tmp_path: Path) -> None:
    merged = merge(place, tmp_path, processes=1)
    assert merged.failed == sum(at % 7 == 3 for at in range(len(NAMES)))
    assert not list(tmp_path.glob(f"*{FINISHED_SUFFIX}"))  # failed pages can be tried again
