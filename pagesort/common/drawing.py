"""Texts and files of plots: letters of all scripts, and pictures that are whole or not there."""

from __future__ import annotations

import functools
import logging
import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

NO_LETTERS = "Last Resort"  # matplotlib's own font: a box in place of every letter there is


def plot_text(text: str, longest: int = 30) -> str:
    """A label or name as plots show it: in one line, cut in its middle, and never as a formula.

    Letters that no font of this machine has are spelled by their sound, or else their number.
    """
    line = "".join(char if char.isprintable() else "?" for char in text)
    if len(line) > longest:
        line = f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"
    _, missing = _fonts_for(frozenset(line))
    line = "".join(_spelled(char) if char in missing else char for char in line)
    return line.replace("$", r"\$")


def _spelled(char: str) -> str:
    """A letter in Latin ones, as `ka` for Japanese and `han` for Korean, or else its number."""
    kind, _, sound = unicodedata.name(char, "").rpartition(" ")
    is_sound = kind.startswith(("HIRAGANA LETTER", "KATAKANA LETTER", "HANGUL SYLLABLE"))
    return sound.lower() if is_sound else f"[{ord(char):X}]"


@functools.cache
def _fonts_for(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The families of fonts that are needed beside the usual one, and the letters that none has."""
    missing = {char for char in letters if ord(char) > 126 and not char.isspace()}
    if not missing:
        return (), frozenset()
    from matplotlib import font_manager

    missing -= _letters_of(font_manager.findfont(font_manager.FontProperties()))
    families: list[str] = []
    for entry in font_manager.fontManager.ttflist if missing else ():
        if entry.name.startswith(NO_LETTERS):
            continue
        found = missing & _letters_of(entry.fname)
        if found:
            families.append(entry.name)
            missing -= found
    if missing:
        logger.warning(
            "no font of this machine has %s, so plots spell such letters: install a font that has "
            "them, such as Noto Sans CJK",
            " ".join(sorted(missing)[:20]),
        )
    return tuple(families), frozenset(missing)


@functools.lru_cache(64)
def _letters_of(font: str) -> frozenset[str]:
    """The letters that the file of a font has; none if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(font).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure without touching pyplot's state, whole or not at all, over an earlier one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), whole(path) as partial, partial.open("wb") as file:
        # A letter that no font has is spelled, in what went through `plot_text`.
        warnings.simplefilter("ignore", UserWarning)
        _add_fonts(figure)
        FigureCanvasAgg(figure).print_png(file)


def _add_fonts(figure: Figure) -> None:
    """Let texts fall back on fonts that have the letters which the usual one lacks."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        families, _ = _fonts_for(frozenset(text.get_text()))
        if families:
            text.set_fontfamily([*text.get_fontfamily(), *families])
