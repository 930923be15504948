"""What a run costs beside the model: time per page and peak memory of each step, by pages.

    python3 benchmarks/scale.py [--pages 1000 10000 100000] [--million] [--stages NAME ...]
        [--processes N]

Prints one line a step and number of pages, each measured in a process of its own, on links to
pages of 1 x 1 pixels in volumes of 100 (`list flat`: in one folder; `list part`: what one of a
hundred parts does with a list of all). `merge` puts four parts together, `merge beside` writes the
table of documents and the record as well, as the command does, and `merge copies` also what
`--format jsonl,parquet` does; --processes says how many processes take part. Where all is well, no
column grows with the pages. --million adds the steps that need no page files, at a million pages.
The peak includes Python, numpy and pandas; "others" is processor time of the processes that a step
has started, all together, and the peak of the largest.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

VOLUME = 100  # pages a folder
LINKS = 20_000  # of one file; file systems take some 65,000, and sorting makes more
BATCH = 64
PARTS = 4
LABELS = [f"LABEL_{number}" for number in range(11)]
LOADED = ("pandas", "pagesort.sorting.manifests", "pagesort.prediction.folder_run")
MILLION = 1_000_000
NOW = datetime(2026, 1, 1)


def names(pages: int) -> Iterator[str]:
    """The paths of all pages: of one FILE and PAGE in each volume, as archives have them."""
    for number in range(pages):
        yield f"volume-{number // VOLUME + 1:05d}/page-{number % VOLUME + 1:04d}.png"


def scores(first: int, pages: int) -> Any:
    """Scores that are the pages' own: float32 (pages, labels)."""
    import numpy as np

    drawn = np.random.default_rng(first).random((pages, len(LABELS)), dtype=np.float32) ** 8
    return drawn / drawn.sum(axis=1, keepdims=True)


class Stub:
    """A model that costs nothing."""

    labels = tuple(LABELS)
    name = "stub"
    fingerprint = "0" * 64
    precision = "fp32"
    device = "cpu"

    @property
    def preprocessing(self) -> Any:
        """Pages of 8 x 8 pixels."""
        from pagesort.pages.preprocessing import Preprocessing

        return Preprocessing(resize=(8, 8))

    def probabilities(self, pixels: Any) -> Any:
        """Score pages without looking at them."""
        return scores(0, len(pixels))

    def batches_at_once(self, batch_size: int) -> int:
        """One."""
        return 1

    def stop(self) -> None:
        """Nothing of it goes on in the background."""


def write_beside(tables: Any, formats: tuple[str, ...] = ()) -> None:
    """Write the table of documents, records and copies, as the command does beside its tables."""
    from pagesort.records.documents import DocumentRules, write_documents
    from pagesort.records.machine_tables import write_copies
    from pagesort.records.provenance import Written, write_records

    results, listing = (tables.result, tables.failures), tables.documents.with_suffix(".txt.gz")
    rules = DocumentRules({"LABEL_1": "OCR"}, 0.5)
    counts = write_documents(*results, tables.documents, rules, division=tables.division)
    every = tuple(filter(None, (*results, tables.raw, tables.documents)))
    written = Written(every, tables.failures, tables.folder, listing, tables.division)
    write_records(written, {"models": [], "documents": counts.documents})
    write_copies([*filter(None, results)], formats, gone=[], division=tables.division)


