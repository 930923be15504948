"""The stages in which the bundled model is trained, each kept on disk as soon as it is done."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.models.folder import write_json

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from bundled_models.page_classifier.cross_validation import OutOfFold
    from bundled_models.page_classifier.learner import PageLearner
    from bundled_models.page_classifier.page_cache import PageCache, Shard
    from bundled_models.page_classifier.real_pages import RealPages
    from bundled_models.page_classifier.recipe import Recipe

logger = logging.getLogger(__name__)

PROMPTS = ("a scan of {description}", "a page with {description}", "{description}")
"""What descriptions are put into while training; a finished model uses the first."""
_POLL_SECONDS = 1.0


def freeze(tower: nn.Module, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks of timm's EfficientNet; free all others."""
    frozen = [tower.conv_stem, tower.bn1, *list(tower.blocks)[:blocks]] if blocks else []
    tower.requires_grad_(True)
    for part in frozen:
        part.requires_grad_(False)


@dataclass
class Maker:
    """What both stages need; one process of possibly several that train together."""

    drawn: PageCache
    real: RealPages | None
    watched: dict[str, Shard]
    labels: tuple[str, ...]
    descriptions: dict[str, list[str]]
    tokenizer: Any
    learner: PageLearner
    folder: Path
    every: int

    @property
    def prompts(self) -> dict[str, list[str]]:
        """Label -> what is asked of a finished model."""
        from pagesort.models.descriptions import prompt_texts

        return prompt_texts(self.descriptions, PROMPTS[0])

    def stage(
        self, name: str, recipe: Recipe, real: RealPages | None = None, start: str | None = None
    ) -> None:
        """Run a stage from the weights of stage `start`, or take up what it made before."""
        from safetensors.torch import load_file

        if start is not None:
            self.learner.load_state_dict(load_file(self.folder / f"{start}.safetensors"))
        file = self.folder / f"{name}.safetensors"
        if not file.exists():
            freeze(self.learner.dual_encoder.vision_model.timm_model, recipe.frozen_blocks)
            self._train(name, recipe, real, file)
        while not file.exists():  # the first process writes it
            time.sleep(_POLL_SECONDS)
        self.learner.load_state_dict(load_file(file))

    def _train(self, name: str, recipe: Recipe, real: RealPages | None, file: Path) -> None:
        import torch

        from bundled_models.page_classifier.learner import Watch, train
        from bundled_models.page_classifier.moving_average import MovingAverage
        from bundled_models.page_classifier.views import Collator, PageViews

        started = time.time()
        world = int(os.environ.get("WORLD_SIZE", "1"))
        average = MovingAverage(self.learner, recipe.ema_decay)
        model = self.learner.dual_encoder
        watch = Watch(
            average, model, self.prompts, self.tokenizer, recipe, self.watched, every=self.every
        )
        train(
            self.learner,
            PageViews(recipe, self.drawn, real, self.labels, world),
            Collator(recipe, _all_prompts(self.descriptions), self.tokenizer),
            recipe,
            self.folder / name,
            (average, watch),
            use_cpu=not torch.cuda.is_available(),
        )
        if is_first():
            hours = round((time.time() - started) / 3600, 3)
            self._keep(file, average.weights, {"hours": hours, "history": watch.history})

    def _keep(self, file: Path, averaged: dict[str, Any], facts: dict[str, Any]) -> None:
        """Put the averaged weights, and the frozen ones, in place when all about them is there."""
        from safetensors.torch import save_file

        write_json(file.with_suffix(".json"), facts)
        weights = {**self.learner.state_dict(), **averaged}
        temporary = file.with_suffix(".tmp")
        save_file({name: value.contiguous() for name, value in weights.items()}, temporary)
        temporary.replace(file)

    def facts(self) -> dict[str, dict[str, Any]]:
        """What is known of every stage that was run: its hours and accuracies on the way."""
        files = sorted(self.folder.glob("*.json"))
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

    def logits(self, shard: Shard, recipe: Recipe) -> np.ndarray:
        """Score pages with the learner's present weights: (N, labels)."""
        from bundled_models.page_classifier.learner import page_logits

        model = self.learner.dual_encoder
        return page_logits(model, shard, self.prompts, self.tokenizer, recipe).numpy()

    def cross_validate(
        self, recipe: Recipe, count: int, readings: dict[str, dict[str, list[str]]]
    ) -> OutOfFold:
        """Run the second stage without each fold of the real pages, and score that fold.

        It is scored with the model's own texts, and with those of every reading.
        """
        import numpy as np
        import torch

        from bundled_models.page_classifier.cross_validation import OutOfFold
        from bundled_models.page_classifier.learner import label_embeddings, page_embeddings
        from bundled_models.page_classifier.real_pages import folds_of

        assert self.real is not None
        texts = {"own": self.prompts, **readings}
        folds = folds_of(self.real, count, recipe.seed)
        logits = {name: np.zeros((len(folds), len(each))) for name, each in texts.items()}
        model = self.learner.dual_encoder
        for fold in range(count):
            held_out = np.flatnonzero(folds == fold)
            others = self.real.chosen(np.flatnonzero(folds != fold))
            self.stage(f"fold{fold}", recipe, others, start="drawn")
            if not is_first():
                continue
            pages = page_embeddings(model, self.real.chosen(held_out).shard, recipe)
            with torch.inference_mode():
                for name, prompts in texts.items():
                    labels = label_embeddings(model, prompts, self.tokenizer)
                    scores = model.logit_scale.exp() * pages @ labels.T
                    logits[name][held_out] = scores.numpy()
            right = logits["own"][held_out].argmax(1) == self.real.shard.labels[held_out]
            logger.info("fold %d: %d of %d pages right", fold, right.sum(), len(right))
        return OutOfFold(self.real, self.labels, folds, logits.pop("own"), logits)


def is_first() -> bool:
    """Tell whether this is the first of the processes that train together."""
    return int(os.environ.get("RANK", "0")) == 0


def _all_prompts(descriptions: dict[str, list[str]]) -> dict[str, list[str]]:
    from pagesort.models.descriptions import prompt_texts

    by_prompt = [prompt_texts(descriptions, prompt) for prompt in PROMPTS]
    return {label: [text for texts in by_prompt for text in texts[label]] for label in descriptions}
