"""Labelled piles that are not whole, and a training that is stopped while it looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pagesort.common.errors import PageSortError, Stopped
from pagesort.grouping import labelled_piles
from pagesort.grouping.labelled_piles import LabelledRequest, read_piles

CLASSIFIER: Any = SimpleNamespace(
    name="a model",
    model_fingerprint="0" * 64,
    precision="fp32",
    preprocessing=SimpleNamespace(input_size=(8, 8)),
)


@pytest.fixture
def request_of(tmp_path: Path) -> LabelledRequest:
    """Two piles of two pages each."""
    for name in ("one", "two"):
        (tmp_path / "piles" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "piles" / name / f"{number}.png").write_bytes(b"")
        text = "file,item\n1.png,a\n2.png,b\n"
        (tmp_path / "piles" / f"{name}.csv").write_text(text, encoding="utf-8")
    return LabelledRequest(tmp_path / "piles", tmp_path / "embeddings")


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the person press Ctrl-C as soon as a page is looked at."""

    def embed_pages(*_: object, **__: object) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(labelled_piles, "embed_pages", embed_pages)


@pytest.mark.usefixtures("stopped")
def test_a_page_that_is_missing_is_told_before_any_page_is_looked_at(
    request_of: LabelledRequest,
) -> None:
    (request_of.folder / "two" / "2.png").unlink()
    with pytest.raises(PageSortError, match=r"2\.png is not there"):
        read_piles(CLASSIFIER, request_of)


@pytest.mark.usefixtures("stopped")
def test_a_training_that_is_stopped_says_what_is_kept(request_of: LabelledRequest) -> None:
    with pytest.raises(Stopped, match=r"is kept in .*embeddings"):
        read_piles(CLASSIFIER, request_of)
