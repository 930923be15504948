"""Where the lines of a page run: from the maps of a network to baselines and outlines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.reading.line_images import Grey
from pagesort.reading.reading_order import in_reading_order
from pagesort.reading.text_line import TextLine
from pagesort.reading.traces import Trace, trace_lines

if TYPE_CHECKING:
    from pagesort.reading.finder_network import LineNetwork

WEIGHTS = "finder.safetensors"
LONGER_SIDE = 1280  # pixels of the page that the network sees

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LineFinder:
    """Finds the lines of pages; see `open`."""

    network: LineNetwork

    @classmethod
    def open(cls, folder: Path) -> LineFinder:
        """Open the weights of a finder.

        Raises:
            PageSortError: there are none, or they are not those of a finder.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from pagesort.reading.finder_network import LineNetwork

        path = folder / WEIGHTS
        network = LineNetwork()
        try:
            network.load_state_dict(load_file(path))
        except FileNotFoundError:
            raise PageSortError(
                "the folder holds no line finder",
                where=path,
                remedy="Take the one in models/pagesort-reader",
            ) from None
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise PageSortError(f"the line finder is damaged ({reason})", where=path) from error
        return cls(network.eval())

    def find(self, page: Grey) -> tuple[TextLine, ...]:
        """Find the lines of a page, in the order in which they are read.

        Lines that run up or down the page are not found.

        Args:
            page: uint8 (height, width), of any size.

        Returns:
            Lines without text, their places in pixels of the page.
        """
        high, wide = page.shape
        seen = shrunk(page, LONGER_SIDE)
        traces = trace_lines(self.maps(seen))
        lines = [
            _line(trace, wide / seen.shape[1], high / seen.shape[0], (wide, high))
            for trace in traces
        ]
        ordered = in_reading_order([line for line in lines if line is not None])
        return tuple(
            TextLine(f"line_{number}", line.baseline, line.polygon)
            for number, line in enumerate(ordered, start=1)
        )

    def maps(self, page: Grey) -> Floats:
        """What the network says of a page that has its size: float32 (4, h / 2, w / 2).

        The first two maps are probabilities, the others pixels of the page.
        """
        import torch

        from pagesort.reading.finder_network import ABOVE, MULTIPLE, STRIDE, UNIT

        high, wide = page.shape
        with torch.inference_mode():
            greys = torch.from_numpy(
                np.pad(page, ((0, -high % MULTIPLE), (0, -wide % MULTIPLE)), mode="edge")
            )
            maps = self.network(greys[None, None])[0, :, : -(-high // STRIDE), : -(-wide // STRIDE)]
            likely, heights = maps[:ABOVE].sigmoid(), UNIT * maps[ABOVE:].clamp(-3, 4).exp()
            return torch.cat([likely, heights]).numpy()


def shrunk(page: Grey, longer_side: int) -> Grey:
    """A page at the size at which the network sees it."""
    high, wide = page.shape
    scale = longer_side / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    gap = 2.0 if scale < 1 else None
    return np.asarray(
        Image.fromarray(page).resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)
    )


def _line(trace: Trace, across: float, down: float, size: tuple[int, int]) -> TextLine | None:
    """A line in pixels of the page, inside of it; None where nothing of it is left."""
    most = np.array(size, dtype=np.float64)
    baseline = trace.baseline * (across, down)
    upper = baseline - (0.0, trace.above * down)
    lower = baseline + (0.0, trace.below * down)
    polygon = np.clip(np.concatenate([upper, lower[::-1]]), 0, most)
    if np.ptp(polygon, axis=0).min() < 2:
        return None
    clipped = np.clip(baseline, 0, most)
    return TextLine("", _points(clipped), _points(polygon))


def _points(corners: npt.NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)
