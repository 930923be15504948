"""A small network, and drawn lines with their text."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from pagesort.models.line_networks import Stage
from pagesort.reading import network


@pytest.fixture(scope="module")
def small_network() -> Iterator[None]:
    """Readers of a hundredth of the usual size, which learn a few letters in a minute."""
    with pytest.MonkeyPatch.context() as patch:
        stages = tuple(Stage(channels, (True,)) for channels in (8, 16, 32))
        patch.setattr(network, "STAGES", stages)
        yield


def draw_line(path: Path, text: str, paper: int = 220) -> None:
    """Draw a line of text as a picture, 64 pixels high."""
    font = ImageFont.load_default(30)
    image = Image.new("L", (20 + round(font.getlength(text)), 64), paper)
    ImageDraw.Draw(image).text((10, 12), text, fill=30, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_lines(folder: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    """Draw lines (name, text, hand) and write their table; returns that."""
    for number, (name, text, _) in enumerate(rows):
        draw_line(folder / name, text, paper=190 + number % 50)
    table = folder / "lines.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "text", "hand"))
        writer.writerows(rows)
    return table
