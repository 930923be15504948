"""The card of a published model: what it tells, and what it must not."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pagesort.common.paths import BUNDLED_MODEL, SAMPLE_PAGES, SMALL_MODEL
from pagesort.hub.model_card import MARK, evaluations_of, plot_names, write_card
from pagesort.models.metadata import read_metadata
from pagesort.pages.preprocessing import Preprocessing
from pagesort.training.export import whole_page_settings


@pytest.fixture
def model(tmp_path: Path, tiny_model_folder: Path) -> Path:
    """A model with the facts that a training notes."""
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "ViT-B16_20260101-1200"))
    metadata = read_metadata(folder)
    assert metadata is not None
    facts = {
        "start": {"base": "ViT-B/16", "fingerprint": "abc"},
        "recipe": {"epochs": 3, "learning_rate": 5e-5, "objective": "labels"},
        "seed": 420,
        "pages": {"train": {"DRAW": 80, "TEXT": 70}, "validation": {"DRAW": 9, "TEXT": 8}},
        "validation": {"accuracy": 0.98765},
        "versions": {"torch": "2.9"},
        "texts": {"DRAW": ["a scan of a drawing"]},
    }
    metadata = dataclasses.replace(metadata, base="ViT-B/16", training=facts)
    (folder / "pagesort.json").write_text(metadata.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def results(model: Path, tmp_path: Path) -> Path:
    """What an evaluation of the model writes, and one of another model."""
    from classifier import CLIP

    classifier = CLIP.open(model)
    results = tmp_path / "result"
    (results / "stats").mkdir(parents=True)
    (results / "plots").mkdir()
    report = {
        "date": "20260102-1200",
        "model": {
            "fingerprint": classifier.fingerprint, "zero_shot": False, "texts": classifier.prompts,
            "average": True, "temperature": 1.0,
        },
        "pages": {"folder": "/home/me/secret/pages", "part": "test part", "scored": 120},
        "figures": {
            "top": [{"k": 1, "value": 0.9871, "low": 0.95, "high": 0.99}],
            "macro": {"precision": 0.9, "recall": 0.91, "f1": 0.905},
            "ece": 0.0312345,
        },
    }  # fmt: skip
    name = "1n_1000c_ViT-B16_20260102-1200"
    (results / "stats" / f"EVAL_{name}.json").write_text(json.dumps(report), encoding="utf-8")
    (results / "plots" / f"conf_mat_{name}.png").write_bytes(b"png")
    other = {**report, "model": {**report["model"], "fingerprint": "of another"}}
    (results / "stats" / "EVAL_1n_1000c_x.json").write_text(json.dumps(other), encoding="utf-8")
    (results / "stats" / "EVAL_broken.json").write_text("{", encoding="utf-8")
    return results


def test_card_tells_all_that_is_known(model: Path, results: Path) -> None:
    evaluations = evaluations_of(model, results)
    assert len(evaluations) == 1
    card = write_card(model, repository="me/pages", revision="v1.1", evaluations=evaluations)
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert "license: mit" in front and "base_model: openai/clip-vit-base-patch16" in front
    assert MARK in body and "# pages (v1.1)" in body
    assert "| DRAW | a drawing" in body
    assert "| DRAW | 80 | 9 |" in body and "| all | 150 | 17 |" in body
    assert "learning_rate 5e-05" in body and "accuracy 0.9877" in body
    assert "| top-1 | 98.7 % (95 % interval 95.0 % to 99.0 %) |" in body
    assert "120 pages, test part of `pages`" in body
    assert 'snapshot_download("me/pages", revision="v1.1")' in body
    assert "CLIPModel.from_pretrained(folder)" in body
    assert "Intended for" in body and "## Limits" in body and "## Licence" in body
    assert "/home/me" not in card
    names = plot_names(evaluations)
    assert [*names] == ["plots/conf_mat_1n_1000c_ViT-B16_20260102-1200.png"]
    assert f"({[*names][0]})" in body


def test_front_matter_is_what_the_hub_reads(model: Path) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(write_card(model, repository="me/pages", revision="main")).data
    assert (data.license, data.library_name) == ("mit", "transformers")
    assert data.pipeline_tag == "zero-shot-image-classification"


def test_same_model_has_the_same_card(model: Path, results: Path) -> None:
    facts = {
        "repository": "me/x",
        "revision": "main",
        "evaluations": evaluations_of(model, results),
    }
    assert write_card(model, **facts) == write_card(model, **facts)


def test_model_without_evaluation_says_so(model: Path, tmp_path: Path) -> None:
    assert evaluations_of(model, tmp_path / "nowhere") == []
    card = write_card(model, repository="me/x", revision="main")
    assert "No evaluation lay beside it" in card and "nothing is known of its quality" in card
    (model / "README.md").write_text("# Mine\n\nTop-1: 73 %.\n")
    card = write_card(model, repository="me/x", revision="main")
    assert "stand in their notes below" in card and "nothing is known" not in card


def test_figures_of_another_use_are_told_as_such(
    model: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier import CLIP

    report = json.loads(next((results / "stats").glob("EVAL_1n_1000c_V*.json")).read_text())
    opened = CLIP.open(model)
    other = opened.variant(descriptions={label: [f"an odd {label}"] for label in opened.labels})
    report["model"] |= {
        "fingerprint": other.fingerprint, "texts": other.prompts, "descriptions": "odd.tsv",
    }  # fmt: skip
    (results / "stats" / "EVAL_odd.json").write_text(
        json.dumps(report | {"date": "20270101-0000"}), encoding="utf-8"
    )
    first, second = evaluations_of(model, results)
    assert (first.differs, second.report["date"]) == ("", "20270101-0000")
    card = write_card(
        model, repository="me/x", revision="main", evaluations=evaluations_of(model, results)
    )
    assert "with the descriptions of odd.tsv in place of its own" in card
    metadata = read_metadata(model)
    assert metadata is not None
    hotter = dataclasses.replace(metadata, temperature=2.0)
    (model / "pagesort.json").write_text(hotter.to_json(), encoding="utf-8")
    card = write_card(
        model, repository="me/x", revision="main", evaluations=evaluations_of(model, results)
    )
    assert "`pages`, at temperature 1** (20260102-1200)" in card
    assert "the figures above hold where it is used as they say" in card


def test_card_of_the_small_model_claims_nothing_that_is_not_so() -> None:

    card = write_card(SMALL_MODEL, repository="me/small", revision="v1.1")
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert "base_model" not in front and "* base model" not in body
    assert "weights it started from" not in body and "No evaluation lay beside it" in body
    assert 'snapshot_download("me/small", revision="v1.1")' in body and "needs `timm`" in body
    assert "Without it (needs `timm`)" in body
    assert "### pagesort-small" in body and "history" not in body


def test_card_of_the_bundled_model_says_what_its_tower_needs() -> None:
    card = write_card(BUNDLED_MODEL, repository="me/medium", revision="main")
    assert "make_known()\n\nfolder = snapshot_download" in card
    assert "a class of pagesort" in card and "needs `timm`" not in card
    assert "Apache 2.0" in card and "### pagesort-medium" in card


def test_licence_comes_from_the_request_the_folder_or_the_origin(model: Path) -> None:
    def licence(**facts: str) -> str:
        card = write_card(model, repository="me/x", revision="main", **facts)
        return card.splitlines()[1]

    assert licence(licence="cc-by-4.0") == "license: cc-by-4.0"
    metadata = read_metadata(model)
    assert metadata is not None
    fetched = dataclasses.replace(metadata, training={"source": "published model"})
    (model / "pagesort.json").write_text(fetched.to_json(), encoding="utf-8")
    assert licence() == "license: unknown"
    own = dataclasses.replace(metadata, base="tiny", training={})
    (model / "pagesort.json").write_text(own.to_json(), encoding="utf-8")
    assert licence() == "license: unknown"
    (model / "LICENSE").write_text("Ask me.")
    assert licence() == "license: other"


def test_notes_written_by_hand_are_kept_and_generated_ones_replaced(model: Path) -> None:
    code = "```\n# no title\n```\n"
    (model / "README.md").write_text(f"---\nlicense: x\n---\n# Mine\n\nMind the gap.\n\n{code}")
    card = write_card(model, repository="me/x", revision="main")
    title = "## Notes that lie with the model"
    assert card.endswith(f"{title}\n\n### Mine\n\nMind the gap.\n\n{code}")
    assert "license: x" not in card
    (model / "README.md").write_text(card)
    assert write_card(model, repository="me/x", revision="main").count("Mind the gap") == 0


def test_words_of_a_description_cannot_break_the_table(model: Path) -> None:
    metadata = read_metadata(model)
    assert metadata is not None
    texts = {**metadata.descriptions, "DRAW": ["a | b\n<script>"]}
    changed = dataclasses.replace(metadata, descriptions=texts)
    (model / "pagesort.json").write_text(changed.to_json(), encoding="utf-8")
    card = write_card(model, repository="me/x", revision="main")
    assert r"| DRAW | a \| b &lt;script> |" in card


def _scores_by_card(folder: Path, monkeypatch: pytest.MonkeyPatch, page: Path) -> dict[str, float]:
    """Follow the lines of Python on a model's card: label -> score of a page."""
    card = write_card(folder, repository="me/x", revision="main")
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    (code,) = (block for block in blocks if "snapshot_download" in block)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    shutil.copy(page, "page.png")
    names: dict[str, Any] = {}
    exec(code, names)
    labels = names["facts"]["labels"]
    return dict(zip(labels, names["scores"].tolist(), strict=True))


