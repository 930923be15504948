"""Handwriting: letters as splines bent by a personal hand, joined into words, drawn with a pen."""

from __future__ import annotations

import unicodedata

import numpy as np

from bundled_models.synthetic_pages.sheet import BLACK, Colour, Sheet
from bundled_models.synthetic_pages.words import chance, pick, span
from bundled_models.synthetic_pages.writing.fonts import drawable, open_font, pick_font

# Control points in tenths of the x-height ("x,y", y upwards); "|" lifts the pen.
_LETTERS = {
    "a": "0,1 4,9 7,9 3,10 1,5 3,0 6,4 7,10 6,2 8,0 10,2",
    "b": "0,1 3,12 4,20 2,19 2,4 4,0 7,3 6,9 4,7 7,8 9,8",
    "c": "0,1 4,8 7,9 4,10 1,5 3,0 6,1 8,3",
    "d": "0,1 5,9 2,9 1,4 3,0 6,4 8,20 6,3 8,0 10,2",
    "e": "0,1 4,4 6,8 4,10 1,6 3,0 6,1 8,3",
    "f": "0,1 4,10 6,19 4,20 3,8 2,-9 1,-6 3,0 6,3",
    "g": "0,1 5,9 2,9 1,4 3,0 6,5 7,9 5,-7 2,-9 2,-5 8,2",
    "h": "0,1 3,12 4,20 2,18 1,0 3,7 5,10 6,7 6,1 8,0 9,2",
    "i": "0,1 3,10 2,3 3,0 5,2|3,14 3,15",
    "j": "0,1 4,10 3,-6 1,-9 0,-6 5,2|4,14 4,15",
    "k": "0,1 3,12 4,20 2,18 1,0 3,7 6,9 3,5 6,0 8,2",
    "l": "0,1 3,12 4,19 2,18 2,3 3,0 5,2",
    "m": "0,1 2,10 1,0 3,8 5,10 5,1 7,8 9,10 9,2 10,0 12,2",
    "n": "0,1 2,10 1,0 4,9 6,9 6,2 7,0 9,2",
    "o": "0,1 4,10 1,7 2,0 5,1 6,7 4,10 8,8",
    "p": "0,1 3,10 1,-9 2,6 5,10 7,5 4,0 3,1 9,2",
    "q": "0,1 5,9 2,9 1,4 3,0 6,5 7,10 6,-9 8,-5 10,2",
    "r": "0,1 3,10 2,9 5,8 5,2 6,0 8,2",
    "s": "0,1 4,10 5,6 5,1 2,0 1,2 7,2",
    "t": "0,1 3,10 4,16 2,3 4,0 6,2|1,11 6,12",
    "u": "0,1 2,10 1,3 3,0 6,8 6,10 6,2 7,0 9,2",
    "v": "0,1 2,10 3,1 4,0 7,10 9,8",
    "w": "0,1 2,10 2,1 4,0 6,9 6,2 8,0 10,10 12,8",
    "x": "0,1 3,10 5,2 8,1|7,10 2,0 9,2",
    "y": "0,1 2,10 2,3 4,1 7,10 5,-7 2,-9 2,-5 9,2",
    "z": "0,1 3,9 6,9 2,1 5,-2 3,-8 1,-5 8,2",
    "0": "4,18 1,12 2,1 5,1 7,9 5,18 3,17",
    "1": "1,12 5,18 4,0",
    "2": "1,14 4,18 6,14 1,0 4,1 7,0",
    "3": "1,16 5,18 6,13 3,10 6,6 4,0 1,2",
    "4": "4,18 1,7 7,7|6,11 5,0",
    "5": "6,18 3,17 2,11 5,11 6,5 3,0 1,2",
    "6": "5,18 2,9 2,2 5,1 6,6 3,8 2,5",
    "7": "1,17 6,18 3,0|2,9 6,9",
    "8": "5,16 2,16 5,9 6,3 3,0 2,4 6,14 4,18",
    "9": "6,14 3,18 2,12 5,11 6,15 5,0",
    "/": "0,-2 6,20",
    "-": "1,7 6,7",
    ",": "2,1 1,-3",
    ".": "1,0 2,1",
    '"': "1,17 1,14|3,17 3,14",
    "(": "4,18 1,8 4,-3",
    ")": "1,18 4,8 1,-3",
    ":": "1,1 2,1|2,7 3,7",
    "=": "1,5 6,5|1,9 6,9",
}
_CAPITALS = {
    "A": "0,0 4,14 6,20 7,10 8,0|3,8 9,8",
    "B": "2,20 2,0|1,19 7,19 7,13 3,11 8,8 7,1 1,1",
    "C": "9,17 6,20 1,12 2,2 6,0 9,3",
    "D": "3,20 2,1 6,1 10,9 8,18 1,19",
    "E": "8,18 4,20 2,14 6,11 1,6 3,0 8,3",
    "H": "2,20 1,0|9,20 8,0|1,10 9,11",
    "J": "3,17 8,20 6,2 2,-4 1,0 7,4",
    "K": "2,20 1,0|8,20 2,9 5,9 9,0",
    "L": "2,14 5,20 3,4 1,0 5,2 9,0",
    "M": "0,0 3,20 5,4 10,20 11,1 13,2",
    "N": "0,0 2,19 7,1 9,20",
    "O": "6,20 1,14 2,2 7,0 10,10 6,19 3,17",
    "P": "3,20 2,0|0,16 5,20 9,15 3,9",
    "R": "3,20 2,0|0,16 5,20 9,15 3,10 9,0 11,2",
    "S": "8,18 4,20 2,14 7,7 5,0 0,3",
    "T": "0,17 4,19 10,20|6,19 4,2 1,1",
    "V": "0,18 2,20 4,0 9,20",
    "Z": "1,18 9,19 1,1 5,1 9,2",
}


