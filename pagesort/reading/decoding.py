"""From the probabilities of classes along a line to its text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

import numpy as np

from pagesort.reading.alphabet import BLANK, Alphabet
from pagesort.reading.language import START

if TYPE_CHECKING:
    from pagesort.reading.language import CharacterModel

BEAMS = 12  # texts that are followed at once
# The best of 21 pairs on the bundled reader's validation lines, hands it knows.
LANGUAGE_WEIGHT = 0.5  # of the language model's logarithms
CHARACTER_BONUS = 1.5  # for each character, or a language model would shorten all texts
LEAST_LIKELY = math.log(1e-3)  # classes below are not followed
CERTAIN_BLANK = 0.9995

Decode = Callable[[np.ndarray, Alphabet], "Reading"]


@dataclass(frozen=True)
class Reading:
    """What a line says, and how sure the reader is of it, 0 to 1."""

    text: str
    confidence: float


def greedy(log_probabilities: np.ndarray, alphabet: Alphabet) -> Reading:
    """Take the likeliest class at every place, as CTC means it (Graves et al. 2006).

    Of a class that stands at several places next to each other one is kept, and blanks are left
    out. The confidence is the mean probability of the characters that stay, each at its highest; of
    a line without any, the mean probability that there is none.

    Args:
        log_probabilities: float (T, C) of T places and C = len(alphabet) + 1 classes.
        alphabet: whose classes they are.
    """
    if not len(log_probabilities):
        return Reading("", 0.0)
    best = log_probabilities.argmax(axis=1)
    height = np.exp(log_probabilities.max(axis=1))
    starts = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
    highest = np.maximum.reduceat(height, starts)
    classes = best[starts]
    kept = classes != BLANK
    confidence = highest[kept].mean() if kept.any() else height.mean()
    return Reading(alphabet.text(classes[kept].tolist()), float(min(1.0, confidence)))


def beam_search(
    log_probabilities: np.ndarray,
    alphabet: Alphabet,
    model: CharacterModel,
    *,
    weight: float = LANGUAGE_WEIGHT,
    bonus: float = CHARACTER_BONUS,
) -> Reading:
    """Find the text that network and language model together find likeliest (Hannun et al. 2014).

    The sum of the probabilities of all ways to write a text along the line, times the language
    model's probability to the power of `weight`, times e to the `bonus` for each character. The
    confidence is that of `greedy`.

    Args:
        log_probabilities: float (T, C) of T places and C = len(alphabet) + 1 classes.
        alphabet: whose classes they are.
        model: of the language.
    """
    chances = np.exp(log_probabilities.astype(np.float64))
    steps, classes = np.nonzero(log_probabilities[:, 1:] > LEAST_LIKELY)
    characters = [alphabet.characters[number] for number in classes.tolist()]
    likely = list(zip(characters, chances[:, 1:][steps, classes].tolist(), strict=True))
    ends = np.searchsorted(steps, np.arange(len(chances) + 1)).tolist()
    # Of each text: how likely it is that it ends in a blank, and that it does not.
    beams: dict[str, tuple[float, float]] = {START: (1.0, 0.0)}
    gain = math.exp(bonus)
    for place, empty in enumerate(chances[:, BLANK].tolist()):
        if empty > CERTAIN_BLANK:
            beams = {text: (blank + other, 0.0) for text, (blank, other) in beams.items()}
            continue
        here = likely[ends[place] : ends[place + 1]]
        found = _extended(beams, empty, here, model, weight, gain)
        best = nlargest(BEAMS, found.items(), key=_score)
        most = _score(best[0])
        beams = {text: (blank / most, other / most) for text, (blank, other) in best}
    text, _ = max(beams.items(), key=_score)
    return Reading(text.removeprefix(START), greedy(log_probabilities, alphabet).confidence)


def _extended(
    beams: dict[str, tuple[float, float]],
    empty: float,
    likely: Sequence[tuple[str, float]],
    model: CharacterModel,
    weight: float,
    gain: float,
) -> dict[str, list[float]]:
    """The texts of the last place, each as it stays and with each likely character."""
    found: dict[str, list[float]] = {}
    for text, (blank, other) in beams.items():
        last, context = text[-1], model.context(text)
        stays = 0.0
        for character, chance in likely:
            start = blank + other
            if character == last:
                stays = other * chance
                start = blank  # of a character that stands twice, the second follows a blank
            part = start * chance * gain * model.probability(context, character) ** weight
            known = found.setdefault(text + character, [0.0, 0.0])
            known[1] += part
        known = found.setdefault(text, [0.0, 0.0])
        known[0] += (blank + other) * empty
        known[1] += stays
    return found


def _score(beam: tuple[str, Sequence[float]]) -> float:
    return beam[1][0] + beam[1][1]
