"""Recipes refuse what cannot be meant, by name."""

from __future__ import annotations

import contextlib

import pytest

from pagesort.cli.options import BY_NAME
from pagesort.common.errors import PageSortError
from pagesort.training.recipe import Recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("batch_size", 2.5), ("accumulation", True), ("learning_rate", 0.0),
        ("learning_rate", float("nan")), ("weight_decay", -0.1), ("layer_decay", 0.0),
        ("layer_decay", 1.1), ("warmup_ratio", 2), ("ema", 1.0), ("wise_ft", 1.5),
        ("objective", "guess"), ("towers", "text"), ("sampling", "all"),
        ("mixed_precision", "fp8"), ("batch_norm", "on"), ("gradient_clip", 0.0),
    ],
)  # fmt: skip
def test_impossible_values_are_named(name: str, value: object) -> None:
    shown = "lr" if name == "learning_rate" else name
    with pytest.raises(PageSortError, match=f"^{shown} of the training is .*It must be "):
        Recipe(**{name: value})


def test_what_settings_hand_over_is_accepted() -> None:
    recipe = Recipe(ema=0, wise_ft=None, learning_rate=1, warmup_ratio=0, layer_decay=1)
    assert recipe.wise_ft is None
    assert Recipe(wise_ft=0.0).wise_ft == 0.0


@pytest.mark.parametrize("name", ["lr", *Recipe.__dataclass_fields__])
@pytest.mark.parametrize("text", ["0", "0.5", "1", "1.0", "2", "auto"])
def test_what_settings_let_through_no_recipe_refuses(name: str, text: str) -> None:
    """Or it would be refused only after all pages are read."""
    option = BY_NAME.get(name)
    if option is None:
        return
    with contextlib.suppress(ValueError):
        Recipe(**{"learning_rate" if name == "lr" else name: option.kind.read(text)})


def test_an_excluded_least_value_is_told_as_such() -> None:
    with pytest.raises(PageSortError, match="a number above 0 and at most 1"):
        Recipe(learning_rate=0.0)
    with pytest.raises(PageSortError, match=r"a number above 0\.$"):
        Recipe(gradient_clip=0.0)
    with pytest.raises(PageSortError, match="a number from 0 to 1"):
        Recipe(weight_decay=-0.1)
