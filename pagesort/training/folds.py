"""Cross-validation: one training a fold, each scoring the pages that it has not seen."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pagesort.common.errors import Stopped
from pagesort.common.files import write_whole
from pagesort.common.processes import is_first_process
from pagesort.labelled.page import LabelledPage
from pagesort.labelled.split_files import PageSplit
from pagesort.models.protocols import WholeClassifier
from pagesort.training.recipe import TrainRequest
from pagesort.training.train import train

logger = logging.getLogger(__name__)

_DIGITS = 12


@dataclass(frozen=True)
class FoldScores:
    """What the training of one fold gives the pages of that fold.

    Attributes:
        names: (pages,) of the pages.
        scores: (pages, labels), probabilities; what could not be read has zeros.
        reasons: (pages,) why a page could not be read; empty for the others.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    reasons: tuple[str, ...]


Score = Callable[[Path, Sequence[LabelledPage]], FoldScores]


def train_folds(
    classifier: WholeClassifier, folds: Sequence[PageSplit], request: TrainRequest, score: Score
) -> list[FoldScores]:
    """Train once a fold, score its pages, and keep the scores, not the model.

    A fold that was finished before, of the same pages and with the same settings, is not trained
    again, and an interrupted one goes on where it was.

    Args:
        classifier: where every training starts; see `train`.
        folds: of `make_folds`.
        request: of all of them, but for their split and folders.
        score: gives the scores of pages by a model folder.

    Raises:
        PageSortError: as `train`.
        Stopped: it tells how many folds are finished.
    """
    folder = request.checkpoints / f"folds_{_digest(classifier, folds, request)}"
    found: list[FoldScores] = []
    for number, split in enumerate(folds, 1):
        kept = _read(folder / f"fold-{number}.npz", split, len(classifier.labels))
        if kept is not None:
            logger.info("fold %d of %d was finished before", number, len(folds))
        else:
            if is_first_process():
                logger.info(
                    "fold %d of %d: %d pages train, %d validate, %d are scored",
                    *(number, len(folds)),
                    *(len(split.train), len(split.validation), len(split.test)),
                )
            try:
                kept = _train_fold(classifier, split, request, folder / f"fold-{number}", score)
            except KeyboardInterrupt as stop:
                done = f"{number - 1} of {len(folds)} folds are finished and kept in {folder}"
                inner = stop.kept if isinstance(stop, Stopped) else ""
                raise Stopped(f"{done}; {inner}" if inner else done) from None
        found.append(kept)
    return found


def _train_fold(
    classifier: WholeClassifier,
    split: PageSplit,
    request: TrainRequest,
    folder: Path,
    score: Score,
) -> FoldScores:
    """Train, score and write the scores; then the model and the state of its training go."""
    models = folder / "models"
    made = sorted(models.glob("[!.]*")) if models.is_dir() else []
    if made:  # trained, but not scored before the interruption
        model = made[-1]
    else:
        own = replace(
            request,
            split=split,
            checkpoints=folder,
            prepared=request.pages_folder,
            models=models,
            plots=folder,
            every_label=False,
            sums_up=False,
        )
        model = train(classifier, own).model_folder
    if not is_first_process():
        return FoldScores((), np.zeros((0, 0), np.float32), ())
    scored = score(model, split.test)
    content = io.BytesIO()
    np.savez(
        content,
        names=np.array(scored.names, str),
        scores=scored.scores.astype(np.float32),
        reasons=np.array(scored.reasons, str),
    )
    write_whole(folder.with_suffix(".npz"), content.getvalue())
    shutil.rmtree(folder, ignore_errors=True)
    return scored


def _digest(classifier: WholeClassifier, folds: Sequence[PageSplit], request: TrainRequest) -> str:
    """Stands for all that decides the scores."""
    facts: Mapping[str, Any] = {
        "folds": [split.fingerprint for split in folds],
        "labels": [page.label for split in folds for page in split.test],
        "recipe": asdict(request.recipe),
        "seed": request.seed,
        "start": classifier.fingerprint,
        "device": classifier.device.type,
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_DIGITS]


def _read(path: Path, split: PageSplit, labels: int) -> FoldScores | None:
    """Read the scores of a finished fold; None where there are none, or none that serve."""
    try:
        with np.load(path, allow_pickle=False) as content:
            names, reasons = (tuple(map(str, content[key])) for key in ("names", "reasons"))
            scores = content["scores"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logger.warning("the kept scores of a fold are damaged, it is trained again: %s", error)
        return None
    if set(names) != {page.name for page in split.test} or scores.shape != (len(names), labels):
        logger.warning("the kept scores are of other pages, the fold is trained again: %s", path)
        return None
    return FoldScores(names, scores, reasons)
