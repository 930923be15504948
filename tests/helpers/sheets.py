"""What stands on a sheet of artificial pages."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.sheet import REGIONS, Sheet


def marked(sheet: Sheet) -> set[str]:
    """The names of the regions that the sheet notes."""
    return {REGIONS[region] for region, _ in sheet.marks}


def inked(sheet: Sheet) -> float:
    """The share of the sheet that is not white."""
    return float((np.asarray(sheet.image.convert("L")) < 200).mean())
