"""What the tests of the hub share: a hub with models on it, and a settings-free environment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pagesort.hub.client import Patience
from pagesort.models.external_formats import CLIP_MEAN, CLIP_STD
from pagesort.models.tokenizer import clip_tokenizer
from tests.helpers import hub_server
from tests.helpers.openai_models import TINY, openai_state, random_model, write_published

PUBLISHED = "ufal/clip-historical-page"
BASE = "openai/clip-vit-base-patch16"
SMALL = TINY | {"text_cfg": TINY["text_cfg"] | {"vocab_size": 2000}}
# Tries as often as by default, but does not wait.
QUICK = Patience(pause=0.01, longest_pause=0.05, connect=2.0, answer=0.5)
SECRETS = (hub_server.WRITER, hub_server.READER, hub_server.STRANGER, "hf_wrongOne")
_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's own cache, login, proxy and offline switch out of the tests.

    The library has read its variables when it was imported, so that what they would have set is
    set here.
    """
    from huggingface_hub import constants

    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "hf_home"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(published: Path, base_folder: Path) -> Iterator[hub_server.HubServer]:
    """A hub with the published model's v1.1, and the whole base model."""
    with hub_server.running() as server:
        server.add(PUBLISHED, published, "main")
        server.add(PUBLISHED, published, "v1.1")
        server.add(BASE, base_folder)
        yield server


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the published format, made from random weights."""
    folder = tmp_path_factory.mktemp("published") / "model"
    state = openai_state(random_model(SMALL), half=True)
    return write_published(folder, state, model_name="ViT-B/16", image_size=40)


@pytest.fixture(scope="session")
def base_folder(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model as its own repository has it: weights in two forms, old-style settings."""
    import torch
    from safetensors.torch import load_file

    from pagesort.models.formats import open_model_folder

    folder = tmp_path_factory.mktemp("base") / "files"
    shutil.copytree(open_model_folder(published, tmp_path_factory.mktemp("converted")), folder)
    (folder / "pagesort.json").unlink()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    clip_tokenizer(2000, 32).save_pretrained(folder)
    content = {
        "crop_size": 40, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD, "resample": 3, "size": 40,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def weights_of(folder: Path) -> dict[str, Any]:
    """The tensors of a model folder."""
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def assert_equal_weights(first: Path, second: Path) -> None:
    """Compare two model folders tensor by tensor, exactly."""
    import torch

    one, other = weights_of(first), weights_of(second)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_no_secret(*texts: str) -> None:
    """No token and no signed address may reach a person or a file."""
    secrets = [*SECRETS, "topSecretSignature"]
    found = [secret for secret in secrets for text in texts if secret in text]
    assert found == []
