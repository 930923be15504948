"""Pages of plain colours and a model that knows colours, for tests of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pagesort.evaluation.evaluate import EvaluationRequest
from pagesort.labelled.folder import LabelledPage, read_labelled_folder
from pagesort.models.metadata import ModelMetadata
from pagesort.pages.preprocessing import Preprocessing

COLOURS = np.random.default_rng(1).integers(0, 256, (64, 3))


def write_page(path: Path, colour: Sequence[int] | np.ndarray) -> None:
    """Write a page of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 8), tuple(map(int, colour))).save(path)


def write_pages(
    folder: Path, labels: Sequence[str], count: int, wrong: float = 0.3, seed: int = 0
) -> Path:
    """Write so many pages a label, some in the colour of another label, three a document."""
    stream = np.random.default_rng(seed)
    for index, label in enumerate(labels):
        for number in range(count):
            drawn = stream.integers(len(labels)) if stream.random() < wrong else index
            noise = stream.integers(-40, 41, 3)
            name = f"doc{index}x{number // 3}-{number + 1}.png"
            write_page(folder / label / name, np.clip(COLOURS[drawn] + noise, 0, 255))
    return folder


@dataclass
class ColourModel:
    """Scores a page by how near its mean colour is to each label's."""

    metadata: ModelMetadata
    sharpness: float = 6.0
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(resize=(4, 4)))
    name: str = "colours"
    fingerprint: str = "0" * 64
    precision: str = "fp32"
    device: str = "cpu"
    seen: list[int] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories."""
        return self.metadata.labels

    @property
    def prompts(self) -> dict[str, list[str]]:
        """The descriptions themselves."""
        return self.metadata.descriptions

    def embed_images(self, pixels: np.ndarray) -> np.ndarray:
        """Mean colours of uint8 (N, H, W, 3); the sizes of the batches are kept in `seen`."""
        self.seen.append(len(pixels))
        return pixels.mean(axis=(1, 2)) / 255.0

    def batches_at_once(self, batch_size: int) -> int:
        """One."""
        return 1

    def stop(self) -> None:
        """There is nothing to stop."""

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """Softmax of the negative distances; the more texts count, the sharper."""
        texts = max(map(len, self.metadata.descriptions.values())) if self.metadata.average else 1
        centres = COLOURS[: len(self.labels)] / 255.0
        distances = np.linalg.norm(embeddings[:, None] - centres, axis=2)
        powers = np.exp(-distances * self.sharpness * texts)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def variant(self, *, descriptions: Mapping[str, Sequence[str]], average: bool) -> ColourModel:
        """The same model with other texts."""
        texts = {label: list(descriptions[label]) for label in self.labels}
        return replace(self, metadata=replace(self.metadata, descriptions=texts, average=average))


def colour_model(labels: Sequence[str], texts: int = 1, **more: object) -> ColourModel:
    """A model of these labels, with so many descriptions each."""
    descriptions = {label: [f"{label} {n}" for n in range(texts)] for label in labels}
    metadata = ModelMetadata(labels=tuple(labels), descriptions=descriptions, base="colours")
    return ColourModel(metadata, **more)  # type: ignore[arg-type]


def request_of(folder: Path, results: Path, **more: object) -> EvaluationRequest:
    """Ask for all pages of a folder."""
    data = read_labelled_folder(folder, named_by="[EVAL] FOLDER_PAGES", empty_ok=True)
    values: dict[str, object] = {
        "pages": data.pages,
        "labels": data.labels,
        "folder": folder,
        "part": "all pages",
        "results": results,
        "top_n": 3,
        "raw": True,
        "max_categ": 100,
        "batch_size": 8,
        "max_megapixels": 10.0,
        "seed": 420,
    }
    return EvaluationRequest(**(values | more))  # type: ignore[arg-type]


def labelled(path: Path) -> LabelledPage:
    """A page that need not exist."""
    from utils import page_name

    return LabelledPage(
        path, path.parent.name, page_name(path)[0], f"{path.parent.name}/{path.name}"
    )
