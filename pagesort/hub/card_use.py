"""How a published model is used, by its card: with this program, and with `transformers` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pagesort.models.metadata import ModelMetadata
from pagesort.pages.preprocessing import Preprocessing

_BEGINNING = """\
import json
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from PIL import Image, ImageOps
from transformers import {classes}
{known}
folder = snapshot_download("{repository}", revision="{revision}")
model = {model}.from_pretrained(folder).eval()
processor = AutoImageProcessor.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
facts = json.loads(Path(folder, "pagesort.json").read_text(encoding="utf-8"))

# The page, resized by Pillow; the processor then only turns pixels into numbers.
page = ImageOps.exif_transpose(Image.open("page.png")).convert("RGB")
"""
_KNOWN = """\

from pagesort.models.trunks_model import make_known

make_known()
"""
_SQUASHED = "page = page.resize(({width}, {height}), {resample}{gap})\n"
_CROPPED = """\
edge, short, long = {edge}, min(page.size), max(page.size)
width, height = (edge, int(edge * long / short))[:: 1 if page.width <= page.height else -1]
page = page.resize((width, height), {resample}{gap})
left, top = round((width - {crop_width}) / 2), round((height - {crop_height}) / 2)
page = page.crop((left, top, left + {crop_width}, top + {crop_height}))
"""
_END = """\
as_it_is = dict(do_resize=False, do_center_crop=False, return_tensors="pt")
pixels = processor(page, **as_it_is)["pixel_values"]


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def prompted(text, prompt):
    before, after = prompt.split("{description}")
    before = "" if text.lower().startswith(before.lower()) else before
    return before + text + ("" if text.lower().endswith(after.lower()) else after)


@torch.inference_mode()
def embedded(texts):
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=MOST, return_tensors="pt")
    tokens = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    return unit(model.text_projection(model.text_model(**tokens).pooler_output))


# A label is the mean of its descriptions in every prompt.
prompts = facts["prompt"] if isinstance(facts["prompt"], list) else [facts["prompt"]]
rows = []
for label in facts["labels"]:
    texts = facts["descriptions"][label][: None if facts["average"] else 1]
    rows.append(embedded([prompted(text, each) for text in texts for each in prompts]).mean(dim=0))
with torch.inference_mode():
    seen = unit(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output))
    scale = model.logit_scale.exp() / facts["temperature"]
    scores = (scale * seen @ unit(torch.stack(rows)).T).softmax(dim=-1)[0]
for place in scores.argsort(descending=True)[:3]:
    print(facts["labels"][place], f"{scores[place]:.3f}")
"""
_DIFFERENCE = (
    "These lines give the scores that pagesort gives. What `AutoImageProcessor` and a zero-shot "
    "pipeline do by themselves differs in three things: the page is resized in another way{gap}, a "
    "label has one text only, and the temperature is left out. A page's score can so move by 0.1 "
    "and more. Beyond these lines pagesort reads PDFs and TIFFs page by page, transparency and 16 "
    "bits a pixel as a viewer shows them, and lets decoders shrink large JPEGs, which moves scores "
    "by some thousandths."
)


def use_section(
    repository: str,
    revision: str,
    config: Mapping[str, Any],
    metadata: ModelMetadata,
    preprocessing: Preprocessing,
) -> str:
    """Write the section of a card that says what a model is for and how it is used.

    Args:
        repository: `owner/name` that it is published as.
        revision: the branch.
        config: the content of `config.json`.
        metadata: labels and texts; without these, only loading is shown.
        preprocessing: how the model wants its pages.
    """
    needs = " (needs `timm`)" if "timm" in json.dumps(config) else ""
    if _is_ours(config):
        needs = " (its image tower is a class of pagesort, whose folder Python must find)"
    parts = [
        "## Use",
        "Intended for sorting scans of archive and library pages, with a person who looks at the "
        "doubtful ones. Not for decisions about people, and not for pages unlike those it was made "
        "for.",
        f"With pagesort, set `repo_name` in the section `[HF]` of `config.txt` to `{repository}`:",
        f"```\npython3 run.py --hf -rev {revision}\npython3 run.py -d FOLDER -rev {revision}\n```",
        f"Without it{needs}:",
        f"```python\n{_snippet(repository, revision, config, metadata, preprocessing)}```",
    ]
    if metadata.labels:
        how = " (`reducing_gap` is a setting of Pillow's)" if preprocessing.reducing_gap else ""
        parts.append(_DIFFERENCE.format(gap=how))
    return "\n\n".join(parts)


def _is_ours(config: Mapping[str, Any]) -> bool:
    """Whether the image tower is one that `transformers` does not bring."""
    from pagesort.models.fast.page_trunks import KIND

    return (config.get("vision_config") or {}).get("model_type") == KIND


def _snippet(
    repository: str,
    revision: str,
    config: Mapping[str, Any],
    metadata: ModelMetadata,
    preprocessing: Preprocessing,
) -> str:
    """Lines of Python from a page's file to its scores, with `transformers` and Pillow alone."""
    model = "CLIPModel" if config.get("model_type") == "clip" else "AutoModel"
    classes = ", ".join(sorted(("AutoImageProcessor", "AutoTokenizer", model)))
    beginning = _BEGINNING.format(
        classes=classes,
        known=_KNOWN if _is_ours(config) else "",
        repository=repository,
        revision=revision,
        model=model,
    )
    if not metadata.labels:  # an untouched model, whose texts are anybody's
        return beginning.partition("facts = ")[0].replace("import json\n", "")
    most = (config.get("text_config") or {}).get("max_position_embeddings", 77)
    return beginning + _resizing(preprocessing) + _END.replace("MOST", str(most))


def _resizing(preprocessing: Preprocessing) -> str:
    """The lines that bring a page to the model's input as `Preprocessing` does."""
    gap = preprocessing.reducing_gap
    values: dict[str, object] = {
        "resample": preprocessing.resample,
        "gap": "" if gap is None else f", reducing_gap={gap:g}",
    }
    if preprocessing.resize is not None:
        height, width = preprocessing.resize
        return _SQUASHED.format(width=width, height=height, **values)
    assert preprocessing.crop is not None  # as its shape is kept
    height, width = preprocessing.crop
    edge = preprocessing.shortest_edge
    return _CROPPED.format(edge=edge, crop_width=width, crop_height=height, **values)
