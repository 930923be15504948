"""Make the bundled model: draw pages, train a small dual encoder on them, write the model folder.

    python3 -m bundled_models.page_classifier --real FOLDER FOLDER --out models/pagesort-small

An EfficientNet-Lite0 image tower (timm's, started from Google's ImageNet weights) sees the whole
page, 416 × 296 pixels; a three-layer text tower, from nothing, reads the descriptions with the
first 4,098 tokens of CLIP's vocabulary. The first stage sees artificial pages alone, the second
real ones among them. The second is done once for every fold of the real pages, which it leaves out,
so as to measure and to calibrate on pages that were not seen, and once more with all of them.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundled_models.page_classifier.stages import PROMPTS, Maker, is_first
from pagesort.common.errors import PageSortError
from pagesort.common.hardware import processors
from pagesort.common.paths import DESCRIPTIONS, MODELS, TRAININGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, VisionTextDualEncoderModel

    from bundled_models.page_classifier.cross_validation import OutOfFold
    from bundled_models.page_classifier.page_cache import Shard
    from bundled_models.page_classifier.recipe import Recipe

logger = logging.getLogger(__name__)

NAME = "pagesort-small"
VOCABULARY_SIZE = 4098
CONTEXT_LENGTH = 77
_WATCHED_PAGES = 440


def build_dual_encoder(tokenizer: PreTrainedTokenizerBase) -> VisionTextDualEncoderModel:
    """Return the two towers with random weights (5 million parameters)."""
    from transformers import (
        CLIPTextConfig,
        TimmWrapperConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    from bundled_models.page_classifier.start_weights import ARCHITECTURE, EMBEDDING_SIZE

    vision = TimmWrapperConfig(architecture=ARCHITECTURE, num_labels=0)
    vision.hidden_size = EMBEDDING_SIZE
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=256)
    return VisionTextDualEncoderModel(config)


def drawn_recipe() -> Recipe:
    """The first stage: artificial pages, small views first, where a view costs half."""
    from bundled_models.page_classifier.recipe import Phase, Recipe

    return Recipe(
        phases=(
            Phase(size=(288, 204), batches=360, pages=6_600, real_share=0.0),
            Phase(size=(384, 272), batches=60, pages=6_600, real_share=0.0),
        )
    )


def real_recipe() -> Recipe:
    """The second stage: real pages among the artificial ones."""
    from bundled_models.page_classifier.recipe import Phase, Recipe

    return Recipe(
        phases=(Phase(size=(384, 272), batches=80, pages=6_600, real_share=0.5),),
        learning_rate=4e-4,
        frozen_blocks=2,
        enough_real_pages=5,
        ema_decay=0.98,
        seed=421,
    )


def make(arguments: argparse.Namespace) -> None:
    """Draw, train, measure and write, as one process of possibly several that train together."""
    drawn_stage, real_stage = (
        recipe.scaled(arguments.scale) for recipe in (drawn_recipe(), real_recipe())
    )
    maker = _maker(arguments, drawn_stage)
    maker.stage("drawn", drawn_stage)
    facts: dict[str, Any] = {"recipes": {"drawn": asdict(drawn_stage)}}
    out_of_fold = None
    if maker.real is not None:
        facts["recipes"]["real"] = asdict(real_stage)
        readings = _readings(arguments.other_descriptions, maker.labels)
        out_of_fold = maker.cross_validate(real_stage, arguments.folds, readings)
        maker.stage("all", real_stage, maker.real, start="drawn")
    if not is_first():
        return
    facts["processes"] = int(os.environ.get("WORLD_SIZE", "1"))
    facts["stages"] = maker.facts()
    if out_of_fold is None:
        temperature = _temperature_of_worn_pages(maker, drawn_stage)
    else:
        temperature = out_of_fold.temperature
        facts["cross_validation"] = _measured(out_of_fold, arguments)
    _write(arguments.out, maker, temperature, facts)


def _temperature_of_worn_pages(maker: Maker, recipe: Recipe) -> float:
    from pagesort.training.calibration import fit_temperature

    worn = worn_pages(maker.watched["artificial"], maker.labels, recipe.seed + 1)
    return fit_temperature(maker.logits(worn, recipe), worn.labels)


def _maker(arguments: argparse.Namespace, recipe: Recipe) -> Maker:
    """Read and draw the pages, and make the towers that the first stage starts from."""
    from transformers import set_seed

    from bundled_models.page_classifier.learner import PageLearner
    from bundled_models.page_classifier.page_cache import PageCache
    from bundled_models.page_classifier.real_pages import read_real_pages
    from bundled_models.page_classifier.start_weights import load_start
    from bundled_models.synthetic_pages.page import LABELS, REGIONS
    from pagesort.models.descriptions import read_descriptions
    from pagesort.models.tokenizer import clip_tokenizer
    from pagesort.training.depthwise import quicken_depthwise

    drawn = PageCache(arguments.cache, recipe.seed, max(p.pages for p in recipe.phases))
    fresh = PageCache(arguments.cache, recipe.seed + 1, _WATCHED_PAGES)
    if is_first():
        for cache in (fresh, drawn):
            cache.start_drawing(arguments.processes)
    watched = {"artificial": _joined([fresh.shard(n) for n in range(fresh.shard_count)])}
    for folder in arguments.watch if is_first() else ():
        watched[folder.name] = read_real_pages([folder], LABELS).shard
    set_seed(recipe.seed)
    descriptions = read_descriptions(arguments.descriptions)
    tokenizer = clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH)
    model = build_dual_encoder(tokenizer)
    load_start(model.vision_model.timm_model)
    quicken_depthwise(model.vision_model)
    return Maker(
        drawn=drawn,
        real=read_real_pages(arguments.real, LABELS) if arguments.real else None,
        watched=watched,
        labels=LABELS,
        descriptions={label: descriptions[label] for label in LABELS},
        tokenizer=tokenizer,
        learner=PageLearner(model, len(LABELS), len(REGIONS), recipe),
        folder=arguments.cache,
        every=arguments.every,
    )


def _measured(out_of_fold: OutOfFold, arguments: argparse.Namespace) -> dict[str, Any]:
    """Write tables and plots of the pages scored unseen; returns their figures by folder."""
    from bundled_models.page_classifier.cross_validation import (
        figures,
        text_figures,
        write_out_of_fold,
    )

    names = [folder.name for folder in arguments.real]
    seed = real_recipe().seed
    reports = write_out_of_fold(out_of_fold, names, arguments.cache, NAME, seed)
    measured = {name: figures(report) for name, report in reports.items()}
    return {**measured, "texts": text_figures(out_of_fold, names)}


def _readings(table: Path | None, labels: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Texts that training never sees: those of a table, and of groupings of the labels."""
    from bundled_models.page_classifier.trait_texts import HELD_OUT_GROUPINGS
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


