"""Training pages, shrunk once and kept on disk, and the views of them that training asks for."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import translate_unreadable, translate_unwritable
from pagesort.common.progress import Progress
from pagesort.labelled.folder import LabelledPage, log_left_out, page_pixels
from pagesort.pages.image_file import DAMAGE
from pagesort.pages.loader import PageLoader
from pagesort.pages.preprocessing import REDUCING_GAP, Preprocessing
from pagesort.training.augmentation import augmented_view, shrunk

__all__ = ["Sampling", "TrainingViews", "page_pixels", "prepare_pages"]

logger = logging.getLogger(__name__)

Sampling = Literal["balanced", "natural"]
TIMES_LARGER = 2  # than the model's input: what sharpness and blur are meant for
LAYOUT = 2  # of prepared pages; another number prepares them anew
KEY_DIGITS = 24
SUFFIX = ".jpg"
# At this quality a view differs from one made of the scan itself by half a grey level on average,
# a third of which would be there without JPEG; it decodes four times faster than a PNG.
QUALITY = 95
STALE_SECONDS = 3600.0
AHEAD = 4  # pages waited for, a worker
SEED_BITS = 0xFFFFFFFF
READ_REMEDY = "Remove the folder and start the training again: it is made anew"
WRITE_REMEDY = (
    "Free some space, or let [OUTPUT] FOLDER_CPOINTS name a folder on another disk; what is "
    "prepared is kept"
)
VIEW_STREAM, ORDER_STREAM, LABEL_STREAM = 1, 2, 3


def prepare_pages(
    pages: Sequence[LabelledPage],
    folder: str | Path,
    size: tuple[int, int],
    max_megapixels: float,
    workers: int,
) -> tuple[tuple[LabelledPage, ...], tuple[tuple[LabelledPage, str], ...]]:
    """Decode every page once and keep it, squashed to twice the model's input, in `folder`.

    Pages that are there already are passed over, so that a stopped preparation goes on where it
    was, and the next training of the same pages begins at once. Several processes may prepare the
    same pages at the same time.

    Args:
        folder: made where it is missing; may hold pages of other trainings.
        size: height and width of the model's input.
        max_megapixels: larger pages are left out.
        workers: threads; at least 1.

    Returns:
        The pages that can be used, in order, and the others with the reason, which are told, too.

    Raises:
        PageSortError: the folder cannot be read or written to, or the disk is full.
    """
    folder = Path(folder)
    reasons: dict[str, str] = {}
    with translate_unwritable(folder, "the prepared pages cannot be kept", remedy=WRITE_REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        present = _present(folder)
        missing = [page for page in pages if _file_name(page.path, size) not in present]
        if missing:
            logger.info("preparing %d of %d pages in %s", len(missing), len(pages), folder)
            with PageLoader(_larger(size), max_megapixels, workers) as loader:
                reasons = _prepare_missing(missing, folder, size, loader)
    left_out = tuple((page, reasons[page.name]) for page in pages if page.name in reasons)
    log_left_out(left_out)
    return tuple(page for page in pages if page.name not in reasons), left_out


def _file_name(path: Path, size: tuple[int, int]) -> str | None:
    """What a prepared page is called: a digest of where it comes from; None if that is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    origin = os.path.abspath(path)  # noqa: PTH100 - resolve() would ask the disk for each folder
    height, width = size
    text = f"{LAYOUT}\0{status.st_size}\0{status.st_mtime_ns}\0{height}x{width}\0".encode()
    return hashlib.sha256(text + os.fsencode(origin)).hexdigest()[:KEY_DIGITS] + SUFFIX


