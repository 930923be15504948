"""What it costs to spread a run over processes, by a model and pages that cost nothing.

    python3 benchmarks/spread.py --pages 100000 --ways plain shards-1 shards-2 shards-4 ray-2

All pages are in a list; nobody opens a file. `plain` is one run; `shards-K` are K processes with
`--shard`, one beside the other, and the merge of their tables, which must be those of the plain
run; lines tell of that merge by one process and by two. `ray-K` is one run whose batches go to K
workers. With --beside, all of them write the table of documents and the record, too, as the command
does. Seconds are of the wall clock. Processor time is that of all processes but Ray's own, MiB the
peak of the largest one (of Ray, the driver).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.scale import Stub, names, scores, write_beside  # noqa: E402

BATCH = 16
WAYS = ("plain", "shards-1", "shards-2", "shards-4", "ray-1", "ray-2", "ray-4")


class Free(Stub):
    """A model that costs nothing, and gives every page of a batch scores of its own."""

    def probabilities(self, pixels: Any) -> Any:
        """Score pages by their first pixel, so that parts give what the whole gives."""
        import numpy as np

        return np.stack([scores(int(page[0, 0, 0]), 1)[0] for page in pixels])


def open_free() -> tuple[Free, None]:
    """Open it in a worker, whose pages cost nothing, either."""
    pages_for_nothing()
    return Free(), None


def pages_for_nothing() -> None:
    """Let every page be there, and be told by its number."""
    import numpy as np

    from pagesort.pages.loader import Page, PageLoader

    def page(_: PageLoader, ref: Any) -> Page:
        number = int(ref.path.stem.rpartition("-")[2])
        return Page(ref, np.full((8, 8, 3), number % 256, np.uint8))

    PageLoader.page = page  # type: ignore[method-assign]


def run(place: Path, way: str, shard: str, is_beside: bool) -> str:
    """One run over the list, or a part of it; returns its table."""
    from pagesort.prediction.folder_run import predict_folder
    from pagesort.prediction.ray_engine import RayEngine
    from pagesort.prediction.request import Request
    from pagesort.prediction.shards import Shard

    pages_for_nothing()
    kind, _, workers = way.partition("-")
    from benchmarks import spread  # by a name that other processes can import

    request = Request(
        folder=place / "pages", formats=("png",), inner=True, tables=place / way, top_n=3,
        raw=False, max_categ=10, batch_size=BATCH, max_megapixels=10.0, resume=False,
        named=place / "list.txt", shard=Shard.parse(shard) if shard else None,
        engine=RayEngine(spread.open_free, int(workers)) if kind == "ray" else None,
        beside=(write_beside,) if is_beside else (),
    )  # fmt: skip
    return str(predict_folder(Free(), request).tables[0])


def merge(place: Path, way: str, processes: int, is_beside: bool) -> str:
    """Put the parts together; returns the table."""
    from pagesort.prediction.merging import MergeRequest, merge_parts

    parts = tuple(sorted((place / way).glob("result_*part*.csv")))
    beside = (write_beside,) if is_beside else ()
    request = MergeRequest(parts, place / way, 3, False, 10, beside=beside, processes=processes)
    return str(merge_parts(request).tables[0])


def child(place: Path, way: str, is_beside: bool, shard: str = "") -> subprocess.Popen[str]:
    """Start one step in a process of its own."""
    words = [sys.executable, str(Path(__file__).resolve()), "--place", str(place), "--ways", way]
    words += ["--shard", shard] if shard else []
    words += ["--beside"] if is_beside else []
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def answers(children: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What steps side by side have said."""
    said = [process.communicate()[0] for process in children]
    if any(process.returncode for process in children):
        sys.exit("a step has failed")
    return [json.loads(each) for each in said]


