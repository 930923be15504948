"""Fixtures that several test modules share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pagesort.common.hardware import free_memory
from tests.helpers.labels import LABELS
from tests.helpers.paths import ROOT

if TYPE_CHECKING:
    from classifier import CLIP
    from tests.helpers.drawing_processes import KeptProcesses

# Torch has not been imported yet. Processes with a thread a processor each would wait for one
# another at every layer; what is started as a process of its own inherits this.
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if PROCESSES > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // PROCESSES)))

# What is written is flushed to the disk, many times a run: memory keeps nobody waiting for that.
MEMORY_DISK = Path("/dev/shm")
MEMORY_NEEDED = 8 << 30
MAY_NOT_RUN = getattr(os, "ST_NOEXEC", 0)  # programs that tests write
if os.access(MEMORY_DISK, os.W_OK) and not os.statvfs(MEMORY_DISK).f_flag & MAY_NOT_RUN:
    ROOM = min(shutil.disk_usage(MEMORY_DISK).free, free_memory())
    if ROOM > MEMORY_NEEDED:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_DISK))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while all tests and libraries are loaded: they stay till the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _little_garbage() -> None:
    """Leave what is loaded already out of collections of garbage.

    The libraries collect before each training, which takes half a second of all that tests loaded.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _drawing_processes() -> Iterator[KeptProcesses]:
    """Keep processes that draw PDF pages from test to test."""
    from tests.helpers.drawing_processes import kept_processes

    with kept_processes() as kept:
        yield kept


@pytest.fixture
def own_drawing_processes(
    _drawing_processes: KeptProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start and end processes that draw PDF pages as a program does."""
    monkeypatch.setattr(_drawing_processes, "is_on", False)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the 11 default labels: a random CLIP for pages of 32 x 32 pixels."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from pagesort.models.descriptions import read_descriptions
    from pagesort.models.external_formats import clip_preprocessor
    from pagesort.models.formats import ModelMetadata, save_folder
    from pagesort.models.tokenizer import clip_tokenizer

    tokenizer = clip_tokenizer(1000, 77)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 24,
    }
    text = {"vocab_size": 1000, "bos_token_id": 998, "eos_token_id": 999, "pad_token_id": 999}
    config = CLIPConfig(
        text_config=tower | text,
        vision_config=tower | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = CLIPModel(config).eval()
        with torch.no_grad():
            # Random towers see all pages alike; larger weights make their answers differ.
            for tensor in model.parameters():
                tensor.mul_(3.0) if tensor.ndim > 1 else None
    folder = tmp_path_factory.mktemp("models") / "tiny"
    descriptions = read_descriptions(ROOT / "category_description_total.tsv")
    metadata = ModelMetadata(labels=LABELS, descriptions=descriptions, base="tiny")
    save_folder(folder, model, tokenizer, clip_preprocessor(32), metadata)
    return folder


@pytest.fixture(scope="session")
def clip(tiny_model_folder: Path) -> CLIP:
    """The tiny model, open to predict."""
    from classifier import CLIP

    return CLIP.open(tiny_model_folder, device="cpu", lean=True)