def _check_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from classifier import CLIP

    page = SAMPLE_PAGES / "LINE_P" / "synth03_line_p_3-1.png"
    by_card = _scores_by_card(folder, monkeypatch, page)
    clip = CLIP.open(folder, device="cpu")
    ours = dict(zip(clip.labels, clip.scores(clip.embed(page))[0].tolist(), strict=True))
    assert by_card == pytest.approx(ours, abs=1e-4)


@pytest.mark.parametrize("kind", ["cropped", "squashed, one description"])
def test_the_lines_on_a_card_give_the_scores_of_the_program(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    metadata = read_metadata(model)
    assert metadata is not None
    changed = dataclasses.replace(metadata, temperature=1.7)
    if kind != "cropped":
        settings = whole_page_settings(Preprocessing.from_folder(model))
        (model / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
        prompts = ("a scan of {description}", "{description} in an archive")
        changed = dataclasses.replace(changed, average=False, prompt=prompts)
    (model / "pagesort.json").write_text(changed.to_json(), encoding="utf-8")
    _check_card(model, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [BUNDLED_MODEL, SMALL_MODEL])
def test_the_lines_on_the_bundled_models_card_give_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _check_card(folder, monkeypatch)


def test_a_card_without_labels_shows_how_to_load_the_model(model: Path) -> None:
    (model / "pagesort.json").unlink()
    card = write_card(model, repository="me/x", revision="main")
    assert "CLIPModel.from_pretrained(folder)" in card and "facts" not in card
