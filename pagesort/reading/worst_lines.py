"""A page for the browser of the lines that were read worst: picture, truth and reading."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from pagesort.reading.alphabet import normalised

QUALITY = 70  # of the pictures, which are JPEG
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }}
article {{ border-top: 1px solid #bbb; padding: .8em 0; }}
img {{ max-width: 100%; height: 48px; object-fit: contain; object-position: left; }}
p {{ margin: .2em 0; }} .said {{ font-family: monospace; white-space: pre-wrap; }}
del {{ background: #ffd9d0; text-decoration: none; }}
ins {{ background: #cfe8ff; text-decoration: none; }}
small {{ color: #555; }}
</style></head><body>
<h1>{title}</h1>
<p>The {count} worst of {total} lines. In the truth, what was read otherwise or left out is
<del>marked</del>; in the reading, what stands there instead or was <ins>put in</ins>.</p>
"""


@dataclass(frozen=True)
class WorstLine:
    """A line: its name, grey picture, uint8 (H, W), what it says, what was read, and the CER."""

    name: str
    picture: np.ndarray
    truth: str
    reading: str
    cer: float


def worst_lines_page(reader: str, total: int, lines: Sequence[WorstLine]) -> str:
    """Return the page as HTML, which needs no other file and fetches nothing.

    Args:
        reader: what the reader is called.
        total: how many lines were read.
        lines: the worst of them, the worst first.
    """
    title = f"Lines that {escape(reader)} reads worst"
    head = HEAD.format(title=title, count=len(lines), total=total)
    return "\n".join([head, *map(_article, lines), "</body></html>", ""])


def _article(line: WorstLine) -> str:
    truth, reading = _marked(normalised(line.truth), normalised(line.reading))
    return (
        f'<article><img alt="" src="{_picture(line.picture)}">'
        f'<p class="said" lang="">{truth}</p><p class="said" lang="">{reading or "—"}</p>'
        f"<p><small>CER {100 * line.cer:.0f} % · {escape(line.name)}</small></p></article>"
    )


def _marked(truth: str, reading: str) -> tuple[str, str]:
    """Truth and reading as HTML, with what differs marked."""
    import jiwer

    true, read = [], []
    for chunk in jiwer.process_characters(truth, reading).alignments[0]:
        expected = escape(truth[chunk.ref_start_idx : chunk.ref_end_idx])
        found = escape(reading[chunk.hyp_start_idx : chunk.hyp_end_idx])
        is_equal = chunk.type == "equal"
        true.append(expected if is_equal or not expected else f"<del>{expected}</del>")
        read.append(found if is_equal or not found else f"<ins>{found}</ins>")
    return "".join(true), "".join(read)


def _picture(picture: np.ndarray) -> str:
    """A picture as an address that holds it."""
    image = Image.fromarray(picture)
    image.thumbnail((2400, 64))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
