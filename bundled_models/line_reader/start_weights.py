"""Where the bundled reader starts: the small recogniser of PP-OCRv6, trained on lines of print.

The weights are Baidu's (PaddleOCR, Apache License 2.0); the package rapidocr on PyPI carries them
as an ONNX file, so that making the reader anew needs no hub. Only making bundled models uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from torch import nn

    from pagesort.reading.network import CtcNetwork

PACKAGE = "rapidocr"
FILE = "models/PP-OCRv6_rec_small.onnx"
DIGEST = "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"
"""SHA-256 of the file in version 3.10.0 of the package."""
NORM_EPSILON = 1e-5  # of the batch normalisations, which are folded into their convolutions
Weights = np.ndarray[Any, np.dtype[np.float32]]


def package_file(package: str, name: str, digest: str) -> Path:
    """Return a file that an installed package carries.

    Raises:
        PageSortError: the package is not installed, or its file is another one.
    """
    from importlib.util import find_spec

    from pagesort.common.files import file_digest

    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise PageSortError(
            f"the package {package} is not installed",
            where="the weights that the bundled reader starts from",
            remedy="Run: python3 -m pip install -r requirements-bundled.txt",
        )
    path = Path(found.submodule_search_locations[0]) / name
    if not path.is_file() or file_digest(path) != digest:
        raise PageSortError(
            "these are not the weights that the bundled reader starts from",
            where=path,
            remedy="Run: python3 -m pip install -r requirements-bundled.txt",
        )
    return path


class OnnxLayers:
    """The layers of an ONNX file with their weights, in the order in which they compute.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        model = onnx.load(path)
        self.nodes = list(model.graph.node)
        self._values = {
            each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self._names = {
            node.output[0]: node.input[0] for node in self.nodes if node.op_type == "Identity"
        }
        self.facts = {each.key: each.value for each in model.metadata_props}

    def with_weights(self, *operations: str) -> Iterator[tuple[Weights, Weights | None]]:
        """The weights and biases of all layers of some kinds."""
        for node in self.nodes:
            if node.op_type in operations:
                weights = self.value(node.input[1])
                if weights is not None:
                    yield weights, self._bias(node.output[0])

    def scales(self, size: int) -> list[tuple[Weights, Weights]]:
        """The scales and shifts of so many numbers, as layer normalisations have them."""
        found: dict[str, list[Weights]] = {"Mul": [], "Add": []}
        is_after_scale = False
        for node in self.nodes:
            if node.op_type == "Mul" or (node.op_type == "Add" and is_after_scale):
                values = [self.value(name) for name in node.input]
                fitting = [each for each in values if each is not None and each.shape == (size,)]
                found[node.op_type].extend(fitting)
                if fitting:
                    is_after_scale = node.op_type == "Mul"
        return list(zip(found["Mul"], found["Add"], strict=True))

    def normalisations(self) -> list[tuple[Weights, ...]]:
        """Scale, shift, mean and variance of each batch normalisation."""
        return [
            tuple(each for name in node.input[1:] if (each := self.value(name)) is not None)
            for node in self.nodes
            if node.op_type == "BatchNormalization"
        ]

    def value(self, name: str) -> Weights | None:
        """The stored numbers that a name stands for, if it does."""
        while name in self._names:
            name = self._names[name]
        return self._values.get(name)

    def _bias(self, output: str) -> Weights | None:
        """The stored numbers that are added to what a layer gives out."""
        names = {output}
        for node in self.nodes:
            if names.isdisjoint(node.input):
                continue
            if node.op_type == "Identity":
                names.add(node.output[0])
            elif node.op_type == "Add":
                values = (self.value(name) for name in node.input)
                return next((each.reshape(-1) for each in values if each is not None), None)
        return None


def start_network(characters: Sequence[str]) -> CtcNetwork:
    """The network with the start weights, and classes for these characters behind the blank.

    A character that the start does not know begins with a class that is never answered.

    Raises:
        PageSortError: see `package_file`.
    """
    from pagesort.reading.network import Block, ChannelWeights, CtcNetwork

    layers = OnnxLayers(package_file(PACKAGE, FILE, DIGEST))
    network = CtcNetwork(len(characters) + 1)
    convolutions = layers.with_weights("Conv")
    weights, bias = next(convolutions)
    _put(network.stem.first, weights.sum(1, keepdims=True), bias)  # of three equal colours
    for layer in list(network.stem.children())[1:]:
        _put(layer, *next(convolutions))
    for block in network.blocks:
        parts: list[nn.Module] = [block.depthwise]
        if isinstance(block, Block) and isinstance(block.weights, ChannelWeights):
            parts += [block.weights.squeeze, block.weights.excite]
        for part in (*parts, block.expand, block.project):
            _put(part, *next(convolutions))
    neck = network.neck
    for layer, (scale, shift, mean, variance) in zip(
        (neck.shortcut, neck.entrance, neck.around), layers.normalisations(), strict=True
    ):
        factor = scale / np.sqrt(variance + NORM_EPSILON)
        weights, _ = next(convolutions)
        _put(layer, weights * factor.reshape(-1, 1, 1, 1), shift - mean * factor)
    products = layers.with_weights("MatMul")
    norms = iter(layers.scales(neck.norm.normalized_shape[0]))
    for attention in neck.layers:
        _put(attention.norm, *next(norms))
        _put(attention.norm_after, *next(norms))
        for layer in (attention.qkv, attention.out, attention.expand, attention.project):
            weights, bias = next(products)
            _put(layer, weights.T, bias)
    _put(neck.norm, *next(norms))
    weights, bias = next(products)
    _put(network.head, *_classes(characters, layers.facts["character"], weights.T, bias))
    return network


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


def _put(layer: nn.Module, weights: Weights, bias: Weights | None) -> None:
    """Fill a layer with weights of its shape."""
    import torch

    assert isinstance(layer.weight, torch.Tensor) and isinstance(layer.bias, torch.Tensor)
    with torch.no_grad():
        if tuple(layer.weight.shape) != weights.shape:
            raise PageSortError("the start weights are those of another network")
        layer.weight.copy_(torch.from_numpy(np.array(weights)))
        layer.bias.copy_(torch.from_numpy(np.array(bias)) if bias is not None else torch.zeros(()))
