"""What makes a folder quick changes no table: it holds what the plain way makes of each page."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoTokenizer

from classifier import CLIP
from pagesort.common.paths import BUNDLED_MODEL
from pagesort.models.tokenizer import clean_text
from pagesort.models.trunks_model import make_known
from pagesort.pages.loader import load_page
from pagesort.prediction import folder_run
from tests.helpers.command import read_table
from tests.helpers.paths import ROOT
from tests.prediction.test_scale import request
from utils import page_name

SAMPLES = ROOT / "category_samples"
HALF_A_PLACE = 0.0005 + 1e-5  # of what tables round to, and of float32


def scores_the_plain_way(folder: Path, pages: list[Path]) -> np.ndarray:
    """Score with the models of `transformers`, page by page: float64 (pages, labels)."""
    make_known()
    opened = CLIP.open(folder, device="cpu")  # for its texts and settings only
    model, tokenizer = (
        AutoModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    longest = model.config.text_config.max_position_embeddings

    def unit(rows: torch.Tensor) -> torch.Tensor:
        return rows / rows.norm(dim=-1, keepdim=True)

    with torch.inference_mode():
        labels = []
        for texts in opened.prompts.values():
            embeddings = [
                unit(
                    model.get_text_features(
                        **tokenizer(
                            clean_text(text),
                            truncation=True,
                            max_length=longest,
                            return_tensors="pt",
                        )
                    ).pooler_output
                )
                for text in texts
            ]
            labels.append(unit(torch.stack(embeddings).mean(dim=0)))
        scale = model.logit_scale.exp() / opened.metadata.temperature
        found = []
        for path in pages:
            pixels = opened.preprocessing.apply(load_page(path))
            values = torch.from_numpy(opened.preprocessing.normalise(pixels[None]))
            page = unit(model.get_image_features(pixel_values=values).pooler_output)
            found.append((scale * page @ torch.cat(labels).T).softmax(dim=-1)[0])
    return torch.stack(found).double().numpy()


def raw_table(folder: Path, place: Path, tables: Path) -> dict[tuple[str, str], list[float]]:
    clip = CLIP.open(folder, device="cpu", lean=True)
    asked = request(
        place, folder=place, formats=("png", "jpg", "tif"), tables=tables, raw=True, batch_size=4
    )
    written = folder_run.predict_folder(clip, asked).tables
    (path,) = (path for path in written if path.stem.endswith("RAW"))
    return {
        (row["FILE"], row["PAGE"]): [float(row[label]) for label in clip.labels]
        for row in read_table(path)
    }


@pytest.fixture
def pages(tmp_path: Path) -> list[Path]:
    """Sample pages in grey, colour and black and white, as PNG, JPEG and TIFF."""
    place = tmp_path / "in"
    place.mkdir()
    for number, sample in enumerate(sorted(SAMPLES.rglob("*.png"))[::4]):
        mode, ending = (("L", "png"), ("RGB", "jpg"), ("1", "tif"))[number % 3]
        with Image.open(sample) as page:
            page.convert(mode).save(place / f"page-{number}.{ending}")
    return sorted(place.iterdir())


def test_the_exact_path_writes_the_scores_of_the_plain_way(
    tiny_model_folder: Path, pages: list[Path], tmp_path: Path
) -> None:
    table = raw_table(tiny_model_folder, tmp_path / "in", tmp_path / "tables")
    expected = scores_the_plain_way(tiny_model_folder, pages)
    apart = [np.abs(one - other).max() for one, other in itertools.combinations(expected, 2)]
    assert min(apart) > 2 * HALF_A_PLACE, "a page in another's place would not be seen"
    for path, scores in zip(pages, expected, strict=True):
        file, page = page_name(path)
        assert np.abs(table[file, str(page)] - scores).max() <= HALF_A_PLACE, path


@pytest.mark.slow
def test_the_quick_path_chooses_as_the_plain_way(pages: list[Path], tmp_path: Path) -> None:
    table = raw_table(BUNDLED_MODEL, tmp_path / "in", tmp_path / "tables")
    expected = scores_the_plain_way(BUNDLED_MODEL, pages)
    for path, scores in zip(pages, expected, strict=True):
        file, page = page_name(path)
        found = np.array(table[file, str(page)])
        assert found.argmax() == scores.argmax(), path
        assert np.abs(found - scores).max() < 0.05, path
