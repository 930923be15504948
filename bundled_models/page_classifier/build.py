"""Make the smaller bundled model: draw pages, train a dual encoder on them, write its folder.

    python3 -m bundled_models.page_classifier --real FOLDER FOLDER --out models/pagesort-small

An EfficientNet-Lite0 image tower (timm's, started from Google's ImageNet weights) sees the whole
page, 768 × 544 pixels; a three-layer text tower, from nothing, reads the descriptions with the
first 4,098 tokens of CLIP's vocabulary. The first stage sees artificial pages alone, the second
real ones among them. The second is done once for every fold of the real pages' sources, which it
leaves out, so as to measure and to calibrate on sources that were not seen, and once more with all.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bundled_models.page_classifier.recipe import drawn_recipe, further_recipe, real_recipe
from bundled_models.page_classifier.stages import Stage, Workshop, run_stage
from pagesort.common.errors import PageSortError
from pagesort.common.hardware import freed_memory_kept, processors
from pagesort.common.paths import DESCRIPTIONS, SMALL_MODEL, TRAININGS

if TYPE_CHECKING:
    from bundled_models.page_classifier.page_cache import PageCache
    from bundled_models.page_classifier.real_pages import RealPages

logger = logging.getLogger(__name__)

_DRAWN = "drawn"
SHIPPED = "all"
_SEED_OF_FOLDS = 421


def stages(folds: int, measured: int, scale: float) -> list[list[Stage]]:
    """The stages in groups, each of which starts from weights of the one before.

    The first `measured` of the folds are left out in turn. What is shipped goes on from the mean of
    those trainings, with all pages.
    """
    drawn, real, further = (
        recipe.scaled(scale) for recipe in (drawn_recipe(), real_recipe(), further_recipe())
    )
    held_out = range(min(folds, measured))
    names = tuple(f"fold{fold}" for fold in held_out)
    second = [Stage(names[n], real, (_DRAWN,), shows_real=True, left_out=n) for n in held_out]
    third = [
        Stage(f"further{n}", further, (names[n],), shows_real=True, left_out=n) for n in held_out
    ]
    return [[Stage(_DRAWN, drawn)], second, [*third, Stage(SHIPPED, further, names, True)]]


def stages_of(arguments: argparse.Namespace) -> list[list[Stage]]:
    """The stages that a command line asks for."""
    return stages(arguments.folds, arguments.measured, arguments.scale)


def prepare(arguments: argparse.Namespace) -> Workshop:
    """Read the real pages and say where the drawn ones are."""
    from bundled_models.page_classifier.page_cache import PageCache
    from bundled_models.page_classifier.real_pages import read_real_pages
    from bundled_models.synthetic_pages.page import LABELS

    every = [stage for group in stages_of(arguments) for stage in group]
    page_count = max(phase.pages for stage in every for phase in stage.recipe.phases)
    real = read_real_pages(arguments.real, LABELS, arguments.cache / "real-pages.npy")
    drawn = PageCache(arguments.cache, every[0].recipe.seed, page_count)
    return workshop_of(arguments, real, drawn)


def workshop_of(
    arguments: argparse.Namespace, real: RealPages, drawn: PageCache | None = None
) -> Workshop:
    """Part the sources of the real pages into folds, and lay out what all trainings need."""
    import numpy as np

    from bundled_models.page_classifier.dual_encoder import CONTEXT_LENGTH, VOCABULARY_SIZE
    from bundled_models.page_classifier.real_pages import folds_of
    from bundled_models.synthetic_pages.page import LABELS
    from pagesort.models.descriptions import read_descriptions
    from pagesort.models.tokenizer import clip_tokenizer

    descriptions = read_descriptions(arguments.descriptions)
    return Workshop(
        drawn=drawn,
        real=real,
        folds=np.asarray(folds_of(real, arguments.folds, _SEED_OF_FOLDS)),
        labels=LABELS,
        descriptions={label: descriptions[label] for label in LABELS},
        tokenizer=clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH),
        folder=arguments.cache,
    )


def make(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Draw, train, measure and write."""
    from bundled_models.page_classifier.finish import finish

    workshop = prepare(arguments)
    assert workshop.drawn is not None
    workshop.drawn.start_drawing(arguments.processes)
    groups = stages_of(arguments)
    for group in groups:
        alone = len(group) == 1
        with ThreadPoolExecutor(1 if alone else arguments.processes) as pool:
            # Trainings of one thread each, side by side, never wait for one another.
            count = arguments.processes if alone else 1
            list(pool.map(partial(_start, words=words, processes=count), group))
    finish(workshop, [stage for group in groups for stage in group], arguments)


def _start(stage: Stage, words: Sequence[str], processes: int) -> None:
    """Run one stage in processes of its own.

    Raises:
        PageSortError: it failed; its own messages stand above.
    """
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes), "-m"]
    command += [str(__package__), *words, "--stage", stage.name]
    if subprocess.run(command, check=False).returncode:
        raise PageSortError(
            f"the stage {stage.name} failed", remedy="See above; the same command goes on with it"
        )


def _run_here(arguments: argparse.Namespace) -> None:
    """Be one process of one stage."""
    import torch

    from pagesort.training.process_group import join_processes

    torch.set_num_threads(1)
    join_processes(torch.device("cpu"))
    by_name = {stage.name: stage for group in stages_of(arguments) for stage in group}
    with freed_memory_kept(all_of_it=True):
        run_stage(by_name[arguments.stage], prepare(arguments))


def parser_of(package: str, text: str, model: Path) -> argparse.ArgumentParser:
    """The options of a command that makes a model; `text` begins with what the command does."""
    parser = argparse.ArgumentParser(
        prog=f"python3 -m {package}", description=text.split("\n", 1)[0]
    )
    add = parser.add_argument
    add("--out", type=Path, default=model, help="the model folder to write")
    add(
        "--real",
        type=Path,
        nargs="+",
        required=True,
        help="FOLDER/<label>/*: real pages; a table FOLDER.csv beside it tells their sources",
    )
    add(
        "--other_descriptions",
        type=Path,
        help="table of descriptions that are only scored on the left out pages, never trained on",
    )
    add("--folds", type=int, default=4, help="parts of the real pages left out in turn")
    add(
        "--cache",
        type=Path,
        default=TRAININGS / model.name,
        help="for what was computed of pages, and finished trainings",
    )
    add(
        "--descriptions",
        type=Path,
        default=DESCRIPTIONS,
        help="table with label and description",
    )
    add("--processes", type=int, default=processors(), help="that look at pages and train")
    add("--scale", type=float, default=1.0, help="share of the recipe's steps and pages")
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(str(__package__), __doc__ or "", SMALL_MODEL)
    add = parser.add_argument
    add("--measured", type=int, default=4, help="so many of the folds are left out and measured")
    add("--stage", help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a stage that is done is not done again."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        if arguments.stage:
            _run_here(arguments)
        else:
            make(arguments, words)
    except PageSortError as error:
        logger.error("%s", error)
        return error.exit_status
    return 0
