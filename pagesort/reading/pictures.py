"""The pictures of many lines at one height, prepared once and kept in one file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pagesort.common.checked_json import parse_object
from pagesort.common.errors import PageSortError, PageUnreadableError, Stopped
from pagesort.common.files import check_space, translate_unwritable, whole, write_whole
from pagesort.common.progress import Progress
from pagesort.reading.examples import Example, pictures_of
from pagesort.reading.line_images import HEIGHT

logger = logging.getLogger(__name__)

NARROWEST = 16
WIDEST = 60.0
"""Times the height; a picture that is wider is pressed together."""
DIGEST_DIGITS = 6
FORM_WIDEST = 1280
SHAPE = {"shapes": list, "digests": str, "left_out": list}


def reduced(picture: np.ndarray, width: int) -> np.ndarray:
    """A grey picture of a form, uint8 (H, W), at most so wide and three times as tall."""
    image = Image.fromarray(picture)
    image.thumbnail((width, 3 * width), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(image)


def fitted(picture: np.ndarray, height: int) -> np.ndarray:
    """A grey picture of a line brought to a height, its width in proportion.

    Args:
        picture: uint8 (H, W).
        height: wanted, in pixels.

    Returns:
        uint8 (height, W'), W' at least 16 and at most 60 times the height.
    """
    high, wide = picture.shape
    width = round(wide * height / high)
    width = min(max(width, NARROWEST), round(WIDEST * height))
    if (width, height) == (wide, high):
        return picture
    image = Image.fromarray(picture)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0))


def digest_of(picture: np.ndarray) -> str:
    """Six hexadecimal digits that stand for the pixels of a picture."""
    sha = hashlib.sha256(f"{picture.shape}".encode())
    sha.update(np.ascontiguousarray(picture).tobytes())
    return sha.hexdigest()[:DIGEST_DIGITS]


class Pictures:
    """Grey pictures of lines at one height, or of forms, in the order of `lines`.

    Attributes:
        lines: those that could be read.
        shapes: height and width of each picture, in pixels.
        digests: of each picture as it was before it was brought to the height.
        left_out: names of the others, with the reason.
    """

    def __init__(
        self,
        file: Path,
        lines: Sequence[Example],
        shapes: Sequence[tuple[int, int]],
        digests: Sequence[str],
        left_out: Sequence[tuple[str, str]],
    ) -> None:
        self.file = file
        self.lines = tuple(lines)
        self.shapes = tuple(shapes)
        self.digests = tuple(digests)
        self.left_out = tuple(left_out)
        sizes = [high * wide for high, wide in shapes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._pixels: np.ndarray | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.lines)

    def __getitem__(self, place: int) -> np.ndarray:
        """The picture of a line or form: uint8 (height, width)."""
        if self._pixels is None:  # in a worker, which opens the file for itself
            self._pixels = np.memmap(self.file, np.uint8, mode="r")
        start, end = self._starts[place], self._starts[place + 1]
        return np.asarray(self._pixels[start:end]).reshape(self.shapes[place])

    def __getstate__(self) -> dict[str, object]:
        """All but the open file."""
        return {**self.__dict__, "_pixels": None}

    @classmethod
    def prepared(
        cls,
        examples: Sequence[Example],
        folder: Path,
        *,
        is_form: bool = False,
    ) -> Pictures:
        """Find the pictures that an earlier run has prepared, or prepare them.

        Args:
            folder: of prepared pictures.
            is_form: whether they are forms, which keep their shape.

        Raises:
            PageSortError: none can be read, or the disk does not take them.
        """
        file = folder / f"lines_{_fingerprint(examples, is_form)}.bin"
        found = _found(file, examples)
        if found is None:
            try:
                found = _made(file, examples, is_form)
            except KeyboardInterrupt:
                raise Stopped("nothing is kept of the lines that were prepared") from None
        if not found.lines:
            name, reason = found.left_out[0] if found.left_out else ("", "there are none")
            raise PageSortError(f"none of the lines can be read ({name}: {reason})")
        return found


def _fingerprint(examples: Sequence[Example], is_form: bool) -> str:
    sha = hashlib.sha256(f"{HEIGHT} {FORM_WIDEST} {is_form}".encode())
    known: dict[Path, str] = {}
    for example in examples:
        if example.path not in known:
            stamp = ""
            with contextlib.suppress(OSError):
                status = example.path.stat()
                stamp = f"{status.st_size} {status.st_mtime_ns}"
            known[example.path] = stamp
        outline = example.line and (example.line.baseline, example.line.polygon)
        text = f"\0{example.path}\0{example.name}\0{known[example.path]}\0{outline}"
        sha.update(text.encode("utf-8", "surrogatepass"))
    return sha.hexdigest()[:12]


def _found(file: Path, examples: Sequence[Example]) -> Pictures | None:
    """What an earlier run has prepared; None if there is nothing, or nothing whole."""
    index = file.with_suffix(".json")
    try:
        content = parse_object(index.read_bytes(), index, shape=SHAPE)
        left_out = [(str(name), str(reason)) for name, reason in content["left_out"]]
        shapes = [(int(height), int(width)) for height, width in content["shapes"]]
        size = file.stat().st_size
    except (OSError, PageSortError, ValueError, TypeError):
        return None
    unread = {name for name, _ in left_out}
    lines = [example for example in examples if example.name not in unread]
    digests = _parted(content["digests"])
    if not len(lines) == len(shapes) == len(digests):
        return None
    if size != sum(height * width for height, width in shapes):
        return None
    return Pictures(file, lines, shapes, digests, left_out)


def _made(file: Path, examples: Sequence[Example], is_form: bool) -> Pictures:
    """Prepare the pictures; what cannot be read is listed."""
    logger.info("preparing the pictures of %d lines (once)", len(examples))
    lines: list[Example] = []
    shapes: list[tuple[int, int]] = []
    digests: list[str] = []
    left_out: list[tuple[str, str]] = []
    check_space(file.parent, len(examples) * HEIGHT * HEIGHT * 15, what="preparing lines")
    with translate_unwritable(file, "the prepared lines cannot be written"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            whole(file) as partial,
            partial.open("wb") as pixels,
            Progress(len(examples), 0, unit="lines") as progress,
        ):
            pairs = zip(examples, pictures_of(examples), strict=True)
            for example, picture in pairs:
                progress.advance(1, example.name)
                if isinstance(picture, PageUnreadableError):
                    left_out.append((example.name, picture.what))
                    continue
                small = reduced(picture, FORM_WIDEST) if is_form else fitted(picture, HEIGHT)
                pixels.write(small.tobytes())
                lines.append(example)
                shapes.append((small.shape[0], small.shape[1]))
                digests.append(digest_of(picture))
    content = {"shapes": shapes, "digests": "".join(digests), "left_out": left_out}
    write_whole(file.with_suffix(".json"), json.dumps(content, ensure_ascii=False))
    return Pictures(file, lines, shapes, digests, left_out)


def _parted(digests: str) -> list[str]:
    """Digests that were written one behind the other."""
    return [
        digests[start : start + DIGEST_DIGITS] for start in range(0, len(digests), DIGEST_DIGITS)
    ]
