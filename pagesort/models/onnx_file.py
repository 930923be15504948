"""A model as one ONNX file: prepared pages to probabilities, for programs without this one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from pagesort import __version__
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import check_space, translate_unwritable, whole
from pagesort.models.fast.int8 import silence
from pagesort.models.protocols import WholeClassifier
from pagesort.pages.preprocessing import Preprocessing

ENDING = ".onnx"
INPUT = "pixels"
OUTPUTS = ("probabilities", "embeddings")
LARGEST_BYTES = 2**31 - 1  # of a file in this format
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_DIFFERENCE = 1e-4  # of a probability, in another program
_CHECKED_PAGES = 3
# What the libraries raise on a tower that they cannot trace or write down.
_UNCONVERTIBLE = (RuntimeError, ValueError, TypeError, AttributeError, LookupError)


class Answers(nn.Module):
    """Pages to probabilities and embeddings in one step, the numbers of the pixels included.

    Args:
        tower: the image tower, in float32 on the CPU.
        projection: from its features into the space of the embeddings.
        label_embeddings: (C, D), each of length 1.
        scale: what a cosine is multiplied with before the softmax.
        preprocessing: how the model wants its pages.
    """

    def __init__(
        self,
        tower: nn.Module,
        projection: nn.Module,
        label_embeddings: torch.Tensor,
        scale: float,
        preprocessing: Preprocessing,
    ) -> None:
        """Take the parts; nothing is copied but the embeddings of the labels."""
        super().__init__()
        self.tower = tower
        self.projection = projection
        self.scale = scale
        self.divisor = round(1.0 / preprocessing.rescale, 6)
        self.labels = nn.Buffer(label_embeddings.T.clone())
        self.mean = nn.Buffer(torch.tensor(preprocessing.mean)[:, None, None])
        self.std = nn.Buffer(torch.tensor(preprocessing.std)[:, None, None])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score prepared pages, uint8 (N, H, W, 3): float32 (N, C) and (N, D)."""
        values = (pixels.permute(0, 3, 1, 2).float() / self.divisor - self.mean) / self.std
        embeddings = self.projection(self.tower(pixel_values=values).pooler_output)
        embeddings = embeddings / embeddings.norm(dim=-1, keepdim=True)
        return (embeddings @ self.labels * self.scale).softmax(dim=-1), embeddings


def check_file(path: Path) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        UsageError: its ending is not .onnx, or a package that this takes is not installed.
        PageSortError: its folder is missing.
    """
    if path.suffix.lower() != ENDING:
        raise UsageError("a model is written as .onnx", where=path, remedy="Give it such a name")
    if not path.absolute().parent.is_dir():
        raise PageSortError("the folder does not exist", where=path.absolute().parent)
    for name in PACKAGES:
        _extra(name)


def export(classifier: WholeClassifier, path: Path) -> None:
    """Write a model as ONNX, as `CLIP.export_onnx` tells.

    Raises:
        UsageError, PageSortError: as that tells.
    """
    check_file(path)
    if classifier.precision != "fp32" or classifier.device.type != "cpu":
        raise PageSortError(
            f"an ONNX file is made of a model in fp32 on the CPU, and this is in "
            f"{classifier.precision} on {classifier.device}",
            remedy='Open it with CLIP.open(folder, device="cpu", precision="fp32")',
        )
    model, metadata = classifier.model, classifier.metadata
    answers = Answers(
        model.vision_model,
        model.visual_projection,
        classifier.label_embeddings,
        float(model.logit_scale.detach().double().exp()) / metadata.temperature,
        classifier.preprocessing,
    )
    facts = {
        "program": f"pagesort {__version__}",
        "model": metadata.base,
        "fingerprint": classifier.fingerprint,
        "labels": list(metadata.labels),
        "temperature": metadata.temperature,
    }
    write_onnx(path, answers, classifier.preprocessing, facts)


def write_onnx(
    path: Path, answers: Answers, preprocessing: Preprocessing, facts: Mapping[str, Any]
) -> None:
    """Write a model as ONNX, whole or not at all, over what was there.

    The file takes `pixels`, uint8 (N, H, W, 3), for any number of pages, and gives `probabilities`
    (N, C) and `embeddings` (N, D). Before it gets its name it is run, and must answer as the model.

    Args:
        path: ends in .onnx.
        answers: what to write.
        preprocessing: how a page becomes pixels; kept in the file.
        facts: what else is kept in the file: JSON values by name.

    Raises:
        PageSortError: the model cannot be written so, is too large, or the file answers otherwise.
    """
    tensors = (*answers.parameters(), *answers.buffers())
    needed = sum(each.numel() * each.element_size() for each in tensors)
    if needed > LARGEST_BYTES:
        raise PageSortError("the model is larger than the 2 GB that a file of this kind can hold")
    check_space(path.absolute().parent, needed, what="the ONNX file")
    height, width = preprocessing.input_size
    known = {
        "input_size": [height, width],
        "preprocessing": _facts(preprocessing),
        **facts,
    }
    program = _traced(answers.eval(), height, width)
    program.model.metadata_props.update(
        {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
    )
    with translate_unwritable(path, elsewhere="another file"), whole(path) as partial:
        with silence():
            program.save(str(partial), external_data=False)
        _check_answers(partial, answers, height, width)


def _traced(answers: Answers, height: int, width: int) -> Any:
    """Follow two pages through the model and note what is computed, for any number of pages."""
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    try:
        with silence(), torch.no_grad():
            program = torch.onnx.export(
                answers,
                (example,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes={INPUT: {0: torch.export.Dim("pages")}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except _UNCONVERTIBLE as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PageSortError(f"this model cannot be written as ONNX ({reason[0][:200]})") from error
    assert program is not None  # it is for `dynamo`
    return program


def _check_answers(path: Path, answers: Answers, height: int, width: int) -> None:
    """Let the file score some pages, and compare with the model."""
    runtime = _extra("onnxruntime")
    stream = np.random.default_rng(0)
    # Pages of a few large fields, which differ from one another more than noise does.
    fields = stream.integers(0, 256, (_CHECKED_PAGES, 4, 4, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    pages = np.ascontiguousarray(fields[:, rows][:, :, columns])
    with silence():
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run([OUTPUTS[0]], {INPUT: pages})[0]
    with torch.inference_mode():
        wanted = answers(torch.from_numpy(pages))[0].numpy()
    difference = float(np.abs(found - wanted).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise PageSortError(
            f"the ONNX file answers otherwise than the model: scores differ by {difference:.2g}",
            remedy="Update the packages onnx, onnxscript and onnxruntime",
        )


def _facts(preprocessing: Preprocessing) -> dict[str, Any]:
    """What must be done to a page before its pixels go into the file."""
    return {
        "shortest_edge": preprocessing.shortest_edge,
        "resize": preprocessing.resize,
        "crop": preprocessing.crop,
        "resample": preprocessing.resample,
        "reducing_gap": preprocessing.reducing_gap,
    }


def _extra(name: str) -> ModuleType:
    """Import a package of the optional extra."""
    try:
        with silence():
            return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"--export_onnx needs the package {name} ({error})",
            remedy="Run `python3 -m pip install -r requirements-onnx.txt`",
        ) from error
