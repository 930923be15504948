"""How far readings are from the truth: errors of characters and words, their rates and intervals.

Texts are compared in Unicode's NFC with every run of white space as one space; case and punctuation
count. The `folded` figures are of the same texts in lower case without punctuation.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pagesort.reading.alphabet import normalised

NOTHING = ""
"""In a confusion: what a letter is taken for that was left out, or what was put in stands for."""
RESAMPLES = 2000
SEED = 420
BLOCK = 256  # resamples at once, so that many documents need little memory


@dataclass(frozen=True)
class Errors:
    """Of one line or of many: how many characters and words the truth has, and how many are wrong.

    An error is a character or word that is replaced, left out or put in.
    """

    characters: int = 0
    character_errors: int = 0
    words: int = 0
    word_errors: int = 0

    def __add__(self, other: Errors) -> Errors:
        """Of both together."""
        return Errors(
            self.characters + other.characters,
            self.character_errors + other.character_errors,
            self.words + other.words,
            self.word_errors + other.word_errors,
        )

    @property
    def cer(self) -> float:
        """Character errors a character of the truth: 0 or more; NaN without any."""
        return self.character_errors / self.characters if self.characters else math.nan

    @property
    def wer(self) -> float:
        """Word errors a word of the truth: 0 or more; NaN without any."""
        return self.word_errors / self.words if self.words else math.nan


@dataclass(frozen=True)
class Rate:
    """A rate and its 95 % interval, NaN where there are not two documents to draw it from."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in `12.3 % (10.1–14.8)`."""
        if math.isnan(self.value):
            return "none"
        shown = f"{100 * self.value:.1f} %"
        if math.isnan(self.low):
            return shown
        return f"{shown} ({100 * self.low:.1f}–{100 * self.high:.1f})"


def folded(text: str) -> str:
    """Text in lower case without punctuation and signs, as a search in it might compare."""
    kept = (
        each if unicodedata.category(each)[0] not in "PS" else " "
        for each in normalised(text).lower()
    )
    return normalised("".join(kept))


def errors_of(truth: str, reading: str) -> Errors:
    """Count the errors of one line, both texts taken as `normalised` leaves them."""
    import jiwer

    truth, reading = normalised(truth), normalised(reading)
    characters = jiwer.process_characters(truth, reading)
    words = jiwer.process_words(truth, reading)
    return Errors(
        len(truth),
        characters.substitutions + characters.deletions + characters.insertions,
        len(truth.split()),
        words.substitutions + words.deletions + words.insertions,
    )


def confusions(pairs: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Count what is taken for what in pairs of truth and reading: (character, read as).

    `NOTHING` in the first place was put in, in the second it was left out.
    """
    import jiwer

    found: Counter[tuple[str, str]] = Counter()
    for truth, reading in pairs:
        truth, reading = normalised(truth), normalised(reading)
        for chunk in jiwer.process_characters(truth, reading).alignments[0]:
            true = truth[chunk.ref_start_idx : chunk.ref_end_idx]
            read = reading[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                found.update(zip(true, read, strict=True))
            elif chunk.type == "delete":
                found.update((each, NOTHING) for each in true)
            elif chunk.type == "insert":
                found.update((NOTHING, each) for each in read)
    return found


def rates(errors: Sequence[Errors], groups: Sequence[str], seed: int = SEED) -> tuple[Rate, Rate]:
    """Return CER and WER over all lines, with intervals from the bootstrap over groups.

    Lines of one document or hand are read alike, so that whole groups are drawn, with putting back
    (2,000 times; percentiles 2.5 and 97.5).

    Args:
        errors: of each line.
        groups: the document or hand of each line.
    """
    total = sum(errors, Errors())
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), 4))
    for each, group in zip(errors, groups, strict=True):
        counts = (each.characters, each.character_errors, each.words, each.word_errors)
        sums[names[group]] += counts
    if len(names) < 2:
        return Rate(total.cer, math.nan, math.nan), Rate(total.wer, math.nan, math.nan)
    drawn = _resampled(sums, seed)
    return (
        Rate(total.cer, *_interval(drawn[:, 1], drawn[:, 0])),
        Rate(total.wer, *_interval(drawn[:, 3], drawn[:, 2])),
    )


def _resampled(sums: np.ndarray, seed: int) -> np.ndarray:
    """Sums over groups that are drawn: (RESAMPLES, 4)."""
    stream = np.random.default_rng(seed)
    count = len(sums)
    share = np.full(count, 1 / count)
    blocks = [
        stream.multinomial(count, share, size=min(BLOCK, RESAMPLES - first)) @ sums
        for first in range(0, RESAMPLES, BLOCK)
    ]
    return np.concatenate(blocks)


def _interval(errors: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
    some = lengths > 0
    if not some.any():
        return math.nan, math.nan
    low, high = np.percentile(errors[some] / lengths[some], [2.5, 97.5])
    return float(low), float(high)
