"""A model of which character follows which, built from the texts that a reader learns."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
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
MOST_REMEMBERED = 200_000
"""Probabilities that are kept once they are computed; a long run would ask for ever more."""
LARGEST = 100_000_000
"""Bytes of a file."""
REMEDY = "Read with --no-language_model, or take the file away"
TENSORS = ("contexts", "followers", "kinds", "counts", "order")
_PARTED = "\t"  # stands between the contexts of a file; as white space it is in no text


class CharacterModel:
    """Interpolated n-grams of characters, smoothed after Witten and Bell (1991).

    Args:
        rows: the number of each context, of at most `order` - 1 characters.
        starts: where what followed a context begins among `followers`, and behind the last its end.
        followers: the characters that followed the contexts, one context after the other.
        counts: how often each of these did.
        order: the context's length and one.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        starts: array[int],
        followers: str,
        counts: array[int],
        order: int,
    ) -> None:
        self.order = order
        self._rows, self._starts, self._followers, self._counts = rows, starts, followers, counts
        sums = np.append(0, np.cumsum(np.array(counts, dtype=np.int64)))
        self._totals: list[int] = np.diff(sums[np.array(starts, dtype=np.int64)]).tolist()
        self._known: dict[tuple[str, str], float] = {}
        self._floor = 1 / (len(self._following("")) + 1)

    @classmethod
    def of_counts(cls, counts: Mapping[str, Mapping[str, int]], order: int) -> CharacterModel:
        """A model of what followed each context how often."""
        ends = np.cumsum([0, *(len(found) for found in counts.values())])
        return cls(
            {context: row for row, context in enumerate(counts)},
            array("q", ends.tolist()),
            "".join(character for found in counts.values() for character in found),
            array("q", [count for found in counts.values() for count in found.values()]),
            order,
        )

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
            context: found
            for context, found in counts.items()
            if len(context) < 3 or found.total() >= FEWEST
        }
        return cls.of_counts(kept, order)

    def joined(self, texts: Iterable[str]) -> CharacterModel:
        """This model with the texts of another collection, each of which counts `OWN_TEXTS` times.

        What 110 lines teach alone is less than what many hands' lines and they teach together.
        """
        counts = {context: Counter(self._following(context)) for context in self._rows}
        added = CharacterModel.of_texts(texts, self.order)
        for context in added._rows:
            found = added._following(context).items()
            own = {character: count * OWN_TEXTS for character, count in found}
            counts.setdefault(context, Counter()).update(own)
        return CharacterModel.of_counts(counts, self.order)

    def log_probability(self, before: str, character: str) -> float:
        """The natural logarithm of the probability that a character follows a text."""
        return math.log(self.probability(self.context(START + before), character))

    def context(self, before: str) -> str:
        """What counts of a text that begins with `START`."""
        return before[1 - self.order :] if self.order > 1 else ""

    def probability(self, context: str, character: str) -> float:
        """How probable it is that a character follows a context; see `context`."""
        key = (context, character)
        known = self._known.get(key)
        if known is None:
            known = self.probability(context[1:], character) if context else self._floor
            row = self._rows.get(context)
            if row is not None:
                start, end = self._starts[row], self._starts[row + 1]
                place = self._followers.find(character, start, end)
                count = self._counts[place] if place >= 0 else 0
                kinds = end - start
                known = (count + kinds * known) / (self._totals[row] + kinds)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = known
        return known

    def _following(self, context: str) -> dict[str, int]:
        """What followed a context how often."""
        row = self._rows.get(context)
        if row is None:
            return {}
        part = slice(self._starts[row], self._starts[row + 1])
        return dict(zip(self._followers[part], self._counts[part], strict=True))

    def as_bytes(self) -> bytes:
        """All of it as the content of a file."""
        from safetensors.numpy import save

        tensors = {
            "contexts": _as_numbers(_PARTED.join(self._rows)),
            "followers": _as_numbers(self._followers),
            "kinds": np.diff(np.array(self._starts)).astype(np.uint32),
            "counts": np.array(self._counts, dtype=np.uint32),
            "order": np.array([self.order], dtype=np.uint32),
        }
        # One fact only: safetensors writes several in any order.
        return save(tensors, {"format": FORMAT})

    @classmethod
    def read(cls, path: Path) -> CharacterModel:
        """Read a file of what `as_bytes` gives.

        Raises:
            PageSortError: there is none, or it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            what = "the reader has no language model"
            raise PageSortError(what, where=path.parent, remedy=REMEDY)
        damaged = PageSortError("the language model is damaged", where=path, remedy=REMEDY)
        with translate_unreadable(
            path, "the language model cannot be read", REMEDY, (SafetensorError,)
        ):
            if path.stat().st_size > LARGEST:
                raise damaged
            with safe_open(path, framework="np") as file:
                if (file.metadata() or {}).get("format") != FORMAT:
                    raise damaged
                tensors = {name: file.get_tensor(name) for name in TENSORS}
        try:
            return cls._of_tensors(tensors)
        except (TypeError, ValueError):
            raise damaged from None

    @classmethod
    def _of_tensors(cls, tensors: Mapping[str, np.ndarray]) -> CharacterModel:
        """Raises TypeError or ValueError where they do not fit together."""
        if any(tensor.ndim != 1 for tensor in tensors.values()):
            raise ValueError
        contexts = _as_text(tensors["contexts"]).split(_PARTED)
        followers = _as_text(tensors["followers"])
        kinds, counts, orders = (
            tensors[name].astype(np.int64) for name in ("kinds", "counts", "order")
        )
        (order,) = orders.tolist()
        rows = {context: row for row, context in enumerate(contexts)}
        ends = np.cumsum(np.append(0, kinds))
        if (
            not len(rows) == len(contexts) == len(kinds)
            or not len(followers) == len(counts) == ends[-1]
            or min(kinds.min(), counts.min()) < 1
            or not 1 <= order <= MOST_ORDER
        ):
            raise ValueError
        return cls(rows, array("q", ends.tobytes()), followers, array("q", counts.tobytes()), order)


def _as_numbers(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _as_text(numbers: np.ndarray) -> str:
    if numbers.dtype != np.uint8:
        raise TypeError
    return numbers.tobytes().decode("utf-8", "surrogatepass")