def _present(folder: Path) -> set[str]:
    """The prepared pages of a folder; what killed processes left half-written is removed."""
    present = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                present.add(entry.name)
            elif entry.name.endswith(".tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime > STALE_SECONDS:
                        Path(entry.path).unlink()
    return present


def _prepare_missing(
    pages: Sequence[LabelledPage], folder: Path, size: tuple[int, int], loader: PageLoader
) -> dict[str, str]:
    """Prepare pages by threads; returns why, by name, for those that cannot be used."""

    def prepare(page: LabelledPage) -> str | None:
        return _prepare(page.path, folder, size, loader)

    reasons: dict[str, str] = {}
    waiting: deque[tuple[LabelledPage, Future[str | None]]] = deque()

    def take(progress: Progress) -> None:
        page, future = waiting.popleft()
        reason = future.result()
        if reason is not None:
            reasons[page.name] = reason
        progress.advance(1, page.name)

    pool = ThreadPoolExecutor(loader.workers, thread_name_prefix="prepare")
    try:
        with Progress(len(pages), 0) as progress:
            for page in _in_turn(pages):
                waiting.append((page, pool.submit(prepare, page)))
                if len(waiting) >= AHEAD * loader.workers:
                    take(progress)
            while waiting:
                take(progress)
    finally:
        loader.close()
        pool.shutdown(wait=True, cancel_futures=True)
    return reasons


def _in_turn(pages: Sequence[LabelledPage]) -> Sequence[LabelledPage]:
    """The pages from another start in each process of one machine, so that they share the work."""
    rank = int(os.environ.get("LOCAL_RANK") or 0)
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1))
    start = rank % processes * len(pages) // processes
    return [*pages[start:], *pages[:start]]


def _larger(size: tuple[int, int]) -> Preprocessing:
    """How pages are shrunk before they are kept."""
    height, width = size
    resize = (height * TIMES_LARGER, width * TIMES_LARGER)
    return Preprocessing(resize=resize, reducing_gap=REDUCING_GAP)


def _prepare(path: Path, folder: Path, size: tuple[int, int], loader: PageLoader) -> str | None:
    """Shrink one page into its file, unless another process has; returns why it cannot be used.

    Raises:
        OSError: the file cannot be written.
    """
    name = _file_name(path, size)
    if name is not None and (folder / name).exists():
        return None
    try:
        page = loader.image(path)
    except PageUnreadableError as error:
        return error.what
    except MemoryError:
        return "there is not enough memory to resize it"
    if name is None:
        return "the file came only after the listing"
    temporary = folder / f".{name}.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        page.save(temporary, format="JPEG", quality=QUALITY, subsampling=0)
        try:
            temporary.replace(folder / name)
        except PermissionError:
            # Windows refuses to replace what another process of this training reads just now.
            if not (folder / name).exists():
                raise
    except OSError as error:
        error.filename = str(folder)  # not that of a file nobody knows
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _read_prepared(path: Path) -> Image.Image:
    """Read a prepared page: mode L or RGB.

    Raises:
        PageSortError: it is gone or damaged.
    """
    with (
        translate_unreadable(path, "a prepared page cannot be read", READ_REMEDY, DAMAGE),
        path.open("rb") as file,
        Image.open(file, formats=["JPEG"]) as image,
    ):
        image.load()
        return image


