"""The programs that sort the same pages with the same model, each as its users would call it.

A contender is made with a `Job`; `prepare` gets ready for the first so many of its pages and a
batch size, `run` is what is measured, `scores` tells what `run` found: float32 (pages, labels).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

OURS, OURS_FP32 = "pagesort", "pagesort, fp32"
PIPELINE = "transformers pipeline"
OPEN_CLIP = "open_clip, DataLoader"
PUBLISHED = "published design, averaged texts"
PUBLISHED_TEXTS = "published design, texts each time"
MODEL, DECODING = "model alone", "decoding alone"
OWN_PARTS = 0
"""As a batch size: whatever parts of a batch we give a model."""


@dataclass(frozen=True)
class Job:
    """What every contender gets.

    `pages` are sorted; `texts` stand for the labels, one each, prompt included; `temperature`
    divides the scores of the model; `shape` is a key of `speed_models.SHAPES`.
    """

    folder: Path
    open_clip: Path | None
    shape: str
    pages: tuple[Path, ...]
    texts: tuple[str, ...]
    temperature: float
    device: str
    precision: str
    batch: int


class Contender(Protocol):
    """What is measured."""

    def prepare(self, count: int, batch: int) -> None:
        """Do what is not measured."""

    def run(self) -> None:
        """Sort the pages."""

    def scores(self) -> np.ndarray | None:
        """What `run` found; None for what finds nothing."""


def open_ours(job: Job) -> Any:
    """Open the model as the command does, with one text a label."""
    from speed_models import DESCRIPTIONS

    from classifier import CLIP
    from pagesort.models.descriptions import read_descriptions

    clip = CLIP.open(job.folder, device=job.device, precision=job.precision, lean=True)
    texts = None if clip.labels else read_descriptions(DESCRIPTIONS)
    return clip.variant(descriptions=texts, average=False)


class Ours:
    """The command's own way: a folder to tables."""

    def __init__(self, job: Job) -> None:
        """Open the model and embed the labels."""
        self._classifier = open_ours(job)
        _ = self._classifier.label_embeddings  # computed once, now
        self._job = job
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self._request: Any = None
        self._tables: tuple[Path, ...] = ()

    def prepare(self, count: int, batch: int) -> None:
        """Put the pages into a folder, in order."""
        from pagesort.prediction.request import Request

        self._place = tempfile.TemporaryDirectory()
        place = Path(self._place.name)
        pages = self._job.pages[:count]
        link_pages(pages, place / "pages")
        self._request = Request(
            folder=place / "pages",
            formats=tuple({path.suffix.lower().lstrip(".") for path in pages}),
            inner=False,
            tables=place / "tables",
            top_n=3,
            raw=True,
            max_categ=10**6,
            batch_size=self._job.batch,
            max_megapixels=300.0,
            resume=False,
        )

    def run(self) -> None:
        """Sort the folder."""
        from pagesort.prediction.folder_run import predict_folder
        from pagesort.prediction.request import check_request

        check_request(self._request)
        outcome = predict_folder(self._classifier, self._request)
        assert not outcome.failed
        self._tables = outcome.tables

    def scores(self) -> np.ndarray:
        """Read the table of all scores."""
        import pandas as pd

        table = pd.read_csv(self._tables[1]).sort_values("PAGE")
        return table[list(self._classifier.labels)].to_numpy(np.float32)


class _Scored:
    """A contender that keeps its scores."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pages: tuple[Path, ...] = ()
        self._batch = 1
        self._found: list[np.ndarray] = []

    def prepare(self, count: int, batch: int) -> None:
        """Note pages and batch size."""
        self._pages, self._batch = self._job.pages[:count], batch

    def scores(self) -> np.ndarray | None:
        """All batches, at the model's temperature, which only our own program knows of."""
        powers = np.concatenate(self._found).astype(np.float64) ** (1 / self._job.temperature)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def _batches(self) -> list[tuple[Path, ...]]:
        starts = range(0, len(self._pages), self._batch)
        return [self._pages[start : start + self._batch] for start in starts]


class Pipeline(_Scored):
    """`transformers`' pipeline over a list of paths."""

    def __init__(self, job: Job) -> None:
        """Open the model."""
        from transformers import pipeline

        super().__init__(job)
        self._pipe = pipeline(
            "zero-shot-image-classification", model=str(job.folder), device=torch_device(job)
        )

    def run(self) -> None:
        """Classify all pages."""
        texts = list(self._job.texts)
        answers = self._pipe(
            [str(path) for path in self._pages],
            candidate_labels=texts,
            hypothesis_template="{}",
            batch_size=self._batch,
        )
        scores = ({each["label"]: each["score"] for each in answer} for answer in answers)
        self._found = [np.array([[answer[text] for text in texts] for answer in scores])]


