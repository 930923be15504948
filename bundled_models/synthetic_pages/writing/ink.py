"""Printed and typewritten text on a sheet."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.sheet import BLACK, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span
from bundled_models.synthetic_pages.writing.fonts import drawable, has_czech, open_font, pick_font

POINT = 25.4 / 72  # mm


def fill_lines(tokens: list[str], room: int, indent: int = 0) -> list[str]:
    """Words filled into lines of at most `room` characters, the first indented."""
    lines, line = [], " " * indent
    for token in tokens:
        if len(line) + len(token) > room and line.strip():
            lines.append(line.rstrip())
            line = ""
        line += token + " "
    lines.append(line.rstrip())
    return lines


@lru_cache(maxsize=15000)
def _word(path: str, size: int, text: str) -> tuple[Image.Image, int, int, float]:
    """A printed word as an L mask, the mask's offset from the baseline, its advance; pixels."""
    font = open_font(path, size)
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    left, top = int(left), int(top)
    mask = Image.new("L", (max(1, int(right) - left), max(1, int(bottom) - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font, fill=255, anchor="ls")
    return mask, left, top, font.getlength(text)


def _pieces(text: str) -> list[str]:
    """A word's parts that are drawn, and kept, as one: a figure's digits one by one."""
    return list(text) if text[:1].isdigit() else [text]


class Print:
    """One printed face at `points` size on `sheet`; `leading` is the line distance in mm."""

    def __init__(
        self,
        sheet: Sheet,
        role: str = "serif",
        points: float = 10.0,
        colour: Colour = BLACK,
        leading: float = 1.2,
        path: str | None = None,
    ) -> None:
        self.sheet, self.colour = sheet, colour
        self.path = path or pick_font(role, sheet.rng) or ""
        self.size = points * POINT
        self.pixels = max(4, round(self.size * sheet.scale))
        self.gap = open_font(self.path, self.pixels).getlength(" ") or self.pixels * 0.25
        self.leading = self.size * leading

    def width(self, text: str) -> float:
        """Width of `text` in mm."""
        words = drawable(self.path, text).split(" ")
        pieces = (piece for word in words if word for piece in _pieces(word))
        advance = sum(_word(self.path, self.pixels, piece)[3] for piece in pieces)
        return (advance + self.gap * (len(words) - 1)) / self.sheet.scale

    def put(self, x: float, y: float, text: str, anchor: str = "l") -> float:
        """Write `text` with its baseline at `y`; anchor l, m or r. Returns its width, all mm."""
        if not text:
            return 0.0
        s = self.sheet.scale
        width = self.width(text)
        x0 = x - {"l": 0.0, "m": width / 2, "r": width}[anchor]
        ink, at = self.sheet.ink(self.colour), x0 * s
        for word in drawable(self.path, text).split(" "):
            for piece in _pieces(word) if word else ():
                at += self._draw(at, y * s, piece, ink)
            at += self.gap
        self.sheet.mark("print", x0, y - self.size * 0.8, x0 + width, y + self.size * 0.25)
        return width

    def _draw(self, x: float, y: float, word: str, ink: Colour | int) -> float:
        mask, left, top, advance = _word(self.path, self.pixels, word)
        self.sheet.image.paste(ink, (round(x) + left, round(y) + top), mask)
        return advance

    def paragraph(
        self,
        x: float,
        y: float,
        room: float,
        tokens: list[str],
        *,
        justify: bool = True,
        indent: float = 0.0,
        bottom: float = 1e9,
    ) -> float:
        """Words in lines of `room` mm from baseline `y` on; returns the next baseline."""
        s, gap = self.sheet.scale, self.gap / self.sheet.scale
        line: list[tuple[str, float]] = []
        fill, used, lead = self.sheet.ink(self.colour), 0.0, indent

        def flush(last: bool) -> None:
            space = gap
            if justify and not last and len(line) > 1:
                space = gap + min(gap * 2.5, (room - lead - used + gap) / (len(line) - 1))
            at = x + lead
            for word, width in line:
                self._draw(at * s, y * s, word, fill)
                at += width + space
            self.sheet.mark(
                "print",
                x + lead,
                y - self.size * 0.8,
                max(at - space, x + lead),
                y + self.size * 0.25,
            )

        for token in tokens:
            word = drawable(self.path, token)
            width = _word(self.path, self.pixels, word)[3] / s
            if line and lead + used + width > room:
                flush(False)
                y, line, used, lead = y + self.leading, [], 0.0, 0.0
                if y > bottom:
                    return y
            line.append((word, width))
            used += width + gap
        if line:
            flush(True)
            y += self.leading
        return y


@lru_cache(maxsize=6000)
def _glyph(path: str, size: int, char: str, level: int) -> np.ndarray:
    """One typed letter as uint8 ink (0: none); `level` 0 to 4 weakens it."""
    font = open_font(path, size)
    width, height = int(font.getlength("m")) + 4, int(size * 1.4)
    cell = Image.new("L", (width, height))
    ImageDraw.Draw(cell).text((2, int(size * 1.0)), char, font=font, fill=255, anchor="ls")
    return (np.asarray(cell) * (1.0 - 0.16 * level)).astype(np.uint8)


class Typewriter:
    """A machine with its pitch, line distance and faults; `density` 0 to 1: how black it types.

    `region` is what its lines count as: "type", or "print" for a computer's printer.
    """

    def __init__(
        self,
        sheet: Sheet,
        *,
        colour: Colour | None = None,
        density: float | None = None,
        pitch: float | None = None,
    ) -> None:
        rng = sheet.rng
        self.sheet, self.region = sheet, "type"
        self.path = pick_font("type", rng) or ""
        self.pitch = pitch or pick(rng, (2.54, 2.54, 2.54, 2.12, 2.12, 2.3))
        self.leading = pick(rng, (4.23, 4.23, 6.35, 6.35, 8.46))
        self.unevenness = span(rng, 0.0, 1.0) ** 2
        self.jitter = span(rng, 0.0, 0.22) if chance(rng, 0.7) else 0.0
        roll = rng.random()
        self.density = density or (span(rng, 0.28, 0.6) if roll < 0.18 else span(rng, 0.7, 1.0))
        self.smudge = span(rng, 1.0, 2.4) if chance(rng, 0.65) else 0.0
        self.colour = colour or pick(
            rng,
            (
                *(BLACK, BLACK, BLACK, (30, 30, 60), (40, 40, 110), (85, 60, 150), (90, 30, 60)),
                *(BLACK, (70, 70, 75), (60, 50, 190), (120, 90, 170), (40, 70, 160), (110, 80, 70)),
            ),
        )
        self.blur = 0.06 if chance(rng, 0.7) else span(rng, 0.06, 0.16)
        self.czech = has_czech(self.path)
        self.fit()

    def fit(self) -> None:
        """Make the letters as large as `pitch`, which may have been set anew, asks for."""
        per_size = open_font(self.path, 200).getlength("n") / 200
        self.size = max(5, round(self.pitch * self.sheet.scale / per_size))

    def room(self, width: float) -> int:
        """How many letters fit into `width` mm."""
        return max(1, int(width / self.pitch))

    def put(self, x: float, y: float, text: str) -> float:
        """Type one line with its baseline at `y`; returns its width in mm."""
        self.lines(x, y, [text])
        return len(text) * self.pitch

    def lines(self, x: float, y: float, lines: list[str], leading: float | None = None) -> float:
        """Type lines from baseline `y` on; returns the next baseline."""
        s, rng, step = self.sheet.scale, self.sheet.rng, leading or self.leading
        longest = max((len(line) for line in lines), default=0)
        count = sum(len(line) for line in lines)
        if not count or not longest:
            return y + step * len(lines)
        pitch, rise = self.pitch * s, int(self.size * 1.0)
        layer = np.zeros(
            (int(len(lines) * step * s + self.size * 2), int(longest * pitch + self.size * 2)),
            np.uint8,
        )
        levels = (
            np.minimum(4, rng.exponential(0.3 + 1.6 * self.unevenness, count)).astype(int).tolist()
        )
        wobble = np.rint(rng.normal(0, self.jitter * s * 0.5, count)).astype(int).tolist()
        at = 0
        for row, line in enumerate(lines):
            top = int(row * step * s) + 2
            line = drawable(self.path, line) if line.strip() else line
            for column, char in enumerate(line):
                at += 1
                if char == " " or at > count:
                    continue
                ink = _glyph(self.path, self.size, char, levels[at - 1])
                left, down = int(column * pitch), max(0, top + wobble[at - 1])
                target = layer[down : down + ink.shape[0], left : left + ink.shape[1]]
                np.maximum(target, ink[: target.shape[0], : target.shape[1]], out=target)
            if line.strip():
                lead = len(line) - len(line.lstrip())
                self.sheet.mark(
                    self.region,
                    x + lead * self.pitch,
                    y + row * step - 2.6,
                    x + len(line) * self.pitch,
                    y + row * step + 0.8,
                )
        mask = Image.fromarray(layer)
        if self.smudge:  # a fresh ribbon or a carbon copy: the letters run
            mask = mask.filter(ImageFilter.BoxBlur(self.pitch * s * self.blur))
            layer = np.minimum(255, np.asarray(mask, np.float32) * self.smudge)
            mask = Image.fromarray(layer.astype(np.uint8))
        if self.unevenness > 0.3 or self.density < 0.95:
            clouds = np.asarray(
                smooth_noise(rng, mask.size, (2 + longest // 6, 2 + len(lines) * 2)), np.float32
            )
            strength = self.density * (1 - 0.5 * self.unevenness * clouds / 255)
            mask = Image.fromarray((layer * strength).astype(np.uint8))
        self.sheet.stamp_mask(mask, x - 2 / s, y - (rise + 2) / s, self.colour)
        return y + step * len(lines)

    def underline(self, x: float, y: float, letters: int, double: bool = False) -> None:
        """Underline `letters` letters from `x` at baseline `y`."""
        grey = int(255 - 220 * self.density)
        for drop in (0.9, 1.6)[: 2 if double else 1]:
            self.sheet.rule(
                x, y + drop, x + letters * self.pitch, y + drop, 0.25, (grey, grey, grey)
            )
