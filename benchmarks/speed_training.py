"""Training speed: our loop and the published recipe's, as contenders that tell their rates."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rounds import Measured, in_turn, ratios, workers
from speed_models import SHAPES, get_model
from speed_report import spread, table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

OURS, IMAGE_ONLY, PUBLISHED = "pagesort", "pagesort, towers = image", "published recipe"
LEARNING_RATE = 1e-6  # nothing is to be learnt


@dataclass(frozen=True)
class TrainingJob:
    """What both train: a model on labelled pages (path, label), `views` of them in an epoch.

    A batch has one page of every label, which is the only one that the published recipe knows.
    """

    folder: Path
    pages: tuple[tuple[Path, str], ...]
    labels: tuple[str, ...]
    views: int
    device: str


@dataclass(frozen=True)
class TrainingRate:
    """Pages per second of the loop, and seconds that preparing the pages took beforehand."""

    loop: float
    preparing: float


def open_start(job: TrainingJob) -> Any:
    """Open the model to train; a base model without labels gets those of the shipped table."""
    from speed_models import DESCRIPTIONS

    from classifier import CLIP
    from pagesort.models.descriptions import read_descriptions

    clip = CLIP.open(job.folder, device=job.device)
    return clip if clip.labels else clip.variant(descriptions=read_descriptions(DESCRIPTIONS))


class OurTraining:
    """One epoch by `pagesort.training`, its pages prepared beforehand.

    Args:
        towers: which of them learn, as the recipe names them.
    """

    def __init__(self, job: TrainingJob, towers: str) -> None:
        """Open the model."""
        self._job, self._towers = job, towers
        self._classifier = open_start(job)

    def train(self, seed: int) -> TrainingRate:
        """Prepare the pages, train, and drop all that was made."""
        from pagesort.training import train as training
        from pagesort.training.plan import make_plan

        with tempfile.TemporaryDirectory() as place:
            request = self._request(Path(place), seed)
            started = time.perf_counter()
            make_plan(self._classifier, request)
            preparing = time.perf_counter() - started
            outcome = training.train(self._classifier, request)
        return TrainingRate(outcome.pages_per_second, preparing)

    def _request(self, place: Path, seed: int) -> Any:
        from pagesort.labelled.folder import LabelledPage
        from pagesort.labelled.split_files import PageSplit
        from pagesort.training.recipe import Recipe, TrainRequest

        named = [
            LabelledPage(path, label, f"{number}", f"{label}/{number}-{path.name}")
            for number, (path, label) in enumerate(self._job.pages)
        ]
        split = PageSplit(
            train=tuple(named),
            validation=(),
            test=(),
            labels=self._job.labels,
            fingerprint=hashlib.sha256(str(self._job.pages).encode()).hexdigest(),
            path=place / "split.json",
            folder=ROOT,
            by="document",
        )
        recipe = Recipe(
            epochs=1,
            batch_size=len(self._job.labels),
            learning_rate=LEARNING_RATE,
            wise_ft=1.0,
            towers=self._towers,
        )
        folders = [place / name for name in ("checkpoints", "models", "plots")]
        return TrainRequest(split, recipe, *folders, seed=seed)


class PublishedTraining:
    """One epoch by the published recipe, which decodes every page when it comes to it."""

    def __init__(self, job: TrainingJob) -> None:
        """Open the model."""
        self._job = job
        self._classifier = open_start(job)

    def train(self, seed: int) -> TrainingRate:
        """Train."""
        import published_recipe

        pages = [(path, self._job.labels.index(label)) for path, label in self._job.pages]
        trained = published_recipe.train(
            self._classifier,
            pages,
            pages[:1],
            learning_rate=LEARNING_RATE,
            epochs=1,
            views=self._job.views,
            seed=seed,
            decode_each_time=True,
        )
        return TrainingRate(trained.pages_per_second, 0.0)


class Trained:
    """Lets a training be measured as other contenders are; its rates are its scores."""

    def __init__(self, training: Any) -> None:
        """Store it."""
        self._training, self._seed = training, 0
        self._rate = TrainingRate(0.0, 0.0)

    def prepare(self, count: int, batch: int) -> None:
        """There is nothing to do."""

    def run(self) -> None:
        """Train with a seed of its own, as of equal trainings the second would find the first."""
        self._seed += 1
        self._rate = self._training.train(self._seed)

    def scores(self) -> TrainingRate:
        """The rate of the last training."""
        return self._rate


def make_training(name: str, job: TrainingJob) -> Trained:
    """Make a contender by its name."""
    if name == PUBLISHED:
        return Trained(PublishedTraining(job))
    return Trained(OurTraining(job, "image" if name == IMAGE_ONLY else "both"))


def sections(arguments: argparse.Namespace, pages: Sequence[Path]) -> dict[str, str]:
    """Measure every model; a section of the report for each."""
    found = {}
    for name in arguments.models:
        views = min(SHAPES[name].views, arguments.pages or SHAPES[name].views)
        if not views:
            continue
        job = _job(arguments, name, pages, views)
        print(f"training: {name}, {len(job.pages)} pages", file=sys.stderr, flush=True)
        with workers((OURS, IMAGE_ONLY, PUBLISHED), job, make_training) as running:
            measured = in_turn(
                running,
                arguments.rounds,
                len(job.pages),
                {worker.name: len(job.labels) for worker in running},
                lambda line: print(line, file=sys.stderr, flush=True),
            )
        found[f"Training, {name}"] = _section(job, measured)
    return found


def _job(
    arguments: argparse.Namespace, name: str, pages: Sequence[Path], views: int
) -> TrainingJob:
    from pagesort.models.metadata import read_metadata

    folder = get_model(name, arguments.models_folder).folder
    labels = read_metadata(folder).labels
    count = -(-views // len(labels)) * len(labels)
    # Which label a page gets does not matter, as nothing is to be learnt.
    given = tuple((pages[n % len(pages)], labels[n % len(labels)]) for n in range(count))
    return TrainingJob(folder, given, labels, count, arguments.device)


def _section(job: TrainingJob, measured: Mapping[str, Measured]) -> str:
    rates = {name: [each.loop for each in found.answers] for name, found in measured.items()}
    rows = []
    for name, found in measured.items():
        preparing = [each.preparing for each in found.answers]
        faster = "" if name == PUBLISHED else spread(ratios(rates[name], rates[PUBLISHED]))
        rows.append((name, spread(rates[name]), spread(preparing, 1), faster))
    header = ("loop", "pages/s", "preparing, s, once", "times the published recipe")
    return (
        f"{len(job.pages)} pages, batches of {len(job.labels)}, {len(rates[OURS])} rounds. "
        f"Both towers learn in ours, only the image tower in the published recipe's."
        f"\n\n{table(header, rows)}"
    )
