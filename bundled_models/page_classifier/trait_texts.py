"""Endless descriptions of the default labels, and groupings of them by what they have in common.

A text tower that shall understand a user's own descriptions must see more than a table of them:
`describe` makes a description of one label, and `random_grouping` asks for several labels at once
("anything written by hand, in a table or not"). The words stand in `trait_grammar.ini`.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from numpy.random import Generator

LONGEST = 20
_GRAMMAR = Path(__file__).with_name("trait_grammar.ini")

_PARTS = re.compile(r"\s*([\[\]]|<[^>]+>|[^\s\[\]<>]+)")
_VOWEL = re.compile(r"\ba (?=[aeio]|unev)")
# Where a description of a label starts, and what <w.…> and <m.…> mean in it.
_STARTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "DRAW": ("picture", {"m": "draw"}),
    "DRAW_L": ("tabled", {"m": "draw"}),
    "LINE_HW": ("line.hand", {"w": "hand"}),
    "LINE_P": ("line.print", {"w": "print"}),
    "LINE_T": ("line.type", {"w": "type"}),
    "PHOTO": ("picture", {"m": "photo"}),
    "PHOTO_L": ("tabled", {"m": "photo"}),
    "TEXT": ("mixed", {}),
    "TEXT_HW": ("text", {"w": "hand"}),
    "TEXT_P": ("text", {"w": "print"}),
    "TEXT_T": ("text", {"w": "type"}),
}
LABELS = tuple(_STARTS)


@dataclass(frozen=True)
class Grouping:
    """Some labels in groups: `texts[i]` describes what the labels of `members[i]` share.

    Groups are not empty and share no label; a label of no group belongs to none of the texts.
    """

    texts: tuple[str, ...]
    members: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class _Group:
    """A rule of the grammar, what <w.…> and <m.…> mean in it, and the labels that it describes."""

    start: str
    meaning: tuple[tuple[str, str], ...]
    members: frozenset[str]


def describe(label: str, rng: Generator) -> str:
    """Make a random description of one default label, of 2 to 20 words in lower case.

    Raises:
        KeyError: the label is none of `LABELS`.
    """
    start, meaning = _STARTS[label]
    return _text(start, meaning, rng)


def random_grouping(rng: Generator) -> Grouping:
    """Group the default labels by a random trait and describe every group.

    One of three groups or more is sometimes left out, and their order is random, so that nothing
    but the texts says which labels belong together.
    """
    names = list(_KINDS)
    kind = names[int(rng.integers(0, len(names)))]
    groups = _single_labels(rng) if kind == "labels" else list(_KINDS[kind])
    order = [int(place) for place in rng.permutation(len(groups))]
    if len(order) > 2 and rng.random() < 0.25:
        order.pop()
    chosen = [groups[place] for place in order]
    return Grouping(
        texts=tuple(_text(group.start, dict(group.meaning), rng) for group in chosen),
        members=tuple(group.members for group in chosen),
    )


def _single_labels(rng: Generator) -> list[_Group]:
    count = int(rng.integers(3, len(LABELS) + 1))
    places = sorted(int(place) for place in rng.permutation(len(LABELS))[:count])
    return [_of_label(LABELS[place]) for place in places]


def _text(start: str, meaning: Mapping[str, str], rng: Generator) -> str:
    """Draw texts until one is short enough; nearly all are."""
    while True:
        words: list[str] = []
        _expand(start, meaning, rng, words)
        text = _VOWEL.sub("an ", " ".join(words).replace(" ,", ","))
        if len(text.split()) <= LONGEST:
            return text


def _expand(name: str, meaning: Mapping[str, str], rng: Generator, words: list[str]) -> None:
    alternatives = _alternatives(_resolved(name, meaning))
    _write(alternatives[int(rng.integers(0, len(alternatives)))], meaning, rng, words)


def _write(
    parts: tuple[str, ...], meaning: Mapping[str, str], rng: Generator, words: list[str]
) -> None:
    skipping = False
    for part in parts:
        if part == "[":
            skipping = rng.random() < 0.5
        elif part == "]":
            skipping = False
        elif skipping:
            continue
        elif part.startswith("<"):
            _expand(part[1:-1], meaning, rng, words)
        else:
            words.append(part)


def _resolved(name: str, meaning: Mapping[str, str]) -> str:
    """`w.noun` is `hand.noun` where handwriting is described; other names stay."""
    first, dot, rest = name.partition(".")
    return f"{meaning[first]}.{rest}" if dot and first in meaning else name


@cache
def rules() -> dict[str, str]:
    """The rules of the grammar: name -> its alternatives, parted by `|`."""
    grammar = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=(";",), interpolation=None
    )
    grammar.read_string(_GRAMMAR.read_text(encoding="utf-8"))
    return {name: text for section in grammar.sections() for name, text in grammar[section].items()}


@cache
def _alternatives(name: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(_PARTS.findall(text)) for text in rules()[name].split("|"))


def _group(start: str, members: str, **meaning: str) -> _Group:
    return _Group(start, tuple(meaning.items()), frozenset(members.split()))


def _of_label(label: str) -> _Group:
    start, meaning = _STARTS[label]
    return _group(start, label, **meaning)


_DRAWN, _PHOTOGRAPHED = "DRAW DRAW_L", "PHOTO PHOTO_L"
_TABLES, _TEXTS = "LINE_HW LINE_P LINE_T", "TEXT TEXT_HW TEXT_P TEXT_T"
_DRAWN_GROUP = _group("anypicture", _DRAWN, m="draw")
_PHOTO_GROUP = _group("anypicture", _PHOTOGRAPHED, m="photo")
_TABLE_GROUP, _TEXT_GROUP = _group("anytable", _TABLES), _group("anytext", _TEXTS)
_PICTURE_GROUP = _group("pictures", f"{_DRAWN} {_PHOTOGRAPHED}")
_HAND_GROUP = _group("anywritten", "LINE_HW TEXT_HW", w="hand")
_KINDS: dict[str, tuple[_Group, ...]] = {
    "labels": (),
    "medium": (_DRAWN_GROUP, _PHOTO_GROUP, _TABLE_GROUP, _TEXT_GROUP),
    "layout": (
        _group("tabular", f"{_TABLES} DRAW_L PHOTO_L"),
        _group("untabular", f"{_TEXTS} DRAW PHOTO"),
    ),
    "picture": (_PICTURE_GROUP, _group("nopictures", f"{_TABLES} {_TEXTS}")),
    "picture, table, text": (_PICTURE_GROUP, _TABLE_GROUP, _TEXT_GROUP),
    "writing": (
        _HAND_GROUP,
        _group("anywritten", "LINE_P TEXT_P", w="print"),
        _group("anywritten", "LINE_T TEXT_T", w="type"),
        _of_label("TEXT"),
    ),
    "writing of tables": tuple(_of_label(label) for label in _TABLES.split()),
    "writing of texts": tuple(_of_label(label) for label in _TEXTS.split()),
    "handwriting": (_HAND_GROUP, _group("nohand", "LINE_P LINE_T TEXT_P TEXT_T")),
    "pictures by layout": tuple(
        _of_label(label) for label in f"{_DRAWN} {_PHOTOGRAPHED}".split()
    ),
    "photographs": (
        _PHOTO_GROUP,
        _group("nopicturekind", f"{_DRAWN} {_TABLES} {_TEXTS}", m="photo"),
    ),
    "drawings": (
        _DRAWN_GROUP,
        _group("nopicturekind", f"{_PHOTOGRAPHED} {_TABLES} {_TEXTS}", m="draw"),
    ),
    "photographs in a table": (
        _of_label("PHOTO_L"),
        _group("rest", f"{_DRAWN} PHOTO {_TABLES} {_TEXTS}", m="photo"),
    ),
    "drawings in a table": (
        _of_label("DRAW_L"),
        _group("rest", f"{_PHOTOGRAPHED} DRAW {_TABLES} {_TEXTS}", m="draw"),
    ),
}  # fmt: skip


def _held_out(**groups: str) -> Grouping:
    return Grouping(
        texts=tuple(groups.values()),
        members=tuple(frozenset(names.split("__")) for names in groups),
    )


# Mixtures that `random_grouping` never makes, of traits that it knows: kept for evaluation only.
HELD_OUT_GROUPINGS = (
    _held_out(
        LINE_HW__TEXT_HW="whatever somebody wrote down by hand, be it prose or a list",
        LINE_T__TEXT_T="whatever came out of a typewriter, be it prose or a list",
        LINE_P__TEXT_P="whatever came off the printing press, be it prose or a list",
        DRAW__PHOTO="an image standing alone, drawn or photographed, with no form around it",
        DRAW_L__PHOTO_L="an image, drawn or photographed, that is part of a form, card or table",
    ),
    _held_out(
        LINE_HW__LINE_T__TEXT_HW__TEXT_T="private papers made with a pen or on a typewriter",
        LINE_P__TEXT_P="published matter, printed as prose or as a table",
        DRAW__DRAW_L__PHOTO__PHOTO_L="visual material rather than writing",
    ),
    _held_out(
        LINE_HW="a form or list on which a person has written with a pen",
        LINE_P__LINE_T="a form or list whose words were typed or printed by a machine",
        TEXT_HW="prose that a person has written with a pen",
        TEXT_P__TEXT_T="prose that was typed or printed by a machine",
        PHOTO__PHOTO_L="what a camera has recorded",
    ),
)
