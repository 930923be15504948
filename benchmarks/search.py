"""Measures ways of finding the nearest of many embeddings: time, processor time, memory.

    python benchmarks/search.py [--rows 900000] [--width 256] [--ways ours,numpy,...]

Embeddings are random unit vectors in float16. `sqlite-vec` and `usearch` need the packages of
those names. What is built once is not timed.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from pagesort.search.nearest import nearest  # noqa: E402

BLOCK = 32_768
COUNT = 20

Search = Callable[[np.ndarray], list[int]]


def write_rows(path: Path, rows: int, width: int) -> np.ndarray:
    """Write random unit vectors as float16; returns them mapped from the disk."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, rows, BLOCK):
            block = random.standard_normal((min(BLOCK, rows - start), width), dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            file.write(block.astype("<f2").tobytes())
    return np.memmap(path, "<f2", "r", shape=(rows, width))


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
    """The extension's own table, which knows float32 but not float16."""
    import sqlite_vec

    connection = sqlite3.connect(folder / "vec.sqlite")
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


def main() -> None:
    """Measure the ways that are asked for, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=900_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    query = np.random.default_rng(1).standard_normal(options.width).astype(np.float32)
    query /= np.linalg.norm(query)
    print("| way | seconds | processor seconds | same pages as ours | peak memory, MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        rows = write_rows(Path(name) / "rows", options.rows, options.width)
        expected = ours(rows, Path(name))(query)
        for way in options.ways.split(","):
            search = WAYS[way](rows, Path(name))
            search(query)  # what happens once is not timed
            times = []
            for _ in range(options.repeat):
                start, busy = time.perf_counter(), time.process_time()
                found = search(query)
                times.append((time.perf_counter() - start, time.process_time() - busy))
            wall, processor = (min(column) for column in zip(*times, strict=True))
            same = len(set(found) & set(expected))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"| {way} | {wall:.2f} | {processor:.2f} | {same} of {COUNT} | {peak} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
