"""Cells of tables that a person may have edited."""

from __future__ import annotations

import pytest

from pagesort.common.tables import share


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0.25", 0.25),
        ("0,25", 0.25),
        ("1", 1.0),
        ("0", 0.0),
        ("", None),
        ("sure", None),
        ("1.01", None),
        ("-0.1", None),
        ("nan", None),
    ],
)
def test_a_share_is_a_number_from_0_to_1(cell: str, expected: float | None) -> None:
    assert share(cell) == expected
