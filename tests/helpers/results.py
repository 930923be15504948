"""Results of scoring, written down briefly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.pages.loader import PageRef
from pagesort.prediction.journal import FinishedTables, RunJournal
from pagesort.prediction.scoring import ScoredPage


def events(path: Path) -> list[dict[str, Any]]:
    """The events of a log, one a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def scored(index: int, scores: Sequence[float] | np.ndarray) -> ScoredPage:
    """A scored page of whatever name."""
    return ScoredPage(PageRef(index, Path("page.png")), np.asarray(scores))


def finish(journal: RunJournal, *how: Any, **more: Any) -> FinishedTables:
    """Write a run's tables and let its journal go."""
    tables = journal.write_tables(*how, **more)
    journal.discard()
    return tables