def _parse(text: str) -> list[np.ndarray]:
    strokes = [
        [tuple(map(float, pair.split(","))) for pair in part.split()] for part in text.split("|")
    ]
    return [np.array(stroke) / 10 for stroke in strokes]


SHAPES = {char: _parse(text) for char, text in (_LETTERS | _CAPITALS).items()}
_STEPS = np.linspace(0, 1, 5)[:-1]
# Catmull-Rom weights of the four neighbours at each step: (steps, 4)
_WEIGHTS = 0.5 * np.stack(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ],
    axis=1,
)


def spline(points: np.ndarray) -> np.ndarray:
    """A smooth curve through `points` (n, 2) as (4n - 3, 2)."""
    if len(points) < 3:
        return points
    padded = np.concatenate([points[:1], points, points[-1:]])
    quads = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]])  # (4, n - 1, 2)
    curve = np.einsum("sk,knd->nsd", _WEIGHTS, quads).reshape(-1, 2)
    return np.concatenate([curve, points[-1:]])


class Hand:
    """One person's writing on `sheet`; `size` is the x-height in mm."""

    def __init__(
        self,
        sheet: Sheet,
        *,
        size: float | None = None,
        colour: Colour | None = None,
        pen: float | None = None,
    ) -> None:
        rng = sheet.rng
        self.sheet = sheet
        self.size = size or span(rng, 1.8, 3.4)
        self.slant = rng.normal(0.35, 0.3)
        self.narrow = span(rng, 0.7, 1.6)
        self.tall = span(rng, 0.8, 1.6)
        self.joined = chance(rng, 0.75)
        self.gap = span(rng, 0.5, 1.1)
        self.loose = span(rng, 0.03, 0.15)
        self.climb = rng.normal(0, 0.012)
        self.uneven = span(rng, 0.0, 0.14) if chance(rng, 0.6) else 0.0
        self.drift = span(rng, 0.0, 0.5)
        self.flat = span(rng, 0.0, 0.5) if chance(rng, 0.4) else 0.0
        self.leading = max(5.5, self.size * span(rng, 2.7, 4.0))
        self.pen = pen or min(
            self.size * 0.2, pick(rng, (span(rng, 0.15, 0.3), span(rng, 0.2, 0.42)))
        )
        self.shading = span(rng, 0.3, 1.0) if chance(rng, 0.4) else 0.0
        self.colour = colour or pick(
            rng,
            (
                *(BLACK, BLACK, (40, 40, 48), (30, 40, 110), (40, 50, 130), (25, 80, 150)),
                *((80, 60, 45), (120, 85, 60), (95, 95, 100), (125, 125, 128), (70, 45, 110)),
            ),
        )
        font_file = pick_font("hand", rng)
        self.font_file = font_file if chance(rng, 0.12) else None
        bend = rng.normal(0, self.loose * 1.3, (len(SHAPES), 16, 2))
        self.shapes: dict[str, list[np.ndarray]] = {}
        for i, (char, strokes) in enumerate(SHAPES.items()):
            own = []
            for stroke in strokes:
                points = stroke + bend[i, np.arange(len(stroke)) % 16]
                high = points[:, 1] > 1.1
                points[high, 1] = 1.1 + (points[high, 1] - 1.1) * self.tall
                own.append(points)
            self.shapes[char] = own

        self.letter = self._letter_width()

    def _letter_width(self) -> float:
        """The mean width of a letter in mm, blanks between words included."""
        if self.font_file:
            sample = "popsano archeologicky Museum"
            font = open_font(self.font_file, 100)
            return font.getlength(sample) / 100 * self.size * 2.6 / len(sample)
        widths = [self._word(word)[1] for word in ("popsano", "archeologicky", "Museum")]
        return (sum(widths) + 3 * self.gap) * self.size / 29

    def _letters(self, char: str) -> list[np.ndarray]:
        if char in self.shapes:
            return self.shapes[char]
        plain = unicodedata.normalize("NFKD", char)
        base = plain[0]
        strokes = self.shapes.get(base) or self.shapes.get(base.lower()) or self.shapes["."]
        if base.isupper() and base not in self.shapes:
            strokes = [stroke * (1.2, 1.9) for stroke in strokes]
        if len(plain) > 1:
            high = 2.3 if base.isupper() else 1.35
            accent = (
                [(0.3, high), (0.45, high + 0.3)]
                if plain[1] == "\u0301"
                else [(0.15, high + 0.25), (0.35, high), (0.6, high + 0.3)]
            )
            strokes = [*strokes, np.array(accent)]
        return strokes

    def _word(self, word: str) -> tuple[list[np.ndarray], float]:
        """Strokes of a word in x-heights from its start, and its width."""
        strokes: list[np.ndarray] = []
        run: list[np.ndarray] = []
        x = 0.0
        for char in word:
            parts = self._letters(char)
            body = parts[0] * (self.narrow, 1.0) + (x, 0.0)
            if not (self.joined and char.isalpha()) and run:
                strokes.append(np.concatenate(run))
                run = []
            run.append(body)
            strokes.extend(part * (self.narrow, 1.0) + (x, 0.0) for part in parts[1:])
            x = float(body[-1, 0]) + (0.02 if self.joined else 0.15)
        if run:
            strokes.append(np.concatenate(run))
        return strokes, x

    def put(self, x: float, y: float, text: str, scale: float = 1.0) -> float:
        """Write a line with its baseline at `y`, `scale` times as large; returns its width, mm."""
        rng, sheet, size = self.sheet.rng, self.sheet, self.size * scale
        if self.font_file:
            return self._put_font(x, y, text, size)
        slope, at = self.climb + rng.normal(0, 0.004 + 0.012 * self.drift), 0.0
        bits: list[np.ndarray] = []
        for word in text.split(" "):
            strokes, width = self._word(word)
            grow = 1.0 + self.uneven * (2 * rng.random() - 1)
            lift = rng.normal(0, 0.1 * self.drift)
            bits.extend(stroke * (1.0, grow) + (at, lift) for stroke in strokes)
            at += width + self.gap * (0.7 + 0.6 * rng.random())
        if not bits:
            return 0.0
        ends = np.cumsum([len(bit) for bit in bits])
        points = np.concatenate(bits)
        points = points + rng.normal(0, self.loose, points.shape)
        swell = np.sin(points[:, 0] * 0.9 + rng.random() * 6)
        points[:, 1] *= 1 - self.flat * 0.6 * (swell * 0.5 + 0.5)
        points[:, 0] += self.slant * points[:, 1]
        points = np.stack(
            [x + points[:, 0] * size, y - (points[:, 1] + slope * points[:, 0]) * size], axis=1
        )
        pen = self.pen * (0.8 + 0.2 * scale)
        for stroke in np.split(points, ends[:-1]):
            self._draw(spline(stroke), pen)
        width = at * size
        sheet.mark("hand", x, y - size * 1.5, x + width, y + size * 0.5)
        return width

    def _draw(self, curve: np.ndarray, pen: float) -> None:
        sheet = self.sheet
        s, ink = sheet.scale, sheet.ink(self.colour)
        pixels = curve * s
        thin = max(1, round(pen * s))
        sheet.draw.line(pixels.ravel().tolist(), fill=ink, width=thin)
        if self.shading and len(pixels) > 2:
            down = (np.diff(pixels[:, 1]) > 0.35 * np.abs(np.diff(pixels[:, 0]))).astype(np.int8)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], down, [0]])))
            thick = max(thin + 1, round(pen * (1 + self.shading) * s))
            for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                sheet.draw.line(pixels[a : b + 1].ravel().tolist(), fill=ink, width=thick)

    def _put_font(self, x: float, y: float, text: str, size: float) -> float:
        sheet = self.sheet
        s, path = sheet.scale, self.font_file or ""
        font = open_font(path, round(size * 2.6 * s))
        text = drawable(path, text)
        sheet.draw.text((x * s, y * s), text, font=font, fill=sheet.ink(self.colour), anchor="ls")
        width = font.getlength(text) / s
        sheet.mark("hand", x, y - size * 1.5, x + width, y + size * 0.5)
        return width

    def paragraph(
        self,
        x: float,
        y: float,
        room: float,
        tokens: list[str],
        *,
        bottom: float = 1e9,
        indent: float = 0.0,
        strikes: float = 0.0,
    ) -> float:
        """Words in lines about `room` mm wide from baseline `y` on; returns the next baseline."""
        rng, line, lead = self.sheet.rng, "", indent
        per_letter = self.letter
        for i, token in enumerate([*tokens, ""]):
            if line and (
                i == len(tokens) or lead + (len(line) + len(token)) * per_letter > room * 0.97
            ):
                if y > bottom:
                    return y
                width = self.put(x + lead + rng.normal(0, 0.6), y, line)
                if rng.random() < strikes:
                    a = span(rng, 0, 0.6) * width
                    self.strike(x + a, y - self.size * 0.5, x + a + span(rng, 8, 30))
                y, line, lead = y + self.leading * (1 + rng.normal(0, 0.04)), "", 0.0
            line = f"{line} {token}" if line else token
        return y

    def strike(self, x0: float, y: float, x1: float) -> None:
        """Strike words out with a line or a scribble."""
        rng = self.sheet.rng
        count = 2 if chance(rng, 0.6) else 9
        xs = np.linspace(x0, x1, count)
        ys = y + rng.normal(0, self.size * 0.2, count)
        self._draw(np.stack([xs, ys], axis=1), self.pen * 1.3)

    def signature(self, x: float, y: float, length: float = 35.0) -> None:
        """A flourish that was once a name."""
        rng = self.sheet.rng
        count = 12
        xs = x + np.sort(rng.random(count)) * length + rng.normal(0, 1.5, count)
        ys = y - np.abs(rng.normal(0, 1, count)) * self.size * np.linspace(
            2.2, 0.6, count
        ) * rng.choice([1, 1, -0.6], count)
        self._draw(spline(np.stack([xs, ys], axis=1)), self.pen * 1.2)
        self.sheet.mark("hand", x, y - self.size * 2, x + length, y + self.size)
