"""Labelled pages that a tiny model learns in seconds, and trainings on them that can be broken off.

Used as a program: `python coloured_pages.py FOLDER MODEL [STEP SIGNAL]` trains in FOLDER,
and sends itself SIGNAL at the end of STEP.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from PIL import Image

from pagesort.labelled.folder import LabelledPage
from pagesort.labelled.split_files import PageSplit

COLOURS = {"BLUE": (60, 60, 200), "GREEN": (60, 200, 60), "RED": (200, 60, 60)}
DESCRIPTIONS = {
    "BLUE": ["a blue page", "a page like the sky"],
    "GREEN": ["a green page", "a page like grass"],
    "RED": ["a red page", "a page like blood"],
}
PARTS = ("train", "train", "train", "validation", "test")


def draw_split(folder: Path, rounds: int = 2, seed: int = 3) -> PageSplit:
    """Draw `5 * rounds` noisy pages a label, each document on one side."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[LabelledPage]] = {part: [] for part in PARTS}
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(rounds * len(PARTS)):
            document = f"{label.lower()}{number // rounds}"
            path = folder / label / f"{document}-{number}.png"
            noise = rng.normal(colour, 30, (48, 36, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(path)
            page = LabelledPage(path, label, document, f"{label}/{path.name}")
            parts[PARTS[number // rounds]].append(page)
    return PageSplit(
        train=tuple(parts["train"]),
        validation=tuple(parts["validation"]),
        test=tuple(parts["test"]),
        labels=tuple(COLOURS),
        fingerprint="5" * 64,
        path=folder / "split.json",
        folder=folder,
        by="document",
    )


def open_model(folder: Path) -> Any:
    """Open a model with the colours for labels."""
    from classifier import CLIP

    opened = CLIP.open(folder, device="cpu")
    return opened.variant(labels=list(COLOURS), descriptions=DESCRIPTIONS)


def request(folder: Path, split: PageSplit, **recipe: Any) -> Any:
    """Ask for a training of three epochs of three steps."""
    from pagesort.training.train import Recipe, TrainRequest

    usual = Recipe(batch_size=6, learning_rate=1e-2, ema=0.5, mixed_precision="no")
    return TrainRequest(
        split,
        replace(usual, **recipe),
        checkpoints=folder / "checkpoints",
        models=folder / "models",
        plots=folder / "plots",
        log_step=2,
        workers=0,
    )


def main() -> None:
    """Train, and be stopped if asked for."""
    from pagesort.training import loop, tensorboard, train

    folder, model = Path(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        step, number = int(sys.argv[3]), int(sys.argv[4])
        # A shell ignores Ctrl-C for what it runs in the background, tests for instance.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        usual = loop.Watcher.after_step

        def stopped(self, at):
            if at == step:
                os.kill(os.getpid(), number)
            usual(self, at)

        tensorboard.TensorBoard.after_step = stopped
    asked = replace(request(folder, draw_split(folder / "data")), save_seconds=0.0)
    outcome = train.train(open_model(model), asked)
    sys.stdout.write(f"{outcome.model_folder}\n")  # at once: two processes write here


if __name__ == "__main__":
    main()
