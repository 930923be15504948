"""What a training will do, worked out and checked before the first step."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pagesort.common import hardware
from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unwritable, try_writing
from pagesort.common.processes import is_first_process, processes
from pagesort.labelled.folder import LabelledPage
from pagesort.pages.preprocessing import Preprocessing
from pagesort.training.data import prepare_pages
from pagesort.training.export import whole_page_settings
from pagesort.training.lora import check_package, check_tower
from pagesort.training.probe import strengths
from pagesort.training.recipe import Recipe, TrainRequest

if TYPE_CHECKING:
    import torch

    from pagesort.labelled.split_files import PageSplit
    from pagesort.models.protocols import WholeClassifier
    from pagesort.training.recipe import Precision

logger = logging.getLogger(__name__)

_MOST_THREADS = _MOST_WORKERS = 8
_SHORT_OF_MEMORY = ("not enough memory", "out of memory", "can't allocate", "bad alloc")


@dataclass(frozen=True)
class Plan:
    """The pages of a training, how they reach the model, and in which portions.

    Args:
        pages: those that train.
        left_out: those that cannot be read, with the reason.
        preprocessing: of the new model.
        recipe: as asked for, with a batch size and accumulation that the pages suffice for.
        precision: `no`, `bf16` or `fp16`.
        processes: that train together.
    """

    pages: tuple[LabelledPage, ...]
    left_out: tuple[tuple[LabelledPage, str], ...]
    preprocessing: Preprocessing
    recipe: Recipe
    precision: Precision
    processes: int

    @property
    def pages_per_step(self) -> int:
        """Pages of one step, of all processes together."""
        return self.recipe.batch_size * self.recipe.accumulation * self.processes

    @property
    def is_probe(self) -> bool:
        """Whether pages are seen once, and the epochs are strengths of a penalty."""
        return self.recipe.towers == "probe"

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every page is seen once; the last one's rest begins another round."""
        if self.is_probe:
            return 1
        return math.ceil(len(self.pages) / self.pages_per_step)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.recipe.epochs * self.steps_per_epoch


def make_plan(classifier: WholeClassifier, request: TrainRequest) -> Plan:
    """Check the request, prepare the pages, and work out the portions.

    Raises:
        PageSortError: pages, labels, precision or folders do not allow the training.
    """
    split = request.split
    _check_labels(split, classifier.labels)
    label_weights(request.recipe, split)
    if request.recipe.towers == "lora":
        check_package()
        check_tower(classifier.model)
    _check_device(classifier.device)
    precision = chosen_precision(request.recipe.mixed_precision, classifier.device)
    for folder, key in ((request.models, "FOLDER_MODELS"), (request.plots, "FOLDER_RESULTS")):
        _check_writable(folder, key)
    preprocessing = Preprocessing.from_settings(
        whole_page_settings(classifier.preprocessing), where="the model that training starts from"
    )
    kept, left_out = prepare_pages(
        split.train,
        request.pages_folder,
        preprocessing.input_size,
        request.max_megapixels,
        threads(),
    )
    _check_counts(split, kept, request.every_label)
    recipe = _fitting(request.recipe, len(kept), processes())
    if recipe.towers == "probe":
        recipe = replace(recipe, epochs=len(strengths(bool(split.validation))))
    return Plan(kept, left_out, preprocessing, recipe, precision, processes())


def deciding_facts(
    classifier: WholeClassifier, request: TrainRequest, plan: Plan
) -> dict[str, Any]:
    """All that decides the weights: of equal facts, a training goes on where another stopped."""
    names = [page.name for page in (*plan.pages, *request.split.validation)]
    return {
        "start": {"base": classifier.metadata.base, "fingerprint": classifier.model_fingerprint},
        "recipe": asdict(plan.recipe),
        "seed": request.seed,
        "processes": plan.processes,
        "device": classifier.device.type,
        "precision": plan.precision,
        "split": request.split.fingerprint,
        "page_names": hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass")).hexdigest(),
        "texts": classifier.prompts,
    }


