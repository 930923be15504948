"""Zero-shot categories and their words, up to a folder in the shape of Rendered SST2."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.models.descriptions import Table, read_descriptions
from pagesort.models.metadata import METADATA_FILE, ModelMetadata
from pagesort.models.zero_shot import zero_shot_descriptions
from pagesort.pages.loader import load_page
from tests.helpers.labels import LABELS
from tests.helpers.paths import ROOT
from tests.helpers.sst2_pages import SENTENCES, SIDE, SPLITS, write_rendered_sst2
from utils import collect_images

TEXTS = {"DRAW": ["a map"], "TEXT_P": ["print", "a printed page"], "PHOTO": ["a photograph"]}
TABLE = Table(TEXTS, "my.tsv")
SENTIMENTS = ("negative", "positive")
REVIEW = "a {} review of a movie."
OWN = ModelMetadata(labels=("B", "A", "C"), descriptions={"A": ["one"], "B": ["two"], "C": ["3"]})


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_a_default_table_serves_if_it_covers_the_folder(caplog: pytest.LogCaptureFixture) -> None:
    chosen = zero_shot_descriptions(["PHOTO", "DRAW"], TABLE, False)
    assert tuple(chosen.texts) == ("DRAW", "TEXT_P", "PHOTO")
    assert chosen == TABLE
    assert "the 3 categories of my.tsv" in caplog.text
    assert "guessed all the same: TEXT_P" in caplog.text


def test_a_default_table_that_does_not_fit_gives_way_to_the_labels_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = zero_shot_descriptions(SENTIMENTS, TABLE, False, prompts=[REVIEW])
    assert tuple(chosen.texts) == SENTIMENTS
    assert chosen.texts == {"negative": ["negative"], "positive": ["positive"]}
    assert "my.tsv does not describe negative, positive" in caplog.text
    assert "as in 'a negative review of a movie.'" in caplog.text
    assert "--prompt" not in caplog.text
    zero_shot_descriptions(SENTIMENTS, None, False)
    assert "as in 'a scan of negative'; --prompt sets other words" in caplog.text
    mixed = zero_shot_descriptions(["DRAW", "old_maps"], TABLE, False)
    assert mixed.texts == {
        "DRAW": ["a page with a drawing, map or diagram"],
        "old_maps": ["old maps"],
    }


def test_labels_that_read_alike_are_told(caplog: pytest.LogCaptureFixture) -> None:
    zero_shot_descriptions(["old maps", "Old_maps", "x"], None, False)
    assert "old maps, Old_maps are all described as 'old maps'" in caplog.text


def test_a_table_that_was_named_must_fit(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PageSortError, match=r"missing negative, positive; unknown DRAW.*my\.tsv"):
        zero_shot_descriptions(SENTIMENTS, TABLE, True)
    with pytest.raises(PageSortError, match=r"missing MAPS; unknown TEXT_P, PHOTO"):
        zero_shot_descriptions(["DRAW", "MAPS"], TABLE, True)
    # A model's own descriptions never stand in for a table that a person named.
    chosen = zero_shot_descriptions(["DRAW"], TABLE, True, own=OWN)
    assert tuple(chosen.texts) == ("DRAW", "TEXT_P", "PHOTO")
    caplog.clear()
    filled = zero_shot_descriptions(["DRAW", "MAPS", "PHOTO", "TEXT_P"], TABLE, True)
    assert tuple(filled.texts) == ("DRAW", "MAPS", "PHOTO", "TEXT_P")
    assert filled.texts["MAPS"] == ["a page with maps"]
    assert "no description for label MAPS" in caplog.text


def test_a_model_of_ones_own_keeps_its_categories_where_they_cover_the_folder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = zero_shot_descriptions(["A", "B"], TABLE, False, own=OWN)
    assert chosen is None
    assert "the model's own 3 categories" in caplog.text
    assert "all the same: C" in caplog.text
    others = zero_shot_descriptions(["A", "D"], TABLE, False, own=OWN)
    assert others.texts == {"A": ["a"], "D": ["d"]}
    assert zero_shot_descriptions(["DRAW"], TABLE, False, own=OWN) == TABLE


def test_pages_without_labels_get_the_models_categories_or_the_tables() -> None:
    assert zero_shot_descriptions(None, TABLE, False, own=OWN) is None
    assert zero_shot_descriptions(None, TABLE, False) == TABLE
    assert zero_shot_descriptions(None, TABLE, True, own=OWN) == TABLE
    bare = ModelMetadata(labels=("PHOTO", "DRAW"))
    assert zero_shot_descriptions(None, TABLE, False, own=bare) == TABLE
    named = zero_shot_descriptions(None, None, False, own=bare)
    assert named.texts["PHOTO"] == ["a page with a photograph"]
    with pytest.raises(PageSortError, match="--cat_csv"):
        zero_shot_descriptions(None, None, False)


def test_many_labels_are_counted_rather_than_listed(caplog: pytest.LogCaptureFixture) -> None:
    zero_shot_descriptions([f"L{number}" for number in range(40)], TABLE, False)
    assert "L19 and 20 more" in caplog.text
    assert "L20" not in caplog.text


def test_the_drawn_folder_is_one_that_torchvision_takes_for_rendered_sst2(tmp_path: Path) -> None:
    from torchvision.datasets import RenderedSST2

    folder = write_rendered_sst2(tmp_path, SPLITS, pages=2)
    for split, name in zip(("train", "val", "test"), SPLITS, strict=True):
        pages = RenderedSST2(str(tmp_path), split=split)
        paths, _, labels = collect_images(folder / name, ordered=True)
        assert tuple(labels) == tuple(pages.classes) == tuple(SENTENCES)
        assert len(pages) == len(paths) == 4
        assert [label for _, label in pages] == [0, 0, 1, 1]
        image, _ = pages[3]
        assert image.size == (SIDE, SIDE)
        grey = np.asarray(image.convert("L"))
        assert 0.01 < (grey < 128).mean() < 0.2


def test_rendered_sst2_gets_the_label_embeddings_of_its_reviews(
    tiny_model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    (base / METADATA_FILE).unlink()  # an untouched base model knows no categories
    folder = write_rendered_sst2(tmp_path) / "test"
    paths, truth, labels = collect_images(folder, ordered=True)
    shipped = ROOT / "category_description_total.tsv"
    table = Table(read_descriptions(shipped), shipped)
    chosen = zero_shot_descriptions(labels, table, False, prompts=[REVIEW])
    clip = CLIP.open(base, device="cpu").variant(descriptions=chosen.texts, prompts=[REVIEW])
    assert clip.labels == SENTIMENTS
    assert clip.prompts == {each: [f"a {each} review of a movie."] for each in SENTIMENTS}
    embedded = clip.embed_texts([f"a {each} review of a movie." for each in SENTIMENTS])
    assert torch.allclose(clip.label_embeddings, embedded, atol=1e-6)
    pixels = np.stack([clip.preprocessing.apply(load_page(path)) for path in paths])
    scores = clip.probabilities(pixels)
    assert scores.shape == np.shape(truth) == (8, 2)
    expected = clip.embed_images(pixels).double() @ embedded.double().T
    expected = (expected * clip.model.logit_scale.detach().exp()).softmax(dim=-1)
    assert np.abs(scores - expected.numpy()).max() < 1e-5
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_fine_tuned_model_is_asked_about_other_labels_without_its_temperature(
    tiny_model_folder: Path,
) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu").variant(temperature=3.0)
    chosen = zero_shot_descriptions(SENTIMENTS, None, False, own=clip.metadata)
    other = clip.variant(labels=SENTIMENTS, descriptions=chosen.texts)
    assert (other.labels, other.metadata.temperature) == (SENTIMENTS, 1.0)
    assert zero_shot_descriptions(LABELS[:4], None, False, own=clip.metadata) is None
