"""Endless descriptions, groupings by trait, and the paraphrases kept aside from training."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from bundled_models.page_classifier import trait_texts
from pagesort.models.descriptions import DEFAULT_PROMPT, read_descriptions
from pagesort.models.tokenizer import clip_tokenizer
from tests.helpers.labels import LABELS
from tests.helpers.paths import ROOT

PARAPHRASES = ROOT / "benchmarks" / "paraphrases.tsv"

_DENIAL = re.compile(
    r"\b(?:without|not|no|nor|neither|nobody|instead of|outside any)\b[^,]*"
    r"|\bprinted (?:index |record |catalogue )?(?:forms?|card)\b|\bprinted as a halftone\b"
)
_HAND = r"hand|manuscript|cursive|pencil|\bpen\b|penned|\bink\b"
_TYPE = r"\btyped|typewr|type-wr|typing|typescript|monospaced"
_PRINT = r"print|typeset|\bset in|letterpress|press\b"
_FRAME = (
    r"\btables?\b|\bforms?\b|\bcards?\b|tabular|\bcells\b|\bgrid\b|\bboxe?s?\b|\bfields\b"
    r"|\brows\b|columns|registers?\b|ledgers?\b|account books?|record sheet"
    r"|\bblanks\b|column headings"
)
_PHOTO = r"photo|camera|snapshot"
_DRAW = (
    r"drawing|drawn|sketch|\bplans?\b|\bmaps?\b|diagram|illustration|painting|engraving"
    r"|schematic|cross-section|chart"
)
_PROSE = r"paragraphs|prose|running text|sentences"
# What a description of the label must say, and what it must not unless it denies it.
_MEANINGS = {
    "DRAW": ((_DRAW,), (_PHOTO, _FRAME, _TYPE, _PROSE)),
    "DRAW_L": ((_DRAW, _FRAME), (_PHOTO, _TYPE, _PROSE)),
    "LINE_HW": ((_HAND, _FRAME), (_TYPE, _PRINT, _PHOTO, _DRAW, _PROSE)),
    "LINE_P": ((rf"{_PRINT}|empty|filled in|left blank", _FRAME), (_HAND, _TYPE, _PHOTO, _DRAW)),
    "LINE_T": ((_TYPE, _FRAME), (_HAND, _PRINT, _PHOTO, _DRAW, _PROSE)),
    "PHOTO": ((_PHOTO,), (_DRAW, _FRAME, _TYPE, _HAND, _PROSE)),
    "PHOTO_L": ((_PHOTO, _FRAME), (_DRAW, _TYPE, _HAND, _PROSE)),
    "TEXT": ((r"mix|partly|and|with|various|several|different|more than one",), (_FRAME, _PHOTO)),
    "TEXT_HW": ((_HAND,), (_TYPE, _PRINT, _FRAME, _PHOTO, _DRAW)),
    "TEXT_P": ((_PRINT,), (_HAND, _TYPE, _FRAME, _PHOTO, _DRAW)),
    "TEXT_T": ((_TYPE,), (_HAND, _PRINT, _FRAME, _PHOTO, _DRAW)),
}


@cache
def _drawn(label: str, count: int = 4_000) -> tuple[str, ...]:
    """Different texts of a label, of so many that are drawn."""
    rng = np.random.default_rng(7)
    return tuple(dict.fromkeys(trait_texts.describe(label, rng) for _ in range(count)))


@cache
def _groupings() -> tuple[trait_texts.Grouping, ...]:
    rng = np.random.default_rng(11)
    return tuple(trait_texts.random_grouping(rng) for _ in range(5_000))


def _kept_aside() -> list[str]:
    table = read_descriptions(PARAPHRASES)
    groupings = trait_texts.HELD_OUT_GROUPINGS
    return [
        *(text for texts in table.values() for text in texts),
        *(text for grouping in groupings for text in grouping.texts),
    ]


def _pattern(start: str, meaning: dict[str, str]) -> str:
    """All texts of a rule as a regular expression over words, each followed by one space."""

    @cache
    def rule(name: str) -> str:
        first, dot, rest = name.partition(".")
        resolved = f"{meaning[first]}.{rest}" if dot and first in meaning else name
        texts = trait_texts.rules()[resolved].split("|")
        return f"(?:{'|'.join(alternative(text) for text in texts)})"

    def alternative(text: str) -> str:
        pattern = ""
        for part in re.findall(r"[\[\]]|<[^>]+>|[^\s\[\]<>]+", text):
            if part in "[]":
                pattern += {"[": "(?:", "]": ")?"}[part]
            elif part.startswith("<"):
                pattern += rule(part[1:-1])
            else:
                pattern += "an? " if part == "a" else f"{re.escape(part)} "
        return pattern

    return rule(start)


def _patterns() -> list[re.Pattern[str]]:
    """Every start that a text can come from, with all that <w.…> and <m.…> can mean in it."""
    starts = {(start, tuple(meaning.items())) for start, meaning in trait_texts._STARTS.values()}
    for groups in trait_texts._KINDS.values():
        starts |= {(group.start, group.meaning) for group in groups}
    return [re.compile(_pattern(start, dict(meaning))) for start, meaning in sorted(starts)]


def _spaced(text: str) -> str:
    return " ".join(text.replace(",", " ,").split()) + " "


def test_the_same_seed_gives_the_same_texts_and_another_seed_others() -> None:
    def some(seed: int) -> list[object]:
        rng = np.random.default_rng(seed)
        texts = [trait_texts.describe(label, rng) for label in LABELS]
        return [*texts, trait_texts.random_grouping(rng)]

    assert some(3) == some(3)
    assert some(3) != some(4)


@pytest.mark.parametrize("label", LABELS)
def test_a_label_has_thousands_of_descriptions_of_every_length(label: str) -> None:
    texts = _drawn(label)
    assert len(texts) >= 2_000
    lengths = {len(text.split()) for text in texts}
    assert min(lengths) in (2, 3)
    assert 15 <= max(lengths) <= trait_texts.LONGEST


@pytest.mark.parametrize("count", [4_000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("label", LABELS)
def test_descriptions_say_what_the_label_is_and_nothing_against_it(label: str, count: int) -> None:
    needed, forbidden = _MEANINGS[label]
    for text in _drawn(label, count):
        assert all(re.search(pattern, text) for pattern in needed), text
        claimed = _DENIAL.sub("", text)
        assert not [pattern for pattern in forbidden if re.search(pattern, claimed)], text


def test_no_label_shares_a_description_with_another() -> None:
    seen: dict[str, str] = {}
    for label in LABELS:
        for text in _drawn(label):
            assert seen.setdefault(text, label) == label, text


def test_texts_are_tidy_english() -> None:
    texts = {text for label in LABELS for text in _drawn(label)}
    texts |= {text for grouping in _groupings() for text in grouping.texts}
    broken = re.compile(
        r"[<>\[\]|]|  | ,|,$|^\W|\ba [aeio]|\ban [^aeiou]|\b(\w+) \1\b|\b(?:a|the|an)$|[A-Z]"
    )
    assert not [text for text in texts if broken.search(text)]


def test_every_rule_is_used_and_every_named_rule_exists() -> None:
    named = {
        name for text in trait_texts.rules().values() for name in re.findall(r"<([^>]+)>", text)
    }
    named |= {start for start, _ in trait_texts._STARTS.values()}
    named |= {group.start for groups in trait_texts._KINDS.values() for group in groups}
    shared = {"w": ("hand", "print", "type"), "m": ("draw", "photo")}
    reached = set()
    for name in named:
        first, _, rest = name.partition(".")
        reached |= {f"{kind}.{rest}" for kind in shared[first]} if first in shared else {name}
    assert reached == set(trait_texts.rules())


def test_texts_fit_the_towers_context() -> None:
    tokenizer = clip_tokenizer(49_408, 77)
    texts = {text for label in LABELS for text in _drawn(label)}
    texts |= {text for grouping in _groupings() for text in grouping.texts}
    longest = sorted(texts, key=len)[-300:] + _kept_aside()
    prompts = [DEFAULT_PROMPT.replace("{description}", text) for text in longest]
    assert max(len(tokens) for tokens in tokenizer(prompts)["input_ids"]) <= 77


def test_groups_share_no_label_and_come_in_ten_kinds_or_more() -> None:
    for grouping in (*_groupings(), *trait_texts.HELD_OUT_GROUPINGS):
        assert len(grouping.texts) == len(grouping.members) >= 2
        flat = [label for members in grouping.members for label in members]
        assert all(grouping.members)
        assert len(set(flat)) == len(flat)
        assert set(flat) <= set(LABELS)
        assert len(set(grouping.texts)) == len(grouping.texts)
    made_of_traits = {
        frozenset(grouping.members)
        for grouping in _groupings()
        if any(len(members) > 1 for members in grouping.members)
    }
    assert len(made_of_traits) >= 10


def test_held_out_mixtures_are_never_trained_on_though_their_traits_are() -> None:
    trained = {members for grouping in _groupings() for members in grouping.members}
    for grouping in trait_texts.HELD_OUT_GROUPINGS:
        new = [members for members in grouping.members if members not in trained]
        assert new
        assert set().union(*grouping.members) <= set().union(*trained)


def test_paraphrases_are_six_a_label_and_in_no_other_table() -> None:
    table = read_descriptions(PARAPHRASES)
    trained = read_descriptions(ROOT / "category_description_total.tsv")
    assert tuple(table) == LABELS
    assert all(len(texts) == 6 for texts in table.values())
    known = {text.lower() for texts in trained.values() for text in texts}
    assert not known & {text.lower() for texts in table.values() for text in texts}


def test_the_grammar_cannot_produce_what_is_kept_aside() -> None:
    patterns = _patterns()
    rng = np.random.default_rng(5)
    produced = [trait_texts.describe(label, rng) for label in LABELS for _ in range(3)]
    produced += [text for grouping in _groupings()[:20] for text in grouping.texts]
    for text in produced:
        assert any(pattern.fullmatch(_spaced(text)) for pattern in patterns), text
    for text in _kept_aside():
        assert not any(pattern.fullmatch(_spaced(text.lower())) for pattern in patterns), text
    everything = {text for label in LABELS for text in _drawn(label)}
    everything |= {text for grouping in _groupings() for text in grouping.texts}
    assert not everything & {text.lower() for text in _kept_aside()}


def test_nothing_that_trains_reads_the_paraphrases() -> None:
    sources = [
        *(ROOT / "pagesort").rglob("*.py"),
        *(ROOT / "bundled_models").rglob("*.py"),
        *ROOT.glob("*.py"),
        ROOT / "config.txt",
    ]
    readers = [path.name for path in sources if PARAPHRASES.stem in path.read_text("utf-8")]
    assert not readers
