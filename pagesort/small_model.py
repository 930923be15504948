"""Make the bundled model: draw pages, train a small dual encoder on them, write the model folder.

    python3 -m pagesort.small_model --real FOLDER --out models/pagesort-small

A RegNetX-400MF image tower (arXiv 2003.13678, from timm) sees the whole page, 384 × 272 pixels; a
three-layer text tower reads the descriptions with the first 4,098 tokens of CLIP's vocabulary.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.errors import PageSortError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, VisionTextDualEncoderModel

    from pagesort.page_cache import Shard
    from pagesort.pretraining import Recipe

logger = logging.getLogger(__name__)

NAME = "pagesort-small"
VOCABULARY_SIZE = 4098
CONTEXT_LENGTH = 77
_PROMPTS = ("a scan of {description}", "a page with {description}", "{description}")
_WATCHED_PAGES = 440
_ROOT = Path(__file__).parents[1]


def build_dual_encoder(tokenizer: PreTrainedTokenizerBase) -> VisionTextDualEncoderModel:
    """Return the two towers with random weights (6 million parameters)."""
    from transformers import (
        CLIPTextConfig,
        TimmWrapperConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    vision = TimmWrapperConfig(architecture="regnetx_004", num_labels=0)
    vision.hidden_size = 384
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


def default_recipe() -> Recipe:
    """The recipe of the model in `models/`: small views first, where a view costs a third."""
    from pagesort.pretraining import Phase, Recipe

    return Recipe(
        phases=(
            Phase(size=(224, 160), batches=1200, pages=8_800, real_share=0.15),
            Phase(size=(320, 224), batches=1000, pages=19_800, real_share=0.3),
            Phase(size=(384, 272), batches=700, pages=19_800, real_share=0.4),
        )
    )


def make(arguments: argparse.Namespace) -> None:
    """Draw, train, measure and write, as one process of possibly several that train together."""
    import torch
    from transformers import set_seed

    from pagesort.averaging import MovingAverage
    from pagesort.calibration import fit_temperature
    from pagesort.descriptions import prompt_texts, read_descriptions
    from pagesort.page_cache import PageCache, read_real_pages
    from pagesort.pretraining import Collator, PageLearner, PageViews, Watch, train
    from pagesort.synth import LABELS, REGIONS
    from pagesort.tokenizer import clip_tokenizer

    started = time.time()
    recipe = _scaled(default_recipe(), arguments.scale)
    first = int(os.environ.get("RANK", "0")) == 0
    world = int(os.environ.get("WORLD_SIZE", "1"))
    drawn = PageCache(arguments.cache, recipe.seed, max(p.pages for p in recipe.phases))
    fresh = PageCache(arguments.cache, recipe.seed + 1, _WATCHED_PAGES)
    pools = [cache.start_drawing(arguments.processes) for cache in (fresh, drawn)] if first else []
    real = read_real_pages(arguments.real, LABELS) if arguments.real else None
    watched = {"artificial": _joined([fresh.shard(n) for n in range(fresh.shard_count)])}
    if arguments.watch and first:
        watched["watched"] = read_real_pages(arguments.watch, LABELS)

    set_seed(recipe.seed)
    descriptions = read_descriptions(arguments.descriptions)
    descriptions = {label: descriptions[label] for label in LABELS}
    tokenizer = clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH)
    sampled = _all_prompts(descriptions)
    model = build_dual_encoder(tokenizer)
    learner = PageLearner(model, len(LABELS), len(REGIONS), recipe)
    average = MovingAverage(model, recipe.ema_decay)
    prompts = prompt_texts(descriptions, _PROMPTS[0])
    watch = Watch(average, model, prompts, tokenizer, recipe, watched, every=arguments.every)
    train(
        learner,
        PageViews(recipe, drawn, real, LABELS, world),
        Collator(recipe, sampled, tokenizer),
        watch,
        recipe,
        arguments.cache / "checkpoints",
        use_cpu=not torch.cuda.is_available(),
    )
    for pool in filter(None, pools):
        pool.join()
    if first:
        facts = {
            "recipe": asdict(recipe),
            "real_pages": 0 if real is None else len(real.labels),
            "processes": world,
            "hours": round((time.time() - started) / 3600, 2),
            "history": watch.history,
        }
        worn = worn_pages(watched["artificial"], LABELS, recipe.seed + 1)
        logits = _logits_of(model, worn, prompts, tokenizer, recipe)
        temperature = fit_temperature(logits.numpy(), worn.labels)
        _write(arguments.out, model, tokenizer, recipe, descriptions, temperature, facts)


def _scaled(recipe: Recipe, scale: float) -> Recipe:
    """A share of the steps, from as small a share of the pages, for trying things out."""
    phases = tuple(
        replace(
            phase,
            batches=max(1, round(phase.batches * scale)),
            pages=max(1, round(phase.pages * scale)),
        )
        for phase in recipe.phases
    )
    return replace(recipe, phases=phases)


def _joined(shards: Sequence[Shard]) -> Shard:
    import numpy as np

    from pagesort.page_cache import Shard

    return Shard(
        np.concatenate([shard.pages for shard in shards]),
        np.concatenate([shard.regions for shard in shards]),
        np.concatenate([shard.labels for shard in shards]),
        has_regions=True,
    )


def _all_prompts(descriptions: dict[str, list[str]]) -> dict[str, list[str]]:
    from pagesort.descriptions import prompt_texts

    by_prompt = [prompt_texts(descriptions, prompt) for prompt in _PROMPTS]
    return {label: [text for texts in by_prompt for text in texts[label]] for label in descriptions}


def _logits_of(
    model: Any, shard: Shard, prompts: dict[str, list[str]], tokenizer: Any, recipe: Recipe
) -> torch.Tensor:
    from pagesort.pretraining import page_logits

    return page_logits(model, shard, prompts, tokenizer, recipe)


def worn_pages(shard: Shard, labels: Sequence[str], seed: int) -> Shard:
    """Return the pages of a shard after three rounds of what training does to its views.

    Fresh artificial pages are easier than real ones; a temperature fitted on them would leave the
    model far too sure of itself on real scans.
    """
    import numpy as np

    from pagesort.page_cache import STORED_SIZE
    from pagesort.views import random_view

    pages = []
    for row, page in enumerate(shard.pages):
        rng = np.random.default_rng((seed, row))
        for _ in range(3):
            label = labels[int(shard.labels[row])]
            page = random_view(page, shard.regions[row], STORED_SIZE, label, rng).pixels
        pages.append(page)
    return replace(shard, pages=np.stack(pages))


def _write(
    out: Path,
    model: Any,
    tokenizer: Any,
    recipe: Recipe,
    descriptions: dict[str, list[str]],
    temperature: float,
    facts: dict[str, Any],
) -> None:
    from pagesort.checkpoints import ModelMetadata, save_folder

    height, width = recipe.phases[-1].size
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
    }
    metadata = ModelMetadata(
        labels=tuple(descriptions),
        descriptions=descriptions,
        prompt=_PROMPTS[0],
        average=True,
        temperature=temperature,
        base=NAME,
        training=facts,
    )
    save_folder(out, model.float(), tokenizer, preprocessor, metadata)
    logger.info("written: %s; %s", out, json.dumps(facts["history"][-1:]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m pagesort.small_model", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--out", type=Path, default=_ROOT / "models" / NAME, help="the model folder to write")
    add("--real", type=Path, help="FOLDER/<label>/*: real pages to train on beside the drawn ones")
    add("--watch", type=Path, help="FOLDER/<label>/*: real pages that are only scored, never seen")
    add("--cache", type=Path, default=_ROOT / "model_checkpoints" / NAME, help="for drawn pages")
    add(
        "--descriptions",
        type=Path,
        default=_ROOT / "category_description_total.tsv",
        help="table with label and description",
    )
    add("--processes", type=int, default=os.cpu_count() or 1, help="processes that draw and train")
    add("--every", type=int, default=300, help="steps between two measurements")
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

    torchrun(["--standalone", "--nproc-per-node", str(count), "-m", __spec__.name, *words])


if __name__ == "__main__":
    sys.exit(main())
