"""docs/python.ipynb: its cells run and show what the file shows."""

from __future__ import annotations

import logging
import re
import sys

import pytest

from tests.helpers.notebook import read_notebook, run_cells, stored_output
from tests.helpers.paths import ROOT

NUMBERS = re.compile(r"-?\d+\.\d+(e-?\d+)?")


def _shape(text: str) -> str:
    """A text without what differs between processors: digits of scores, and blanks beside them."""
    return re.sub(r"\s+", " ", NUMBERS.sub("0.0", text)).strip()


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "docs" / "python.ipynb"
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # The notebook silences messages, which later tests look for.
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    cells = read_notebook(path)
    assert len(cells) > 5
    for cell, output in zip(cells, run_cells(cells), strict=True):
        assert _shape(output) == _shape(stored_output(cell)), "".join(cell["source"])
