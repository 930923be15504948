"""What the grouping of many pages costs, once they are embedded: seconds and memory.

    python benchmarks/grouping.py 20000
    python benchmarks/grouping.py 1000000

Pages are simulated: random embeddings and looks that change where an item begins.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from pagesort.common.paths import MODELS
from pagesort.grouping.boundary_model import read_model
from pagesort.grouping.clustering import MOST_PAGES
from pagesort.grouping.methods import Method
from pagesort.grouping.page_features import LENGTH
from pagesort.grouping.pile import Pile

DIMENSIONS, KINDS = 256, 11


def simulated(pages: int, rng: np.random.Generator) -> Pile:
    """Draw pages of items of five pages on average."""
    items = np.cumsum(rng.random(pages) < 0.2)
    vectors = rng.normal(size=(items[-1] + 1, DIMENSIONS)).astype(np.float32)[items]
    vectors += 0.5 * rng.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    looks = rng.random((pages, LENGTH), np.float32)
    scores = rng.dirichlet(np.ones(KINDS), pages).astype(np.float32)
    return Pile(vectors, looks, np.full((pages, 2), 1000, np.float32), scores)


def main() -> None:
    """Group so many pages in the parts that a run takes, and print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=int, nargs="?", default=20_000)
    pages = parser.parse_args().pages
    method = Method(read_model(MODELS / "pagesort-groups"))
    rng = np.random.default_rng(1)
    seconds, busy, items, memory = 0.0, 0.0, 0, []
    for start in range(0, pages, MOST_PAGES):
        pile = simulated(min(MOST_PAGES, pages - start), rng)
        began, used = time.perf_counter(), time.process_time()
        groups, _ = method.group(pile)
        seconds += time.perf_counter() - began
        busy += time.process_time() - used
        items += int(groups.max())
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    found = {
        "pages": pages,
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "items": items,
        "peak_mb_after_first_part": memory[0],
        "peak_mb": memory[-1],
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
