"""Opening a model without `transformers`: the same answers, and no kind that is not known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import CLIP
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.models import formats
from pagesort.models.fast import fast_loading
from pagesort.models.fast.fast_loading import load_lean
from pagesort.models.fast.towers import LITE_FACTORS, DualEncoder, LiteTower
from tests.helpers.paths import ROOT
from tests.helpers.random_models import save_random_dual_encoder

TEXTS = ["a page", "“two” ﬁles, <|endoftext|> Žluťoučký 12", "word " * 90, ""]
# What sorting a page needs none of, and what took two thirds of its time; scipy finds lines.
SPARED = (
    *("transformers", "timm", "torchvision", "huggingface_hub", "accelerate", "scipy", "sklearn"),
    *("pandas", "matplotlib", "sympy", "torch._dynamo", "torch._inductor", "pypdfium2"),
)


def edited(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change one JSON file of a model folder."""
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    change(content)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def tiny(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def lite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the smaller bundled one's kind: EfficientNet-Lite0, a small text tower."""
    from transformers import TimmWrapperConfig

    vision = TimmWrapperConfig(
        architecture="tf_efficientnet_lite0", num_labels=0, model_args={"drop_path_rate": 0.2}
    )
    vision.hidden_size = 1280
    return save_random_dual_encoder(tmp_path_factory.mktemp("lite") / "lite", vision, {})


def answers(classifier: CLIP, count: int) -> list[np.ndarray]:
    """Everything that a classifier tells of some texts and `count` pages, in float32."""
    height, width = classifier.preprocessing.input_size
    pages = np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return [
        classifier.embed_texts(TEXTS).numpy(),
        *(classifier.embed_texts([text]).numpy() for text in TEXTS),
        classifier.embed_texts(["two", "one"]).numpy(),
        classifier.label_embeddings.numpy(),
        classifier.embed_images(pages).numpy(),
        classifier.embed_images(pages[:1]).numpy(),
        classifier.probabilities(pages),
    ]


def assert_same_answers(folder: Path, most: float = 0.0, pages: int = 3) -> None:
    """Compare all answers with those of the general way; page's may differ by `most`."""
    lean, full = (CLIP.open(folder, device="cpu", lean=lean) for lean in (True, False))
    assert isinstance(lean.model, DualEncoder)
    assert not isinstance(full.model, DualEncoder)
    told, expected = answers(lean, pages), answers(full, pages)
    assert all(np.isfinite(each).all() for each in told)
    for ours, theirs in zip(told, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.abs(ours - theirs).max() <= most
    assert lean.fingerprint == full.fingerprint


@pytest.mark.parametrize("kind", ["plain", "old end mark", "gelu", "float16", "old buffers"])
def test_a_clip_answers_the_same_to_the_last_bit(tiny: Path, kind: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    if kind == "old end mark":
        edited(tiny, "config.json", lambda config: config["text_config"].update(eos_token_id=2))
    elif kind == "gelu":
        edited(tiny, "config.json", lambda config: config["text_config"].update(hidden_act="gelu"))
        edited(
            tiny, "config.json", lambda config: config["vision_config"].update(hidden_act="gelu")
        )
    elif kind == "float16":
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    elif kind == "old buffers":
        tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(tensors, tiny / "model.safetensors", metadata={"format": "pt"})
    assert_same_answers(tiny)


def test_a_model_of_the_bundled_kind_answers_the_same(lite_folder: Path) -> None:
    assert_same_answers(lite_folder, most=1e-5)


@pytest.mark.parametrize(
    "folder", [BUNDLED_MODEL, pytest.param(SMALL_MODEL, marks=pytest.mark.slow)]
)
def test_the_bundled_models_open_without_transformers_and_answer_the_same(folder: Path) -> None:
    assert_same_answers(folder, most=1e-5, pages=1)


@pytest.mark.parametrize("variant", LITE_FACTORS)
def test_lite_towers_have_the_weights_of_timms(variant: str) -> None:
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(f"tf_efficientnet_{variant}", num_classes=0).state_dict()
        ours = LiteTower(variant).timm_model.state_dict()
    assert {name: t.shape for name, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda c: c.update(model_type="siglip")),
        ("config.json", lambda c: c.update(text_config_dict={"hidden_size": 32})),
        ("config.json", lambda c: c.update(quantization_config={"bits": 4})),
        ("config.json", lambda c: c.update(auto_map={"AutoModel": "evil.Model"})),
        ("config.json", lambda c: c.update(attn_implementation="eager")),
        ("config.json", lambda c: c.update(projection_dim=25)),
        ("config.json", lambda c: c.pop("vision_config")),
        ("config.json", lambda c: c["text_config"].update(hidden_act="relu")),
        ("config.json", lambda c: c["text_config"].update(num_hidden_layers=3)),
        ("config.json", lambda c: c["text_config"].update(hidden_size="32")),
        ("config.json", lambda c: c["text_config"].update(vocab_size=999)),
        ("config.json", lambda c: c["vision_config"].update(num_attention_heads=5)),
        ("config.json", lambda c: c["vision_config"].update(num_hidden_layers=1)),
        ("config.json", lambda c: c["vision_config"].update(patch_size=0)),
        ("tokenizer_config.json", lambda c: c.update(tokenizer_class="BertTokenizer")),
        ("tokenizer_config.json", lambda c: c.update(padding_side="left")),
        ("tokenizer_config.json", lambda c: c.update(additional_special_tokens=["<x>"])),
        ("tokenizer_config.json", lambda c: c.update(pad_token="!")),
        ("tokenizer.json", lambda c: c.update(normalizer=None)),
        ("tokenizer.json", lambda c: c["pre_tokenizer"]["pretokenizers"].pop()),
        ("tokenizer.json", lambda c: c["post_processor"].update(cls=["<|endoftext|>", 999])),
        ("tokenizer.json", lambda c: c["model"].update(end_of_word_suffix="")),
        ("tokenizer.json", lambda c: c["added_tokens"][0].update(lstrip=True)),
        ("tokenizer.json", lambda c: c.pop("model")),
    ],
)
def test_other_kinds_are_left_to_the_general_way(
    tiny: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    assert load_lean(tiny) is not None
    edited(tiny, name, change)
    assert load_lean(tiny) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda vision: vision.update(architecture="tf_efficientnet_b0"),
        lambda vision: vision.update(architecture="tf_efficientnet_lite1"),
        lambda vision: vision.update(architecture=None),
        lambda vision: vision.update(model_type="vit"),
        lambda vision: vision.update(do_pooling=False),
        lambda vision: vision.update(model_args={"global_pool": "max"}),
    ],
)
def test_other_image_towers_are_left_to_the_general_way(
    lite_folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = Path(shutil.copytree(lite_folder, tmp_path / "lite"))
    edited(folder, "config.json", lambda config: change(config["vision_config"]))
    assert load_lean(folder) is None


@pytest.mark.parametrize(
    "missing", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_an_incomplete_folder_is_left_to_the_general_way(tiny: Path, missing: str) -> None:
    (tiny / missing).write_bytes((tiny / missing).read_bytes()[:100])
    assert load_lean(tiny) is None
    (tiny / missing).unlink()
    assert load_lean(tiny) is None


def test_files_of_older_programs_are_left_to_the_general_way(tiny: Path) -> None:
    (tiny / "special_tokens_map.json").write_text('{"pad_token": "!"}', encoding="utf-8")
    assert load_lean(tiny) is None


def test_what_is_not_known_opens_the_general_way(tiny: Path) -> None:
    edited(tiny, "config.json", lambda config: config["text_config"].update(hidden_act="relu"))
    model, _ = fast_loading.load_to_predict(tiny)
    assert type(model).__name__ == "CLIPModel"


def test_weights_are_hashed_only_when_that_is_asked_for(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    hashed = formats.fingerprint
    monkeypatch.setattr(formats, "fingerprint", lambda path: calls.append(path) or hashed(path))
    classifier = CLIP.open(tiny_model_folder, device="cpu", lean=True)
    variant = classifier.variant(temperature=2.0)
    assert calls == []
    assert classifier.model_fingerprint == variant.model_fingerprint == hashed(tiny_model_folder)
    assert calls == [tiny_model_folder]


def test_sorting_and_reading_a_page_load_nothing_that_they_do_not_need(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.png"
    Image.linear_gradient("L").save(page)
    words = ["-f", str(page), "--model_path", str(tiny_model_folder), "--device", "cpu"]
    code = (
        f"import sys, run; status = run.main({words!r});"
        "from pagesort.reading import ctc_reader, line_finder, read_run;"
        f"print([name for name in {SPARED!r} if name in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    first, *guesses, loaded = done.stdout.splitlines()
    assert (first, loaded) == (str(page), "[] 0"), done.stderr
    assert guesses[0].endswith("%")
