"""What the speed benchmark runs on: random models of the published shapes, and drawn pages."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

DESCRIPTIONS = ROOT / "category_description_total.tsv"
OPEN_CLIP_FILE = "open_clip.safetensors"
PAGE_HEIGHT = 2300  # pixels: A4 at 200 dpi, 1,650 x 2,300
PAGE_SEED = 7
MOST_DRAWN = 110
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
CONTEXT, VOCABULARY = 77, 49408
SCALE = 20.0  # of random models' logits: with 100, as trained ones have, hardly a guess is unsure
PATTERNS = 4


@dataclass(frozen=True)
class Shape:
    """Sizes of a CLIP, and how much of it a measurement of a minute needs.

    `pages` are sorted in a round, `views` are trained on (0: left out); `batches` are tried with
    every program that works in batches.
    """

    pages: int
    views: int
    batches: tuple[int, ...]
    patch: int = 0
    image: int = 224
    width: int = 768
    layers: int = 12
    text_width: int = 512
    text_layers: int = 12

    @property
    def open_clip_sizes(self) -> dict[str, Any]:
        """What `open_clip.model.CLIP` takes."""
        vision = {"layers": self.layers, "width": self.width, "patch_size": self.patch}
        text = {"layers": self.text_layers, "width": self.text_width}
        heads = {"heads": self.text_width // 64, "vocab_size": VOCABULARY}
        return {
            "embed_dim": self.text_width,
            "vision_cfg": vision | {"image_size": self.image},
            "text_cfg": text | heads | {"context_length": CONTEXT},
            "quick_gelu": True,
        }


BUNDLED = "bundled"
SHAPES = {
    BUNDLED: Shape(pages=88, views=330, batches=(1, 8, 16)),
    "ViT-B/32": Shape(pages=48, views=330, batches=(1, 8, 16), patch=32),
    "ViT-B/16": Shape(pages=32, views=44, batches=(1, 8, 16), patch=16),
    "ViT-L/14@336": Shape(
        pages=6, views=0, batches=(1, 3), patch=14, image=336, width=1024, layers=24, text_width=768
    ),
    "tiny": Shape(
        pages=4, views=11, batches=(1, 2), patch=8, image=32, width=64, layers=2, text_width=64,
        text_layers=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A `transformers` folder, and the same weights for `open_clip`, where it can take them."""

    folder: Path
    open_clip: Path | None


def get_model(name: str, kept: Path) -> Model:
    """Return the bundled model, or random weights of a shape, made once in the folder `kept`."""
    if name == BUNDLED:
        from pagesort.common.paths import BUNDLED_MODEL

        return Model(BUNDLED_MODEL, None)
    folder = kept / name.replace("/", "-")
    weights = kept / f"{folder.name}-{OPEN_CLIP_FILE}"
    if not (folder.is_dir() and weights.is_file()):
        kept.mkdir(parents=True, exist_ok=True)
        _write_random(name, folder, weights)
    return Model(folder, weights)


def _write_random(name: str, folder: Path, weights: Path) -> None:
    """Write one random CLIP in both forms."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPModel

    from pagesort.models.descriptions import read_descriptions
    from pagesort.models.external_formats import clip_preprocessor
    from pagesort.models.formats import ModelMetadata, save_folder
    from pagesort.models.openai_clip import convert_state_dict
    from pagesort.models.tokenizer import clip_tokenizer

    shape = SHAPES[name]
    torch.manual_seed(0)
    state = _sharpened(name, new_open_clip(name)).state_dict()
    config, tensors = convert_state_dict(state, shape.image)
    model = CLIPModel(config)
    model.load_state_dict(tensors)
    descriptions = read_descriptions(DESCRIPTIONS)
    save_folder(
        folder,
        model.eval(),
        clip_tokenizer(VOCABULARY, CONTEXT),
        clip_preprocessor(shape.image),
        ModelMetadata(labels=tuple(descriptions), descriptions=descriptions, base=name),
    )
    save_file({key: value.contiguous() for key, value in state.items()}, weights)


def new_open_clip(name: str) -> Any:
    """Return an `open_clip` model of a shape with weights of no use."""
    from open_clip.model import CLIP

    return CLIP(**SHAPES[name].open_clip_sizes).eval()


def _sharpened(name: str, model: Any) -> Any:
    """Make random towers tell pages apart, as trained ones do, so that answers can be compared.

    What all pages have in common would decide every answer; it is projected out of the embeddings.
    """
    import torch

    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if "resblocks" in key and tensor.ndim > 1:
                tensor.mul_(1.5)
        model.logit_scale.fill_(math.log(SCALE))
        tower, size = model.visual, SHAPES[name].image
        projection, tower.proj = tower.proj, None
        blocks = torch.rand(PATTERNS, 3, 8, 8)
        white = torch.where(blocks > 0.2, 1.9, 8 * blocks)  # mostly paper
        seen = tower(torch.nn.functional.interpolate(white, (size, size)))
        common = torch.nn.functional.normalize(seen.mean(dim=0), dim=0)
        projection -= torch.outer(common, common @ projection)
        tower.proj = projection
    return model


def get_pages(folder: Path, count: int, workers: int) -> list[Path]:
    """Return `count` pages below a folder, again from the first where it holds fewer.

    A folder that is empty or missing is filled with drawn pages of all labels.
    """
    pages = _pages_below(folder)
    if not pages:
        _draw_pages(folder, min(count, MOST_DRAWN), workers)
        pages = _pages_below(folder)
    return [pages[number % len(pages)] for number in range(count)]


def _pages_below(folder: Path) -> list[Path]:
    """All pages, the first of every subfolder before the second of any."""
    places: dict[Path, int] = {}
    numbered = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS:
            places[path.parent] = places.get(path.parent, 0) + 1
            numbered.append((places[path.parent], path))
    return [path for _, path in sorted(numbered)]


def _draw_pages(folder: Path, count: int, workers: int) -> None:
    from bundled_models.synthetic_pages.page import LABELS

    wanted = [
        (folder / LABELS[number % len(LABELS)], number) for number in range(max(count, len(LABELS)))
    ]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_draw_page, wanted))


def _draw_page(wanted: tuple[Path, int]) -> None:
    from bundled_models.synthetic_pages.page import draw_page, page_rng

    folder, number = wanted
    folder.mkdir(parents=True, exist_ok=True)
    image = draw_page(folder.name, page_rng(PAGE_SEED, number), PAGE_HEIGHT).image
    image.save(folder / f"drawn_{number:04d}-1.png")
