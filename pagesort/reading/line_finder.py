"""Where the lines of a page run: from a network's map of them to baselines and outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_READER
from pagesort.reading.line_images import Grey
from pagesort.reading.reading_order import in_reading_order
from pagesort.reading.strips import Strip, strips_of
from pagesort.reading.text_line import Points, TextLine

if TYPE_CHECKING:
    from pagesort.models.line_networks import LineNetwork

WEIGHTS = "finder.safetensors"
LONGER_SIDE = 1280  # pixels of the page that the network sees
LARGEST_WEIGHTS = 200_000_000  # bytes


@dataclass(frozen=True)
class LineFinder:
    """Finds the lines of pages; see `open`."""

    network: LineNetwork

    @classmethod
    def open(cls, folder: Path = BUNDLED_READER) -> LineFinder:
        """Open the weights of a finder.

        Raises:
            PageSortError: there are none, or they are not those of a finder.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from pagesort.models.line_networks import LineNetwork

        path = folder / WEIGHTS
        network = LineNetwork()
        remedy = "Take the one in models/pagesort-reader of a fresh copy of the program"
        try:
            if path.stat().st_size > LARGEST_WEIGHTS:
                raise PageSortError("the line finder is too large", where=path, remedy=remedy)
            network.load_state_dict(load_file(path))
        except FileNotFoundError:
            raise PageSortError("there is no line finder", where=path, remedy=remedy) from None
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise PageSortError(
                f"the line finder is damaged ({reason})", where=path, remedy=remedy
            ) from error
        # The layout in which a CPU computes convolutions fastest: a fifth less time a page.
        return cls(network.eval().to(memory_format=torch.channels_last))

    def find(self, page: Grey) -> tuple[TextLine, ...]:
        """Find the lines of a page, in the order in which they are read.

        Where most of what is found runs up or down, by number and by length, the page is looked at
        again turned clockwise by a quarter: the network knows level lines, and sees others in
        pieces. Level lines run from the left, upright ones from below.

        Args:
            page: uint8 (height, width), of any size.

        Returns:
            Lines without text, their places in pixels of the page.
        """
        found = self._found(page)
        if _lies_on_a_side(found):
            turned = self._found(np.ascontiguousarray(np.rot90(page, -1)))
            again = [_turned_back(line, page.shape[0]) for line in turned]
            found = again if any(line.is_upright for line in again) else found
        return tuple(
            replace(line, id=f"line_{number}")
            for number, line in enumerate(in_reading_order(found), start=1)
        )

    def _found(self, page: Grey) -> list[TextLine]:
        """What the network sees of the lines of a page, in no order."""
        high, wide = page.shape
        seen = shrunk(page, LONGER_SIDE)
        scale = np.array([wide / seen.shape[1], high / seen.shape[0]])
        with ThreadPoolExecutor(1) as pool:
            pool.submit(import_module, "scipy.ndimage")  # half a second, the first time
            likely = self.middles(seen)
        found = (_line(strip, scale, (wide, high)) for strip in strips_of(likely))
        return [line for line in found if line is not None]

    def middles(self, seen: Grey) -> npt.NDArray[np.float32]:
        """How likely each pixel of a page is in the middle part of a line: float32 (h, w)."""
        import torch

        from pagesort.models.line_networks import MULTIPLE

        high, wide = seen.shape
        filled = np.pad(seen, ((0, -high % MULTIPLE), (0, -wide % MULTIPLE)), mode="edge")
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(filled)[None, None])
            return logits[0, 0, :high, :wide].sigmoid().numpy()


def shrunk(page: Grey, longer_side: int) -> Grey:
    """A page at the size at which the network sees it."""
    high, wide = page.shape
    scale = longer_side / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    gap = 2.0 if scale < 1 else None
    return np.asarray(
        Image.fromarray(page).resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)
    )


def _line(strip: Strip, scale: npt.NDArray[np.float64], size: tuple[int, int]) -> TextLine | None:
    """A line in pixels of the page, inside of it; None where nothing of it is left."""
    most = np.array(size, dtype=np.float64)
    baseline, outline = (
        np.clip(points * scale, 0, most) for points in (strip.baseline, strip.outline)
    )
    if np.ptp(outline, axis=0).min() < 2:
        return None
    return TextLine("", _points(baseline), _points(outline))


def _lies_on_a_side(lines: Sequence[TextLine]) -> bool:
    """Whether most lines run up or down the page, and are longer together than the others."""
    upright = [line for line in lines if line.is_upright]
    level = [line for line in lines if not line.is_upright]
    return len(upright) > len(level) and _length(upright) > _length(level)


def _length(lines: Sequence[TextLine]) -> float:
    return sum(math.dist(line.baseline[0], line.baseline[-1]) for line in lines)


def _turned_back(line: TextLine, high: int) -> TextLine:
    """A line of a page, which is so high, that was found when it was turned clockwise.

    What ran from below there would run from the right here, and is reversed.
    """
    baseline, polygon = (
        tuple((y, round(high - x, 1)) for x, y in points)
        for points in (line.baseline, line.polygon)
    )
    back = replace(line, baseline=baseline, polygon=polygon)
    return back if back.is_upright else back.reversed()


def _points(corners: npt.NDArray[np.float64]) -> Points:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)
