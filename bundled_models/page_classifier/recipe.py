"""Everything that decides how the weights of the bundled model come about, given the pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

PROMPTS = ("a scan of {description}", "a page with {description}", "{description}")
"""What descriptions are put into while training; a finished model uses the first."""

_LEAST_BATCH = 4  # that the statistics of batch normalisation are statistics


@dataclass(frozen=True)
class Phase:
    """A stretch of training: `batches` of views of `size` (height, width) from the first `pages`.

    Small views come first: most of what a view teaches costs a third there.
    """

    size: tuple[int, int]
    batches: int
    pages: int


@dataclass(frozen=True)
class Recipe:
    """One stage of the training.

    Attributes:
        batch: views a process and step.
        learning_rate: of the text tower, the projections and the heads, at its peak.
        tower_rate: the image tower's learning rate as a share of `learning_rate`.
        frozen_blocks: so many first blocks of the image tower, and its stem, stay as they are;
            half of a step's time goes into them, and they know strokes and edges already.
        real_share: how often a real page is shown, where the label drawn has enough of them.
        enough_real_pages: a label of fewer real pages is shown real ones in proportion less often.
        turn_share: how often a page is turned by a quarter or a half: scans lie so.
        scored_size: at what size pages are scored: views are parts of pages, and so show everything
            larger than a whole page of their size does (arXiv 1906.06423).
        ema_decay: share of the moving average of the weights that a step keeps.
        batch_norm_momentum: how fast statistics follow; sizes change within a stage.
    """

    phases: tuple[Phase, ...]
    batch: int = 16
    learning_rate: float = 1e-3
    tower_rate: float = 0.4
    weight_decay: float = 0.02
    warmup_ratio: float = 0.05
    region_weight: float = 1.0
    frozen_blocks: int = 0
    real_share: float = 0.0
    enough_real_pages: int = 60
    turn_share: float = 0.3
    scored_size: tuple[int, int] = (768, 544)
    ema_decay: float = 0.995
    batch_norm_momentum: float = 0.1
    seed: int = 420
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def steps(self) -> int:
        return sum(phase.batches for phase in self.phases)

    def scaled(self, scale: float) -> Recipe:
        """A share of the steps, from as small a share of the pages, for trying things out.

        A phase keeps one step; where that is more than the share, steps are of fewer views.
        """
        phases = tuple(
            replace(
                phase,
                batches=max(1, round(phase.batches * scale)),
                pages=max(1, round(phase.pages * scale)),
            )
            for phase in self.phases
        )
        whole = replace(self, phases=phases)
        share = min(1.0, self.steps * scale / whole.steps)
        return replace(whole, batch=max(_LEAST_BATCH, round(self.batch * share)))


def drawn_recipe() -> Recipe:
    """The first stage: artificial pages alone."""
    return Recipe(
        phases=(
            Phase(size=(288, 204), batches=340, pages=4_400),
            Phase(size=(384, 272), batches=60, pages=4_400),
        )
    )


def real_recipe() -> Recipe:
    """The second stage: real pages, with artificial ones among them."""
    return Recipe(
        phases=(
            Phase(size=(384, 272), batches=260, pages=4_400),
            Phase(size=(576, 408), batches=120, pages=6_600),
            Phase(size=(704, 496), batches=72, pages=6_600),
        ),
        learning_rate=4e-4,
        frozen_blocks=2,
        real_share=0.8,
        ema_decay=0.98,
        seed=421,
    )


def further_recipe() -> Recipe:
    """The third stage goes on with the second, where letters are large, in longer steps."""
    return replace(
        real_recipe(),
        phases=(
            Phase(size=(576, 408), batches=160, pages=6_600),
            Phase(size=(704, 496), batches=100, pages=6_600),
        ),
        learning_rate=8e-4,
        seed=422,
    )
