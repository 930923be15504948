"""How the line finder is trained."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bundled_models.line_finder import train as training
from bundled_models.line_finder.known_pages import reach, read_pages, seen_and_wanted
from bundled_models.line_finder.start_weights import DIGEST, FILE, start_network
from bundled_models.line_finder.train import loss_of, random_part, seen_pages, train
from bundled_models.onnx_layers import OnnxLayers, package_file
from pagesort.common.errors import PageSortError
from pagesort.reading.finder_network import LineNetwork


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of two lines, one of which runs up the page."""
    (tmp_path / "set").mkdir()
    Image.new("L", (640, 480), 200).save(tmp_path / "set" / "a.png")
    level = {
        "baseline": [[100, 200], [500, 220]],
        "polygon": [[100, 170], [500, 190], [500, 230], [100, 210]],
    }
    upright = {
        "baseline": [[40, 400], [40, 100]],
        "polygon": [[20, 400], [20, 100], [50, 100], [50, 400]],
    }
    lines = [{"id": str(n), "text": "", **line} for n, line in enumerate((level, upright))]
    said = {"image": "a.png", "segmentation": "complete", "lines": lines}
    (tmp_path / "set" / "a.json").write_text(json.dumps(said), encoding="utf-8")
    return tmp_path


def test_lines_are_drawn_where_they_run_and_upright_ones_do_not_count(folder: Path) -> None:
    (page,) = read_pages(folder)

    greys, wanted = seen_and_wanted(page, 320)

    assert greys.shape == (256, 320)  # half the size, filled up to multiples of 32
    assert wanted.baselines[52, 75] == 1  # the middle of the line, at a fourth of the page's pixels
    assert wanted.baselines[:, :20].max() == 0
    assert wanted.ends[:, 22:28].max() == 1 and wanted.ends[:, 60:90].max() == 0
    assert np.exp(wanted.heights[:, 52, 75]) * 8 == pytest.approx((15, 5), abs=1)
    assert wanted.weights[60, 8] == 0 and wanted.weights[60, 75] == 1


def test_reach_is_told_of_level_lines_only() -> None:
    box = np.array([[0, 0], [100, 0], [100, 40], [0, 40]], float)
    assert reach(np.array([[0, 30], [100, 30]], float), box) == pytest.approx((30, 10))
    assert reach(np.array([[30, 0], [30, 40]], float), box) is None


def test_only_what_lies_above_the_trunk_learns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LONGER_SIDE", 160), ("PART", 64), ("BATCH", 1)):
        monkeypatch.setattr(training, name, value)
    torch.manual_seed(0)
    network = LineNetwork().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pages = seen_pages(network, read_pages(folder))
    levels, wanted = random_part(pages[0], random.Random(1))
    assert levels[0].shape == (48, 16, 16) and wanted.baselines.shape == (32, 32)

    def loss(of: LineNetwork) -> float:
        with torch.no_grad():
            return float(loss_of(of.maps(of.text([each[None] for each in levels])), [wanted]))

    first = loss(network)
    trained = train(network, pages, steps=6, seed=3)

    after = trained.state_dict()
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert {name.partition(".")[0] for name in same} == {"stem", "stages"}
    assert {name.partition(".")[0] for name in before} - {"stem", "stages"} <= {
        name.partition(".")[0] for name in set(before) - same
    }
    assert loss(network) < first


def test_the_start_computes_what_its_onnx_file_computes() -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    try:
        path = package_file(FILE, DIGEST)
    except PageSortError as error:
        pytest.skip(error.what)
    network = start_network().eval()
    greys = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 64, 96), np.uint8))
    colours = ((greys.float() / 255 - network.mean) / network.spread).numpy()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": colours})

    weights, bias = list(OnnxLayers(path).with_weights("Conv", "ConvTranspose"))[-1]
    assert bias is not None
    last = torch.from_numpy(weights.copy()), torch.from_numpy(bias.copy())
    with torch.no_grad():
        features = network.text(network.trunk(greys))
        found = torch.nn.functional.conv_transpose2d(features, *last, stride=2).sigmoid()

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
