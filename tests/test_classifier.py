"""The classifier against `open_clip`, its tokenizer, devices, descriptions and determinism."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import CLIP, choose_device, custom_collate
from pagesort.common.errors import PageSortError
from pagesort.models import external_formats, formats
from pagesort.models.descriptions import Table
from pagesort.models.metadata import METADATA_FILE, ModelMetadata, read_metadata
from pagesort.models.tokenizer import clean_text, clip_tokenizer
from pagesort.pages.loader import load_page
from tests.helpers.labels import LABELS as ALL_LABELS
from tests.helpers.openai_models import (
    LABELS,
    TEXTS,
    TINY,
    VIT_B_32,
    openai_state,
    random_model,
    write_checkpoint,
    write_pages,
    write_published,
)
from tests.helpers.paths import ROOT

SIZES = {"tiny": TINY, "ViT-B/32": VIT_B_32}
LONG = "archive " * 200 + "end"
STRINGS = (
    "a scan of a map",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Soupis nálezů, č. p. 1937/24 – str. 5–7; ½ m²",
    "  several\tspaces\n and lines ",
    "black &amp; white &lt;b&gt; &amp;amp; it&#39;s",
    "it's, they'll DON'T “quoted” ‘single’ ﬁrst ﬂoor ＡＢＣ１",
    "e\u0301 combined",
    "日本語 текст ελληνικά 😀 42",
    "",
    LONG,
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    drawn = write_pages(tmp_path_factory.mktemp("pages"))
    real = sorted((ROOT.parent / "shared" / "pages" / "archive").glob("*/*.png"))
    return drawn + real[::25]


@cache
def _reference(sizes: str) -> torch.nn.Module:
    return random_model(SIZES[sizes])


@cache
def _images_by_open_clip(sizes: str, *pages: Path) -> torch.Tensor:
    from open_clip.transform import image_transform

    prepare = image_transform(SIZES[sizes]["vision_cfg"]["image_size"], is_train=False)
    pixels = torch.stack([prepare(Image.open(path)) for path in pages])
    with torch.inference_mode():
        return _reference(sizes).encode_image(pixels, normalize=True)


def _labels_by_open_clip(sizes: str, texts: dict[str, list[str]]) -> torch.Tensor:
    import open_clip

    reference = _reference(sizes)
    tokenizer = open_clip.SimpleTokenizer(context_length=reference.positional_embedding.shape[0])
    means = []
    with torch.inference_mode():
        for several in texts.values():
            tokens = tokenizer([f"a scan of {text}" for text in several])
            means.append(reference.encode_text(tokens, normalize=True).mean(dim=0))
    return torch.nn.functional.normalize(torch.stack(means), dim=-1)


_load_page = cache(load_page)


def _write(kind: str, folder: Path, state: dict[str, torch.Tensor], average: bool) -> Path:
    if kind == "checkpoint":
        return write_checkpoint(folder / "model.pt", state)
    texts = TEXTS if average else [several[0] for several in TEXTS.values()]
    return write_published(folder / "published", state, texts=texts, avg=average)


def _check_parity(sizes: str, kind: str, folder: Path, pages: list[Path]) -> None:
    reference = _reference(sizes)
    average = kind != "single"
    texts = TEXTS if average else {label: several[:1] for label, several in TEXTS.items()}
    source = _write(kind, folder, openai_state(reference, half=kind == "half"), average)
    converted = formats.open_model_folder(source, folder / "store")
    clip = CLIP.open(converted, device="cpu")
    if kind == "checkpoint":
        clip = clip.variant(descriptions=TEXTS)
    assert clip.labels == LABELS
    prepared = np.stack([clip.preprocessing.apply(_load_page(path)) for path in pages])
    scores = clip.probabilities(prepared)
    expected_images = _images_by_open_clip(sizes, *pages)
    expected_labels = _labels_by_open_clip(sizes, texts)
    scale = reference.logit_scale.detach().exp()
    expected_scores = (scale * expected_images @ expected_labels.T).softmax(dim=-1)
    assert (clip.embed_images(prepared) - expected_images).abs().max() < 1e-4
    assert (clip.label_embeddings - expected_labels).abs().max() < 1e-4
    assert np.abs(scores - expected_scores.numpy()).max() < 1e-4
    # Otherwise agreement would mean nothing.
    assert np.ptp(scores, axis=0).max() > 1e-3
    assert np.ptp(scores, axis=1).max() > 1e-2


@pytest.mark.parametrize("kind", ["averaged", "single", "half", "checkpoint"])
def test_a_tiny_model_agrees_with_open_clip(kind: str, tmp_path: Path, pages: list[Path]) -> None:
    _check_parity("tiny", kind, tmp_path, pages)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["averaged", "half", "checkpoint"])
def test_a_model_of_the_size_of_vit_b_32_agrees_with_open_clip(
    kind: str, tmp_path: Path, pages: list[Path]
) -> None:
    _check_parity("ViT-B/32", kind, tmp_path, pages)


def test_token_ids_are_those_of_open_clip(tmp_path: Path) -> None:
    import open_clip
    from transformers import AutoTokenizer

    clip_tokenizer(49408, 77).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 77
    reference = open_clip.SimpleTokenizer(context_length=77)
    for text in STRINGS:
        ours = tokenizer(clean_text(text), truncation=True, max_length=77)["input_ids"]
        theirs = reference(text)[0].tolist()
        end = theirs.index(49407)
        assert ours == theirs[: end + 1], text
    assert len(ours) == 77
    assert ours[-1] == 49407


def test_the_whole_shipped_table_has_the_token_ids_of_open_clip() -> None:
    import open_clip

    from pagesort.models.descriptions import prompt_texts, read_descriptions

    tokenizer, reference = clip_tokenizer(49408, 77), open_clip.SimpleTokenizer(context_length=77)
    table = prompt_texts(read_descriptions(ROOT / "category_description_total.tsv"))
    for text in [text for texts in table.values() for text in texts]:
        ours = tokenizer(clean_text(text))["input_ids"]
        assert ours == reference(text)[0].tolist()[: len(ours)]


def test_a_small_vocabulary_spells_everything_and_ends_in_its_own_marks() -> None:
    tokenizer = clip_tokenizer(600, 20)
    ids = tokenizer("žluťoučký kůň 日本")["input_ids"]
    assert (ids[0], ids[-1]) == (598, 599)
    assert max(ids[1:-1]) < 598
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "žluťoučký kůň 日本"
    with pytest.raises(PageSortError, match="514"):
        clip_tokenizer(513, 20)


def test_padding_and_company_do_not_change_a_texts_embedding(tiny_model_folder: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    texts = ["a map", LONG, "a very much longer description of a page", "x"] * 30
    together = clip.embed_texts(texts)
    alone = torch.cat([clip.embed_texts([text]) for text in texts])
    assert together.shape == (120, 24)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(120), atol=1e-6)


def test_a_page_gets_the_same_score_alone_and_in_any_batch(tiny_model_folder: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    pixels = np.random.default_rng(3).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    whole = clip.probabilities(pixels)
    assert whole.shape == (16, len(ALL_LABELS))
    assert whole.dtype == np.float32
    assert np.allclose(whole.sum(axis=1), 1, atol=1e-6)
    for size in (1, 3, 16):
        parts = [clip.probabilities(pixels[at : at + size]) for at in range(0, 16, size)]
        assert np.abs(np.concatenate(parts) - whole).max() < 1e-6
    assert np.array_equal(clip.probabilities(pixels), whole)
    again = CLIP.open(tiny_model_folder, device="cpu")
    assert np.array_equal(again.probabilities(pixels), whole)


def test_the_temperature_divides_the_scores(tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "warm")
    metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    (folder / METADATA_FILE).write_text(json.dumps(metadata | {"temperature": 4.0}))
    pixels = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    cold, warm = CLIP.open(tiny_model_folder), CLIP.open(folder)
    expected = np.log(cold.probabilities(pixels)) / 4
    expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    assert np.allclose(warm.probabilities(pixels), expected, atol=1e-5)
    assert warm.fingerprint != cold.fingerprint


def test_averaging_takes_all_descriptions_and_no_averaging_the_first(
    tiny_model_folder: Path,
) -> None:
    texts = {label: [f"{label} one", f"{label} two"] for label in ALL_LABELS}
    clip = CLIP.open(tiny_model_folder)
    averaged = clip.variant(descriptions=texts, prompts="{description}")
    first = clip.variant(descriptions=texts, prompts="{description}", average=False)
    embedded = averaged.embed_texts(["DRAW one", "DRAW two"])
    mean = torch.nn.functional.normalize(embedded.mean(dim=0), dim=-1)
    assert torch.allclose(averaged.label_embeddings[0], mean, atol=1e-6)
    assert torch.allclose(first.label_embeddings[0], embedded[0], atol=1e-6)
    assert not torch.allclose(mean, embedded[0], atol=1e-3)
    assert averaged.fingerprint != first.fingerprint


TEMPLATES = (
    "a {} review of a movie.",
    "a scan of {}",
    "{}",
    "itap of the {}.",
    "a page: {}, č. 5!",
    "a photo of many {}.",
    "a close-up scan of the {}, in black and white.",
)


def test_prompt_ensembles_agree_with_open_clips_zero_shot_classifier(tmp_path: Path) -> None:
    import open_clip

    reference = _reference("tiny")
    tokenizer = open_clip.SimpleTokenizer(context_length=reference.positional_embedding.shape[0])
    names = ["negative", "positive", "old maps", "Żółć"]
    expected = open_clip.build_zero_shot_classifier(reference, tokenizer, names, TEMPLATES).T
    source = write_checkpoint(tmp_path / "model.pt", openai_state(reference))
    folder = formats.open_model_folder(source, tmp_path / "store")
    base, texts = CLIP.open(folder, device="cpu"), {name: [name] for name in names}
    clip = base.variant(descriptions=texts, prompts=TEMPLATES)
    assert (clip.label_embeddings - expected).abs().max() < 1e-5
    one = base.variant(descriptions=texts)
    assert (one.label_embeddings - expected).abs().max() > 1e-2


def test_an_ensemble_is_the_mean_over_prompts_and_descriptions(tiny_model_folder: Path) -> None:
    texts = {label: [f"{label} one", f"{label} two"] for label in ALL_LABELS}
    prompts = ["a {}", "the {description}."]
    clip = CLIP.open(tiny_model_folder).variant(descriptions=texts, prompts=prompts)
    embedded = clip.embed_texts(["a TEXT one", "the TEXT one.", "a TEXT two", "the TEXT two."])
    mean = torch.nn.functional.normalize(embedded.mean(dim=0), dim=-1)
    place = ALL_LABELS.index("TEXT")
    assert torch.allclose(clip.label_embeddings[place], mean, atol=1e-6)
    # Without averaging the first description stands in all prompts, as those were named.
    single = clip.variant(average=False)
    assert single.prompts["TEXT"] == ["a TEXT one", "the TEXT one."]
    mean = torch.nn.functional.normalize(embedded[:2].mean(dim=0), dim=-1)
    assert torch.allclose(single.label_embeddings[place], mean, atol=1e-6)
    flat = {label: [f"a {label} one", f"the {label} one."] for label in ALL_LABELS}
    first = clip.variant(descriptions=flat, prompts="{}", average=False)
    assert first.fingerprint not in (single.fingerprint, clip.fingerprint)


def test_large_ensembles_are_embedded_in_small_batches(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clip = CLIP.open(tiny_model_folder, device="cpu")
    sizes: list[int] = []
    embed = clip.embed_texts

    def counted(texts: list[str]) -> torch.Tensor:
        sizes.append(len(texts))
        return embed(texts)

    large = clip.variant(
        labels=[f"L{number}" for number in range(7)],
        descriptions={f"L{number}": [f"thing {number}{x}" for x in "abc"] for number in range(7)},
        prompts=[f"prompt {number} of {{}}" for number in range(100)],
    )
    monkeypatch.setattr(large, "embed_texts", counted)
    assert large.label_embeddings.shape == (7, 24)
    assert sum(sizes) == 7 * 3 * 100
    assert max(sizes) == 64
    assert "embedding 2100 texts for 7 labels" in caplog.text
    mean = embed(large.prompts["L6"]).double().mean(dim=0)
    expected = torch.nn.functional.normalize(mean, dim=-1).float()
    assert torch.allclose(large.label_embeddings[6], expected, atol=1e-6)


def test_scores_of_embeddings_are_the_probabilities_of_their_pages(
    tiny_model_folder: Path,
) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    pixels = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    embeddings = clip.embed_images(pixels)
    assert np.array_equal(clip.scores(embeddings), clip.probabilities(pixels))
    assert np.array_equal(clip.scores(embeddings.numpy()), clip.probabilities(pixels))
    assert clip.scores(embeddings).dtype == np.float32
    assert clip.scores(embeddings[:0]).shape == (0, 11)


def test_a_variant_shares_the_towers_and_answers_as_a_model_opened_so(
    tiny_model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "warm")
    metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    (folder / METADATA_FILE).write_text(json.dumps(metadata | {"temperature": 4.0}))
    clip = CLIP.open(folder, device="cpu")
    texts = {"negative": ["bad"], "positive": ["good", "fine"]}
    labels = list(texts)
    other = clip.variant(labels=labels, descriptions=texts, prompts="a {} review of a movie.")
    assert other.model is clip.model
    assert clip.labels == ALL_LABELS
    assert other.metadata.temperature == 1.0
    settled = (
        read_metadata(folder)
        .relabelled(labels)
        .settled(Table(texts), prompts="a {} review of a movie.")
    )
    opened = CLIP.open(folder, device="cpu", metadata=settled)
    assert opened.fingerprint == other.fingerprint
    assert torch.equal(opened.label_embeddings, other.label_embeddings)
    assert clip.variant(average=False).metadata.temperature == 4.0
    assert clip.variant(labels=labels, descriptions=texts, temperature=2).metadata.temperature == 2
    assert clip.variant().fingerprint == clip.fingerprint
    assert not caplog.records
    fewer = clip.variant(labels=["TEXT_T", "MAPS", "DRAW"])
    assert fewer.labels == ("TEXT_T", "MAPS", "DRAW")
    assert fewer.metadata.descriptions["DRAW"] == clip.metadata.descriptions["DRAW"]
    assert fewer.metadata.descriptions["MAPS"] == ["a page with maps"]
    assert "MAPS" in caplog.text
    with pytest.raises(PageSortError, match="missing .*; unknown negative, positive"):
        clip.variant(descriptions=texts)
    with pytest.raises(PageSortError, match="exactly once"):
        clip.variant(prompts=["a {}", "a"])
    with pytest.raises(PageSortError, match="temperature 0"):
        clip.variant(temperature=0)


def test_descriptions_prompt_and_weights_all_count_in_the_fingerprint(
    tiny_model_folder: Path,
) -> None:
    own = read_metadata(tiny_model_folder).descriptions
    changed = {**own, "DRAW": ["something else"]}
    clip = CLIP.open(tiny_model_folder)
    prints = {
        clip.fingerprint,
        clip.variant(descriptions=own).fingerprint,
        clip.variant(descriptions=changed).fingerprint,
        clip.variant(prompts="a page: {description}").fingerprint,
    }
    assert len(prints) == 3


def test_where_the_descriptions_of_a_model_come_from(
    tiny_model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = CLIP.open(tiny_model_folder)
    own = clip.metadata.descriptions
    with pytest.raises(PageSortError, match=r"unknown OTHER"):
        clip.variant(descriptions={"OTHER": ["x"], **own})
    fewer = {label: own[label] for label in ALL_LABELS if label != "TEXT_T"}
    caplog.set_level("INFO")
    mixed = clip.variant(descriptions={label: ["new"] for label in fewer})
    assert mixed.prompts["TEXT_T"] == clip.prompts["TEXT_T"]
    assert mixed.prompts["DRAW"] == ["a scan of new"]
    assert "TEXT_T: the model's own descriptions stand" in caplog.text
    # A model that reads the first description only goes on with that one.
    single = clip.variant(average=False).variant(descriptions={"DRAW": ["new", "newer"]})
    assert single.prompts["TEXT_T"] == clip.prompts["TEXT_T"][:1]
    assert single.prompts["DRAW"] == ["a scan of new", "a scan of newer"]


def test_a_model_without_labels_sees_pages_and_answers_once_it_has_some(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(tiny_model_folder, tmp_path / "bare")
    (bare / METADATA_FILE).unlink()
    clip = CLIP.open(bare, device="cpu")
    pixels = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    assert clip.embed_images(pixels).shape == (1, 24)
    with pytest.raises(PageSortError, match="no labels.*--cat_csv"):
        clip.probabilities(pixels)
    named = clip.variant(descriptions={"B": ["two"], "A": ["one"]})
    assert named.labels == ("B", "A")
    assert named.name == "bare"
    assert named.probabilities(pixels).shape == (1, 2)


def test_without_a_folder_the_bundled_model_opens() -> None:
    assert CLIP.open(device="cpu").labels == ALL_LABELS


def _drop(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in tensors.items() if key != name}


PROJECTION = "visual_projection.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: _drop(PROJECTION, tensors), f"missing: {PROJECTION}"),
        (lambda tensors: tensors | {"head.bias": torch.zeros(3)}, "unknown: head.bias"),
        (lambda t: t | {PROJECTION: torch.zeros(24, 31)}, f"misshapen: {PROJECTION}"),
    ],
)
def test_a_folder_whose_weights_do_not_fit_is_refused_by_name(
    tiny_model_folder: Path, tmp_path: Path, change: Callable[[Any], Any], told: str
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    weights = folder / "model.safetensors"
    save_file(change(load_file(weights)), weights, metadata={"format": "pt"})
    with pytest.raises(PageSortError) as caught:
        CLIP.open(folder)
    assert told in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_as_old_programs_wrote_it_loads(tiny_model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    weights = folder / "model.safetensors"
    counted = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file(load_file(weights) | counted, weights, metadata={"format": "pt"})
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32}
    settings = json.loads((folder / "preprocessor_config.json").read_text()) | old
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    pixels = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = CLIP.open(tiny_model_folder).probabilities(pixels)
    assert np.array_equal(CLIP.open(folder).probabilities(pixels), expected)


def test_opening_a_model_asks_no_network(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert CLIP.open(tiny_model_folder).label_embeddings.shape == (11, 24)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_an_incomplete_folder_is_told_in_one_line(
    tiny_model_folder: Path, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    for damage in ((folder / name).unlink, lambda: (folder / name).write_text("{")):
        damage()
        with pytest.raises(PageSortError) as caught:
            CLIP.open(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"vision_config": {"hidden_size": 33, "num_attention_heads": 2}},
        {"vision_config": 5},
        {"model_type": "clap-trap"},
        {"projection_dim": "wide"},
    ],
)
def test_a_config_that_makes_no_sense_is_told_in_one_line(
    tiny_model_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PageSortError) as caught:
        CLIP.open(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pages_of_a_size_that_the_model_does_not_take_are_told_at_once(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    settings = json.dumps(external_formats.clip_preprocessor(48))
    (folder / "preprocessor_config.json").write_text(settings)
    with pytest.raises(PageSortError, match="48 x 48, the model takes 32 x 32"):
        CLIP.open(folder)


def test_a_dual_encoder_with_a_convolutional_tower_takes_oblong_pages(tmp_path: Path) -> None:
    from transformers import (
        CLIPTextConfig,
        ConvNextConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    vision = ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    vision.hidden_size = 20
    text = CLIPTextConfig(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=40,
        bos_token_id=598,
        eos_token_id=599,
        pad_token_id=599,
    )
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=16)
    model = VisionTextDualEncoderModel(config).eval()
    squash = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"height": 96, "width": 64},
        "do_center_crop": False,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    metadata = ModelMetadata(labels=LABELS, descriptions=TEXTS, base="small")
    folder = tmp_path / "dual"
    formats.save_folder(folder, model, clip_tokenizer(600, 40), squash, metadata)
    assert formats.recognise(folder) == "transformers"
    clip = CLIP.open(folder, device="cpu")
    page = clip.preprocessing.apply(Image.new("L", (300, 500), 128))
    assert page.shape == (96, 64, 3)
    scores = clip.probabilities(np.stack([page, page // 2]))
    with torch.inference_mode():
        pixels = torch.from_numpy(clip.preprocessing.normalise(np.stack([page, page // 2])))
        features = model.get_image_features(pixel_values=pixels).pooler_output
    expected = torch.nn.functional.normalize(features, dim=-1).numpy()
    assert np.allclose(clip.embed_images(np.stack([page, page // 2])).numpy(), expected, atol=1e-5)
    assert scores.shape == (2, 3)


def test_a_model_without_two_towers_is_refused(tmp_path: Path, tiny_model_folder: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = shutil.copytree(tiny_model_folder, tmp_path / "text")
    (folder / "model.safetensors").unlink()
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    CLIPTextModel(CLIPTextConfig(num_hidden_layers=1, **tiny)).save_pretrained(folder)
    with pytest.raises(PageSortError, match="CLIPTextModel does not embed both"):
        CLIP.open(folder)


def test_devices() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type in (expected, "mps")
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(PageSortError, match="unknown device 'gpu0'"):
        choose_device("gpu0")
    with pytest.raises(PageSortError, match="'cuda:99' is not on this machine"):
        choose_device("cuda:99")


def test_collating_drops_what_could_not_be_read() -> None:
    pixels = np.ones((3, 4, 5), np.float32)
    batch = [{"pixel_values": pixels, "label": 2}, None, {"pixel_values": pixels * 2, "label": 0}]
    collated = custom_collate(batch)
    assert collated["pixel_values"].shape == (2, 3, 4, 5)
    assert collated["labels"].dtype == torch.float32
    assert collated["labels"].tolist() == [2.0, 0.0]
    rows = [{"pixel_values": torch.ones(2), "label": np.array([0, 1])}] * 3
    assert custom_collate(rows)["labels"].tolist() == [[0.0, 1.0]] * 3
    assert custom_collate([None, None]) == (None, None)
    assert custom_collate([]) == (None, None)
    unlabelled = custom_collate([{"pixel_values": torch.ones(2), "label": None}])
    assert set(unlabelled) == {"pixel_values", "labels"}
    assert (unlabelled["labels"].shape, unlabelled["labels"].dtype) == ((0,), torch.float32)


def test_collating_leaves_out_labels_that_are_none() -> None:
    labels = [None, 3, None]
    mixed = custom_collate([{"pixel_values": torch.ones(2), "label": label} for label in labels])
    assert mixed["pixel_values"].shape == (3, 2)
    assert mixed["labels"].tolist() == [3.0]
