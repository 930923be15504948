"""From finished stages to the model folder: measured, calibrated, written, with its card."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.page_classifier import card, training_pages
from bundled_models.page_classifier.cross_validation import OutOfFold, Turned, gather
from bundled_models.page_classifier.recipe import PROMPTS, Recipe
from bundled_models.page_classifier.source_figures import (
    SEED,
    calibration_error,
    main_figures,
    of_sources,
    recalls,
)
from bundled_models.page_classifier.stages import Stage, Workshop, load_learner, read_left_out
from bundled_models.page_classifier.trait_texts import HELD_OUT_GROUPINGS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_CARD = Path(__file__).with_name("card.md")


def finish(workshop: Workshop, stages: Sequence[Stage], arguments: argparse.Namespace) -> None:
    """Measure what was left out, and write the model with its card."""
    archive = arguments.real[0].name
    readings = other_texts(arguments.other_descriptions, workshop.labels)
    rounds = _rounds(stages)
    parts = [[read_left_out(stage, workshop) for stage in each] for each in rounds]
    measured, turned = gather(workshop, parts[-1], archive, readings)
    facts = {
        "recipes": {stage.name: asdict(stage.recipe) for stage in stages},
        "processes": arguments.processes,
        "hours": hours(workshop, [stage.name for stage in stages]),
        "cross_validation": figures(measured, turned, workshop.labels, arguments.folds),
        "rounds": [_top_1(gather(workshop, each, archive, {})[0]) for each in parts],
        "texts": text_figures(measured, workshop.labels),
    }
    last = stages[-1]
    model = load_learner(last, workshop).dual_encoder
    pages = preprocessor(last.recipe.scored_size)
    write_model(arguments.out, workshop, model, pages, measured.temperature, facts)
    card.write(arguments.out, _CARD, workshop, measured, turned, facts)
    card.write_credits(arguments.out, arguments.real)
    logger.info("written: %s; %s", arguments.out, facts["cross_validation"])


def _rounds(stages: Sequence[Stage]) -> list[list[Stage]]:
    """The stages that leave folds out, those of each recipe together."""
    found: dict[Recipe, list[Stage]] = {}
    for stage in stages:
        if stage.left_out is not None:
            found.setdefault(stage.recipe, []).append(stage)
    return list(found.values())


def _top_1(measured: OutOfFold) -> list[float]:
    """Top-1 and its interval of the pages of other archives, or of all where there are none."""
    rows = np.flatnonzero(~measured.in_archive)
    scored = measured.scored().chosen(rows if len(rows) else np.arange(len(measured.rows)))
    figure = of_sources(scored.right.astype(float), scored.counted_sources, SEED)
    return [round(value, 4) for value in (figure.value, figure.low, figure.high)]


def hours(workshop: Workshop, stages: Sequence[str]) -> dict[str, float]:
    """How long each stage took, by its name."""
    import json

    files = {name: workshop.facts(name) for name in stages}
    return {
        name: float(json.loads(file.read_text(encoding="utf-8"))["hours"])
        for name, file in files.items()
    }


def figures(
    measured: OutOfFold, turned: Turned, labels: Sequence[str], folds: int
) -> dict[str, Any]:
    """The figures that a model keeps in its `pagesort.json`: of strangers and of the archive."""
    scored = measured.scored()
    found: dict[str, Any] = {"folds": folds}
    for name, rows in (
        ("sources", np.flatnonzero(~measured.in_archive)),
        ("archive", np.flatnonzero(measured.in_archive)),
    ):
        if not len(rows):
            continue
        part = scored.chosen(rows)
        counted = part.sources if name == "archive" else part.counted_sources
        found[name] = {
            "pages": len(part),
            "sources": len(np.unique(part.sources)),
            "ece": round(calibration_error(part, counted), 4),
            **{
                key: [round(value, 4) for value in (each.value, each.low, each.high)]
                for key, each in main_figures(part, counted, SEED).items()
            },
        }
    found["recall"] = {label: [right, pages] for label, right, pages in recalls(scored, labels)}
    found["turned"] = {
        "pages": len(turned.rows),
        "right": int(turned.right.sum()),
        "upright_right": int(turned.upright_right.sum()),
    }
    return found


def other_texts(table: Path | None, labels: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Texts that training never sees: those of a table, and of groupings of the labels."""
    from pagesort.models.descriptions import prompt_texts, read_descriptions

    readings = {
        f"grouping {number}": {text: [text] for text in grouping.texts}
        for number, grouping in enumerate(HELD_OUT_GROUPINGS, start=1)
    }
    if table is not None:
        found = read_descriptions(table)
        others = prompt_texts({label: found[label] for label in labels}, PROMPTS[0])
        readings["averaged"] = others
        for number in range(min(map(len, others.values()))):
            readings[f"single {number + 1}"] = {label: [others[label][number]] for label in others}
    return readings


def text_figures(measured: OutOfFold, labels: Sequence[str]) -> dict[str, Any]:
    """Share of pages right with the model's own texts and with texts that were not trained on.

    For a grouping, of the pages whose label is in a group, with the share of the largest group.
    """
    own = float((measured.logits.argmax(axis=1) == measured.true).mean())
    found: dict[str, Any] = {"own": round(own, 4)}
    for reading, logits in measured.readings.items():
        guesses = logits.argmax(axis=1)
        if not reading.startswith("grouping"):
            found[reading] = round(float((guesses == measured.true).mean()), 4)
            continue
        members = HELD_OUT_GROUPINGS[int(reading.split()[-1]) - 1].members
        groups = _groups(members, labels)[measured.true]
        inside = groups >= 0
        found[reading] = {
            "top_1": round(float((guesses == groups)[inside].mean()), 4),
            "largest_group": round(float(np.bincount(groups[inside]).max() / inside.sum()), 4),
            "groups": len(members),
        }
    return found


def _groups(members: Sequence[frozenset[str]], labels: Sequence[str]) -> np.ndarray:
    """The group of each label, -1 for one of no group."""
    found = [[n for n, group in enumerate(members) if label in group] for label in labels]
    return np.array([each[0] if each else -1 for each in found])


def write_model(
    out: Path,
    workshop: Workshop,
    model: PreTrainedModel,
    pages: dict[str, Any],
    temperature: float,
    facts: dict[str, Any],
) -> None:
    """Write a model folder; `pages` is its `preprocessor_config.json`."""
    from pagesort.labelled.folder import write_trained_pages
    from pagesort.labelled.trained_names import TrainedNames, write_trained_names
    from pagesort.models.formats import ModelMetadata, save_folder

    metadata = ModelMetadata(
        labels=workshop.labels,
        descriptions=workshop.descriptions,
        prompt=PROMPTS[0],
        average=True,
        temperature=temperature,
        base=out.name,
        training=facts,
    )
    save_folder(out, model.float(), workshop.tokenizer, pages, metadata)
    assert workshop.real is not None
    seen = [page for page in workshop.real.pages if page.may_train]
    write_trained_pages(out, [page.page for page in seen])
    documents, sources = ([each.page.document for each in seen], [each.source for each in seen])
    write_trained_names(out, TrainedNames.of(documents, sources))
    training_pages.write(out, seen)


def preprocessor(size: tuple[int, int]) -> dict[str, Any]:
    """How pages become numbers, as `preprocessor_config.json` says it: of `size`, -1 to 1."""
    from pagesort.pages.preprocessing import GAP_KEY, REDUCING_GAP

    height, width = size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        GAP_KEY: REDUCING_GAP,
    }
