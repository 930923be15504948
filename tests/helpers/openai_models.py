"""Random CLIPs built by `open_clip`, and the files of the published formats made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

LABELS = ("DRAW", "LINE_HW", "TEXT_P")
TEXTS = {
    "DRAW": ["a drawing or a map", "a plan with a legend"],
    "LINE_HW": ["a table filled in by hand", "a handwritten register"],
    "TEXT_P": ["a printed page", "paragraphs of print"],
}
TINY = {
    "embed_dim": 48,
    "vision_cfg": {"layers": 3, "width": 128, "patch_size": 8, "image_size": 40},
    "text_cfg": {"layers": 2, "width": 64, "heads": 1, "context_length": 32, "vocab_size": 49408},
}
VIT_B_32 = {
    "embed_dim": 512,
    "vision_cfg": {"layers": 12, "width": 768, "patch_size": 32, "image_size": 224},
    "text_cfg": {"layers": 12, "width": 512, "heads": 8, "context_length": 77, "vocab_size": 49408},
}


def random_model(sizes: dict[str, Any], seed: int = 5) -> torch.nn.Module:
    """An `open_clip` model of these sizes in OpenAI's naming, with telling random weights."""
    from open_clip.model import CLIP

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIP(**sizes, quick_gelu=True).eval()
        with torch.no_grad():
            for name, tensor in model.named_parameters():
                # Norms and biases start as ones and zeros, which would hide a mistake in them.
                if tensor.ndim == 1:
                    tensor.add_(torch.randn_like(tensor) * 0.1)
                elif "resblocks" in name:
                    tensor.mul_(1.5)
                # Every weight is a float16 number, so that a file of those holds the same model.
                tensor.copy_(tensor.half().float())
    return model


def openai_state(model: torch.nn.Module, *, half: bool = False) -> dict[str, torch.Tensor]:
    """The weights under OpenAI's names; `half` keeps only norms and scales in float32."""
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if half:
        kept = ("ln_", "logit_scale")
        state = {
            name: value if any(part in name for part in kept) else value.half()
            for name, value in state.items()
        }
    return state


def write_published(
    folder: Path, state: dict[str, torch.Tensor], weights: str = "model.safetensors", **facts: Any
) -> Path:
    """Write a folder of the published format; `facts` replace or, where None, remove entries."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file({f"model.{name}": value for name, value in state.items()}, folder / weights)
    content = {
        "model_name": "ViT-B/32",
        "categories": list(LABELS),
        "texts": TEXTS,
        "avg": True,
        "zero_shot": False,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "text_feat_dim": 512,
        "vision_feat_dim": 224,
        "rnd_data_seed": 420,
    }
    content = {key: value for key, value in (content | facts).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_checkpoint(path: Path, state: dict[str, Any], **extra: Any) -> Path:
    """Write a `.pt` training checkpoint as the published code does."""
    content = {
        "epoch": 2,
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1e-7, "betas": (0.9, 0.98)}]},
        "loss": 0.25,
        "rnd_data_seed": 420,
        "category_limit": None,
    }
    torch.save(content | extra, path)
    return path


def write_pages(folder: Path) -> list[Path]:
    """Pages of the size of real scans: portrait, landscape, grey, and one of a strange shape."""
    shapes = {"a": (1240, 1754), "b": (1754, 1241), "c": (900, 1403), "d": (333, 1999)}
    pages = []
    for number, (name, (width, height)) in enumerate(shapes.items()):
        random = np.random.default_rng(number)
        noise = random.integers(200, 256, (height, width, 3), dtype=np.uint8)
        page = Image.fromarray(noise)
        draw = ImageDraw.Draw(page)
        for top in range(height // 10, height - 40, 37):
            end = int(random.integers(width // 2, width - 30))
            draw.rectangle(
                (width // 12, top, end, top + 12), fill=tuple(random.integers(0, 120, 3))
            )
        draw.ellipse((width // 3, height // 2, width // 2, height - 60), outline="black", width=9)
        page = page.convert("L") if number == 1 else page
        folder.mkdir(exist_ok=True)
        pages.append(folder / f"{name}.png")
        page.save(pages[-1])
    return pages
