"""How far bf16, fp16 and int8 move the answers of a model, and how many pages a second they save.

    python3 benchmarks/precision.py FOLDER... --precisions bf16 int8 [--model models/NAME]

FOLDERs hold pages in any depth, real ones (shared/pages) and drawn ones
(`python3 -m bundled_models.synthetic_pages --out FOLDER --pages 142`). All pages are prepared once,
which takes 400 KB of memory each, and then scored in every precision, the precisions taking turns
batch by batch. Prints a row a precision: share of pages with the first guess of fp32, mean and
largest difference of the first guess's score and of all scores, and pages a second and processor
milliseconds a page of the model alone.

With `--keep WORDS` the share of each precision is written into the model's `pagesort.json`, with
what the pages are, and `--precision auto` goes by it. That takes real pages of sources that the
model was not trained on.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
BATCH = 32


@dataclass
class Timed:
    """Scores (N, labels), and for each batch wall and processor seconds a page."""

    scores: list[np.ndarray] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def find_pages(folders: list[Path], count: int) -> list[Path]:
    """Return `count` pages at most, the same share of every folder of pages."""
    pages = sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in ENDINGS
    )
    if not pages:
        sys.exit(f"no pages under {', '.join(map(str, folders))}")
    kept = min(count, len(pages))
    return [pages[place * len(pages) // kept] for place in range(kept)]


def score(models: dict[str, Any], pages: list[Path]) -> dict[str, Timed]:
    """Score all pages with every model, which take turns, once all are decoded."""
    from pagesort.common.hardware import freed_memory_kept
    from pagesort.pages.loader import Page, PageLoader, PageRef

    first = next(iter(models.values()))
    refs = [PageRef(index, path) for index, path in enumerate(pages)]
    groups = [refs[start : start + BATCH] for start in range(0, len(refs), BATCH)]
    batches = [
        np.stack([each.pixels for each in batch if isinstance(each, Page)])
        for batch in PageLoader(first.preprocessing).batches(groups)
    ]
    found = {name: Timed() for name in models}
    with freed_memory_kept():
        for model in models.values():
            model.probabilities(batches[0])  # what happens once is not timed
        for pixels in batches:
            for name, model in models.items():
                wall, processor = time.perf_counter(), time.process_time()
                found[name].scores.append(model.probabilities(pixels))
                found[name].wall.append((time.perf_counter() - wall) / len(pixels))
                found[name].processor.append((time.process_time() - processor) / len(pixels))
    return found


def share_alike(timed: Timed, exact: Timed) -> float:
    """Share of the pages that get the same first guess."""
    first, right = (np.concatenate(each.scores).argmax(axis=1) for each in (timed, exact))
    return float((first == right).mean())


def keep(model: Path, found: dict[str, Timed], words: str) -> None:
    """Write the agreement of every precision with fp32 into the model's metadata."""
    from pagesort.common.errors import PageSortError
    from pagesort.models.metadata import METADATA_FILE, read_metadata

    metadata = read_metadata(model)
    if metadata is None:
        raise PageSortError(f"the model has no {METADATA_FILE} to keep this in", where=model)
    exact = found["fp32"]
    facts = {
        name: {
            "agreement": round(share_alike(timed, exact), 5),
            "pages": sum(map(len, timed.scores)),
            "measured_on": words,
        }
        for name, timed in found.items()
        if timed is not exact
    }
    kept = dataclasses.replace(metadata, precisions={**metadata.precisions, **facts})
    (model / METADATA_FILE).write_text(kept.to_json(), encoding="utf-8")


def row(name: str, timed: Timed, exact: Timed) -> str:
    """Compare one precision with fp32; speeds are medians over batches."""
    scores, right = np.concatenate(timed.scores), np.concatenate(exact.scores)
    first = right.argmax(axis=1)
    same = share_alike(timed, exact)
    everywhere = np.abs(scores - right)
    moved = everywhere[np.arange(len(first)), first]
    wall, processor = statistics.median(timed.wall), statistics.median(timed.processor)
    return (
        f"{name:5s} {len(first):6d} {same:9.2%} {moved.mean():9.5f} {moved.max():9.5f} "
        f"{everywhere.mean():9.5f} {1 / wall:9.1f} {1000 * processor:9.1f}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "pagesort-medium")
    parser.add_argument("--pages", type=int, default=2000, help="at most so many")
    parser.add_argument("--precisions", nargs="+", default=["bf16"], help="beside fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", metavar="WORDS", help="keep the agreement with the model")
    arguments = parser.parse_args(argv)

    from classifier import CLIP
    from pagesort.models.descriptions import read_descriptions

    models = {
        name: CLIP.open(arguments.model, device=arguments.device, precision=name, lean=True)
        for name in ("fp32", *arguments.precisions)
    }
    if not models["fp32"].labels:
        table = read_descriptions(ROOT / "category_description_total.tsv")
        models = {name: each.variant(descriptions=table) for name, each in models.items()}
    found = score(models, find_pages(arguments.folders, arguments.pages))
    print("       pages  same 1st  mean diff  max diff  mean all   pages/s  cpu ms/page")
    for name, timed in found.items():
        print(row(name, timed, found["fp32"]), flush=True)
    if arguments.keep:
        keep(arguments.model, found, arguments.keep)


if __name__ == "__main__":
    main()
