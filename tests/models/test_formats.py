"""Formats told apart, conversion to one folder format, and what must be refused."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pagesort.common import files
from pagesort.common.errors import PageSortError
from pagesort.models import external_formats, formats
from pagesort.models.metadata import METADATA_FILE, ModelMetadata, read_metadata
from tests.helpers.openai_models import (
    LABELS,
    TEXTS,
    TINY,
    openai_state,
    random_model,
    write_checkpoint,
    write_published,
)
from tests.helpers.processes import ended_process

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    sizes = TINY | {"text_cfg": TINY["text_cfg"] | {"vocab_size": 600}}
    return openai_state(random_model(sizes))


@pytest.fixture
def published(tmp_path: Path, state: State) -> Path:
    return write_published(tmp_path / "published", state)


@pytest.fixture
def checkpoint(tmp_path: Path, state: State) -> Path:
    return write_checkpoint(tmp_path / "model_rev_v11_3e.pt", state)


def test_the_three_formats_are_told_apart_by_content(
    published: Path, checkpoint: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    assert formats.recognise(tiny_model_folder) == "transformers"
    assert formats.recognise(tiny_model_folder / "model.safetensors") == "transformers"
    assert formats.recognise(published) == "published"
    assert formats.recognise(published / "model.safetensors") == "published"
    assert formats.recognise(checkpoint) == "checkpoint"
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for name in ("weights.bin", "model.safetensors", "x"):
        shutil.copy(checkpoint, renamed / name)
        assert formats.recognise(renamed / name) == "checkpoint"
        assert formats.recognise(renamed) == "checkpoint"
        (renamed / name).unlink()
    (published / "model.safetensors").rename(published / "weights.pt")
    (published / "config.json").rename(published / "about.json")
    assert formats.recognise(published) == "published"
    assert formats.recognise(published / "weights.pt") == "published"
    folder = formats.open_model_folder(published, tmp_path / "store")
    assert read_metadata(folder).labels == LABELS


def test_an_old_style_checkpoint_and_a_bare_state_dict_are_read(
    tmp_path: Path, state: State
) -> None:
    old, bare = tmp_path / "old.pt", tmp_path / "bare.pt"
    torch.save({"model_state_dict": state}, old, _use_new_zipfile_serialization=False)
    torch.save(state, bare)
    for path in (old, bare):
        assert formats.recognise(path) == "checkpoint"
        assert external_formats.read_checkpoint(path).config.text_config.vocab_size == 600


def test_what_is_no_model_is_refused_with_the_reasons(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    def told(path: Path) -> str:
        with pytest.raises(PageSortError) as caught:
            formats.recognise(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    assert "no such model" in told(tmp_path / "absent")
    text = tmp_path / "notes.pt"
    text.write_text("nothing but text")
    assert "neither safetensors nor a PyTorch checkpoint" in told(text)
    (tmp_path / "empty.pt").touch()
    assert "neither" in told(tmp_path / "empty.pt")
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for reason in ("no model.safetensors", "0 safetensors files", "0 PyTorch files"):
        assert reason in told(lacking)
    shutil.copy(tiny_model_folder / "model.safetensors", lacking)
    assert "no config.json with a model_type" in told(lacking / "model.safetensors")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes((tiny_model_folder / "model.safetensors").read_bytes()[:5000])
    assert "neither" in told(torn) or "not a readable safetensors" in told(torn)


def test_a_published_model_keeps_its_labels_texts_and_averaging(
    tmp_path: Path, published: Path
) -> None:
    folder = formats.open_model_folder(published, tmp_path / "store")
    metadata = read_metadata(folder)
    assert metadata.labels == LABELS
    assert metadata.descriptions == TEXTS
    assert metadata.average
    assert metadata.base == "ViT-B/32"
    assert metadata.prompt == "a scan of {description}"
    assert metadata.training["rnd_data_seed"] == 420
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    assert settings["size"] == {"shortest_edge": 40}
    assert settings["crop_size"] == {"height": 40, "width": 40}
    assert settings["resample"] == 3


FLAT = [texts[0] for texts in TEXTS.values()]


@pytest.mark.parametrize(
    ("facts", "expected", "average"),
    [
        ({"texts": FLAT, "avg": False}, {k: v[:1] for k, v in TEXTS.items()}, False),
        ({"texts": list(TEXTS.values()), "avg": False}, TEXTS, True),
        ({"texts": dict(reversed(TEXTS.items())), "avg": None}, TEXTS, True),
        ({"categories": None}, TEXTS, True),
        ({"texts": None}, {}, True),
    ],
)
def test_the_forms_of_texts(
    tmp_path: Path, state: State, facts: dict[str, Any], expected: dict[str, Any], average: bool
) -> None:
    folder = write_published(tmp_path / "model", state, **facts)
    metadata = external_formats.read_published(
        folder / "model.safetensors", folder / "config.json"
    ).metadata
    assert metadata.labels == LABELS
    assert metadata.descriptions == expected
    assert metadata.average is average


def test_utf7_underscores_in_a_published_config(tmp_path: Path, state: State) -> None:
    categories = ["DRAW", "LINE+AF8-HW", "TEXT+AF8-P"]
    texts = dict(zip(categories, TEXTS.values(), strict=True))
    folder = write_published(tmp_path / "model", state, categories=categories, texts=texts)
    metadata = read_metadata(formats.open_model_folder(folder, tmp_path / "store"))
    assert metadata.labels == LABELS
    assert metadata.descriptions == TEXTS


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"texts": [*FLAT, *FLAT]}, "6 entries for 3 categories"),
        ({"texts": {**TEXTS, "OTHER": ["x"]}}, "unknown OTHER"),
        ({"texts": {"DRAW": ["x"]}}, "missing LINE_HW, TEXT_P"),
        ({"texts": 5}, "'texts' is neither"),
        ({"categories": "DRAW"}, "'categories' is not a list"),
        ({"categories": ["A", "A", "B"], "texts": None}, "labels occur twice: A"),
        ({"texts": {**TEXTS, "DRAW": []}}, "descriptions of DRAW are not texts"),
        ({"image_size": "large"}, "'image_size' is 'large'"),
        ({"image_mean": [0.5, 0.5]}, "'image_mean'"),
        ({"image_std": [0.5, 0.5, 0]}, "'image_std'"),
    ],
)
def test_a_wrong_published_config_is_told(
    tmp_path: Path, state: State, facts: dict[str, Any], told: str
) -> None:
    folder = write_published(tmp_path / "model", state, **facts)
    with pytest.raises(PageSortError) as caught:
        formats.open_model_folder(folder, tmp_path / "store")
    assert told in str(caught.value)
    assert str(folder / "config.json") in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_preprocessing_comes_from_the_file_beside_else_the_config_else_clip(
    tmp_path: Path, state: State
) -> None:
    def settings(name: str, **facts: Any) -> dict[str, Any]:
        folder = write_published(tmp_path / name, state, **facts)
        if name == "beside":
            own = external_formats.clip_preprocessor(40, (0.1, 0.2, 0.3)) | {
                "do_center_crop": False
            }
            (folder / "preprocessor_config.json").write_text(json.dumps(own))
        converted = formats.open_model_folder(folder, tmp_path / "store")
        return json.loads((converted / "preprocessor_config.json").read_text())

    assert settings("beside")["do_center_crop"] is False
    assert settings("config", image_mean=[0.5, 0.5, 0.5])["image_mean"] == [0.5, 0.5, 0.5]
    bare = settings("bare", image_mean=None, image_std=None)
    assert bare["image_mean"] == list(external_formats.CLIP_MEAN)
    assert bare["image_std"] == list(external_formats.CLIP_STD)


def test_a_checkpoint_keeps_what_it_tells_about_its_training(tmp_path: Path, state: State) -> None:
    path = write_checkpoint(tmp_path / "c.pt", state, loss=np.float64(0.125), epoch=np.int64(4))
    metadata = read_metadata(formats.open_model_folder(path, tmp_path / "store"))
    assert metadata.labels == ()
    assert metadata.training["loss"] == 0.125
    assert metadata.training["epoch"] == 4
    assert metadata.training["rnd_data_seed"] == 420


@pytest.mark.parametrize(
    ("width", "patch", "size", "code"),
    [
        (768, 16, 224, "ViT-B/16"),
        (768, 32, 224, "ViT-B/32"),
        (1024, 14, 224, "ViT-L/14"),
        (1024, 14, 336, "ViT-L/14@336px"),
        (768, 14, 224, "CLIP"),
        (512, 32, 224, "CLIP"),
    ],
)
def test_a_checkpoint_is_named_after_the_base_of_its_sizes(
    width: int, patch: int, size: int, code: str
) -> None:
    from transformers import CLIPConfig

    vision = {"hidden_size": width, "patch_size": patch, "image_size": size}
    vision["num_attention_heads"] = width // 64
    assert external_formats._base_name(CLIPConfig(vision_config=vision)) == code


class _Payload:
    """Unpickling this runs a command that would create a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.witness}'",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_carries_code_is_refused_without_running_it(
    tmp_path: Path, state: State, zipped: bool
) -> None:
    witness = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    content = {"model_state_dict": state, "loss": _Payload(witness)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(PageSortError, match="can run any program") as caught:
        formats.open_model_folder(path, tmp_path / "store")
    assert "system" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists(), "the payload would not have run anyway"


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_a_plain_pickle_and_a_torchscript_program_are_refused(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps({"model_state_dict": _Payload(witness)}))
    with pytest.raises(PageSortError):
        formats.open_model_folder(plain, tmp_path / "store")
    assert not witness.exists()
    for protocol in (4, 5):
        plain.write_bytes(pickle.dumps({"epoch": 3}, protocol=protocol))
        with pytest.raises(PageSortError, match="more than weights and was not loaded"):
            formats.open_model_folder(plain, tmp_path / "store")
    script = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), str(script))
    with pytest.raises(PageSortError, match="TorchScript"):
        formats.open_model_folder(script, tmp_path / "store")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_old_style(path: Path) -> None:
    content = torch.load(path, weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=False)
    _cut(path)


