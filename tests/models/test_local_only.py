"""No file of a model makes a library ask the network."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagesort.common.errors import PageSortError
from pagesort.models import transformers_loader
from pagesort.models.archive import export_model
from pagesort.models.fast.fast_loading import load_to_predict
from pagesort.models.local_only import check_local
from pagesort.models.transformers_loader import load_towers


def timm_tower(architecture: str, **more: Any) -> dict[str, Any]:
    """The settings of a dual encoder whose image tower timm makes."""
    text = {"model_type": "clip_text_model", "vocab_size": 1000, "hidden_size": 32}
    vision = {"model_type": "timm_wrapper", "architecture": architecture, "num_classes": 0}
    return {
        "model_type": "vision-text-dual-encoder",
        "text_config": text,
        "vision_config": vision | more,
    }


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "hub": ("config.json", lambda _: timm_tower("hf-hub:someone/model")),
    "old hub": ("config.json", lambda _: timm_tower("hf_hub:someone/model")),
    "path": ("config.json", lambda _: timm_tower("someone/model")),
    "folder": ("config.json", lambda _: timm_tower("local-dir:/etc")),
    "pretrained": (
        "config.json",
        lambda _: timm_tower("resnet18", model_args={"pretrained": True}),
    ),
    "checkpoint": (
        "config.json",
        lambda _: timm_tower("resnet18", model_args={"checkpoint_path": "evil.pt"}),
    ),
    "backbone": ("config.json", lambda c: c | {"backbone": "someone/model"}),
    "code": ("config.json", lambda c: c | {"auto_map": {"AutoModel": "someone/model--m.Model"}}),
    "tokenizer code": (
        "tokenizer_config.json",
        lambda c: c | {"auto_map": {"AutoTokenizer": ["someone/model--t.Tokenizer", None]}},
    ),
    "tokenizer": ("tokenizer_config.json", lambda c: c | {"tokenizer_file": "https://a/b.json"}),
    "base": ("tokenizer_config.json", lambda c: c | {"base_name_or_path": "someone/model"}),
    "adapter": ("adapter_config.json", lambda _: {"base_model_name_or_path": "someone/model"}),
}


def changed(source: Path, target: Path, kind: str) -> Path:
    """A copy of a model, one file of which names something elsewhere."""
    name, change = CHANGES[kind]
    shutil.copytree(source, target)
    path = target / name
    content = json.loads(path.read_bytes()) if path.exists() else {}
    path.write_text(json.dumps(change(content)))
    return target


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of other machines, which none can be reached for; the hub may be asked."""
    asked: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        asked.append(str(arguments[-1]))
        raise OSError("the test allows no connection")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return asked


@pytest.mark.parametrize("kind", CHANGES)
def test_names_of_other_places_are_refused(
    tiny_model_folder: Path, tmp_path: Path, kind: str
) -> None:
    model = changed(tiny_model_folder, tmp_path / "model", kind)
    for call in (check_local, load_towers, lambda m: export_model(m, tmp_path / "a.zip")):
        with pytest.raises(PageSortError, match="may make this program fetch") as caught:
            call(model)
        assert CHANGES[kind][0] in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_asked_for_even_where_nothing_is_checked(
    tiny_model_folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Path(shutil.copytree(tiny_model_folder, tmp_path / "noted"))
    path = noted / "config.json"
    # Notes of a model's origin are no names of places.
    notes = {"_name_or_path": "openai/clip-vit-base-patch16", "id2label": {"0": "text: a/b"}}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | notes))
    load_towers(noted)
    load_to_predict(noted)
    model = changed(tiny_model_folder, tmp_path / "model", "hub")
    with pytest.raises(PageSortError, match="may make this program fetch"):
        load_to_predict(model)
    monkeypatch.setattr(transformers_loader, "check_local", lambda _: None)
    with pytest.raises(PageSortError, match="cannot be loaded"):
        load_to_predict(model)
    assert asked == []
