"""What the texts of pages tell of where an item begins: what a page says, and the one before it."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

VERSION = "texts1"

FEWEST_LETTERS = 20  # a page that says less counts as one without text
MOST_LETTERS = 60_000  # of a page that are looked at
HEAD_LINES, FOOT_LINES = 3, 3  # in which a page's number may stand
OPENING_LINES, CLOSING_LINES = 12, 12  # in which letters salute and close
NUMBERS = 3  # of a page that may be its own
GRAMS, HEAD_GRAMS = 512, 128  # numbers that tell which runs of three letters there are

# How many numbers of a page each kind has, in their order; all 0 where there is no text.
SIZES = MappingProxyType(
    {
        "known": 1,
        "amount": 1,  # logarithm of letters
        "salutes": 1,
        "closes": 1,
        "begins_small": 1,  # with a small letter, so in the middle of a sentence
        "ends_open": 1,  # without a sign that ends a sentence
        "numbers": NUMBERS,  # what may be the page's number, then 0
        "head": HEAD_GRAMS,  # of the first two lines, without digits
        "letters": GRAMS,
    }
)
LENGTH = sum(SIZES.values())
PLACES = {
    name: slice(end - size, end)
    for (name, size), end in zip(SIZES.items(), np.cumsum(list(SIZES.values())), strict=True)
}

# What is told of a gap, by what it is taken from.
GROUPS = MappingProxyType(
    {
        "letters": (
            "letters unlike the page before", "unlike it in units of what is usual",
            "less the pile's, unlike it", "two before", "three before", "across, at least",
            "over the nearer neighbours'", "over the farther neighbours'",
        ),
        "page numbers": (
            "goes on", "goes on from two before", "is 1", "does not go on", "here only",
            "before only",
        ),
        "running heads": ("unlike the one before", "unlike those before, at least"),
        "letter forms": (
            "salutation here", "salutation before", "closing here", "closing before",
        ),
        "amount": ("here", "before", "here less before"),
        "sentences": ("begins small here", "open before", "both"),
    }
)  # fmt: skip
NAMES = tuple(f"{group}: {name}" for group, names in GROUPS.items() for name in names)

_WORDS = Path(__file__).with_name("letter_words.json")
_LONE = re.compile(
    r"\W*(?:page|pag|p|seite|s|fol|f|strana|str|side|n[o°º]?)?\W*(\d{1,4})\W*(?:/\W*\d{1,4}\W*)?",
    re.IGNORECASE,
)
_AT_AN_END = re.compile(r"^\W*(\d{1,4})\b|\b(\d{1,4})\W*$")
_OPEN_END = re.compile(r"[\w,;\-‐‑–—¬=]\W?$")


def describe_text(lines: Sequence[str] | None) -> np.ndarray:
    """Describe what a page says, its lines without empty ones: float32 (LENGTH,)."""
    found = np.zeros(LENGTH, np.float32)
    text = "\n".join(lines or ())[:MOST_LETTERS]
    letters = sum(map(str.isalpha, text))
    if letters < FEWEST_LETTERS:
        return found
    kept = text.split("\n")
    numbers = _page_numbers(kept)
    words = _letter_words()
    salutes = any(words["salutations"].match(_plain(line)) for line in kept[:OPENING_LINES])
    closes = any(words["closings"].search(_plain(line)) for line in kept[-CLOSING_LINES:])
    head = re.sub(r"\d", "", " ".join(kept[:2]))
    body = [line for line in kept if not (_LONE.fullmatch(line) or line.isupper())] or kept
    values: dict[str, Any] = {
        "known": 1.0,
        "amount": np.log1p(letters),
        "salutes": salutes,
        "closes": closes,
        "begins_small": body[0].lstrip("\"'«„“(. ")[:1].islower(),
        "ends_open": _OPEN_END.search(body[-1]) is not None,
        "numbers": [*numbers, *[0] * (NUMBERS - len(numbers))],
        "head": _grams(head, HEAD_GRAMS),
        "letters": _grams(re.sub(r"\d", "0", " ".join(body)), GRAMS),
    }
    for name, value in values.items():
        found[PLACES[name]] = value
    return found


def text_features(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Describe the gap before every page by texts.

    Args:
        texts: of the pages in scan order, (N, LENGTH).

    Returns:
        float32 (N, len(NAMES)), and bool (N,), whether both pages of the gap have a text; the rows
        of the others mean nothing.
    """
    here = np.arange(len(texts))
    before, earlier = np.maximum(here - 1, 0), np.maximum(here - 2, 0)
    known = texts[:, PLACES["known"]][:, 0] > 0
    both = known & known[before]
    both[:1] = False
    columns = [
        *_letters(texts[:, PLACES["letters"]], known, both),
        *_numbering(texts[:, PLACES["numbers"]], before, earlier),
        *_heads(texts[:, PLACES["head"]], known, before, earlier),
        *_single(texts, known, before),
    ]
    return np.column_stack(columns).astype(np.float32), both