class Published(_Scored):
    """Page or small batch by page: PIL, CLIPProcessor, model, in the published design's two ways.

    With `texts_each_time` the text tower reads every label's description again with every batch;
    else the embeddings of the labels, averaged over their descriptions, are computed beforehand.
    """

    def __init__(self, job: Job, texts_each_time: bool) -> None:
        """Open model and processor; embed the labels."""
        import torch

        super().__init__(job)
        self._texts_each_time = texts_each_time
        self._model, self._processor = open_transformers(job)
        with torch.inference_mode():
            inputs = self._processor(text=list(job.texts), return_tensors="pt", padding=True)
            inputs = inputs.to(self._model.device)
            self._labels = unit(self._model.get_text_features(**inputs).pooler_output)

    def run(self) -> None:
        """Score batch by batch."""
        import torch

        with torch.inference_mode():
            self._found = [self._score(batch).cpu().numpy() for batch in self._batches()]

    def _score(self, batch: Sequence[Path]) -> Any:
        from PIL import Image

        images = [Image.open(path).convert("RGB") for path in batch]
        if self._texts_each_time:
            texts = list(self._job.texts)
            inputs = self._processor(text=texts, images=images, return_tensors="pt", padding=True)
            logits = self._model(**inputs.to(self._model.device)).logits_per_image
        else:
            inputs = self._processor(images=images, return_tensors="pt").to(self._model.device)
            found = unit(self._model.get_image_features(**inputs).pooler_output)
            logits = self._model.logit_scale.exp() * found @ self._labels.T
        return logits.softmax(dim=-1)


class PageImages:
    """Pages as a torch dataset, for `open_clip`'s transform."""

    def __init__(self, pages: Sequence[Path], transform: Any) -> None:
        """Store both."""
        self._pages, self._transform = pages, transform

    def __len__(self) -> int:
        """How many pages."""
        return len(self._pages)

    def __getitem__(self, index: int) -> Any:
        """One page as the model's input."""
        from PIL import Image

        image = Image.open(self._pages[index])
        # The transform would resize the numbers of a palette's colours.
        return self._transform(image.convert("RGB") if image.mode == "P" else image)


class OpenClip(_Scored):
    """`open_clip` fed by a DataLoader with a process for every processor."""

    def __init__(self, job: Job) -> None:
        """Build the model, load the weights, embed the labels."""
        import torch
        from open_clip.transform import image_transform
        from safetensors.torch import load_file
        from speed_models import SHAPES, new_open_clip
        from torch.utils.data import DataLoader

        from pagesort.common.hardware import processors

        super().__init__(job)
        self._model = new_open_clip(job.shape)
        self._model.load_state_dict(load_file(job.open_clip))
        self._model.to(torch_device(job))
        transform = image_transform(SHAPES[job.shape].image, is_train=False)
        # Filled anew for every number of pages and batch size: the loader's processes stay.
        self._places: list[list[int]] = []
        self._loader = DataLoader(
            PageImages(job.pages, transform),
            batch_sampler=self._places,
            num_workers=processors(),
            persistent_workers=True,
            pin_memory=torch_device(job).type == "cuda",
        )
        with torch.inference_mode():
            tokens = self._tokens().to(torch_device(job))
            self._labels = self._model.encode_text(tokens, normalize=True)

    def _tokens(self) -> Any:
        """Tokens padded to the model's context, as `open_clip`'s tokenizer makes them."""
        import torch
        from speed_models import CONTEXT, VOCABULARY

        from pagesort.models.tokenizer import clip_tokenizer

        tokenizer = clip_tokenizer(VOCABULARY, CONTEXT)
        rows = tokenizer(list(self._job.texts), return_tensors="pt", padding=True)
        tokens = torch.zeros(len(self._job.texts), CONTEXT, dtype=torch.long)
        tokens[:, : rows["input_ids"].shape[1]] = rows["input_ids"] * rows["attention_mask"]
        return tokens

    def prepare(self, count: int, batch: int) -> None:
        """Deal the pages out to batches."""
        starts = range(0, count, batch)
        self._places[:] = [list(range(start, min(start + batch, count))) for start in starts]

    def run(self) -> None:
        """Score batch by batch."""
        import torch

        self._found = []
        with torch.inference_mode():
            for images in self._loader:
                values = images.to(torch_device(self._job), non_blocking=True)
                found = self._model.encode_image(values, normalize=True)
                logits = self._model.logit_scale.exp() * found @ self._labels.T
                self._found.append(logits.softmax(dim=-1).cpu().numpy())


