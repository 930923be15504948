"""From probabilities along a line to its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from pagesort.common.errors import PageSortError
from pagesort.reading import language
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.decoding import beam_search, greedy
from pagesort.reading.language import CharacterModel

ALPHABET = Alphabet("abc")


def places(*chances: dict[str, float]) -> np.ndarray:
    """The log probabilities of some places; `-` is no character, the rest is shared out."""
    rows = []
    for place in chances:
        rest = (1 - sum(place.values())) / (4 - len(place))
        rows.append([place.get(each, rest) for each in "-abc"])
    return np.log(np.maximum(np.array(rows), 1e-30))


def test_repeated_classes_are_one_character_unless_a_blank_parts_them() -> None:
    line = places({"a": 0.9}, {"a": 0.7}, {"-": 0.9}, {"a": 0.8}, {"b": 0.6})
    reading = greedy(line, ALPHABET)
    assert reading.text == "aab"
    assert reading.confidence == pytest.approx((0.9 + 0.8 + 0.6) / 3)


def test_an_empty_line_is_as_sure_as_its_blanks() -> None:
    reading = greedy(places({"-": 0.9}, {"-": 0.7}), ALPHABET)
    assert (reading.text, reading.confidence) == ("", pytest.approx(0.8))


def test_a_beam_search_adds_up_the_ways_to_write_a_text() -> None:
    # The likeliest way is all blanks (0.36), but the ways to write "a" add up to 0.64.
    line = places({"-": 0.6, "a": 0.4}, {"-": 0.6, "a": 0.4})
    model = CharacterModel.of_texts(["abc"])
    assert greedy(line, ALPHABET).text == ""
    assert beam_search(line, ALPHABET, model, weight=0.0, bonus=0.0).text == "a"


def test_a_language_model_decides_between_letters_that_look_alike() -> None:
    line = places({"a": 0.9}, {"b": 0.48, "c": 0.47})
    model = CharacterModel.of_texts(["ac", "ac", "ac"])
    assert greedy(line, ALPHABET).text == "ab"
    assert beam_search(line, ALPHABET, model).text == "ac"
    assert beam_search(line, ALPHABET, model, weight=0.0).text == "ab"


def test_doubled_letters_survive_a_beam_search() -> None:
    line = places({"a": 0.95}, {"-": 0.95}, {"a": 0.95}, {"a": 0.9})
    model = CharacterModel.of_texts(["aa"])
    assert beam_search(line, ALPHABET, model).text == "aa"


def test_probabilities_of_a_language_model_add_up_to_one() -> None:
    model = CharacterModel.of_texts(["abcab", "bca", "ab"], order=3)
    for before in ("", "a", "ab", "zz", "cab"):
        total = sum(np.exp(model.log_probability(before, each)) for each in "abc")
        # What is left is for characters that were never seen.
        assert 0.7 < total < 1.0
    assert model.log_probability("a", "b") > model.log_probability("a", "c")


def test_a_language_model_is_the_same_once_written_and_read(tmp_path) -> None:
    model = CharacterModel.of_texts(["été", "étage", "été"])
    (tmp_path / "language").write_bytes(model.as_bytes())
    again = CharacterModel.read(tmp_path / "language")
    assert again.log_probability("ét", "é") == model.log_probability("ét", "é")
    assert again.as_bytes() == model.as_bytes()


def test_a_language_model_learns_a_hand_and_keeps_what_it_knew() -> None:
    model = CharacterModel.of_texts(["letter", "letters"])
    joined = model.joined(["lecto", "lecto"])
    assert model.log_probability("le", "t") > model.log_probability("le", "c")
    assert joined.log_probability("le", "c") > joined.log_probability("le", "t")
    assert joined.log_probability("lett", "e") > joined.log_probability("lett", "o")


@pytest.mark.parametrize(
    "changed",
    [
        {"counts": np.zeros(2, np.uint32)},
        {"counts": np.ones(3, np.uint32)},
        {"counts": np.ones((2, 1, 1), np.uint32)},
        {"kinds": np.array([2, 1], np.uint32)},
        {"kinds": np.array([[2]], np.uint32)},
        {"contexts": np.frombuffer(b"a\ta", np.uint8), "kinds": np.ones(2, np.uint32)},
        {"followers": np.frombuffer(b"\xff\xfe", np.uint8)},
        {"followers": np.ones(2, np.float32)},
        {"order": np.array([99], np.uint32)},
        {"order": np.ones(2, np.uint32)},
        {"format": "another"},
    ],
)
def test_a_language_model_that_does_not_fit_together_is_one_line(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    content = {
        "contexts": np.zeros(0, np.uint8),  # the one context of no character
        "followers": np.frombuffer(b"ab", np.uint8),
        "kinds": np.array([2], np.uint32),
        "counts": np.ones(2, np.uint32),
        "order": np.array([6], np.uint32),
    }
    facts = {"format": "pagesort character n-grams"}
    path = tmp_path / "language.safetensors"
    path.write_bytes(save(content, facts))
    assert CharacterModel.read(path).log_probability("", "a") == pytest.approx(np.log(0.4167), 1e-3)
    content |= {name: value for name, value in changed.items() if name in content}
    facts |= {name: value for name, value in changed.items() if name in facts}
    path.write_bytes(save(content, facts))
    with pytest.raises(PageSortError, match=r"language\.safetensors"):
        CharacterModel.read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff" * 100])
def test_a_language_model_of_something_else_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "language.safetensors"
    path.write_bytes(content)
    with pytest.raises(PageSortError, match=r"language\.safetensors"):
        CharacterModel.read(path)


def test_what_a_language_model_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CharacterModel.of_texts(["abcab"])
    known = [model.log_probability("ab", each) for each in "abc"]
    monkeypatch.setattr(language, "MOST_REMEMBERED", 2)
    assert [model.log_probability("ab", each) for each in "abcabc"] == known * 2


def test_an_alphabet_tells_what_it_lacks() -> None:
    alphabet = Alphabet.of_texts(["Le roi", "e\u0301te\u0301"])
    assert alphabet.characters == tuple(" Leiort\u00e9")
    assert alphabet.lacks("L'été, le soir") == "',ls"
    assert alphabet.text(alphabet.classes("Le rôi")) == "Le ri"


@pytest.mark.parametrize("characters", [[], ["a", "a"], ["ab"], [""]])
def test_an_alphabet_of_something_else_is_refused(characters: list[str]) -> None:
    with pytest.raises(PageSortError):
        Alphabet(characters)