@dataclass(frozen=True)
class Bench:
    """Where one number of pages is measured, and what every step does there."""

    place: Path
    pages: int
    processes: int | None = None

    @property
    def files(self) -> Path:
        """The folder of page files."""
        return self.place / "files"

    def make_files(self) -> None:
        """Link all page files."""
        from PIL import Image

        for number, name in enumerate(names(self.pages)):
            source = self.place / f"source-{number // LINKS}.png"
            if number % LINKS == 0:
                Image.new("L", (1, 1), number // LINKS % 256).save(source)
            if number % VOLUME == 0:
                (self.files / name).parent.mkdir(parents=True)
            os.link(source, self.files / name)

    def make_one_folder(self) -> None:
        """Put all pages into one folder: empty files, as no step opens them."""
        self.files.mkdir(parents=True)
        for number in range(self.pages):
            (self.files / f"page-{number + 1}.png").touch()

    def request(self, **more: Any) -> Any:
        """A run over the page files."""
        from pagesort.prediction.request import Request

        options = {
            "folder": self.files, "formats": ("png",), "inner": True, "tables": self.place / "run",
            "top_n": 3, "raw": False, "max_categ": 10, "batch_size": BATCH, "max_megapixels": 10.0,
            "resume": False,
        }  # fmt: skip
        return Request(**(options | more))

    def journal(self) -> Any:
        """Begin a run of all pages, without looking for their files."""
        from pagesort.prediction.journal import RunJournal

        options = {"folder": self.files, "base": "stub", "settings": {}, "now": NOW}
        return RunJournal.create(self.place / "tables", listing=names(self.pages), **options)

    def resumed(self) -> Any:
        """Go on with that run."""
        from pagesort.prediction.journal import RunJournal

        return RunJournal.open_for_resume(self.place / "tables", folder=self.files, settings={})

    def write_list(self) -> None:
        """Write all page files into a list, and make none of them."""
        self.files.mkdir(parents=True)
        with (self.place / "list.txt").open("w", encoding="utf-8") as file:
            file.writelines(map("{}\n".format, names(self.pages)))

    def listed(self, shard: Any) -> Iterator[Any]:
        """The pages of a part as the list names them."""
        from pagesort.prediction.listing import list_folder
        from utils import PassedOver

        named = self.place / "list.txt"
        return list_folder(self.files, ("png",), True, PassedOver(), shard, named)

    def list_part(self) -> None:
        """Find the pages of one of a hundred parts."""
        from pagesort.prediction.shards import Shard

        count = sum(1 for _ in self.listed(Shard(1, 100)))
        assert abs(count - self.pages / 100) < 10 + self.pages / 200

    def score_parts(self) -> None:
        """Leave the scores of all parts as finished runs leave them."""
        from pagesort.prediction.journal import RunJournal
        from pagesort.prediction.scoring import ScoredPage
        from pagesort.prediction.shards import Shard

        self.write_list()
        settings = {"files_format": "png", "inner": True, "list": str(self.place / "list.txt")}
        for number in range(1, PARTS + 1):
            shard = Shard(number, PARTS)
            with RunJournal.create(
                self.place / "parts", folder=self.files, base=shard.base("stub"), labels=LABELS,
                settings=settings | {"shard": str(shard)}, listing=self.listed(shard), now=NOW,
            ) as journal:  # fmt: skip
                for batch in journal.batches(BATCH):
                    journal.record(map(ScoredPage, batch, scores(batch[0].index, len(batch))))
                journal.put_away()

    def merge(self, *beside: Callable[[Any], object]) -> None:
        """Put the parts together."""
        from pagesort.prediction.merging import MergeRequest, merge_parts

        parts = tuple(sorted((self.place / "parts").glob("*.sqlite")))
        how = {"beside": beside, "processes": self.processes}
        merge_parts(MergeRequest(parts, self.place / "tables", 3, False, 10, **how))

    def record(self, leave: int = 0, failed: bool = False) -> None:
        """Write the scores of all pages but the last ones into the journal, or their failures."""
        from pagesort.pages.loader import Failure
        from pagesort.prediction.scoring import ScoredPage

        with self.resumed() as journal:
            for batch in journal.batches(BATCH):
                if batch[-1].index >= self.pages - leave:
                    break
                if failed:
                    journal.record(Failure(ref, "the file is empty") for ref in batch)
                    continue
                rows = scores(batch[0].index, len(batch))
                journal.record(map(ScoredPage, batch, rows))

    def write(self, raw: bool) -> None:
        """Write the finished tables."""
        with self.resumed() as journal:
            journal.write_tables(LABELS, 3, 10, raw=raw)
            journal.discard()

    def list_pages(self) -> None:
        """List the files as a run does."""
        from utils import PassedOver, list_names

        count = sum(1 for _ in list_names(self.files, ("png",), True, PassedOver()))
        assert count == self.pages

    def run(self, **more: Any) -> None:
        """The whole command with a model that costs nothing."""
        from pagesort.prediction.folder_run import predict_folder
        from pagesort.prediction.request import check_request

        request = self.request(**more)
        check_request(request)
        predict_folder(Stub(), request)

    def begin_and_stop(self) -> None:
        """Score all pages but the last batches, as a run that is killed."""
        from pagesort.prediction.folder_run import predict_folder

        seen = 0

        class Stops(Stub):
            def probabilities(self, pixels: Any) -> Any:
                nonlocal seen
                seen += len(pixels)
                if seen > stop:
                    raise KeyboardInterrupt
                return super().probabilities(pixels)

        stop = self.pages - 5 * BATCH
        try:
            predict_folder(Stops(), self.request())
        except KeyboardInterrupt:
            return

    def first_batch_of_the_rest(self) -> None:
        """From --resume to the first scores, for which the program then stops."""
        from pagesort.prediction.folder_run import predict_folder
        from pagesort.prediction.request import check_request

        class Stops(Stub):
            def probabilities(self, pixels: Any) -> Any:
                raise KeyboardInterrupt

        request = self.request(resume=True)
        check_request(request)
        try:
            predict_folder(Stops(), request)
        except KeyboardInterrupt:
            return
        raise AssertionError("nothing was left to score")

    def sort(self) -> None:
        """Put all pages into folders as hard links, by class."""
        from pagesort.pages.loader import PageRef
        from pagesort.sorting.placer import SortedPage, sort_pages

        pages = (
            SortedPage(PageRef(number, self.files / name), LABELS[number % 11])
            for number, name in enumerate(names(self.pages))
        )
        sort_pages(pages, self.place / "sorted", link="hard")

    def undo(self) -> None:
        """Take that back."""
        from pagesort.sorting.manifests import undo

        assert undo(self.place / "sorted").taken_back == self.pages


# Each step with what is to be there before it: that is made in a process that is not measured.
STEPS: dict[str, tuple[Callable[[Bench], None], Callable[[Bench], object]]] = {
    "list": (Bench.make_files, Bench.list_pages),
    "list flat": (Bench.make_one_folder, Bench.list_pages),
    "list part": (Bench.write_list, Bench.list_part),
    "journal": (lambda _: None, lambda bench: bench.journal().close()),
    "record": (lambda bench: bench.journal().close(), Bench.record),
    "tables": (
        lambda bench: (bench.journal().close(), bench.record()),
        lambda bench: bench.write(False),
    ),
    "raw": (
        lambda bench: (bench.journal().close(), bench.record()),
        lambda bench: bench.write(True),
    ),
    "failures": (
        lambda bench: (bench.journal().close(), bench.record(failed=True)),
        lambda bench: bench.write(False),
    ),
    "merge": (Bench.score_parts, Bench.merge),
    "merge beside": (Bench.score_parts, lambda bench: bench.merge(write_beside)),
    "merge copies": (
        Bench.score_parts,
        lambda bench: bench.merge(partial(write_beside, formats=("jsonl", "parquet"))),
    ),
    "run": (Bench.make_files, Bench.run),
    "resume": (
        lambda bench: (bench.make_files(), bench.begin_and_stop()),
        Bench.first_batch_of_the_rest,
    ),
    "sort": (Bench.make_files, Bench.sort),
    "sort again": (lambda bench: (bench.make_files(), bench.sort()), Bench.sort),
    "undo": (lambda bench: (bench.make_files(), bench.sort()), Bench.undo),
}
WITHOUT_FILES = ("list part", "journal", "record", "tables", "raw", "failures")
WITHOUT_FILES += ("merge", "merge beside", "merge copies")


def measured(step: Callable[[Bench], object], bench: Bench) -> dict[str, float]:
    """Do one step; wall-clock and processor seconds, and peak memory in MiB, also of others."""
    for module in LOADED:  # starting up is no matter of pages
        importlib.import_module(module)
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if reset.exists():
        reset.write_text("5", encoding="ascii")
    started, used = time.perf_counter(), time.process_time()
    step(bench)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    peak = 0.0
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    now, most = os.times(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    others = {"others": now.children_user + now.children_system, "others_peak": most}
    return {"seconds": seconds, "processor": processor, "peak": peak} | others


def in_process(what: str, name: str, bench: Bench) -> str:
    """Prepare or do a step in a process of its own; its answer."""
    words = [what, "--stages", name, "--pages", str(bench.pages), "--place", str(bench.place)]
    words += ["--processes", str(bench.processes)] if bench.processes else []
    command = [sys.executable, str(Path(__file__).resolve()), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} of {bench.pages} pages failed")
    return done.stdout


def report(name: str, pages: int, scratch: Path | None, processes: int | None) -> None:
    """Measure one step and print its line."""
    place = Path(tempfile.mkdtemp(prefix="pagesort-scale-", dir=scratch))
    bench = Bench(place, pages, processes)
    try:
        in_process("--prepare", name, bench)
        found = json.loads(in_process("--measure", name, bench))
    finally:
        shutil.rmtree(place)
    print(
        f"{name:12s} {pages:9,d} {1e6 * found['seconds'] / pages:10.1f} "
        f"{1e6 * found['processor'] / pages:10.1f} {1e6 * found['others'] / pages:10.1f} "
        f"{found['seconds']:9.2f} {found['peak']:9.0f} {found['others_peak']:9.0f}",
        flush=True,
    )


def main() -> None:
    """Measure and print; or in a child, do one step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--stages", nargs="*", choices=STEPS, default=list(STEPS))
    parser.add_argument("--million", action="store_true", help="also a million rows")
    parser.add_argument("--processes", type=int, help="of a merge; by default, as many as help")
    parser.add_argument("--scratch", type=Path, help="a folder for what is measured on")
    for hidden in ("--prepare", "--measure"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    if arguments.place is not None:
        bench = Bench(arguments.place, arguments.pages[0], arguments.processes)
        prepare, step = STEPS[arguments.stages[0]]
        print(json.dumps(measured(prepare if arguments.prepare else step, bench)))
        return
    print(
        f"{'step':12s} {'pages':>9s} {'µs/page':>10s} {'µs CPU':>10s} {'others':>10s} {'s':>9s} "
        f"{'peak MiB':>9s} {'others':>9s}"
    )
    for name in arguments.stages:
        million = [MILLION] if arguments.million and name in WITHOUT_FILES else []
        for pages in [*arguments.pages, *million]:
            report(name, pages, arguments.scratch, arguments.processes)


if __name__ == "__main__":
    main()