def _other_weights(path: Path) -> None:
    torch.save({"model_state_dict": {"fc.weight": torch.zeros(2, 2)}}, path)


def _no_weights(path: Path) -> None:
    torch.save({"model_state_dict": [1, 2]}, path)


def _tensor_only(path: Path) -> None:
    torch.save(torch.zeros(3), path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_cut, "the file is damaged or cut short"),
        (_cut_old_style, "the file is damaged or cut short"),
        (_other_weights, "missing: visual.conv1.weight"),
        (_no_weights, "holds no weights"),
        (_tensor_only, "holds no weights"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_told(
    tmp_path: Path, checkpoint: Path, damage: Callable[[Path], None], told: str
) -> None:
    damage(checkpoint)
    with pytest.raises(PageSortError) as caught:
        formats.open_model_folder(checkpoint, tmp_path / "store")
    assert told in str(caught.value)
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_off_published_model_is_told(tmp_path: Path, published: Path) -> None:
    _cut(published / "model.safetensors")
    with pytest.raises(PageSortError, match="not a readable safetensors file"):
        formats.open_model_folder(published, tmp_path / "store")


def test_a_conversion_happens_once_and_follows_the_content(
    tmp_path: Path, published: Path, state: State
) -> None:
    store = tmp_path / "store"
    first = formats.open_model_folder(published, store)
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    assert formats.open_model_folder(published / "model.safetensors", store) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"avg": False}))
    assert formats.open_model_folder(published, store) != first
    assert first.name.startswith("published-")
    assert not [path for path in store.iterdir() if path.name.startswith(".")]