def _letters(rows: np.ndarray, known: np.ndarray, both: np.ndarray) -> list[np.ndarray]:
    """How unlike the texts of pages are, over several distances; as usual where one is missing."""
    here = np.arange(len(rows))
    before, earlier, third, after = (np.clip(here + by, 0, len(here) - 1) for by in (-1, -2, -3, 1))
    unlike = _Unlikeness(rows, known)
    near = unlike(before, here)
    usual = np.median(near[both]) + 0.05 if both.any() else 1.0
    relative = np.where(both, np.log(near / usual + 0.1), 0.0)
    two, three, across = (
        np.where(known[one] & known[other], np.log(unlike(one, other) / usual + 0.1), relative)
        for one, other in ((earlier, here), (third, here), (before, after))
    )
    middle = rows[known].mean(axis=0) if known.any() else 0.0
    own = _Unlikeness(rows - middle, known)(before, here)
    beside = relative[before], relative[after]
    return [
        near, relative, own, two, three, np.minimum(relative, np.minimum(two, across)),
        relative - np.minimum(*beside), relative - np.maximum(*beside),
    ]  # fmt: skip


def _single(texts: np.ndarray, known: np.ndarray, before: np.ndarray) -> list[np.ndarray]:
    """What either page of a gap says by itself: words of letters, how much, how it begins."""
    salutes, closes, amount, small, is_open = (
        texts[:, PLACES[name]][:, 0]
        for name in ("salutes", "closes", "amount", "begins_small", "ends_open")
    )
    amount = amount - (np.median(amount[known]) if known.any() else 0.0)
    return [
        salutes, salutes[before], closes, closes[before],
        amount, amount[before], amount - amount[before],
        small, is_open[before], small * is_open[before],
    ]  # fmt: skip


class _Unlikeness:
    """One less the cosine of pairs of rows; 1 where one of them is missing."""

    def __init__(self, rows: np.ndarray, known: np.ndarray) -> None:
        self._rows = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)
        self._rows[~known] = 0.0

    def __call__(self, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(1 - (self._rows[ones] * self._rows[others]).sum(axis=1), 0.0))


def _heads(
    heads: np.ndarray, known: np.ndarray, before: np.ndarray, earlier: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    unlike = _Unlikeness(heads, known & heads.any(axis=1))
    near = unlike(before, np.arange(len(heads)))
    return near, np.minimum(near, unlike(earlier, np.arange(len(heads))))


def _numbering(numbers: np.ndarray, before: np.ndarray, earlier: np.ndarray) -> list[np.ndarray]:
    """How a page's number follows that of the page before, and that of the one before this."""
    goes_on, jumps = (
        (
            (numbers[:, :, None] - step == numbers[places][:, None, :])
            & (numbers[:, :, None] > step)
        ).any(axis=(1, 2))
        for step, places in ((1, before), (2, earlier))
    )
    has = np.asarray((numbers > 0).any(axis=1))
    follows = goes_on | jumps
    return [
        each.astype(np.float32)
        for each in (
            goes_on, jumps, (numbers == 1).any(axis=1) & ~follows, has & has[before] & ~follows,
            has & ~has[before], ~has & has[before],
        )
    ]  # fmt: skip


def _page_numbers(lines: Sequence[str]) -> list[int]:
    """What may be the number of a page: lone ones at head and foot, then those at ends of lines."""
    edges = [*lines[:HEAD_LINES], *lines[HEAD_LINES:][-FOOT_LINES:]]
    lone = [int(found[1]) for line in edges if (found := _LONE.fullmatch(line))]
    ends = [
        int(one or other)
        for line in (lines[0], lines[-1])
        if not _LONE.fullmatch(line)
        for one, other in _AT_AN_END.findall(line)
    ]
    return list(dict.fromkeys(number for number in [*lone, *ends] if number))[:NUMBERS]


def _grams(text: str, length: int) -> np.ndarray:
    """Which runs of three letters a text has: (length,), of length 1, or 0 where there are none."""
    counts = _hashing(length).transform([text]).toarray()[0]
    roots = np.sign(counts) * np.sqrt(np.abs(counts))  # so that a few common runs do not rule
    return np.asarray(roots / (np.linalg.norm(roots) or 1.0))


@functools.cache
def _hashing(length: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), n_features=length, norm=None, lowercase=True
    )


@functools.cache
def _letter_words() -> dict[str, re.Pattern[str]]:
    """Patterns of the words with which letters begin and end, without accents."""
    listed = json.loads(_WORDS.read_text(encoding="utf-8"))
    words = {
        kind: "|".join(sorted({_plain(word) for some in languages.values() for word in some}))
        for kind, languages in listed.items()
    }
    return {
        "salutations": re.compile(rf"\W*(?:{words['salutations']})\b"),
        "closings": re.compile(rf"\b(?:{words['closings']})\b"),
    }


def _plain(text: str) -> str:
    """Small letters without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in parts if not unicodedata.combining(sign))
