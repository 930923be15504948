"""What the two trunks make of real and artificial pages, computed once and kept.

The trunks stay as they were trained elsewhere, so that a page needs to be looked at only once, and
all that is learnt behind them is learnt in minutes.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bundled_models.page_classifier.page_cache import (
    REGION_SIZE,
    PageCache,
    draw_shard,
    stored_pixels,
)
from bundled_models.page_classifier.pretraining_augmentation import random_view, randomly_turned
from bundled_models.page_classifier.real_pages import RealPage
from bundled_models.page_trunks.recipe import SCORED_SIZE
from bundled_models.synthetic_pages.page import LABELS, REGIONS

if TYPE_CHECKING:
    from pagesort.models.fast.page_trunks import PageTrunks

logger = logging.getLogger(__name__)

_PAGES_PER_PIECE = 90
_NO_REGIONS = np.zeros((len(REGIONS), *REGION_SIZE), dtype=np.uint8)
_SEED_OF_VIEWS = 421
_TURNED_SHARE = 0.3  # of the random views


@dataclass(frozen=True)
class Summaries:
    """Summaries of pages, each float32 (pages, SUMMARY_SIZE).

    Attributes:
        upright: real pages as the finished model sees them.
        turned: the same pages turned by `quarters`.
        varied: a random view of each: cut, skewed, paler, turned.
        quarters: (N,) 1, 2 or 3.
        drawn: artificial pages.
        drawn_turned: the same pages turned.
        drawn_labels: (M,) label indices of these.
    """

    upright: np.ndarray
    turned: np.ndarray
    varied: np.ndarray
    quarters: np.ndarray
    drawn: np.ndarray
    drawn_turned: np.ndarray
    drawn_labels: np.ndarray


def sum_up(pages: Sequence[RealPage], drawn: PageCache, folder: Path, processes: int) -> None:
    """Let the trunks see all pages, in pieces that are kept in `folder` and not computed again.

    Raises:
        PageSortError: a page cannot be read, or the trunks' weights are missing.
    """
    drawn.folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        partial(_real_piece, view, pages[start : start + _PAGES_PER_PIECE], start, folder)
        for view in _VIEWS
        for start in _starts(len(pages))
    ]
    # First what draws a shard; the same pages turned follow when it lies there.
    tasks += [
        partial(_drawn_piece, drawn, number, view)
        for view in _DRAWN_VIEWS
        for number in range(drawn.shard_count)
    ]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, _ in enumerate(pool.imap_unordered(_run, tasks), start=1):
            logger.info("pages looked at: %d of %d pieces", number, len(tasks))


def read_summaries(count: int, drawn: PageCache, folder: Path) -> Summaries:
    """Read what `sum_up` kept of so many real pages and of the artificial ones."""
    real = {
        view: np.concatenate([np.load(_real_file(folder, view, start)) for start in _starts(count)])
        for view in _VIEWS
    }
    upright, turned = (
        np.concatenate([np.load(_drawn_file(drawn, n, view)) for n in range(drawn.shard_count)])
        for view in _DRAWN_VIEWS
    )
    return Summaries(
        **real,
        quarters=quarters_of(np.arange(count)),
        drawn=upright,
        drawn_turned=turned,
        drawn_labels=np.arange(len(upright)) % len(LABELS),
    )


def _starts(count: int) -> range:
    return range(0, count, _PAGES_PER_PIECE)


def quarters_of(rows: np.ndarray) -> np.ndarray:
    """By how many quarters real pages are turned."""
    return rows % 3 + 1


def _run(task: partial[None]) -> None:
    task()


def _real_file(folder: Path, view: str, start: int) -> Path:
    return folder / f"{view}-{start:05d}.npy"


def _drawn_file(cache: PageCache, number: int, view: str) -> Path:
    return cache.folder / f"{view}-{number:04d}.npy"


def _real_piece(view: str, pages: Sequence[RealPage], start: int, folder: Path) -> None:
    """Look at a piece of the real pages in one way."""
    file = _real_file(folder, view, start)
    if not file.exists():
        _keep(file, _see(_VIEWS[view](pages, start)))


def _drawn_piece(cache: PageCache, number: int, view: str) -> None:
    """Look at a shard of artificial pages; what looks at it upright draws it, if need be."""
    file = _drawn_file(cache, number, view)
    if file.exists():
        return
    if view == "upright" and number in cache.missing():
        draw_shard(cache.folder, cache.seed, number, cache.shard_size)
    pages = cache.shard(number).pages
    quarters = quarters_of(np.arange(len(pages))) if view == "turned" else np.zeros(len(pages))
    _keep(file, _see(_resized(np.rot90(page, n)) for page, n in zip(pages, quarters, strict=True)))


def _keep(file: Path, summaries: np.ndarray) -> None:
    temporary = file.with_name(f".{file.name}")
    np.save(temporary, summaries)
    temporary.replace(file)


def _upright(pages: Sequence[RealPage], _start: int) -> Iterator[np.ndarray]:
    """The pixels that the finished model sees of pages: uint8 (H, W, 3)."""
    from pagesort.pages.loader import PageLoader
    from pagesort.pages.preprocessing import REDUCING_GAP, Preprocessing

    preprocessing = Preprocessing(resize=SCORED_SIZE, reducing_gap=REDUCING_GAP)
    with PageLoader(preprocessing) as loader:
        for page in pages:
            yield loader.pixels(page.page.path)


def _turned(pages: Sequence[RealPage], start: int) -> Iterator[np.ndarray]:
    """Pages that lie on their side or on their head."""
    quarters = quarters_of(np.arange(start, start + len(pages)))
    for pixels, count in zip(_stored(pages), quarters, strict=True):
        yield _resized(np.rot90(pixels, count))


def _varied(pages: Sequence[RealPage], start: int) -> Iterator[np.ndarray]:
    """A random view of each page."""
    for number, (page, pixels) in enumerate(zip(pages, _stored(pages), strict=True), start):
        rng = np.random.default_rng((_SEED_OF_VIEWS, number))
        regions = _NO_REGIONS
        if rng.random() < _TURNED_SHARE:
            pixels, regions = randomly_turned(pixels, regions, rng)
        yield random_view(pixels, regions, SCORED_SIZE, page.page.label, rng).pixels


_DRAWN_VIEWS = ("upright", "turned")
_VIEWS: dict[str, Callable[[Sequence[RealPage], int], Iterator[np.ndarray]]] = {
    "upright": _upright,
    "turned": _turned,
    "varied": _varied,
}


def _stored(pages: Sequence[RealPage]) -> Iterator[np.ndarray]:
    from pagesort.pages.loader import load_page

    return (stored_pixels(load_page(page.page.path)) for page in pages)


def _resized(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = SCORED_SIZE
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.asarray(resized)


def _see(pages: Iterable[np.ndarray]) -> np.ndarray:
    """Summaries of pages, uint8 (H, W, 3): float32 (N, SUMMARY_SIZE)."""
    import torch

    torch.set_num_threads(1)
    trunks = started_trunks(1).eval()
    trunks.pictures.fold_norms()
    rows = []
    with torch.inference_mode():
        for page in pages:
            values = torch.from_numpy(page.copy())[None].permute(0, 3, 1, 2).float() / 127.5 - 1
            rows.append(trunks.summary(values.contiguous(memory_format=torch.channels_last)))
    return torch.cat(rows).numpy()


def started_trunks(size: int) -> PageTrunks:
    """The tower with the trunks' weights; the layers behind them are random.

    The trunk that sees lines is the line finder's, and the weights are read from where that lies.

    Raises:
        PageSortError: weights are missing or damaged.
    """
    from bundled_models.page_classifier.start_weights import load_start
    from pagesort.models.fast.page_trunks import PageTrunks
    from pagesort.reading.line_finder import LineFinder

    trunks = PageTrunks(size)
    load_start(trunks.pictures)
    trunks.lines.load_state_dict(
        {
            name: value.float()
            for name, value in LineFinder.open().network.state_dict().items()
            if name.startswith(("stem.", "stages."))
        }
    )
    return trunks
