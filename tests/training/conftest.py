"""Fixtures that several tests of training share."""

from __future__ import annotations

import pytest

from pagesort.labelled.split_files import PageSplit
from tests.helpers.coloured_pages import draw_split


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the picture of the curves, which takes longer than a tiny training."""
    monkeypatch.setattr("pagesort.training.train.draw_curves", lambda *_: None)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> PageSplit:
    """Pages of few colours, parted for a training."""
    return draw_split(tmp_path_factory.mktemp("pages"))
