"""Opening a model without the network: no file of a model may make a library fetch anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pagesort.common.checked_json import shortened
from pagesort.common.errors import PageSortError
from pagesort.models import external_formats

_SETTINGS = (
    "config.json",
    "generation_config.json",
    external_formats.PREPROCESSOR_FILE,
    "processor_config.json",
    "tokenizer_config.json",
)
_ADAPTER = "adapter_config.json"  # whose base model a library would load
# What a model is loaded from, as far as libraries ever take it from a file.
_LOADED = re.compile(r".*(name_or_path|_file|checkpoint_path|auto_map|hf_hub_id|url|backbone).*")
# Notes that are in most published models, and that nothing is loaded by.
_NOTES = {
    *("_name_or_path", "origin_url", "paper_url", "license"),
    *("id2label", "label2id", "label_names", "task_specific_params"),
}
_ELSEWHERE = re.compile(r"[A-Za-z][\w+.-]*:|.*[/\\]|.*--")
_PRETRAINED = ("pretrained", "use_pretrained_backbone", "checkpoint_path")


def check_local(folder: Path) -> None:
    """Refuse a model whose settings name something that lies elsewhere, which might be fetched.

    Raises:
        PageSortError: naming the file and the setting.
    """
    if (folder / _ADAPTER).exists():
        raise _refusal(folder / _ADAPTER, "it adapts another model")
    for name in _SETTINGS:
        path = folder / name
        if path.is_file():
            for key, value in _named(external_formats.read_json(path)):
                if key in _PRETRAINED and value:
                    raise _refusal(path, f"'{key}' asks for weights from elsewhere")
                is_name = name == "config.json" or _LOADED.fullmatch(key)
                if is_name and isinstance(value, str) and _ELSEWHERE.match(value):
                    raise _refusal(path, f"'{key}' names {shortened(value)}")


def _named(content: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Each value of nested settings with the last key that leads to it, notes left out."""
    if isinstance(content, Mapping):
        for inner, value in content.items():
            if inner not in _NOTES:
                outer = "auto_map" if key == "auto_map" else str(inner)
                yield from _named(value, outer)
    elif isinstance(content, list):
        for value in content:
            yield from _named(value, key)
    else:
        yield key, content


def _refusal(path: Path, reason: str) -> PageSortError:
    return PageSortError(
        f"the model was not opened: {reason}, and no model may make this program fetch something",
        where=path,
        remedy="Ask for a folder that holds all of the model",
    )


@contextmanager
def offline() -> Iterator[None]:
    """Keep the hub's library, and those that stand on it, from asking for anything."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
