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
from bundled_models.page_trunks.recipe import DRAWN_SEED, SCORED_SIZE
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
        drawn_labels: (M,) label indices of these.
    """

    upright: np.ndarray
    turned: np.ndarray
    varied: np.ndarray
    quarters: np.ndarray
    drawn: np.ndarray
    drawn_labels: np.ndarray


def sum_up(pages: Sequence[RealPage], drawn_pages: int, folder: Path, processes: int) -> Summaries:
    """Let the trunks see all pages, in pieces that are kept in `folder` and not computed again.

    Raises:
        PageSortError: a page cannot be read, or the trunks' weights are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache = PageCache(folder, DRAWN_SEED, drawn_pages)
    cache.folder.mkdir(exist_ok=True)
    starts = range(0, len(pages), _PAGES_PER_PIECE)
    numbers = range(cache.shard_count)
    tasks = [
        partial(_real_piece, view, pages[start : start + _PAGES_PER_PIECE], start, folder)
        for view in _VIEWS
        for start in starts
    ]
    tasks += [partial(_drawn_piece, cache, number) for number in numbers]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, _ in enumerate(pool.imap_unordered(_run, tasks), start=1):
            logger.info("pages looked at: %d of %d pieces", number, len(tasks))
    real = {
        view: np.concatenate([np.load(_real_file(folder, view, start)) for start in starts])
        for view in _VIEWS
    }
    drawn = np.concatenate([np.load(_drawn_file(cache, number)) for number in numbers])
    return Summaries(
        **real,
        quarters=quarters_of(np.arange(len(pages))),
        drawn=drawn,
        drawn_labels=np.arange(len(drawn)) % len(LABELS),
    )


def quarters_of(rows: np.ndarray) -> np.ndarray:
    """By how many quarters real pages are turned."""
    return rows % 3 + 1


def _run(task: partial[None]) -> None:
    task()


def _real_file(folder: Path, view: str, start: int) -> Path:
    return folder / f"{view}-{start:05d}.npy"


def _drawn_file(cache: PageCache, number: int) -> Path:
    return cache.folder / f"summaries-{number:04d}.npy"


def _real_piece(view: str, pages: Sequence[RealPage], start: int, folder: Path) -> None:
    """Look at a piece of the real pages in one way."""
    file = _real_file(folder, view, start)
    if not file.exists():
        _keep(file, _see(_VIEWS[view](pages, start)))


def _drawn_piece(cache: PageCache, number: int) -> None:
    """Draw a shard of artificial pages, unless it is there, and look at it."""
    file = _drawn_file(cache, number)
    if file.exists():
        return
    if number in cache.missing():
        draw_shard(cache.folder, cache.seed, number, cache.shard_size)
    _keep(file, _see(_resized(page) for page in cache.shard(number).pages))


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
        yield _resized(np.ascontiguousarray(np.rot90(pixels, count)))


def _varied(pages: Sequence[RealPage], start: int) -> Iterator[np.ndarray]:
    """A random view of each page."""
    for number, (page, pixels) in enumerate(zip(pages, _stored(pages), strict=True), start):
        rng = np.random.default_rng((_SEED_OF_VIEWS, number))
        regions = _NO_REGIONS
        if rng.random() < _TURNED_SHARE:
            pixels, regions = randomly_turned(pixels, regions, rng)
        yield random_view(pixels, regions, SCORED_SIZE, page.page.label, rng).pixels


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
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
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
