"""From the probabilities of classes along a line to its text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pagesort.reading.alphabet import BLANK, Alphabet

if TYPE_CHECKING:
    from pagesort.reading.language import CharacterModel

BEAMS = 12  # texts that are followed at once
LANGUAGE_WEIGHT = 0.3  # of the language model's logarithms
CHARACTER_BONUS = 0.5  # for each character, or a language model would shorten all texts
LEAST_LIKELY = math.log(1e-3)  # classes below are not followed
CERTAIN_BLANK = math.log(0.9995)
NEVER = -math.inf

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
    # Of each text: the logarithms of ending in a blank and of not, and the language model's part.
    beams: dict[str, tuple[float, float, float]] = {"": (0.0, NEVER, 0.0)}
    for place in log_probabilities:
        if place[BLANK] > CERTAIN_BLANK:
            beams = {
                text: (_either(blank, other) + float(place[BLANK]), NEVER, language)
                for text, (blank, other, language) in beams.items()
            }
            continue
        likely = np.flatnonzero(place > LEAST_LIKELY).tolist()
        found = _extended(beams, place, likely, alphabet, model, weight, bonus)
        best = sorted(found, key=lambda text: -_score(found[text]))[:BEAMS]
        beams = {text: found[text] for text in best}
    text = max(beams, key=lambda each: _score(beams[each]))
    return Reading(text, greedy(log_probabilities, alphabet).confidence)


def _extended(
    beams: dict[str, tuple[float, float, float]],
    place: np.ndarray,
    likely: list[int],
    alphabet: Alphabet,
    model: CharacterModel,
    weight: float,
    bonus: float,
) -> dict[str, tuple[float, float, float]]:
    """The texts of the last place, each as it stays and with each likely character."""
    found: dict[str, tuple[float, float, float]] = {}

    def add(text: str, blank: float, other: float, language: float) -> None:
        before = found.get(text, (NEVER, NEVER, language))
        found[text] = (_either(before[0], blank), _either(before[1], other), language)

    for text, (blank, other, language) in beams.items():
        add(text, _either(blank, other) + float(place[BLANK]), NEVER, language)
        for number in likely:
            if number == BLANK:
                continue
            character, chance = alphabet.characters[number - 1], float(place[number])
            is_same = text.endswith(character)
            if is_same:
                add(text, NEVER, other + chance, language)
            # Of a character that stands twice, the second one follows a blank.
            start = blank if is_same else _either(blank, other)
            part = weight * model.log_probability(text, character) + bonus
            add(text + character, NEVER, start + chance, language + part)
    return found


def _score(beam: tuple[float, float, float]) -> float:
    return _either(beam[0], beam[1]) + beam[2]


def _either(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers of which the logarithms are given."""
    high, low = max(one, other), min(one, other)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))