def _compare(one: dict[str, Any], two: dict[str, Any], pages: int) -> None:
    """Print what merging costs in one process and in two, whose tables must be the same."""
    for count, step in ((1, one), (2, two)):
        print(
            f"  merged by {count}: {step['seconds']:.1f} s, "
            f"{1e6 * step['processor'] / pages:.1f} µs CPU/page, of which the first process "
            f"{1e6 * step['first'] / pages:.1f}, {step['first_peak']:.0f} MiB; another process "
            f"{step['other_peak']:.0f} MiB"
        )
    if contents(one["table"]) != contents(two["table"]):
        sys.exit("two processes have written something else than one")


def contents(table: str) -> list[str]:
    """Hashes of a table and of what is beside it: the documents and the listing of the pages."""
    from pagesort.common.files import file_digest

    stem = Path(table).name.removeprefix("result_").rpartition("_stub")[0]
    beside = sorted(Path(table).parent.glob(f"{stem}_stub_DOCUMENTS.*[!n]"))
    return [file_digest(path) for path in (Path(table), *beside)]


def measured(
    place: Path, way: str, pages: int, is_beside: bool
) -> tuple[float, list[dict[str, Any]], str]:
    """Seconds of one way, what its steps say, and its table."""
    started = time.perf_counter()
    kind, _, count = way.partition("-")
    if kind != "shards":
        steps = answers([child(place, way, is_beside)])
    else:
        shards = [f"{number}/{count}" for number in range(1, int(count) + 1)]
        steps = answers([child(place, way, is_beside, shard) for shard in shards])
        steps += answers([child(place, way, is_beside, "merge-1")])
        seconds = time.perf_counter() - started
        _compare(steps[-1], answers([child(place, way, is_beside, "merge-2")])[0], pages)
        return seconds, steps, steps[-1]["table"]
    return time.perf_counter() - started, steps, steps[-1]["table"]


def step(place: Path, way: str, shard: str, is_beside: bool) -> dict[str, Any]:
    """Do one step in this process; its processor seconds and peak memory in MiB."""
    for module in ("pandas", "pagesort.prediction.folder_run", "pagesort.prediction.merging"):
        __import__(module)  # starting up is no matter of pages
    used, started = os.times(), time.perf_counter()
    kind, _, processes = shard.partition("-")
    if kind == "merge":
        table = merge(place, way, int(processes), is_beside)
    else:
        table = run(place, way, shard, is_beside)
    seconds, now = time.perf_counter() - started, os.times()
    first, other = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "table": table,
        "seconds": seconds,
        "processor": sum(now[:4]) - sum(used[:4]),
        "first": sum(now[:2]) - sum(used[:2]),
        "peak": max(first, other),
        "first_peak": first,
        "other_peak": other,
    }


def main() -> None:
    """Measure and print; or in a child, do one step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--beside", action="store_true", help="also documents and record")
    parser.add_argument("--scratch", type=Path, help="a folder for what is measured on")
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shard", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    if arguments.place is not None:
        way, shard = arguments.ways[0], arguments.shard
        print(json.dumps(step(arguments.place, way, shard, arguments.beside)))
        return
    place = Path(tempfile.mkdtemp(prefix="spread-", dir=arguments.scratch))
    try:
        (place / "pages").mkdir()
        with (place / "list.txt").open("w", encoding="utf-8") as file:
            file.writelines(map("{}\n".format, names(arguments.pages)))
        print(f"{'way':9s} {'s':>8s} {'µs CPU/page':>12s} {'of merge':>9s} {'MiB':>6s}  same table")
        first: list[str] = []
        for way in arguments.ways:
            seconds, steps, table = measured(place, way, arguments.pages, arguments.beside)
            content = contents(table)
            first = first or content
            micro = [1e6 * each["processor"] / arguments.pages for each in steps]
            merging = f"{micro[-1]:9.1f}" if way.startswith("shards") else " " * 9
            peak = max(each["peak"] for each in steps)
            same = "yes" if content == first else "NO"
            print(f"{way:9s} {seconds:8.1f} {sum(micro):12.1f} {merging} {peak:6.0f}  {same}",
                  flush=True)  # fmt: skip
            shutil.rmtree(place / way)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
