"""A model as an ONNX file: the same answers from another program, by the guide's own lines."""

from __future__ import annotations

import builtins
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import run
from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.common.paths import SAMPLE_PAGES
from tests.helpers.command import Run, command, error_line, workplace
from tests.helpers.paths import ROOT

__all__ = ["command", "workplace"]  # fixtures

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PAGE = SAMPLE_PAGES / "LINE_P" / "synth03_line_p_3-1.png"


@pytest.fixture(scope="module")
def exported(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer's file, by the command line."""
    path = tmp_path_factory.mktemp("onnx") / "my model ř.onnx"
    words = ["--export_onnx", str(path), "--model_path", str(tiny_model_folder)]
    assert run.main(words) == 0
    return path


def _session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _check_same(clip: CLIP, path: Path, *counts: int) -> None:
    session = _session(path)
    height, width = clip.preprocessing.input_size
    for count in counts:
        size = (count, height, width, 3)
        pages = np.random.default_rng(count).integers(0, 256, size, dtype=np.uint8)
        pages[0] = 255
        if count > 1:  # lines that run down the page
            with Image.open(PAGE) as page:
                lying = page.convert("RGB").rotate(90, expand=True)
            pages[1] = np.asarray(lying.resize((width, height)))
        probabilities, embeddings = session.run(["probabilities", "embeddings"], {"pixels": pages})
        assert np.abs(probabilities - clip.probabilities(pages)).max() < 1e-4
        assert np.abs(embeddings - clip.embed_images(pages).numpy()).max() < 1e-4
        assert probabilities.shape == (count, len(clip.labels))


@pytest.mark.slow
def test_a_vision_transformer_answers_the_same(exported: Path, tiny_model_folder: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    _check_same(clip, exported, 1, 2, 7)
    facts = _session(exported).get_modelmeta().custom_metadata_map
    assert tuple(json.loads(facts["labels"])) == clip.labels
    assert json.loads(facts["fingerprint"]) == clip.fingerprint
    assert json.loads(facts["input_size"]) == [32, 32]
    assert json.loads(facts["preprocessing"])["shortest_edge"] == 32


@pytest.fixture(scope="module")
def guide() -> str:
    """The lines of docs/onnx.md."""
    text = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    return str(code)


def _follow(guide: str, capsys: pytest.CaptureFixture[str]) -> tuple[np.ndarray, str]:
    names: dict[str, Any] = {}
    exec(guide, names)
    return names["scores"], capsys.readouterr().out


@pytest.mark.slow
def test_the_guide_gives_the_scores_of_the_program(
    exported: Path,
    tiny_model_folder: Path,
    guide: str,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(exported, workplace / "pages.onnx")
    shutil.copy(PAGE, workplace / "page.png")
    scores, out = _follow(guide, capsys)
    clip = CLIP.open(tiny_model_folder, device="cpu")
    wanted = clip.scores(clip.embed([PAGE]))
    assert np.abs(scores - wanted).max() < 1e-4
    assert out == f"{clip.labels[wanted.argmax()]} {wanted.max():.3f}\n"


@pytest.mark.slow
def test_the_bundled_model_answers_the_same(
    guide: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = CLIP.open(device="cpu")
    clip.export_onnx(workplace / "pages.onnx")
    _check_same(clip, workplace / "pages.onnx", 1, 3)
    shutil.copy(PAGE, workplace / "page.png")
    scores, _ = _follow(guide, capsys)
    assert np.abs(scores - clip.scores(clip.embed([PAGE]))).max() < 1e-4


def test_what_cannot_be_written_is_told_before_a_model_is_opened(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "a model is written as .onnx" in error_line(command("--export_onnx", "a.pt"), 2)
    nowhere = command("--export_onnx", tmp_path / "none" / "a.onnx")
    assert "the folder does not exist" in error_line(nowhere)
    fewer = command("--export_onnx", "a.onnx", "--precision", "int8")
    assert "--export_onnx writes fp32" in error_line(fewer, 2)
    untouched = command("--export_onnx", "a.onnx", "--zero_shot")
    assert "contradict" in error_line(untouched, 2)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "onnxscript":
            raise ImportError(name)
        return real(name, *rest)

    import importlib

    monkeypatch.setattr(importlib, "import_module", lambda name: without(name))
    missing = command("--export_onnx", "a.onnx")
    assert "pip install -r requirements-onnx.txt" in error_line(missing, 2)


@pytest.mark.slow
def test_a_file_that_answers_otherwise_gets_no_name(
    exported: Path, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pagesort.models import onnx_file

    class Program:
        """What was exported before."""

        model = SimpleNamespace(metadata_props={})

        def save(self, path: str, **_: object) -> None:
            shutil.copy(exported, path)

    monkeypatch.setattr(onnx_file, "_traced", lambda *_: Program())
    clip = CLIP.open(tiny_model_folder, device="cpu")
    with pytest.raises(PageSortError, match="answers otherwise"):
        clip.variant(temperature=0.01).export_onnx(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    clip.export_onnx(tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
