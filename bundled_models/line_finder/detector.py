"""The weights of the line finder: those of the small text detector of PP-OCRv6."""

from __future__ import annotations

from torch import nn

from bundled_models.onnx_layers import OnnxLayers, package_file, put
from pagesort.models.line_networks import (
    Block,
    ChannelWeights,
    Entrance,
    Exit,
    Halving,
    LineNetwork,
)

FILE = "models/PP-OCRv6_det_small.onnx"
DIGEST = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
"""SHA-256 of the file in version 3.10.0 of the package."""


def detector() -> LineNetwork:
    """The network with the detector's weights.

    Raises:
        PageSortError: see `package_file`.
    """
    layers = OnnxLayers(package_file(FILE, DIGEST)).with_weights("Conv", "ConvTranspose")
    network = LineNetwork()
    for layer in (*_of_trunk(network), *_of_pyramid(network)):
        put(layer, *next(layers))
    return network


def _of_trunk(network: LineNetwork) -> list[nn.Module]:
    found: list[nn.Module] = list(network.stem.children())
    for stage in network.stages:
        for block in stage.children():
            assert isinstance(block, Block | Halving)
            found.append(block.depthwise)
            if isinstance(block, Block) and isinstance(block.weights, ChannelWeights):
                found += [block.weights.squeeze, block.weights.excite]
            found += [block.expand, block.project]
    return found


def _of_pyramid(network: LineNetwork) -> list[nn.Module]:
    """From the smallest features to the largest, as the file has them."""
    found: list[nn.Module] = []
    for entrance in reversed(network.entrances):
        assert isinstance(entrance, Entrance)
        found += [entrance.project, entrance.weights.squeeze, entrance.weights.excite]
    for exit_ in reversed(network.exits):
        assert isinstance(exit_, Exit)
        weights = exit_.weights
        found += [exit_.depthwise, exit_.project, weights.squeeze, weights.excite]
    return [*found, network.merge, network.enlarge, network.middles]
