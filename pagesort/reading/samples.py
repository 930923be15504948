"""Lines and paragraphs that were put together, as pictures with their text, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable, whole_text
from pagesort.common.tables import TableWriter
from pagesort.reading.examples import Example
from pagesort.reading.pictures import Pictures
from pagesort.reading.views import composer_of

TABLE = "lines.csv"
COLUMNS = ("path", "text", "form")
WIDTHS = (300, 1200)  # pixels of a line
PARAGRAPH_EVERY = 5
LINES = (3, 8)  # of a paragraph


def write_samples(
    lines: Sequence[Example],
    count: int,
    folder: Path,
    checkpoints: Path,
    *,
    seed: int,
) -> Path:
    """Put lines together, every fifth time a paragraph, and write them with a table of their texts.

    Args:
        lines: those that train; the others must not be given.
        count: how many pictures.
        folder: they go there, over those of the last time.
        checkpoints: holds the prepared pictures of lines.

    Returns:
        The folder.

    Raises:
        PageSortError: no line can be read, or nothing can be written.
    """
    pictures = Pictures.prepared(lines, checkpoints / "lines")
    composer = composer_of(pictures)
    rows = []
    with translate_unwritable(folder, "the samples cannot be written", RESULTS_ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            stream = np.random.default_rng([seed, number])
            if number % PARAGRAPH_EVERY == PARAGRAPH_EVERY - 1:
                height = int(stream.integers(*LINES))
                picture, text = composer.paragraph(stream, height, WIDTHS[1])
                form = "form"
            else:
                picture, text = composer.line(stream, int(stream.integers(*WIDTHS)))
                form = "line"
            name = f"{number:05}.png"
            Image.fromarray(picture).save(folder / name)
            rows.append((name, text, form))
        with whole_text(folder / TABLE) as file:
            writer = TableWriter(file)
            writer.write(COLUMNS)
            for row in rows:
                writer.write(row)
    return folder
