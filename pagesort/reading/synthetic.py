"""New lines and paragraphs, put together from spans of lines that train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

INK_SHARE = 0.35  # of the way from the paper to the darkest: darker than that is ink
NARROWEST_GAP = 0.12  # of the height
CLEARLY_WIDER = 1.5  # the narrowest gap between words, times the widest one within them
SPAN_WORDS = 6
MOST_WORDS = 60
GAP = (0.25, 0.6)  # between two spans, in heights
LINE_GAP = (0.05, 0.35)  # between two lines of a paragraph, in heights
MARGIN = (0.05, 0.6)  # around a paragraph, in heights
SAME_HAND = 0.8  # the share of new lines whose spans are all of one document or hand


@dataclass(frozen=True)
class Span:
    """Words in a row that stand on a line: what they say, and the columns they take."""

    source: int
    text: str
    left: int
    right: int


def words_of(picture: np.ndarray, text: str, source: int = 0) -> list[Span]:
    """Find where the words of a line stand, or take the line as one span where that is not clear.

    The widest gaps between columns of ink part the words, but only where all of them are clearly
    wider than all others: a gap taken for another would teach a wrong text.

    Args:
        picture: the line, grey, uint8 (H, W).
        text: what it says.
        source: number of the line, which the spans keep.
    """
    words = text.split(" ")
    height, width = picture.shape
    gaps = _gaps(picture)
    wanted = len(words) - 1
    if wanted < 1 or len(gaps) < wanted:
        return [Span(source, text, 0, width)]
    by_width = sorted(gaps, key=lambda gap: gap[0] - gap[1])
    narrowest = by_width[wanted - 1][1] - by_width[wanted - 1][0]
    others = by_width[wanted:]
    within = others[0][1] - others[0][0] if others else 0
    if narrowest < max(CLEARLY_WIDER * within, NARROWEST_GAP * height):
        return [Span(source, text, 0, width)]
    middles = sorted((left + right) // 2 for left, right in by_width[:wanted])
    edges = [0, *middles, width]
    return [
        Span(source, word, left, right)
        for word, left, right in zip(words, edges, edges[1:], strict=False)
    ]


class Composer:
    """Puts new lines together from lines that train, and knows no others.

    Args:
        picture: gives the grey picture of a training line, uint8 (H, W), all of one height.
        texts: what each training line says.
        hands: the document or hand of each.
    """

    def __init__(
        self, picture: Callable[[int], np.ndarray], texts: Sequence[str], hands: Sequence[str]
    ) -> None:
        self._picture = picture
        self._texts = texts
        self._hands = hands
        self._of_hand: dict[str, list[int]] = {}
        for place, hand in enumerate(hands):
            self._of_hand.setdefault(hand, []).append(place)

    def line(self, stream: np.random.Generator, width: int) -> tuple[np.ndarray, str]:
        """Put a line together that is about so many pixels wide.

        Returns:
            Its grey picture, uint8 (H, W), and what it says.
        """
        first = int(stream.integers(len(self._texts)))
        alike = self._of_hand[self._hands[first]]
        one_hand = stream.random() < SAME_HAND
        parts: list[np.ndarray] = []
        texts: list[str] = []
        taken, source = 0, first
        for _ in range(MOST_WORDS):
            part, text = self._span(stream, source)
            if parts and taken + part.shape[1] > 1.15 * width:
                break
            if parts:
                gap = round(stream.uniform(*GAP) * part.shape[0])
                parts.append(_paper_strip(parts[-1], part, gap))
            parts.append(part)
            texts.append(text)
            taken = sum(each.shape[1] for each in parts)
            if taken >= 0.85 * width:
                break
            source = int(stream.choice(alike) if one_hand else stream.integers(len(self._texts)))
        return np.concatenate(parts, axis=1), " ".join(texts)

    def paragraph(
        self, stream: np.random.Generator, lines: int, width: int
    ) -> tuple[np.ndarray, str]:
        """Put a paragraph together of so many lines, most of one hand; texts parted by line breaks.

        Returns:
            Its grey picture, uint8 (H, W), and what it says.
        """
        first = int(stream.integers(len(self._texts)))
        alike = self._of_hand[self._hands[first]]
        chosen = [first, *(int(stream.choice(alike)) for _ in range(lines - 1))]
        pictures = [_shrunk(self._picture(place), width) for place in chosen]
        height = self._picture(first).shape[0]
        margin = round(stream.uniform(*MARGIN) * height)
        gaps = [round(stream.uniform(*LINE_GAP) * height) for _ in chosen]
        paper = int(np.median([_paper(picture) for picture in pictures]))
        widest = max(picture.shape[1] for picture in pictures) + 2 * margin
        tall = sum(picture.shape[0] for picture in pictures) + sum(gaps) + 2 * margin
        page = np.full((tall, widest), paper, dtype=np.uint8)
        top = margin
        for picture, gap in zip(pictures, gaps, strict=True):
            # Brought to one paper, or every line would stand in a box of its own.
            level = picture.astype(np.int16) + (paper - _paper(picture))
            high, wide = picture.shape
            page[top : top + high, margin : margin + wide] = np.clip(level, 0, 255)
            top += high + gap
        return page, "\n".join(self._texts[place] for place in chosen)

    def _span(self, stream: np.random.Generator, source: int) -> tuple[np.ndarray, str]:
        """Some words in a row of a line: their picture and text."""
        picture = self._picture(source)
        words = words_of(picture, self._texts[source], source)
        count = int(stream.integers(1, min(SPAN_WORDS, len(words)) + 1))
        first = int(stream.integers(len(words) - count + 1))
        chosen = words[first : first + count]
        text = " ".join(word.text for word in chosen)
        return picture[:, chosen[0].left : chosen[-1].right], text


def _gaps(picture: np.ndarray) -> list[tuple[int, int]]:
    """Runs of columns without ink between those with: first column, and the one behind the last."""
    dark, bright = np.percentile(picture, 2), _paper(picture)
    has_ink = (picture < bright - INK_SHARE * (bright - dark)).sum(axis=0) > 0
    inked = np.flatnonzero(has_ink)
    if not len(inked):
        return []
    steps = np.diff(inked)
    places = np.flatnonzero(steps > 1)
    return [(int(inked[place]) + 1, int(inked[place + 1])) for place in places]


def _paper(picture: np.ndarray) -> int:
    """The grey of the paper: the median of the brighter half."""
    return int(np.percentile(picture, 75))


def _paper_strip(before: np.ndarray, after: np.ndarray, width: int) -> np.ndarray:
    """Paper between two spans, which runs from the one's grey to the other's."""
    greys = np.linspace(_paper(before), _paper(after), max(1, width))
    return np.repeat(greys[None].round().astype(np.uint8), before.shape[0], axis=0)


def _shrunk(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture that is at most so wide."""
    high, wide = picture.shape
    if wide <= width:
        return picture
    size = (width, max(1, round(high * width / wide)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
