"""Page files to pixels: one loader for every kind of scan and document, and parallel batches."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pagesort.common.closing import Closing
from pagesort.common.errors import PageUnreadableError
from pagesort.common.hardware import decoding_threads
from pagesort.pages.blankness import note_of
from pagesort.pages.image_file import DEFAULT_MAX_MEGAPIXELS, formats, opened_scan
from pagesort.pages.memory_budget import MemoryBudget
from pagesort.pages.pdf_renderers import PdfRenderers, is_pdf
from pagesort.pages.preprocessing import Preprocessing, pixels_of
from pagesort.pages.raster import Scan

__all__ = [
    "DEFAULT_MAX_MEGAPIXELS",
    "WHOLE",
    "Failure",
    "Page",
    "PageLoader",
    "PageRef",
    "Preprocessing",
    "load_page",
]

PREFETCHED_BATCHES = 3
WHOLE = 0  # the number of a page that stands for a document whose pages nobody could count


@dataclass(frozen=True)
class PageRef:
    """One page of a listing: its place (from 0), its file, and if that holds several, which one.

    `page` counts from 1; None is the whole file, and WHOLE a document that could not be opened.
    """

    index: int
    path: Path
    page: int | None = None

    def __str__(self) -> str:
        """Name a page as a person would: by its file, and its number if that holds several."""
        return f"{self.path}, page {self.page}" if self.page else str(self.path)


@dataclass(frozen=True)
class Page:
    """A page ready for the model: `pixels` is uint8 (H, W, 3), `note` as `note_of` gives it.

    `size` is width and height as the file holds them, a PDF's as it was drawn for the model.
    `features` is what the loader's `describe` made of the page, and `other` its pixels as `second`
    wants them.
    """

    ref: PageRef
    pixels: np.ndarray
    note: str = ""
    size: tuple[int, int] = (0, 0)
    features: np.ndarray | None = None
    other: np.ndarray | None = None


@dataclass(frozen=True)
class Failure:
    """A page that cannot be used, and why, in a few words."""

    ref: PageRef
    reason: str


def load_page(
    path: str | Path,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    page: int | None = None,
) -> Image.Image:
    """Read one page file as an upright 8-bit image, mode L (grey pages stay grey) or RGB.

    Transparency is laid on white. Deep pages are scaled by their declared range (16 bits: 0..65535
    to 0..255, or 0..4095 where a PNG or TIFF goes no higher), never clipped; 32-bit and float pages
    by the smallest of 1, 255, 65535 that holds them, else from their least to their greatest value.
    A JPEG above 100 megapixels is decoded at half size. Of several images in a file, the first; a
    TIFF's other pages are told of in the log.

    Args:
        path, max_megapixels, page: as `opened_scan` takes them.

    Raises:
        PageUnreadableError: as `opened_scan` does.
    """
    with opened_scan(path, max_megapixels, MemoryBudget(0).hold, page=page) as scan:
        return scan.upright()


class PageLoader(Closing):
    """Reads pages as one model wants them; safe to share by threads.

    It carries all that reading takes: the largest size that is accepted, how the model wants its
    pages, the memory that they may take together, and the processes that draw PDFs. Use as a
    context manager, or call `close`.

    Args:
        preprocessing: how the model wants its pages.
        max_megapixels: larger pages are refused from their header, before anything is decoded.
        workers: threads that decode; by default as many as keep all processors busy.
        describe: called by these threads with every page as it is shrunk for the model, mode L or
            RGB, before it is cropped if all of it is ever there; gives the page's `features`.
        second: how a second model wants its pages, for the `other` pixels of the same decoding.
            Pages are decoded as large as the model needs them that sees more.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        workers: int | None = None,
        describe: Callable[[Image.Image], np.ndarray] | None = None,
        second: Preprocessing | None = None,
    ) -> None:
        self.preprocessing = preprocessing
        self.second = second
        self._finest = max((preprocessing, second or preprocessing), key=_pixels_needed)
        self.describe = describe
        self.max_megapixels = max_megapixels
        self.workers = workers or decoding_threads()
        self.renderers = PdfRenderers()
        self._budget = MemoryBudget()

    def close(self) -> None:
        """Let pages that wait, and every later one, fail at once; end what draws PDFs."""
        self._budget.stop()
        self.renderers.close()

    def image(self, path: str | Path, page: int | None = None) -> Image.Image:
        """Read one page at the size of the model's input, mode L or RGB.

        What `preprocessing.apply(load_page(path))` shows, but the whole page is held at most once,
        and with a `reducing_gap` decoders that can do so leave out what would be shrunk away.

        Args:
            path: any file; its content decides what it is, not its name.
            page: which page of a document, from 1.

        Raises:
            PageUnreadableError: with a short reason as `what`, and the path as `where`.
        """
        with self._scan(path, page) as scan:
            return self.preprocessing.shrink(scan)

    def pixels(self, path: str | Path, page: int | None = None) -> np.ndarray:
        """Read one page as `image` does: uint8 (H, W, 3)."""
        return pixels_of(self.image(path, page))

    def page(self, ref: PageRef) -> Page | Failure:
        """Read one page of a listing; whatever is wrong with its file becomes its Failure."""
        try:
            with self._scan(ref.path, ref.page) as scan:
                whole: list[Image.Image] = []
                image = self.preprocessing.shrink(scan, whole.append)
                size = scan.page_size
                pixels = pixels_of(image)
                other = None if self.second is None else self._second_of(scan, pixels)
            note = note_of(whole[0]) if whole else ""
            features = self.describe((whole or [image])[0]) if self.describe is not None else None
            return Page(ref, pixels, note, size, features, other)
        except PageUnreadableError as error:
            return Failure(ref, error.what)
        except MemoryError:
            return Failure(ref, "there is not enough memory to resize it")

    def _second_of(self, scan: Scan, pixels: np.ndarray) -> np.ndarray:
        """The pixels for the second model; those of the first where both want the same."""
        assert self.second is not None
        return pixels if self.second == self.preprocessing else pixels_of(self.second.shrink(scan))

    @contextlib.contextmanager
    def _scan(self, path: str | Path, page: int | None) -> Iterator[Scan]:
        """One page, decoded or drawn no larger than the model needs it."""
        if page is not None and is_pdf(path):
            yield Scan(self._drawn(path, page))
            return
        with opened_scan(path, self.max_megapixels, self._budget.hold, self._finest, page) as scan:
            yield scan

    def batches(self, groups: Iterable[Sequence[PageRef]]) -> Generator[list[Page | Failure]]:
        """Yield one list for each group, in order, decoded by threads ahead of the consumer.

        Groups are taken in the consumer's thread, at most three ahead. Pages are decoded side by
        side as long as half of the memory that was free at the start holds them. When the consumer
        stops (`close()`, an exception, Ctrl-C), waiting pages are dropped, only those that are
        being decoded are waited for, and the loader is closed.

        Args:
            groups: pages that go into one batch; may be endless.
        """
        formats()  # loads Pillow's readers before threads need them
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="pages")
        waiting: deque[list[Future[Page | Failure]]] = deque()
        try:
            for group in groups:
                waiting.append([pool.submit(self.page, ref) for ref in group])
                if len(waiting) > PREFETCHED_BATCHES:
                    yield [future.result() for future in waiting.popleft()]
            while waiting:
                yield [future.result() for future in waiting.popleft()]
        except BaseException:
            self.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _drawn(self, path: str | Path, page: int) -> Image.Image:
        """A page of a PDF, drawn larger than the model sees it."""
        if page == WHOLE:
            self.renderers.survey(path)
            # It could not be opened when the run began, which has no rows for its pages.
            raise PageUnreadableError("it can be opened now; --update sorts its pages")
        return self.renderers.render(path, page, *self._finest.drawn_size)


def _pixels_needed(preprocessing: Preprocessing) -> float:
    """How much of a page a model looks at; an exact path takes all of it."""
    if preprocessing.reducing_gap is None:
        return float("inf")
    return preprocessing.reducing_gap * max(preprocessing.input_size)
