"""Make the larger bundled model: look at pages once, learn what lies behind, write the folder.

    python3 -m bundled_models.page_trunks --real FOLDER FOLDER --out models/pagesort-medium

Three networks that were trained elsewhere, on photographs, to find lines and to read them, see
every page. They stay as they are; a layer behind the whole page, one behind its letters and a small
text tower are learnt. That is done once for every fold of the real pages' sources, which it leaves
out, so as to measure and to calibrate on sources that were not seen, and once more with all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.page_classifier.build import parser_of, workshop_of
from bundled_models.page_classifier.stages import Workshop
from bundled_models.page_trunks.recipe import DRAWN_PAGES, SCORED_SIZE, Recipe
from bundled_models.synthetic_pages.page import LABELS
from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_MODEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, VisionTextDualEncoderModel

    from bundled_models.page_trunks.learner import SummaryLearner
    from bundled_models.page_trunks.summaries import Summaries
    from pagesort.models.image_tower import TwoTowers

logger = logging.getLogger(__name__)

SHIPPED = "all"
_SEED_OF_WEIGHTS = 420
_SIZE = 512
"""Numbers that come out of the layer behind the trunks."""
_CARD = Path(__file__).with_name("card.md")


def make(arguments: argparse.Namespace) -> None:
    """Look at the pages, train, measure and write; what is done is not done again."""
    from bundled_models.page_trunks.summaries import sum_up

    workshop = prepare(arguments)
    started = time.time()
    assert workshop.real is not None
    _check_kept(workshop, arguments)
    drawn = scaled_pages(arguments.scale)
    sum_up(workshop.real.pages, drawn, workshop.folder, arguments.processes)
    logger.info("looked at pages for %.0f s", time.time() - started)
    names = [*(f"fold{fold}" for fold in range(arguments.folds)), SHIPPED]
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        pool.map(partial(_train, arguments), names)
    _finish(workshop, names, arguments)


def _check_kept(workshop: Workshop, arguments: argparse.Namespace) -> None:
    """Refuse a folder that keeps what was made of other pages or with other settings.

    Raises:
        PageSortError: it does.
    """
    from pagesort.common.checked_json import read_json
    from pagesort.common.files import write_json
    from pagesort.models.fast.page_trunks import SUMMARY_SIZE

    assert workshop.real is not None
    pages = [
        f"{each.folder}/{each.page.name} {each.source} {each.page.path.stat().st_size}"
        for each in workshop.real.pages
    ]
    texts = json.dumps(workshop.descriptions, sort_keys=True)
    asked = {
        "recipe": asdict(Recipe().scaled(arguments.scale)),
        "drawn_pages": scaled_pages(arguments.scale),
        "scored_size": list(SCORED_SIZE),
        "numbers": SUMMARY_SIZE,
        "folds": arguments.folds,
        "pages": hashlib.sha256("\n".join([*pages, texts]).encode()).hexdigest(),
    }
    file = workshop.folder / "settings.json"
    if file.exists() and read_json(file) != asked:
        raise PageSortError(
            "this folder keeps what was made of other pages or with other settings",
            where=workshop.folder,
            remedy="Name another --cache, or remove this folder",
        )
    workshop.folder.mkdir(parents=True, exist_ok=True)
    write_json(file, asked)


def scaled_pages(scale: float) -> int:
    """How many artificial pages are looked at."""
    return max(len(LABELS), round(DRAWN_PAGES * scale))


def prepare(arguments: argparse.Namespace) -> Workshop:
    """List the real pages and part their sources into folds."""
    from bundled_models.page_classifier.real_pages import RealPages, list_real_pages

    real = RealPages.without_pixels(list_real_pages(arguments.real, LABELS), LABELS)
    return workshop_of(arguments, real)


def _train(arguments: argparse.Namespace, name: str) -> None:
    """Train with one fold left out, or with all pages, unless that is done."""
    import torch
    from safetensors.torch import save_file

    from bundled_models.page_classifier.recipe import PROMPTS
    from bundled_models.page_classifier.views import LabelTexts
    from bundled_models.page_trunks.learner import teach
    from bundled_models.page_trunks.summaries import read_summaries
    from pagesort.common.files import write_json

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    workshop = prepare(arguments)
    if workshop.weights(name).exists():
        return
    # The same sums, however many processors there are.
    torch.set_num_threads(1)
    started = time.time()
    assert workshop.real is not None
    drawn = scaled_pages(arguments.scale)
    summaries = read_summaries(len(workshop.real), drawn, workshop.folder)
    recipe = Recipe().scaled(arguments.scale)
    left_out = None if name == SHIPPED else int(name.removeprefix("fold"))
    learner = _new_learner(workshop, recipe)
    texts = LabelTexts(workshop.prompts(PROMPTS), workshop.tokenizer)
    history = teach(learner, recipe, summaries, workshop.real, workshop.rows(left_out), texts)
    logger.info("%s: loss %.3f at step %d", name, history[-1]["loss"], history[-1]["step"])
    if left_out is not None:
        _keep_left_out(name, learner, workshop, summaries, left_out)
    write_json(workshop.facts(name), {"hours": round((time.time() - started) / 3600, 3)})
    temporary = workshop.weights(name).with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in learner.state_dict().items()}, temporary)
    temporary.replace(workshop.weights(name))


def _new_learner(workshop: Workshop, recipe: Recipe) -> SummaryLearner:
    """The learner before its training."""
    import torch

    from bundled_models.page_trunks.learner import SummaryLearner
    from bundled_models.page_trunks.summaries import started_trunks

    torch.manual_seed(_SEED_OF_WEIGHTS)
    model: TwoTowers = build_dual_encoder(workshop.tokenizer)
    trunks = model.vision_model.trunks
    started = started_trunks(_SIZE)
    for name in ("pictures", "lines", "letters"):
        getattr(trunks, name).load_state_dict(getattr(started, name).state_dict())
    return SummaryLearner(model, len(workshop.labels), recipe)


def build_dual_encoder(tokenizer: PreTrainedTokenizerBase) -> VisionTextDualEncoderModel:
    """The two towers with random weights."""
    from bundled_models.page_classifier import dual_encoder
    from pagesort.models.trunks_model import TrunksConfig, make_known

    make_known()
    return dual_encoder.of_parts(TrunksConfig(hidden_size=_SIZE), tokenizer)


def _keep_left_out(
    name: str, learner: SummaryLearner, workshop: Workshop, summaries: Summaries, fold: int
) -> None:
    """Keep what the learner makes of the clear pages of the fold that it left out."""
    from bundled_models.page_trunks.learner import page_embeddings
    from bundled_models.page_trunks.summaries import quarters_of

    assert workshop.real is not None
    rows = np.flatnonzero((workshop.folds == fold) & workshop.real.clear)
    np.savez(
        workshop.scores(name),
        rows=rows,
        embeddings=page_embeddings(learner, summaries.upright[rows]),
        turned_rows=rows,
        quarters=quarters_of(rows),
        turned_embeddings=page_embeddings(learner, summaries.turned[rows]),
    )


def _trained(name: str, workshop: Workshop) -> VisionTextDualEncoderModel:
    """The dual encoder that a finished training made."""
    from safetensors.torch import load_file

    from bundled_models.page_trunks.learner import SummaryLearner

    model = build_dual_encoder(workshop.tokenizer)
    learner = SummaryLearner(model, len(workshop.labels), Recipe())
    learner.load_state_dict(load_file(workshop.weights(name)))
    return model.eval()


def _finish(workshop: Workshop, names: Sequence[str], arguments: argparse.Namespace) -> None:
    """Measure what was left out, and write the model with its card."""
    from bundled_models.page_classifier import card, finish
    from bundled_models.page_classifier.cross_validation import LeftOut, gather

    parts: list[LeftOut] = [
        LeftOut(**np.load(workshop.scores(name)), model=_trained(name, workshop))
        for name in names
        if name != SHIPPED
    ]
    readings = finish.other_texts(arguments.other_descriptions, workshop.labels)
    measured, turned = gather(workshop, parts, arguments.real[0].name, readings)
    facts: dict[str, Any] = {
        "recipe": asdict(Recipe().scaled(arguments.scale))
        | {"drawn_pages": scaled_pages(arguments.scale)},
        "hours": finish.hours(workshop, names),
        "cross_validation": finish.figures(measured, turned, workshop.labels, arguments.folds),
        "texts": finish.text_figures(measured, workshop.labels),
    }
    finish.write_model(
        arguments.out,
        workshop,
        _trained(SHIPPED, workshop),
        finish.preprocessor(SCORED_SIZE),
        measured.temperature,
        facts,
    )
    card.write(arguments.out, _CARD, workshop, measured, turned, facts)
    card.write_credits(arguments.out, arguments.real)
    logger.info("written: %s; %s", arguments.out, json.dumps(facts["cross_validation"]))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what is done is not done again."""
    parser = parser_of(str(__package__), __doc__ or "", BUNDLED_MODEL)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        make(arguments)
    except PageSortError as error:
        logger.error("%s", error)
        return error.exit_status
    return 0