def _joined(shards: Sequence[Shard]) -> Shard:
    import numpy as np

    from bundled_models.page_classifier.page_cache import Shard

    return Shard(
        np.concatenate([shard.pages for shard in shards]),
        np.concatenate([shard.regions for shard in shards]),
        np.concatenate([shard.labels for shard in shards]),
        has_regions=True,
    )


def worn_pages(shard: Shard, labels: Sequence[str], seed: int) -> Shard:
    """Return the pages of a shard after three rounds of what training does to its views.

    Fresh artificial pages are easier than real ones; a temperature fitted on them would leave the
    model far too sure of itself on real scans.
    """
    from dataclasses import replace

    import numpy as np

    from bundled_models.page_classifier.page_cache import STORED_SIZE
    from bundled_models.page_classifier.pretraining_augmentation import random_view

    pages = []
    for row, page in enumerate(shard.pages):
        rng = np.random.default_rng((seed, row))
        for _ in range(3):
            label = labels[int(shard.labels[row])]
            page = random_view(page, shard.regions[row], STORED_SIZE, label, rng).pixels
        pages.append(page)
    return replace(shard, pages=np.stack(pages))


def _write(out: Path, maker: Maker, temperature: float, facts: dict[str, Any]) -> None:
    from pagesort.labelled.folder import write_trained_pages
    from pagesort.models.formats import ModelMetadata, save_folder
    from pagesort.pages.preprocessing import GAP_KEY, REDUCING_GAP

    recipe = real_recipe()
    height, width = recipe.scored_size
    preprocessor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(recipe.image_mean),
        "image_std": list(recipe.image_std),
        GAP_KEY: REDUCING_GAP,
    }
    metadata = ModelMetadata(
        labels=maker.labels,
        descriptions=maker.descriptions,
        prompt=PROMPTS[0],
        average=True,
        temperature=temperature,
        base=NAME,
        training=facts,
    )
    model = maker.learner.dual_encoder
    save_folder(out, model.float(), maker.tokenizer, preprocessor, metadata)
    if maker.real is not None:
        write_trained_pages(out, maker.real.pages)
    logger.info("written: %s; %s", out, facts.get("cross_validation", "not measured on real pages"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bundled_models.page_classifier", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--out", type=Path, default=MODELS / NAME, help="the model folder to write")
    add(
        "--real",
        type=Path,
        nargs="+",
        default=[],
        help="FOLDER/<label>/*: real pages for the second stage; folders are equally likely",
    )
    add("--watch", type=Path, nargs="+", default=[], help="the like, scored while it trains")
    add(
        "--other_descriptions",
        type=Path,
        help="table of descriptions that are only scored on the left out pages, never trained on",
    )
    add("--folds", type=int, default=4, help="parts of the real pages left out in turn")
    add("--cache", type=Path, default=TRAININGS / NAME, help="for drawn pages")
    add(
        "--descriptions",
        type=Path,
        default=DESCRIPTIONS,
        help="table with label and description",
    )
    add("--processes", type=int, default=processors(), help="that draw and train")
    add("--every", type=int, default=100, help="steps between two measurements")
    add("--scale", type=float, default=1.0, help="share of the recipe's steps and pages")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; on a CPU it starts one training process a core."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import torch

    alone = "RANK" not in os.environ and not torch.cuda.is_available() and arguments.processes > 1
    try:
        if alone:
            _start_processes(arguments.processes, words)
        else:
            torch.set_num_threads(1)
            make(arguments)
    except PageSortError as error:
        logger.error("%s", error)
        return error.exit_status
    return 0


def _start_processes(count: int, words: Sequence[str]) -> None:
    """One-thread processes that average their gradients stall less than threads of one process."""
    from torch.distributed.run import main as torchrun

    torchrun(["--standalone", "--nproc-per-node", str(count), "-m", __package__, *words])