class ModelAlone:
    """Our image tower on pages that are in memory already: in our parts, or in plain batches."""

    def __init__(self, job: Job) -> None:
        """Open the model."""
        self._job = job
        self._classifier = open_ours(job)
        self._batches: list[Any] = []
        self._batch = OWN_PARTS

    def prepare(self, count: int, batch: int) -> None:
        """Decode and resize; for plain batches, convert to the model's input, too."""
        import torch

        preprocessing = self._classifier.preprocessing
        decoded = np.stack([each.pixels for each in decode(self._job.pages[:count], preprocessing)])
        self._batch = batch
        if batch == OWN_PARTS:
            self._batches = [decoded]
            return
        weights = next(self._classifier.model.vision_model.parameters())
        values = torch.from_numpy(preprocessing.normalise(decoded)).to(weights)
        self._batches = [
            part.contiguous(memory_format=torch.channels_last) for part in values.split(batch)
        ]

    def run(self) -> None:
        """See all pages."""
        import torch

        from pagesort.common.hardware import freed_memory_kept

        with freed_memory_kept(), torch.inference_mode():
            for batch in self._batches:
                if self._batch == OWN_PARTS:
                    self._classifier.embed_images(batch)
                else:
                    self._classifier.model.vision_model(pixel_values=batch).pooler_output.cpu()

    def scores(self) -> None:
        """There are none."""


class DecodingAlone:
    """Our decoding and resizing on all processors, with no model."""

    def __init__(self, job: Job) -> None:
        """Read how the model wants its pages."""
        from pagesort.pages.preprocessing import Preprocessing

        self._job, self._count = job, 0
        self._preprocessing = Preprocessing.from_folder(job.folder)

    def prepare(self, count: int, batch: int) -> None:
        """Note how many pages."""
        self._count = count

    def run(self) -> None:
        """Decode all pages."""
        decoded = decode(self._job.pages[: self._count], self._preprocessing)
        assert all(hasattr(page, "pixels") for page in decoded)

    def scores(self) -> None:
        """There are none."""


def decode(pages: Sequence[Path], preprocessing: Any) -> list[Any]:
    """Decode and resize pages as a folder's run does."""
    from pagesort.pages.loader import PageLoader, PageRef

    refs = [PageRef(index, path) for index, path in enumerate(pages)]
    groups = [refs[start : start + 16] for start in range(0, len(refs), 16)]
    with PageLoader(preprocessing) as loader:
        return [page for batch in loader.batches(groups) for page in batch]


def open_transformers(job: Job) -> tuple[Any, Any]:
    """Open model and processor as the library's examples do."""
    from transformers import (
        AutoImageProcessor,
        AutoModel,
        AutoTokenizer,
        CLIPModel,
        CLIPProcessor,
        VisionTextDualEncoderProcessor,
    )

    from pagesort.models.trunks_model import make_known

    make_known()
    model = AutoModel.from_pretrained(job.folder).eval().to(torch_device(job))
    if isinstance(model, CLIPModel):
        return model, CLIPProcessor.from_pretrained(job.folder)
    images = AutoImageProcessor.from_pretrained(job.folder)
    return model, VisionTextDualEncoderProcessor(images, AutoTokenizer.from_pretrained(job.folder))


def unit(rows: Any) -> Any:
    """Bring rows to length 1."""
    return rows / rows.norm(dim=-1, keepdim=True)


def torch_device(job: Job) -> Any:
    """The device that our program would take."""
    from classifier import choose_device

    return choose_device(job.device)


def link_pages(pages: Sequence[Path], folder: Path) -> None:
    """Fill a folder with pages under names that keep their order, as links where that works."""
    folder.mkdir(parents=True)
    for number, source in enumerate(pages, 1):
        target = folder / f"page-{number:05d}{source.suffix.lower()}"
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def make_contender(name: str, job: Job) -> Contender:
    """Make a contender by its name."""
    if name == OURS_FP32:
        return Ours(replace(job, precision="fp32"))
    if name in (PUBLISHED, PUBLISHED_TEXTS):
        return Published(job, texts_each_time=name == PUBLISHED_TEXTS)
    kinds = {
        OURS: Ours, PIPELINE: Pipeline, OPEN_CLIP: OpenClip, MODEL: ModelAlone,
        DECODING: DecodingAlone,
    }  # fmt: skip
    return kinds[name](job)
