"""A small folder of drawn pages in the layout of Rendered SST2, as its archive unpacks.

`rendered-sst2/{train,valid,test}/{negative,positive}/<number>.png`, black text on white, 448 x 448.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE = 448
SPLITS = ("train", "valid", "test")
SENTENCES = {
    "negative": (
        "two hours of shouting, and not one joke that lands .",
        "the plot could be told on a stamp, and should have been .",
        "so slow that the projector seems to be the only thing moving .",
        "a sequel nobody asked for, made by people who did not care .",
    ),
    "positive": (
        "a warm and clever comedy that trusts its audience .",
        "every frame of this quiet drama has something to say .",
        "funny, sad and beautifully played from the first scene to the last .",
        "it leaves you humming its tune for a week .",
    ),
}


def write_rendered_sst2(root: Path, splits: tuple[str, ...] = ("test",), pages: int = 4) -> Path:
    """Draw so many pages a label below `root`, and return the folder `rendered-sst2`."""
    folder = root / "rendered-sst2"
    number = 0
    for split in splits:
        for label, sentences in SENTENCES.items():
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            for place in range(pages):
                path = folder / split / label / f"{number}.png"
                _drawn(sentences[place % len(sentences)], place).save(path)
                number += 1
    return folder


def _drawn(sentence: str, place: int) -> Image.Image:
    page = Image.new("RGB", (SIDE, SIDE), "white")
    font = ImageFont.load_default(size=22 + 2 * (place % 3))
    text = "\n".join(textwrap.wrap(sentence, 26))
    ImageDraw.Draw(page).multiline_text((16, 40 + 12 * place), text, "black", font, spacing=8)
    return page
