"""Making a bundled model from a few drawn pages, as its documented command does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bundled_models.synthetic_pages.page import write_pages
from tests.helpers.paths import ROOT


def make_model(
    package: str, place: Path, scale: str, *more: str
) -> subprocess.CompletedProcess[str]:
    """Let `python -m bundled_models.PACKAGE` make `place/model` of two pages of each label."""
    if not (place / "real").exists():
        write_pages(place / "real", pages=2, seed=9, height=300)
    command = [sys.executable, "-m", f"bundled_models.{package}", "--out", str(place / "model")]
    command += ["--real", str(place / "real"), "--folds", "2"]
    command += ["--other_descriptions", str(ROOT / "benchmarks" / "paraphrases.tsv")]
    command += ["--cache", str(place / "cache"), "--scale", scale, "--processes", "2", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
