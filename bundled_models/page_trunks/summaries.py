"""What the networks make of real and artificial pages, computed once and kept.

They stay as they were trained elsewhere, so that a page needs to be looked at only once, and all
that is learnt behind them is learnt in minutes.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bundled_models.page_classifier.page_cache import REGION_SIZE
from bundled_models.page_classifier.pretraining_augmentation import random_view, randomly_turned
from bundled_models.page_classifier.real_pages import RealPage
from bundled_models.page_trunks.recipe import DRAWN_SEED, SCORED_SIZE
from bundled_models.synthetic_pages.page import LABELS, REGIONS, draw_page, page_rng

if TYPE_CHECKING:
    from pagesort.models.fast.page_trunks import PageTrunks

logger = logging.getLogger(__name__)

_PAGES_PER_PIECE = 33
_DRAWN_HEIGHT = 1600  # pixels; the model sees little less
_NO_REGIONS = np.zeros((len(REGIONS), *REGION_SIZE), dtype=np.uint8)
_SEED_OF_VIEWS = 421
_TURNED_SHARE = 0.3  # of the random views


@dataclass(frozen=True)
class Summaries:
    """Summaries of pages, each float32 (pages, SUMMARY_SIZE); NaN as in `PageTrunks.summary`.

    Attributes:
        upright: real pages as the finished model sees them.
        turned: the same pages turned by `quarters_of`.
        varied: a random view of each: cut, skewed, paler, turned.
        drawn: artificial pages, whose labels come in turn.
        drawn_turned: the same pages turned.
    """

    upright: np.ndarray
    turned: np.ndarray
    varied: np.ndarray
    drawn: np.ndarray
    drawn_turned: np.ndarray

    @property
    def drawn_labels(self) -> np.ndarray:
        """Label indices of the artificial pages."""
        return np.arange(len(self.drawn)) % len(LABELS)

    def filled(self, usual: np.ndarray) -> Summaries:
        """These, with numbers of `usual` (SUMMARY_SIZE,) where there are none."""
        views = (self.upright, self.turned, self.varied, self.drawn, self.drawn_turned)
        return Summaries(*(np.where(np.isnan(view), usual, view) for view in views))


def sum_up(pages: Sequence[RealPage], drawn: int, folder: Path, processes: int) -> None:
    """Look at all real pages and at so many artificial ones.

    Pieces of both are kept in `folder` and not computed again.

    Raises:
        PageSortError: a page cannot be read, or weights are missing.
    """
    tasks = [partial(_real_piece, pages, start, folder) for start in _starts(len(pages))]
    tasks += [partial(_drawn_piece, drawn, start, folder) for start in _starts(drawn)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, _ in enumerate(pool.imap_unordered(_run, tasks), start=1):
            logger.info("pages looked at: %d of %d pieces", number, len(tasks))


def read_summaries(pages: int, drawn: int, folder: Path) -> Summaries:
    """Read what `sum_up` kept of so many real pages and so many artificial ones."""
    pieces = [
        np.concatenate([np.load(_file(folder, kind, start)) for start in _starts(count)], axis=1)
        for kind, count in (("real", pages), ("drawn", drawn))
    ]
    return Summaries(*pieces[0], *pieces[1])


def _starts(count: int) -> range:
    return range(0, count, _PAGES_PER_PIECE)


def quarters_of(rows: np.ndarray) -> np.ndarray:
    """By how many quarters pages are turned."""
    return rows % 3 + 1


def _run(task: partial[None]) -> None:
    task()


def _file(folder: Path, kind: str, start: int) -> Path:
    return folder / f"{kind}-{start:05d}.npy"


def _real_piece(pages: Sequence[RealPage], start: int, folder: Path) -> None:
    """Look at a piece of the real pages."""
    file = _file(folder, "real", start)
    if not file.exists():
        piece = pages[start : start + _PAGES_PER_PIECE]
        views = (
            (pixels, _turned(pixels, number), _varied(pixels, page, number))
            for number, (page, pixels) in enumerate(zip(piece, _scans(piece), strict=True), start)
        )
        _keep(file, _see(views))


def _drawn_piece(count: int, start: int, folder: Path) -> None:
    """Draw a piece of the artificial pages, and look at them."""
    file = _file(folder, "drawn", start)
    if not file.exists():
        numbers = range(start, min(count, start + _PAGES_PER_PIECE))
        pages = ((number, _drawn(number)) for number in numbers)
        _keep(file, _see((pixels, _turned(pixels, number)) for number, pixels in pages))


def _keep(file: Path, summaries: np.ndarray) -> None:
    temporary = file.with_name(f".{file.name}")
    np.save(temporary, summaries)
    temporary.replace(file)


def _scans(pages: Sequence[RealPage]) -> Iterator[np.ndarray]:
    """The pixels that the finished model sees of pages: uint8 (H, W, 3)."""
    from pagesort.pages.loader import PageLoader
    from pagesort.pages.preprocessing import REDUCING_GAP, Preprocessing

    preprocessing = Preprocessing(resize=SCORED_SIZE, reducing_gap=REDUCING_GAP)
    with PageLoader(preprocessing) as loader:
        for page in pages:
            yield loader.pixels(page.page.path)


def _drawn(number: int) -> np.ndarray:
    """An artificial page as the model would see it."""
    label = LABELS[number % len(LABELS)]
    page = draw_page(label, page_rng(DRAWN_SEED, number), _DRAWN_HEIGHT)
    return _resized(np.asarray(page.image.convert("RGB")))


def _turned(pixels: np.ndarray, number: int) -> np.ndarray:
    """A page that lies on its side or on its head."""
    return _resized(np.rot90(pixels, int(quarters_of(np.array(number)))))


def _varied(pixels: np.ndarray, page: RealPage, number: int) -> np.ndarray:
    """A random view of a page."""
    rng = np.random.default_rng((_SEED_OF_VIEWS, number))
    regions = _NO_REGIONS
    if rng.random() < _TURNED_SHARE:
        pixels, regions = randomly_turned(pixels, regions, rng)
    return random_view(pixels, regions, SCORED_SIZE, page.page.label, rng).pixels


def _resized(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = SCORED_SIZE
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.asarray(resized)


def _see(pages: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """Summaries of views of pages, uint8 (H, W, 3): float32 (views, N, SUMMARY_SIZE)."""
    import torch

    torch.set_num_threads(1)
    trunks = started_trunks(1).eval()
    trunks.pictures.fold_norms()

    def summary(view: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(view.copy())[None].permute(0, 3, 1, 2).float() / 127.5 - 1
        return trunks.summary(values.contiguous(memory_format=torch.channels_last))[0]

    with torch.inference_mode():
        rows = [torch.stack([summary(view) for view in views]) for views in pages]
    return torch.stack(rows, 1).numpy()


def started_trunks(size: int) -> PageTrunks:
    """The tower with the networks' weights; the layers behind them are random.

    The network that finds lines is the line finder's, and the weights are read from where that
    lies; those of the one that reads them are those that the reader of lines started from.

    Raises:
        PageSortError: weights are missing or damaged.
    """
    from bundled_models.line_reader.start_weights import fill_trunk
    from bundled_models.page_classifier.start_weights import load_start
    from pagesort.models.fast.page_trunks import PageTrunks
    from pagesort.reading.line_finder import LineFinder

    trunks = PageTrunks(size)
    load_start(trunks.pictures)
    finder = LineFinder.open().network.state_dict()
    trunks.lines.load_state_dict({name: value.float() for name, value in finder.items()})
    fill_trunk(trunks.letters.trunk)
    return trunks
