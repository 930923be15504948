"""Everything that decides how the larger bundled model comes about, given the pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

DRAWN_PAGES = 1100
DRAWN_SEED = 420
"""The first artificial pages of this seed are looked at, their labels in turn."""
SCORED_SIZE = (1536, 1088)
"""Height and width in pixels of what the model sees of a page: of the whole, half of it."""


@dataclass(frozen=True)
class Recipe:
    """How the layers behind the trunks, and the texts, are learnt.

    Attributes:
        steps: of `batch` pages each.
        drawn_share: how often an artificial page is shown.
        turned_share: how often a page is shown turned.
        varied_share: how often a random view of a real page is shown, of those that are shown.
        noise: standard deviation of what is added to summaries, in their own.
        mixture: parameter of the beta distribution that two pages are mixed by (arXiv 1710.09412).
        dropped_before: share of a summary's numbers that a step leaves out.
        dropped_behind: share of what is made of a summary that a step leaves out.
        ema_decay: share of the moving average of the weights that a step keeps.
    """

    steps: int = 400
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_ratio: float = 0.05
    drawn_share: float = 0.35
    turned_share: float = 0.3
    varied_share: float = 0.3
    noise: float = 0.1
    mixture: float = 0.4
    dropped_before: float = 0.2
    dropped_behind: float = 0.3
    ema_decay: float = 0.98
    seed: int = 421

    def scaled(self, scale: float) -> Recipe:
        """A share of the steps, for trying things out."""
        return replace(self, steps=max(2, round(self.steps * scale)))
