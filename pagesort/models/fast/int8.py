"""An image tower in 8-bit integers, on a CPU: OpenVINO's, an optional extra.

A tower is quantised once, after its training, with the ranges that the pages shipped with the
program give its layers (Jacob et al., arXiv 1712.05877), and kept beside the converted models.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import check_space, translate_unwritable, unfinished
from pagesort.common.hardware import processors
from pagesort.common.paths import CONVERTED_MODELS, SAMPLE_PAGES
from pagesort.pages.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

STORAGE = CONVERTED_MODELS
CALIBRATION_PAGES = SAMPLE_PAGES
FLOAT_SHARE = 1 / 3
"""Of a tower's convolutions, the first that stay in float32, as all later ones add to their errors.

Of 240 pages, 160 of them real, the bundled model's first guess changed on 7 with 0, on 1 with 0.15,
on none with 1/4 or 1/3, and its score by 0.031, 0.012, 0.0075 and 0.0074. A vision transformer's
only convolution is quantised.
"""
_GRAPH = "tower.xml"
# To be raised when the same tower is to be quantised in another way than before.
_RECIPE = "1"
# What the libraries raise on a tower that they cannot trace or convert.
_UNCONVERTIBLE = (RuntimeError, ValueError, TypeError, AttributeError, LookupError)


class Pooled(NamedTuple):
    """What a tower makes of pages, under the name that `transformers` gives it."""

    pooler_output: torch.Tensor


class Int8Tower(nn.Module):
    """A quantised image tower in the place of the one it was made of.

    Takes one page at a time, so that a page's numbers do not depend on its batch; several threads
    may call it at once.

    Args:
        compiled: an OpenVINO model from (1, 3, H, W) to (1, F), float32 both.
    """

    def __init__(self, compiled: Any) -> None:
        """Store the model; each thread that asks gets its own state."""
        super().__init__()
        self._compiled = compiled
        self._of_thread = threading.local()

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        """See normalised pages, float32 (N, 3, H, W): float32 (N, F)."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        request = self._of_thread.request
        rows = []
        for page in pixel_values.numpy():
            request.infer([np.ascontiguousarray(page[None])], share_inputs=True)
            rows.append(request.get_output_tensor(0).data.copy())
        return Pooled(torch.from_numpy(np.concatenate(rows)))