class TrainingViews:
    """All views of a training, in order; view `i` is decided by the pages, the seed and `i` alone.

    A map-style data set for `torch.utils.data.DataLoader`: whatever process asks for a view, and
    wherever a resumed training begins, it is the same one.

    Natural sampling: an epoch shows every page once, in an order of its own, and begins a further
    round if it has more views than there are pages; shorter epochs share one round between them.
    Balanced sampling: every round shows each label once, in any order; a label's pages come one
    after the other in shuffled order, over all epochs, so that none is seen twice before all are
    seen once.

    Args:
        pages: those that `prepare_pages` has kept.
        labels: the index of a view's label is its place here.
        folder: where `prepare_pages` has put them.
        size: height and width of the model's input, as given to `prepare_pages`.
        views_per_epoch: by default as many as there are pages.
        augment: whether half of the views are changed in colour and sharpness.

    Raises:
        PageSortError: there is no page, a page's label is unknown, or a page is not prepared.
    """

    def __init__(
        self,
        pages: Sequence[LabelledPage],
        labels: Sequence[str],
        folder: str | Path,
        size: tuple[int, int],
        seed: int,
        epochs: int,
        views_per_epoch: int | None = None,
        sampling: Sampling = "balanced",
        augment: bool = True,
    ) -> None:
        if not pages:
            raise PageSortError("there is no page to train on")
        self.folder = Path(folder)
        self.size = size
        self.epochs = epochs
        self.views_per_epoch = views_per_epoch or len(pages)
        self.sampling = sampling
        self.augment = augment
        self._seed = seed & SEED_BITS
        places = {label: place for place, label in enumerate(labels)}
        unknown = next((page for page in pages if page.label not in places), None)
        if unknown is not None:
            raise PageSortError("a page's label is none of the model's", where=unknown.name)
        self._labels = np.array([places[page.label] for page in pages])
        self._files = self._prepared(pages)
        self._by_label = [np.flatnonzero(self._labels == each) for each in np.unique(self._labels)]
        self._shuffles: dict[tuple[int, int], tuple[int, np.ndarray]] = {}

    def __len__(self) -> int:
        """Views of the whole training."""
        return self.epochs * self.views_per_epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        """View `index`: `pixels` uint8 (H, W, 3), `label`, `index`.

        Raises:
            IndexError: there are not so many views.
            PageSortError: the prepared page is gone or damaged.
        """
        page = self.page_of(index)
        image = _read_prepared(self.folder / self._files[page])
        if self.augment:
            rng = np.random.default_rng((self._seed, VIEW_STREAM, index))
            image = augmented_view(image, self.size, rng)
        else:
            image = shrunk(image, self.size)
        return {
            "pixels": np.array(image.convert("RGB")),
            "label": int(self._labels[page]),
            "index": index,
        }

    def page_of(self, index: int) -> int:
        """The place of the page that a view shows, in `pages`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        epoch, place = divmod(index, self.views_per_epoch)
        if self.sampling == "natural":
            return self._natural(epoch, place, index)
        return self._balanced(epoch, place)

    def _natural(self, epoch: int, place: int, index: int) -> int:
        count = len(self._files)
        if self.views_per_epoch < count:
            shuffle, place = divmod(index, count)
        else:
            shuffle, place = divmod(place, count)
            shuffle += epoch * -(-self.views_per_epoch // count)
        return int(self._shuffled(ORDER_STREAM, 0, shuffle, count)[place])

    def _balanced(self, epoch: int, place: int) -> int:
        labels = len(self._by_label)
        shown, place = divmod(place, labels)
        shown += epoch * -(-self.views_per_epoch // labels)
        label = int(self._shuffled(ORDER_STREAM, 0, shown, labels)[place])
        members = self._by_label[label]
        shuffle, place = divmod(shown, len(members))
        return int(members[self._shuffled(LABEL_STREAM, label, shuffle, len(members))[place]])

    def _shuffled(self, stream: int, label: int, number: int, count: int) -> np.ndarray:
        """Shuffle `number` of a stream; the last of each is kept, as views are asked in order."""
        kept = self._shuffles.get((stream, label))
        if kept is None or kept[0] != number:
            rng = np.random.default_rng((self._seed, stream, label, number))
            kept = (number, rng.permutation(count))
            self._shuffles[(stream, label)] = kept
        return kept[1]

    def _prepared(self, pages: Sequence[LabelledPage]) -> list[str]:
        with translate_unreadable(self.folder, "the prepared pages cannot be read", READ_REMEDY):
            present = _present(self.folder)
        files = [_file_name(page.path, self.size) for page in pages]
        for page, name in zip(pages, files, strict=True):
            if name not in present:
                raise PageSortError(
                    "a training page was changed or removed while the training began",
                    where=page.path,
                    remedy="Start the training again",
                )
        return [name for name in files if name is not None]
