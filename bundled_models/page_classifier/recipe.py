"""Everything that decides how the weights of the bundled model come about, given the pages."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Phase:
    """A stretch of training: `batches` of views of `size` (height, width) from the first `pages`.

    `real_share` is how often a real page is taken where the label drawn has real pages.
    """

    size: tuple[int, int]
    batches: int
    pages: int
    real_share: float


@dataclass(frozen=True)
class Recipe:
    """One stage of the training.

    Attributes:
        batch: views a process and step.
        learning_rate: of the text tower, the projections and the heads, at its peak.
        tower_rate: the image tower's learning rate as a share of `learning_rate`.
        frozen_blocks: so many first blocks of the image tower, and its stem, stay as they are;
            half of a step's time goes into them, and they know strokes and edges already.
        enough_real_pages: a label of fewer real pages is shown real ones in proportion less often.
        scored_size: at what size pages are scored: views are parts of pages, and so show everything
            larger than a whole page of their size does (arXiv 1906.06423).
        ema_decay: share of the moving average of the weights that a step keeps.
    """

    phases: tuple[Phase, ...]
    batch: int = 32
    learning_rate: float = 1e-3
    tower_rate: float = 0.4
    weight_decay: float = 0.02
    warmup_ratio: float = 0.05
    region_weight: float = 1.0
    frozen_blocks: int = 0
    enough_real_pages: int = 30
    scored_size: tuple[int, int] = (416, 296)
    ema_decay: float = 0.995
    seed: int = 420
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def steps(self) -> int:
        return sum(phase.batches for phase in self.phases)

    def scaled(self, scale: float) -> Recipe:
        """A share of the steps, from as small a share of the pages, for trying things out."""
        phases = tuple(
            replace(
                phase,
                batches=max(1, round(phase.batches * scale)),
                pages=max(1, round(phase.pages * scale)),
            )
            for phase in self.phases
        )
        return replace(self, phases=phases)
