"""From trained weights to a model folder that predicts, and that the next training starts from."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.files import numbered
from pagesort.labelled.folder import (
    LabelledPage,
    read_trained_pages,
    write_trained_pages,
)
from pagesort.labelled.trained_names import (
    NO_NAMES,
    TrainedNames,
    read_trained_names,
    write_trained_names,
)
from pagesort.models import formats
from pagesort.models.training_pages import TrainingPages, write_training_pages
from pagesort.pages.preprocessing import GAP_KEY, REDUCING_GAP, Preprocessing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from pagesort.labelled.split_files import PageSplit
    from pagesort.models.protocols import WholeClassifier
    from pagesort.training.plan import Plan
    from pagesort.training.state import Best

# Packages whose versions are noted in a model, as far as they are there.
_NOTED = ("torch", "transformers", "accelerate", "timm", "numpy", "pillow")
_DISK_REMEDY = (
    "Free some space in the models folder and give the same command again: only the export is "
    "done then"
)


def whole_page_settings(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the image processor's settings for a model that sees whole pages.

    Whatever the starting model does, the page is squashed to the model's input and nothing is cut
    off: a crop loses a third of a portrait page. Normalisation stays the starting model's.
    """
    height, width = preprocessing.input_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": preprocessing.resample,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": preprocessing.rescale,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
        GAP_KEY: REDUCING_GAP,
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the weights."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in _NOTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def export(
    models: Path,
    base: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    preprocessing: Preprocessing,
    metadata: formats.ModelMetadata,
    trained_pages: Sequence[LabelledPage],
    inherited: frozenset[str] = frozenset(),
    inherited_names: TrainedNames = NO_NAMES,
    seen: TrainingPages | None = None,
) -> Path:
    """Write a model folder of a new name, complete or not at all.

    Args:
        models: the folder that it appears in.
        base: begins its name, before date and time.
        preprocessing: how the model saw its pages.
        trained_pages: pages that evaluation must leave out.
        inherited: digests of the pages that the starting model was trained on.
        inherited_names: their documents and sources.
        seen: the training pages in small, as the model sees them.

    Raises:
        PageSortError: it cannot be written.
    """
    partial = models / f".{base}.{os.getpid()}-{uuid.uuid4().hex[:8]}.new"
    try:
        try:
            formats.save_folder(
                partial, model, tokenizer, whole_page_settings(preprocessing), metadata
            )
        except PageSortError as error:
            raise PageSortError(error.what, where=models, remedy=_DISK_REMEDY) from error
        write_trained_pages(partial, trained_pages, inherited)
        names = TrainedNames.of(
            (page.document for page in trained_pages), (page.source for page in trained_pages)
        )
        write_trained_names(partial, names | inherited_names)
        if seen is not None:
            write_training_pages(partial, seen)
        return _named(partial, models, f"{base}_{time.strftime('%Y%m%d-%H%M')}")
    except OSError as error:
        raise PageSortError(
            f"the model cannot be written ({error.strerror or error})",
            where=models,
            remedy=_DISK_REMEDY,
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def model_facts(
    facts: Mapping[str, Any],
    plan: Plan,
    split: PageSplit,
    best: Best,
    share: float,
    figures: Mapping[str, float],
    history: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """What the new model tells of its making: no paths of this machine, only names.

    Args:
        facts: all that decided the weights.
        best: the epoch whose weights were taken.
        share: theirs in the mean with the starting ones.
        figures: of the validation pages.
        history: the trainer's reports.
    """
    steps = plan.steps_per_epoch
    kept = ("accuracy", "accuracy_low", "accuracy_high", "loss", "calibrated_loss")
    return dict(facts) | {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "split": {"file": split.path.name, "fingerprint": split.fingerprint, "by": split.by},
        "pages": {
            "train": dict(Counter(page.label for page in plan.pages)),
            "validation": dict(Counter(page.label for page in split.validation)),
        },
        "versions": versions(),
        "best_epoch": best.step // steps,
        "wise_ft": share,
        "validation": rounded(figures),
        "epochs": [
            {"epoch": entry["step"] // steps}
            | {"training_loss": _training_loss(history, entry["step"], steps)}
            | {name: round(entry[f"eval_{name}"], 5) for name in kept if f"eval_{name}" in entry}
            for entry in history
            if "eval_accuracy" in entry
        ],
    }


def _training_loss(history: Sequence[Mapping[str, float]], end: float, steps: int) -> float:
    """The mean loss over the epoch that ends with a step."""
    reports = [entry for entry in history if "loss" in entry]
    lasted = np.diff([0.0, *(entry["step"] for entry in reports)])
    losses = np.array([entry["loss"] for entry in reports])
    inside = [end - steps < entry["step"] <= end for entry in reports]
    return round(float(np.average(losses[inside], weights=lasted[inside])), 5)


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures of validation as they are noted down."""
    return {name: round(value, 5) for name, value in figures.items()}


def digests_of_start(model: PreTrainedModel) -> frozenset[str]:
    """Digests of the pages that the starting model was trained on, which evaluation must know."""
    folder = Path(model.name_or_path or ".nowhere")
    return read_trained_pages(folder) if folder.is_dir() else frozenset()


def names_of_start(model: PreTrainedModel) -> TrainedNames:
    """Documents and sources of those pages."""
    folder = Path(model.name_or_path or ".nowhere")
    return read_trained_names(folder) if folder.is_dir() else NO_NAMES


def seen_by_start(classifier: WholeClassifier, split: PageSplit) -> frozenset[str]:
    """Return the digests of the pages that the starting model was trained on with another split.

    With the same split it has had the validation pages for validation only.
    """
    before = classifier.metadata.training.get("split")
    if isinstance(before, Mapping) and before.get("fingerprint") == split.fingerprint:
        return frozenset()
    return digests_of_start(classifier.model)


def with_facts(
    metadata: formats.ModelMetadata, facts: Mapping[str, Any], temperature: float = 1.0
) -> formats.ModelMetadata:
    """Return the metadata of a model that was trained from the one described."""
    return dataclasses.replace(
        metadata, temperature=temperature, revision="", training=dict(facts), precisions={}
    )


def _named(partial: Path, models: Path, name: str) -> Path:
    """Give the folder a name that is free."""
    for each in numbered(name):
        target = models / each
        if not target.exists():
            partial.replace(target)
            return target
    raise PageSortError(
        f"there is no free name for a model like {name}",
        where=models,
        remedy="Move some of these models away and give the same command again",
    )