def label_weights(recipe: Recipe, split: PageSplit) -> list[float] | None:
    """How much the pages of each label count in the loss; None for all alike.

    Raises:
        PageSortError: a label that has a weight has no pages.
    """
    if recipe.class_weights == "none":
        return None
    counts = Counter(page.label for page in split.train)
    if recipe.class_weights == "balanced":
        mean = len(split.train) / max(1, len(counts))
        return [mean / counts[label] if counts[label] else 1.0 for label in split.labels]
    given = dict(recipe.class_weights)
    for label in given:
        if label not in split.labels:
            near = difflib.get_close_matches(label, split.labels, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise PageSortError(
                f"the label {label} has a weight and no pages",
                where="[TRAIN] class_weights",
                remedy=f"{meant}The labels are {', '.join(split.labels)}",
            )
    return [given.get(label, 1.0) for label in split.labels]


def chosen_precision(
    wanted: Literal["auto", "no", "bf16", "fp16"],
    device: torch.device,
    place: str = "[TRAIN] mixed_precision",
) -> Precision:
    """Return `no`, `bf16` or `fp16`; `place` is where it can be set, for messages.

    Raises:
        PageSortError: the device has not got what was asked for by name.
    """
    from pagesort.models.image_tower import has_bf16

    is_gpu = device.type == "cuda"
    native = has_bf16(device)
    if wanted == "auto":
        if native:
            return "bf16"
        return "fp16" if is_gpu else "no"
    if (wanted == "bf16" and is_gpu and not native) or (wanted == "fp16" and not is_gpu):
        raise PageSortError(
            f"{device.type} cannot train in {wanted}",
            where=place,
            remedy="Use auto",
        )
    return wanted


def default_workers(device: torch.device, processors: int) -> int:
    """Processes that prepare pages, a training process: beside a GPU, all others have time."""
    if device.type != "cpu":
        return max(1, min(_MOST_WORKERS, processors - 1))
    return 1 if processors > 1 else 0


@contextlib.contextmanager
def translate_training_errors(batch_size: int, remedy: str, unit: str = "pages") -> Iterator[None]:
    """Turn what the library raises for want of memory, and in its workers, into one line.

    Args:
        batch_size: how many pages, or what `unit` says, the device takes at once.
        remedy: against want of memory.
    """
    import torch

    try:
        yield
    except PageSortError as error:
        # One of a worker process arrives with that process's whole traceback in it.
        if not error.what.startswith("Caught "):
            raise
        last = error.what.strip().splitlines()[-1]
        raise PageSortError(last.split(": ", 1)[-1]) from error
    except (RuntimeError, MemoryError) as error:
        short = any(words in str(error).lower() for words in _SHORT_OF_MEMORY)
        if not (short or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
            raise
        raise PageSortError(
            f"there is not enough memory to train on {batch_size} {unit} at once",
            remedy=remedy,
        ) from error


def memory_remedy(recipe: Recipe) -> str:
    """What to do where a training wants more memory than there is."""
    remedy = "Lower --batch_size and raise [TRAIN] accumulation as much"
    if not recipe.gradient_checkpointing:
        remedy += ", or set [TRAIN] gradient_checkpointing = True"
    return remedy


def processors() -> int:
    """Processors that one of the processes on this machine may use."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, hardware.processors() // here)


def threads() -> int:
    """How many threads decode pages."""
    return min(_MOST_THREADS, processors())


def _check_labels(split: PageSplit, labels: Sequence[str]) -> None:
    if len(split.labels) < 2:
        raise PageSortError(
            f"there is only one label ({', '.join(split.labels)}), and nothing to tell it from",
            where=split.folder,
            remedy="Put the pages of each label into a subfolder of its own",
        )
    if tuple(labels) != tuple(split.labels):
        missing = sorted(set(split.labels) - set(labels)) or "none"
        unknown = sorted(set(labels) - set(split.labels)) or "none"
        raise PageSortError(
            f"the classifier's labels are not those of the pages (missing: {missing}, without "
            f"pages: {unknown})",
            where=split.folder,
            remedy="Describe each label of the pages and nothing else",
        )


def _check_counts(split: PageSplit, kept: tuple[LabelledPage, ...], every_label: bool) -> None:
    """Refuse a label without training pages where each must have some; tell of those with one."""
    training = Counter(page.label for page in kept)
    empty = [label for label in split.labels if not training[label]]
    if empty and (every_label or not kept):
        raise PageSortError(
            f"no readable page trains {', '.join(empty)}",
            where=split.folder,
            remedy="Add pages to each of these labels, or remove their folders",
        )
    validating = {page.label for page in split.validation}
    lonely = [label for label in split.labels if training[label] == 1]
    if lonely and is_first_process():
        logger.warning("labels with only one page to train on: %s", ", ".join(lonely))
    unseen = [label for label in split.labels if label not in validating]
    if unseen and validating and is_first_process():
        logger.info("labels without a validation page: %s", ", ".join(unseen))


def _fitting(recipe: Recipe, pages: int, processes: int) -> Recipe:
    """Lower batch size and accumulation where one step would show pages twice."""
    batch = min(recipe.batch_size, max(1, pages // processes))
    accumulation = min(recipe.accumulation, max(1, pages // (batch * processes)))
    fitting = replace(recipe, batch_size=batch, accumulation=accumulation)
    if fitting != recipe and is_first_process():
        changes = (
            ("batch size", batch, recipe.batch_size),
            ("accumulation", accumulation, recipe.accumulation),
        )
        changed = [
            f"{name} {now} instead of {asked}" for name, now, asked in changes if now != asked
        ]
        logger.warning(
            "%d training pages are fewer than one step takes: %s", pages, ", ".join(changed)
        )
    return fitting


def _check_device(device: torch.device) -> None:
    """Refuse another GPU than the first; tell of several."""
    if device.type != "cuda" or "RANK" in os.environ:
        return
    if device.index not in (None, 0):
        raise PageSortError(
            f"training takes the first GPU it sees, not {device}",
            remedy=f"Set the environment variable CUDA_VISIBLE_DEVICES={device.index} and use "
            "--device cuda",
        )
    import torch

    count = torch.cuda.device_count()
    if count > 1:
        logger.info(
            "training on one of %d GPUs; to use all: torchrun --nproc-per-node %d run.py --train",
            count,
            count,
        )


def _check_writable(folder: Path, key: str) -> None:
    """Try out that a file can be written, before hours are spent."""
    remedy = f"Set [OUTPUT] {key} to a folder that can be written"
    with translate_unwritable(folder, "nothing can be written here", remedy=remedy):
        try_writing(folder)
