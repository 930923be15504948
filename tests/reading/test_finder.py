"""Lines of a page, from the maps of the finder's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pagesort.common.errors import PageSortError
from pagesort.reading.finder import LONGER_SIDE, WEIGHTS, LineFinder, shrunk
from pagesort.reading.finder_network import ABOVE, BASELINE, BELOW, ENDS, MAPS, UNIT, LineNetwork
from pagesort.reading.traces import trace_lines


def maps_of(height: int, width: int) -> np.ndarray:
    """Maps in which there is nothing, and letters reach 20 pixels up and 6 down."""
    maps = np.zeros((MAPS, height, width), np.float32)
    maps[ABOVE], maps[BELOW] = 20, 6
    return maps


def draw(maps: np.ndarray, columns: range, level: float, slope: float = 0.0) -> None:
    for column in columns:
        row = round(level + slope * (column - columns.start))
        maps[BASELINE, row - 1 : row + 2, column] = 0.9


def test_a_sloping_line_is_followed() -> None:
    maps = maps_of(200, 300)
    draw(maps, range(20, 260), 60, slope=0.2)

    (trace,) = trace_lines(maps)

    left, right = trace.baseline[0], trace.baseline[-1]
    assert left == pytest.approx((40, 121), abs=4)
    assert right == pytest.approx((520, 217), abs=4)
    assert (trace.above, trace.below) == (20, 6)


def test_words_of_a_line_are_joined_and_columns_are_not() -> None:
    maps = maps_of(100, 300)
    draw(maps, range(10, 100), 50)
    draw(maps, range(108, 200), 51)  # a word further
    draw(maps, range(206, 290), 50)  # another column: an end lies between
    maps[ENDS, 40:60, 202:204] = 0.9

    spans = sorted((t.baseline[0, 0] / 2, t.baseline[-1, 0] / 2) for t in trace_lines(maps))

    assert [tuple(round(x, -1) for x in span) for span in spans] == [(10, 200), (210, 290)]


class Drawn(torch.nn.Module):
    """A network that sees lines where a page is black, in place of a trained one."""

    def forward(self, greys: torch.Tensor) -> torch.Tensor:
        rows = torch.nn.functional.max_pool2d(255.0 - greys.float(), 2)
        likely = torch.where(rows > 128, 5.0, -5.0)
        reach = torch.full_like(likely, 10.0 / UNIT).log()
        return torch.cat([likely, torch.full_like(likely, -5.0), reach, reach], 1)


def test_lines_are_told_in_pixels_of_the_page_from_top_to_bottom() -> None:
    page = np.full((1920, 2560), 230, np.uint8)
    page[1200:1208, 400:2000] = 0
    page[600:608, 400:2000] = 0

    upper, lower = LineFinder(Drawn()).find(page)  # type: ignore[arg-type]

    assert (upper.id, lower.id) == ("line_1", "line_2")
    assert upper.baseline[0] == pytest.approx((400, 604), abs=8)
    assert lower.baseline[-1] == pytest.approx((2000, 1204), abs=8)
    tops = [y for _, y in upper.polygon]
    assert (min(tops), max(tops)) == pytest.approx((584, 624), abs=8)  # 10 pixels of what is seen


def test_a_page_without_lines_has_none() -> None:
    assert LineFinder(Drawn()).find(np.full((50, 900), 255, np.uint8)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(10, 4000), (3000, 20), (1, 1)])
def test_odd_pages_are_seen_at_the_longer_side(size: tuple[int, int]) -> None:
    assert max(shrunk(np.zeros(size, np.uint8), LONGER_SIDE).shape) == LONGER_SIDE


def test_missing_and_foreign_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="no line finder"):
        LineFinder.open(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"no safetensors")
    with pytest.raises(PageSortError, match="damaged"):
        LineFinder.open(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(PageSortError, match="damaged"):
        LineFinder.open(tmp_path)


def test_weights_in_16_bits_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = LineNetwork()
    halves = {name: value.half() for name, value in network.state_dict().items()}
    save_file(halves, tmp_path / WEIGHTS)

    read = LineFinder.open(tmp_path).network.state_dict()

    assert all(value.dtype == torch.float32 for value in read.values())
    assert torch.equal(read["maps.weight"], halves["maps.weight"].float())