def test_a_killed_conversion_leaves_nothing_that_is_used(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(formats, "_write_settings", killed)
        with pytest.raises(KeyboardInterrupt):
            formats.open_model_folder(published, store)
    assert list(store.iterdir()) == []
    # What a kill -9 leaves is removed by the next run, and what somebody else may write is not.
    target = formats.open_model_folder(published, store)
    shutil.rmtree(target)
    left = store / f".{target.name}.{ended_process()}-{files._machine()}-0.partial"
    young = store / f".{target.name}.{os.getppid()}-{files._machine()}-0.partial"
    for folder in (left, young):
        folder.mkdir()
    assert formats.open_model_folder(published, store) == target
    assert not left.exists()
    assert young.exists()


def test_a_half_written_folder_of_the_final_name_is_not_used(
    tmp_path: Path, published: Path
) -> None:
    store = tmp_path / "store"
    target = formats.open_model_folder(published, store)
    (target / METADATA_FILE).unlink()
    assert formats.open_model_folder(published, store) == target
    assert read_metadata(target).labels == LABELS
    assert [path.name for path in store.iterdir()] == [target.name]


def test_two_conversions_at_once_agree(tmp_path: Path, published: Path) -> None:
    results: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(formats.open_model_folder(published, tmp_path / "s"))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(set(results)) == 1
    assert [path.name for path in (tmp_path / "s").iterdir()] == [results[0].name]


def test_a_storage_that_cannot_be_written_is_told(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(PageSortError, match="cannot be written.*model_storage") as caught:
        formats.open_model_folder(published, blocked / "store")
    assert str(blocked) in str(caught.value)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(formats, "_write_settings", full)
    with pytest.raises(PageSortError, match="the disk is full"):
        formats.open_model_folder(published, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_converted_folder_loads_as_it_is_with_transformers(
    tmp_path: Path, published: Path
) -> None:
    from transformers import CLIPModel, CLIPProcessor

    folder = formats.open_model_folder(published, tmp_path / "store")
    model, report = CLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    processor = CLIPProcessor.from_pretrained(folder)
    inputs = processor(
        text=["a map"], images=np.zeros((90, 60, 3), np.uint8), return_tensors="pt", padding=True
    )
    assert inputs["pixel_values"].shape == (1, 3, 40, 40)
    assert model(**inputs).logits_per_image.shape == (1, 1)


def test_saving_replaces_a_folder_whole_and_metadata_come_back(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(tiny_model_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tiny_model_folder)
    metadata = ModelMetadata(
        labels=("Ž", "B"),
        descriptions={"B": ["two"]},
        prompt="{description}",
        average=False,
        temperature=1.5,
        base="ViT-B/16",
        revision="v1.1",
        training={"epochs": 3},
    )
    folder = tmp_path / "models" / "saved"
    folder.mkdir(parents=True)
    (folder / "leftover.txt").touch()
    preprocessor = external_formats.clip_preprocessor(32)
    formats.save_folder(folder, model, tokenizer, preprocessor, metadata)
    assert read_metadata(folder) == metadata
    assert not (folder / "leftover.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]
    assert formats.recognise(folder) == "transformers"
    assert formats.open_model_folder(folder, tmp_path / "unused") == folder
    assert not (tmp_path / "unused").exists()


def test_the_fingerprint_follows_weights_and_settings(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    copy = shutil.copytree(tiny_model_folder, tmp_path / "copy")
    original = formats.fingerprint(tiny_model_folder)
    assert formats.fingerprint(copy) == original
    assert len(original) == 64
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = formats.fingerprint(copy)
    (copy / "preprocessor_config.json").write_text("{}")
    assert len({original, changed, formats.fingerprint(copy)}) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "not the metadata"),
        ({"colour": 1}, "unknown key colour"),
        ({"labels": ["A", "A"]}, "occur twice: A"),
        ({"labels": "AB"}, "labels has a wrong form"),
        ({"descriptions": {"X": ["y"]}}, "unknown labels: X"),
        ({"descriptions": {"A": []}}, "descriptions of A"),
        ({"temperature": 0}, "temperature 0"),
        ({"prompt": "a scan"}, "exactly once"),
        ({"prompt": ["a {}", "a scan"]}, "'a scan' must hold"),
        ({"prompt": ["a {}", None]}, "prompt is not a text"),
        ({"prompt": []}, "there is no prompt"),
        ({"prompt": None}, "there is no prompt"),
        ({"average": "yes"}, "average"),
        ({"base": None}, "base is not a text"),
    ],
)
def test_wrong_metadata_are_told_with_their_place(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = tmp_path / METADATA_FILE
    content = json.loads(ModelMetadata(labels=("A",)).to_json()) | change
    path.write_text(json.dumps(content))
    with pytest.raises(PageSortError) as caught:
        read_metadata(tmp_path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_one_prompt_is_kept_as_a_text_and_several_as_a_list(tmp_path: Path) -> None:
    def kept(prompt: Any) -> Any:
        metadata = ModelMetadata(labels=("A",), prompt=prompt)
        (tmp_path / METADATA_FILE).write_text(metadata.to_json(), encoding="utf-8")
        assert read_metadata(tmp_path) == metadata
        content = json.loads(metadata.to_json())
        assert content["version"] == 1
        return metadata.prompts, content["prompt"]

    # Programs that know one prompt only take a text with {description}, and nothing else.
    assert kept("a {} page") == (("a {description} page",), "a {description} page")
    assert kept(["a {description}", "a {}"]) == (("a {description}",), "a {description}")
    several = ("a {description}", "{description}.")
    assert kept(list(several)) == (several, list(several))
    assert ModelMetadata().prompts == ("a scan of {description}",)


def test_a_damaged_config_is_told_as_such(
    tmp_path: Path, tiny_model_folder: Path, published: Path
) -> None:
    ours = shutil.copytree(tiny_model_folder, tmp_path / "ours")
    for folder in (ours, published):
        (folder / "config.json").write_text("{")
        with pytest.raises(PageSortError, match=r"not valid JSON .*config.json") as caught:
            formats.recognise(folder)
        assert str(folder / "config.json") in str(caught.value)


def test_a_conversion_is_announced_once_its_source_is_accepted(
    tmp_path: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    refused = tmp_path / "refused.pt"
    _other_weights(refused)
    with pytest.raises(PageSortError):
        formats.open_model_folder(refused, tmp_path / "store")
    assert "converting" not in caplog.text
    target = formats.open_model_folder(checkpoint, tmp_path / "store")
    assert f"converting {checkpoint}, once, to {target}" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_saved_folder_has_ordinary_permissions(
    tmp_path: Path, tiny_model_folder: Path, umask: int
) -> None:
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(tiny_model_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tiny_model_folder)
    folder = tmp_path / "saved"
    before = os.umask(umask)
    try:
        formats.save_folder(
            folder,
            model,
            tokenizer,
            external_formats.clip_preprocessor(32),
            ModelMetadata(labels=("A",)),
        )
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~umask
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert "model.safetensors" in modes
    assert set(modes.values()) == {0o666 & ~umask}
