"""Error rates of readings, and what is taken for what."""

from __future__ import annotations

import math

import pytest

from pagesort.reading.error_rates import (
    Errors,
    confusions,
    errors_of,
    folded,
    rates,
)


def test_errors_of_characters_and_words_are_counted() -> None:
    assert errors_of("le roi dort", "le rou dor") == Errors(11, 2, 3, 2)
    assert errors_of("le roi", "") == Errors(6, 6, 2, 2)
    assert errors_of("", "le") == Errors(0, 2, 0, 1)


def test_composed_and_decomposed_letters_and_spaces_are_the_same() -> None:
    assert errors_of("e\u0301te\u0301  a", "\u00e9t\u00e9 a\u00a0") == Errors(5, 0, 2, 0)


def test_case_and_punctuation_count_unless_folded() -> None:
    assert errors_of("L'An, 1905.", "l an 1905").character_errors == 5
    assert errors_of(folded("L'An, 1905."), folded("l an 1905")).character_errors == 0


def test_confusions_tell_replaced_left_out_and_put_in() -> None:
    found = confusions([("abc", "axc"), ("abc", "axc"), ("ab", "a"), ("ab", "abb")])
    assert found == {("b", "x"): 2, ("b", ""): 1, ("", "b"): 1}


def test_rates_are_of_all_lines_together_with_an_interval_over_hands() -> None:
    errors = [Errors(100, 0, 10, 0), Errors(100, 50, 10, 10), Errors(10, 10, 1, 1)]
    cer, wer = rates(errors, ["a", "b", "b"])
    assert cer.value == pytest.approx(60 / 210)
    assert wer.value == pytest.approx(11 / 21)
    # Either hand may be drawn twice: 0 of 200, or 120 of 220.
    assert (cer.low, cer.high) == (0.0, pytest.approx(60 / 110))


def test_one_hand_has_no_interval_and_no_lines_no_rate() -> None:
    cer, _ = rates([Errors(10, 1, 1, 1)] * 5, ["a"] * 5)
    assert str(cer) == "10.0 %"
    assert math.isnan(Errors().cer)
