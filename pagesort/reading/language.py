"""A model of which character follows which, built from the texts that a reader learns."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pagesort.common.checked_json import is_of, read_json
from pagesort.common.errors import PageSortError
from pagesort.reading.alphabet import normalised

FORMAT = "pagesort character n-grams"
ORDER = 6
MOST_ORDER = 12
START = "\n"
"""Stands before a text; no line holds it."""
FEWEST = 2
"""Contexts of three characters and more that were seen less often are left out."""
OWN_TEXTS = 8
"""So often a text counts that is added to a model made of others: a hand has words of its own."""
SHAPE = {"format": str, "order": int, "counts": dict}


class CharacterModel:
    """Interpolated n-grams of characters, smoothed after Witten and Bell (1991).

    Args:
        counts: of each context, at most `order` - 1 characters, what followed how often.
        order: the context's length and one.
    """

    def __init__(self, counts: dict[str, dict[str, int]], order: int) -> None:
        self.order = order
        self.counts = counts
        self._totals = {context: sum(found.values()) for context, found in counts.items()}
        self._known: dict[tuple[str, str], float] = {}
        self._floor = 1 / (len(counts.get("", {})) + 1)

    @classmethod
    def of_texts(cls, texts: Iterable[str], order: int = ORDER) -> CharacterModel:
        """Count the characters of texts, in all contexts up to `order` - 1."""
        counts: dict[str, Counter[str]] = {}
        for text in texts:
            padded = START + normalised(text)
            for place in range(1, len(padded)):
                for length in range(min(order, place + 1)):
                    context = padded[place - length : place]
                    counts.setdefault(context, Counter())[padded[place]] += 1
        kept = {
            context: dict(found)
            for context, found in counts.items()
            if len(context) < 3 or found.total() >= FEWEST
        }
        return cls(kept, order)

    def joined(self, texts: Iterable[str]) -> CharacterModel:
        """This model with the texts of another collection, each of which counts `OWN_TEXTS` times.

        What 110 lines teach alone is less than what many hands' lines and they teach together.
        """
        counts = {context: Counter(found) for context, found in self.counts.items()}
        for context, found in CharacterModel.of_texts(texts, self.order).counts.items():
            own = {character: count * OWN_TEXTS for character, count in found.items()}
            counts.setdefault(context, Counter()).update(own)
        return CharacterModel({each: dict(found) for each, found in counts.items()}, self.order)

    def log_probability(self, before: str, character: str) -> float:
        """The natural logarithm of the probability that a character follows a text."""
        context = (START + before)[-(self.order - 1) :] if self.order > 1 else ""
        return math.log(self._probability(context, character))

    def _probability(self, context: str, character: str) -> float:
        key = (context, character)
        if key not in self._known:
            shorter = self._probability(context[1:], character) if context else self._floor
            found = self.counts.get(context)
            if found is not None:
                kinds, total = len(found), self._totals[context]
                shorter = (found.get(character, 0) + kinds * shorter) / (total + kinds)
            self._known[key] = shorter
        return self._known[key]

    def as_json(self) -> str:
        """All of it as the text of a file."""
        content = {"format": FORMAT, "order": self.order, "counts": self.counts}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def read(cls, path: Path) -> CharacterModel:
        """Read a file of what `as_json` gives.

        Raises:
            PageSortError: there is none, or it is damaged.
        """
        remedy = "Read with --no-language_model, or take the file away"
        try:
            content = read_json(path, remedy, shape=SHAPE)
        except FileNotFoundError:
            raise PageSortError(
                "the reader has no language model", where=path.parent, remedy=remedy
            ) from None
        counts = content["counts"]
        if (
            content["format"] != FORMAT
            or not 1 <= content["order"] <= MOST_ORDER
            or not all(_is_counted(found) for found in counts.values())
        ):
            raise PageSortError("the language model is damaged", where=path, remedy=remedy)
        return cls(counts, content["order"])


def _is_counted(found: object) -> bool:
    return (
        isinstance(found, dict)
        and bool(found)
        and all(is_of(count, int) and count > 0 for count in found.values())
    )
