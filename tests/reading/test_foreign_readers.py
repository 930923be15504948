"""Readers of other projects: TrOCR folders, and what is said of kraken's where it is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError
from pagesort.reading.reader import Reader

LETTERS = "abcdefgh"


@pytest.fixture(scope="module")
def trocr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder and decoder, saved as published ones are."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        TrOCRConfig,
        TrOCRForCausalLM,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
    )

    folder = tmp_path_factory.mktemp("trocr")
    torch.manual_seed(2)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = ViTModel(ViTConfig(**size, intermediate_size=16, image_size=32, patch_size=16))
    decoder = TrOCRForCausalLM(
        TrOCRConfig(
            vocab_size=4 + len(LETTERS), d_model=16, decoder_layers=1, decoder_attention_heads=2,
            decoder_ffn_dim=16, max_position_embeddings=512, cross_attention_hidden_size=16,
        )
    )  # fmt: skip
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id = 0
        settings.pad_token_id = 1
        settings.eos_token_id = 2
    # A random model ends its texts at once, or writes signs that stand for none.
    model.generation_config.suppress_tokens = [0, 1, 3]
    model.generation_config.begin_suppress_tokens = [2]
    model.save_pretrained(folder)
    vocabulary = {
        each: place for place, each in enumerate(["<s>", "<pad>", "</s>", "<u>", *LETTERS])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<u>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        unk_token="<u>",
    ).save_pretrained(folder)  # fmt: skip
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_a_trocr_folder_reads_lines(trocr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagesort.reading.trocr.LONGEST", 12)
    reader = Reader.open(trocr)
    stream = np.random.default_rng(0)
    pictures = [stream.integers(0, 256, (40, wide), dtype=np.uint8) for wide in (90, 300, 50)]
    together = reader.read(pictures)
    assert [each.text for each in together] == [reader.read([one])[0].text for one in pictures]
    assert all(set(each.text) <= set(LETTERS) for each in together)
    assert all(each.text for each in together)
    assert all(0.0 < each.confidence <= 1.0 for each in together)
    assert reader.formats == ("line", "word")


def test_a_trocr_folder_that_names_other_places_is_refused(trocr: Path, tmp_path: Path) -> None:
    for path in trocr.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModel": "someone/else--model.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PageSortError, match="elsewhere|fetch"):
        Reader.open(tmp_path)
    del config["auto_map"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(PageSortError, match="cannot be loaded"):
        Reader.open(tmp_path)


def test_a_model_of_kraken_needs_kraken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kraken", None)
    model = tmp_path / "hand.mlmodel"
    model.write_bytes(b"\x08\x01")
    with pytest.raises(PageSortError, match="pip install kraken"):
        Reader.open(model)


def test_a_file_or_folder_of_something_else_is_no_reader(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="no reader"):
        Reader.open(tmp_path)
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(PageSortError, match="no reader"):
        Reader.open(tmp_path / "a.txt")
