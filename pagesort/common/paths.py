"""The folders and files of the repository that the program uses."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
BUNDLED_MODEL = MODELS / "pagesort-medium"
"""What answers when no other model is named."""
SMALL_MODEL = MODELS / "pagesort-small"
"""More than twice as quick, and right less often."""
BUNDLED_READER = MODELS / "pagesort-reader"
"""The line finder, and what reads the lines."""
CONVERTED_MODELS = MODELS / "converted"
SAMPLE_PAGES = ROOT / "category_samples"
DESCRIPTIONS = ROOT / "category_description_total.tsv"
TRAININGS = ROOT / "model_checkpoints"
