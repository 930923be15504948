"""Measures ways of finding the nearest of many embeddings: time, processor time, memory.

    python benchmarks/search.py [--rows 900000] [--width 256] [--ways ours,numpy,...]

Embeddings are random unit vectors in float16. `sqlite-vec` needs the packages `sqlite-vec` and
`pysqlite3-binary`, `usearch` that of its name. Each way has a process of its own; its peak memory
holds what is mapped of the file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from pagesort.search.nearest import nearest  # noqa: E402

BLOCK = 32_768
COUNT = 20

Search = Callable[[np.ndarray], list[int]]


def write_rows(path: Path, rows: int, width: int) -> None:
    """Write random unit vectors as float16."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, rows, BLOCK):
            block = random.standard_normal((min(BLOCK, rows - start), width), dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            file.write(block.astype("<f2").tobytes())


def ours(rows: np.ndarray, _: Path) -> Search:
    """The product's way."""
    return lambda query: [place for place, _ in nearest(rows, query, COUNT)]


def with_numpy(rows: np.ndarray, _: Path) -> Search:
    """Numpy alone, from the same file."""

    def search(query: np.ndarray) -> list[int]:
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK):
            found[start : start + BLOCK] = rows[start : start + BLOCK].astype(np.float32) @ query
        best = np.argpartition(-found, COUNT)[:COUNT]
        return best[np.argsort(-found[best])].tolist()

    return search


def rows_of_sqlite(rows: np.ndarray, folder: Path) -> Search:
    """Rows fetched from SQLite by Python, then as with numpy."""
    connection = sqlite3.connect(folder / "plain.sqlite")
    connection.execute("CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB)")
    values = ((number, row.tobytes()) for number, row in enumerate(rows))
    connection.executemany("INSERT INTO vectors VALUES (?, ?)", values)
    connection.commit()

    def search(query: np.ndarray) -> list[int]:
        found = []
        cursor = connection.execute("SELECT vector FROM vectors ORDER BY id")
        while chunk := cursor.fetchmany(BLOCK):
            block = np.frombuffer(b"".join(row[0] for row in chunk), "<f2")
            found.append(block.reshape(len(chunk), -1).astype(np.float32) @ query)
        scores = np.concatenate(found)
        best = np.argpartition(-scores, COUNT)[:COUNT]
        return best[np.argsort(-scores[best])].tolist()

    return search


def with_sqlite_vec(rows: np.ndarray, folder: Path) -> Search:
    """The extension's own table, which knows float32 but not float16.

    Many a Python is built without loadable extensions, so another build of SQLite is used.
    """
    import sqlite_vec
    from pysqlite3 import dbapi2

    connection = dbapi2.connect(folder / "vec.sqlite")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    table = f"CREATE VIRTUAL TABLE vectors USING vec0(vector float[{rows.shape[1]}])"
    connection.execute(table)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK].astype(np.float32)
        values = [(start + number, row.tobytes()) for number, row in enumerate(block)]
        connection.executemany("INSERT INTO vectors (rowid, vector) VALUES (?, ?)", values)
    connection.commit()
    query_text = "SELECT rowid FROM vectors WHERE vector MATCH ? AND k = ? ORDER BY distance"
    return lambda query: [
        row[0] for row in connection.execute(query_text, (query.tobytes(), COUNT))
    ]


def with_usearch(rows: np.ndarray, _: Path) -> Search:
    """Its exact search over the same float16 rows; no index is built."""
    from usearch.index import MetricKind
    from usearch.index import search as exact_search

    def search(query: np.ndarray) -> list[int]:
        asked = query.astype(np.float16)[None]
        found = exact_search(np.asarray(rows), asked, COUNT, MetricKind.IP, exact=True)
        return np.asarray(found.keys).ravel().tolist()

    return search


WAYS: dict[str, Callable[[np.ndarray, Path], Search]] = {
    "ours": ours,
    "numpy": with_numpy,
    "sqlite": rows_of_sqlite,
    "sqlite-vec": with_sqlite_vec,
    "usearch": with_usearch,
}


def measure(way: str, folder: Path, rows: int, width: int, repeat: int) -> str:
    """Measure a way, in a process of its own: a row of the table."""
    vectors = np.memmap(folder / "rows", "<f2", "r", shape=(rows, width))
    query = np.random.default_rng(1).standard_normal(width).astype(np.float32)
    query /= np.linalg.norm(query)
    began = time.perf_counter()
    search = WAYS[way](vectors, folder)
    built = time.perf_counter() - began
    search(query)  # what happens once is not timed
    times = []
    for _ in range(repeat):
        start, busy = time.perf_counter(), time.process_time()
        found = search(query)
        times.append((time.perf_counter() - start, time.process_time() - busy))
    walls, processor = zip(*times, strict=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    same = len(set(found) & set(ours(vectors, folder)(query)))
    return (
        f"| {way} | {min(walls):.2f} | {max(walls):.2f} | {min(processor):.2f} | "
        f"{same} of {COUNT} | {built:.0f} | {peak} |"
    )


def main() -> None:
    """Measure the ways that are asked for, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=900_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    print(
        "| way | fastest, s | slowest, s | processor, s | same as ours | built in, s | peak, MB |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        write_rows(Path(name) / "rows", options.rows, options.width)
        for way in options.ways.split(","):
            words = way, Path(name), options.rows, options.width, options.repeat
            with ProcessPoolExecutor(1, mp_context=fresh) as process:
                print(process.submit(measure, *words).result(), flush=True)


if __name__ == "__main__":
    main()
