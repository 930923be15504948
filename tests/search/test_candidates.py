"""Which pages are compared as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from pagesort.search import duplicates


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("block", [7, 64, 500])
def test_candidates_are_the_near_pages_each_pair_once(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", block)
    monkeypatch.setattr(duplicates, "WIDE_BLOCK", 3 * block)
    random = np.random.default_rng(3)
    kinds = random.normal(size=(5, 16))
    rows = unit(kinds[random.integers(5, size=300)] + 0.25 * random.normal(size=(300, 16)))
    found = list(duplicates.candidates(rows))
    cosines = rows.astype(np.float32) @ rows.astype(np.float32).T
    np.fill_diagonal(cosines, -1.0)
    expected = {
        tuple(sorted((one, int(two))))
        for one, near in enumerate(np.argsort(-cosines, axis=1)[:, : duplicates.NEIGHBOURS])
        for two in near
        if cosines[one, two] >= duplicates.LEAST_COSINE
    }
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert all(one < two for one, two in found)


def test_a_page_alone_has_no_candidates() -> None:
    assert list(duplicates.candidates(unit(np.ones((1, 4))))) == []
