"""The bundled line finder against the detector that it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bundled_models.line_finder.detector import DIGEST, FILE, detector
from bundled_models.onnx_layers import package_file
from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_READER
from pagesort.models.line_networks import normalised
from pagesort.reading.line_finder import WEIGHTS


def test_the_bundled_finder_is_the_detector_of_the_package() -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    try:
        path = package_file(FILE, DIGEST)
    except PageSortError as error:
        pytest.skip(error.what)
    network = detector().eval()
    bundled = load_file(BUNDLED_READER / WEIGHTS)
    for name, value in network.state_dict().items():
        assert torch.equal(bundled[name], value.half()), name
    greys = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 64, 96), np.uint8))
    colours = normalised(greys.float() / 255).numpy()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    (expected,) = session.run(None, {"x": colours})
    with torch.no_grad():
        found = network(greys).sigmoid()

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