class _Pooler(nn.Module):
    """A tower whose input and output are bare tensors."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.tower(pixel_values=pixel_values).pooler_output


def open_int8(
    tower: nn.Module,
    preprocessing: Preprocessing,
    name: str,
    fingerprint: str,
    storage: Path | None = None,
) -> Int8Tower:
    """Return a tower in 8-bit integers, quantising it if that has not been done before.

    Args:
        tower: in float32 on the CPU; stays as it is.
        preprocessing: how it wants its pages.
        name: the model's, for the name of the folder that keeps the result.
        fingerprint: of the model's weights and settings.
        storage: the folder that keeps converted models; None: the program's own.

    Raises:
        UsageError: a package that this takes is not installed, or the tower is of a kind whose
            answers do not stay the same.
        PageSortError: what was kept is damaged, or nothing can be kept.
    """
    if not takes_int8(tower):
        raise UsageError(
            f"in 8-bit integers {name} would answer otherwise on one page of seven",
            remedy="Leave out --precision, or add --model_path models/pagesort-small, which is "
            "quicker by itself and takes int8",
        )
    openvino = _extra("openvino")
    key = hashlib.sha256(f"{fingerprint} {_RECIPE}".encode()).hexdigest()
    target = (storage or STORAGE) / f"{name}-int8-{key[:8]}"
    if not (target / _GRAPH).is_file():
        _make(tower, preprocessing, target)
    threads = min(torch.get_num_threads(), processors())
    settings = {
        # For what is left in floating point; the library would take bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        # As many pages side by side as `PageTower` hands out.
        "NUM_STREAMS": threads,
        # Decoding and other processes share the processors.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        compiled = openvino.Core().compile_model(target / _GRAPH, "CPU", settings)
    except RuntimeError as error:
        raise PageSortError(
            "the tower in 8-bit integers cannot be opened",
            where=target,
            remedy="Remove this folder, and it is made again",
        ) from error
    return Int8Tower(compiled)


def takes_int8(tower: nn.Module) -> bool:
    """Whether a tower is not known to answer otherwise in 8-bit integers."""
    return bool(getattr(tower, "takes_int8", True))


def _make(tower: nn.Module, preprocessing: Preprocessing, target: Path) -> None:
    """Quantise a tower into a folder that is there completely or not at all."""
    nncf = _extra("nncf")
    needed = sum(each.numel() * each.element_size() for each in tower.parameters())
    check_space(target.parent, needed, what="a tower in 8-bit integers")
    logger.info("turning the model into 8-bit integers, once, in %s", target)
    started = time.monotonic()
    with translate_unwritable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(target) as partial:
            partial.mkdir()
            _save(_quantised(tower, preprocessing, nncf), partial)
            _give_name(partial, target)
    logger.info("that took %.0f s", time.monotonic() - started)


def _quantised(tower: nn.Module, preprocessing: Preprocessing, nncf: ModuleType) -> Any:
    """Trace a tower with one page and quantise it with those that are shipped."""
    openvino = _extra("openvino")
    estimators = _extra("nncf.quantization.range_estimator")
    widest = estimators.RangeEstimatorParametersSet.MINMAX
    pages = _calibration_pages(preprocessing)
    example = torch.from_numpy(pages[0])
    is_transformer = any(type(part).__name__.endswith("Attention") for part in tower.modules())
    try:
        with silence(), torch.inference_mode():
            exported = torch.export.export(_Pooler(tower).eval(), (example,))
            model = openvino.convert_model(exported, input=[list(example.shape)])
            return nncf.quantize(
                model,
                nncf.Dataset(pages),
                subset_size=len(pages),
                # Ranges of activations need not be symmetrical.
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
                ignored_scope=nncf.IgnoredScope(names=_first_convolutions(model)),
                # From the least to the greatest value of all pages, as others may be odder still.
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=widest
                ),
            )
    except (*_UNCONVERTIBLE, openvino.frontend.OpConversionFailure) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PageSortError(
            f"this image tower does not become 8-bit integers ({reason[0][:200]})",
            remedy="Name another --precision",
        ) from error


def _first_convolutions(model: Any) -> list[str]:
    """Name the convolutions of an OpenVINO model that stay in float32."""
    names = [
        part.get_friendly_name()
        for part in model.get_ordered_ops()
        if part.get_type_name() in ("Convolution", "GroupConvolution")
    ]
    return names[: int(len(names) * FLOAT_SHARE)]


def _save(model: Any, folder: Path) -> None:
    """Write a quantised tower, and read it back: the library does not tell of every full disk."""
    openvino = _extra("openvino")
    try:
        openvino.save_model(model, folder / _GRAPH, compress_to_fp16=False)
        openvino.Core().read_model(folder / _GRAPH)
    except RuntimeError as error:
        raise PageSortError(
            "the tower in 8-bit integers cannot be written",
            where=folder.parent,
            remedy="Free some space, or name another folder with [SETUP] model_storage",
        ) from error


def _give_name(partial: Path, target: Path) -> None:
    try:
        partial.replace(target)
    except OSError:
        # Another run made the same tower first: its folder is as good as ours.
        if not (target / _GRAPH).is_file():
            raise


def _calibration_pages(preprocessing: Preprocessing) -> list[np.ndarray]:
    """Prepare the pages that are shipped, in the order of their names: float32 (1, 3, H, W)."""
    from pagesort.pages.loader import PageLoader

    paths = sorted(CALIBRATION_PAGES.rglob("*.png"))
    if not paths:
        raise PageSortError(
            "the sample pages are missing, which 8-bit integers are fitted to",
            where=CALIBRATION_PAGES,
            remedy="Restore the folder from the program's repository",
        )
    with PageLoader(preprocessing) as loader:
        return [
            np.ascontiguousarray(preprocessing.normalise(loader.pixels(path)[None]))
            for path in paths
        ]


def _extra(name: str) -> ModuleType:
    """Import a package of the optional extra.

    Its telemetry, which sends what is done with it to its makers unless somebody objects, is kept
    from being imported; they do without.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        with silence():
            return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"precision int8 needs the package {name} ({error})",
            remedy="Run `python3 -m pip install openvino nncf`, or name another --precision",
        ) from error


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the libraries' bars and notes from the output that holds results, and from the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
