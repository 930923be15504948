"""The classifier: pages and label descriptions to embeddings to probabilities."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_MODEL, CONVERTED_MODELS
from pagesort.labelled.splits import split_data_80_10_10
from pagesort.models import catalogue, formats
from pagesort.models.descriptions import Table, prompt_texts
from pagesort.models.fast.fast_loading import load_to_predict
from pagesort.models.image_tower import (
    INT8,
    PageTower,
    TwoTowers,
    choose_precision,
    convert_tower,
    precision_of,
)
from pagesort.models.metadata import ModelMetadata, no_labels
from pagesort.models.tokenizer import clean_text
from pagesort.models.transformers_loader import check_input_size, load_towers
from pagesort.pages.preprocessing import FILE_NAME as PREPROCESSING_FILE
from pagesort.pages.preprocessing import Preprocessing

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

    from pagesort.models.fast.fast_loading import LeanTokenizer
    from pagesort.prediction.given_pages import GivenPage

__all__ = ["CLIP", "choose_device", "custom_collate", "split_data_80_10_10"]

logger = logging.getLogger(__name__)

_TEXTS_AT_ONCE = 64
_TEXTS_A_PART = 8  # on one processor
_MANY_TEXTS = 2000  # so many take a while that a person wants explained


class CLIP:
    """A model ready to sort pages: both towers, its labels, and one embedding a label.

    Args:
        model: a `transformers` model with image and text features, or a `towers.DualEncoder`, in
            float32 on `device`; its image tower may be in fewer bits.
        tokenizer: the tokenizer of its text tower.
        preprocessing: how it wants its pages.
        metadata: labels, descriptions of every label, prompt, averaging, temperature.
        model_fingerprint: hash of the weights and settings, or a function that computes it when it
            is asked for, which takes a while for large models.
    """

    def __init__(
        self,
        model: TwoTowers,
        tokenizer: PreTrainedTokenizerBase | LeanTokenizer,
        preprocessing: Preprocessing,
        metadata: ModelMetadata,
        *,
        model_fingerprint: str | Callable[[], str] = "",
    ) -> None:
        """Store the parts; nothing is computed yet."""
        self.model = model
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.metadata = metadata
        self._model_fingerprint = model_fingerprint
        self._label_embeddings: torch.Tensor | None = None
        self._lock = threading.Lock()
        self._tower = PageTower(model, preprocessing)

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        *,
        metadata: ModelMetadata | None = None,
        device: str = "auto",
        precision: str = "fp32",
        lean: bool = False,
        storage: Path | None = None,
    ) -> CLIP:
        """Open a model; `variant` gives it other labels and texts.

        Args:
            folder: a `transformers` folder, with or without `pagesort.json`; or what
                `formats.open_model_folder` converts into one, once: a published folder or a `.pt`
                checkpoint. None: the bundled model.
            metadata: labels, descriptions and the like that are settled already; None: those of
                the folder.
            device: `auto` (a CUDA or Apple GPU if there is one), or a device by name.
            precision: numbers that the image tower computes with, as `choose_precision` takes them;
                in fewer bits than fp32 it is for prediction only. Texts are always in float32.
            lean: whether towers will do that only predict and are no `transformers` models, with
                the same answers in fp32: they are loaded in a third of the time, and the bundled
                small kind loses less in fewer bits (`towers.LiteTower.sensitive`).
            storage: the folder that keeps converted models, for int8; None: the program's own.

        Raises:
            PageSortError: there is no such folder, it is incomplete, or the device is not there.
            UsageError: int8 is wanted on a GPU, or without the packages that it takes.
        """
        folder = BUNDLED_MODEL if folder is None else Path(folder)
        chosen = choose_device(device)
        if not (folder / PREPROCESSING_FILE).is_file():
            folder = formats.open_model_folder(folder, storage or CONVERTED_MODELS)
        if metadata is None:
            own = formats.read_metadata(folder) or ModelMetadata(base=folder.name)
            # An untouched base model brings no labels; `variant` gives it some.
            metadata = own.settled() if own.labels else own
        settled = choose_precision(precision, chosen, metadata.agreement(INT8))
        preprocessing = Preprocessing.from_folder(folder)
        model: TwoTowers
        model, tokenizer = load_to_predict(folder) if lean else load_towers(folder)
        check_input_size(model, preprocessing, folder)
        model.to(chosen)
        fingerprint = functools.cache(lambda: formats.fingerprint(folder))
        if settled == INT8:
            kept_as = (preprocessing, folder.name, fingerprint(), storage)
            model.vision_model = _int8_tower(model.vision_model, *kept_as, precision == INT8)
        else:
            convert_tower(model.vision_model, settled)
        return cls(model, tokenizer, preprocessing, metadata, model_fingerprint=fingerprint)

    def variant(
        self,
        *,
        labels: Sequence[str] | None = None,
        descriptions: Mapping[str, Sequence[str]] | None = None,
        average: bool | None = None,
        prompts: str | Sequence[str] | None = None,
        temperature: float | None = None,
    ) -> CLIP:
        """The same towers with other texts; what is None stays as it is, unless told otherwise.

        Args:
            labels: other categories. Without `descriptions` those that the model knows keep theirs,
                and the others are described by their names, with a warning.
            descriptions: label -> descriptions of all labels.
            average: whether all descriptions of a label count or only the first; where descriptions
                are replaced, None means all.
            prompts: one template or several.
            temperature: divides the scores; with other labels it is 1 unless given, as the model's
                own was fitted to its own labels.

        Raises:
            PageSortError: descriptions and labels differ, or a value cannot be meant.
        """
        metadata = self.metadata
        if labels is not None:
            metadata = metadata.relabelled(labels)
        table = None if descriptions is None else Table(descriptions)
        metadata = metadata.settled(table, average=average, prompts=prompts)
        if temperature is not None:
            metadata = dataclasses.replace(metadata, temperature=temperature)
        parts = (self.model, self.tokenizer, self.preprocessing)
        return CLIP(*parts, metadata, model_fingerprint=self._model_fingerprint)

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories, in the order of the scores."""
        return self.metadata.labels

    @property
    def name(self) -> str:
        """The base code as it stands in file names."""
        return catalogue.folder_code(self.metadata.base)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

    @property
    def precision(self) -> str:
        """The numbers that the image tower computes with, as `precision_of` names them."""
        return precision_of(self.model.vision_model)

    @property
    def prompts(self) -> dict[str, list[str]]:
        """Label -> the texts that stand for it, every description that counts in every prompt."""
        counted = {
            label: texts if self.metadata.average else texts[:1]
            for label, texts in self.metadata.descriptions.items()
        }
        return prompt_texts(counted, self.metadata.prompt)

    @property
    def model_fingerprint(self) -> str:
        """Hash of the weights and settings, in hexadecimal; empty where it is not known.

        Raises:
            PageSortError: the model's files cannot be read any more.
        """
        known = self._model_fingerprint
        return known if isinstance(known, str) else known()

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a score beside the precision: weights, texts, temperature."""
        kept = self.metadata
        facts = (self.model_fingerprint, self.prompts, kept.average, kept.temperature)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def label_embeddings(self) -> torch.Tensor:
        """One embedding a label, (labels, D), float32 of length 1; computed once.

        Raises:
            PageSortError: the model has no labels yet; `variant` gives it some.
        """
        with self._lock:
            if self._label_embeddings is None:
                self._label_embeddings = self._embed_labels()
            return self._label_embeddings

    def predict(
        self,
        pages: GivenPage | Sequence[GivenPage],
        top_n: int = 1,
        *,
        unreadable: Literal["raise", "keep"] = "raise",
    ) -> pd.DataFrame:
        """Sort pages: a row for each, in their order, and for each page of a document.

        Args:
            pages: files of any kind, or of a PDF or a TIFF one page as (path, number), from 1; or
                images of Pillow. One of them may stand for itself.
            top_n: how many guesses a page, from 1 to the number of labels.
            unreadable: what to do with a page that cannot be read: end, or give it a row without
                guesses whose NOTE is the reason.

        Returns:
            FILE and PAGE, as tables have them; CLASS-1 to CLASS-N, the likeliest labels; SCORE-1 to
            SCORE-N, their probabilities, 0..1, not rounded; NOTE, such as `blank`; and PATH as it
            was given, empty for an image in memory.

        Raises:
            PageUnreadableError: a file is missing, a folder, damaged or no page.
            PageSortError: a document does not have that number, there are not so many labels, or
                something is no page at all.
        """
        from pagesort.prediction.given_pages import predicted

        return predicted(self, pages, top_n, unreadable)

    def embed(self, pages: GivenPage | Sequence[GivenPage]) -> np.ndarray:
        """Embed pages of any kind: float32 (N, D), each row of length 1, in their order.

        Args:
            pages: as `predict` takes them, but of a document of several pages one must be numbered,
                so that every page that is given has one row.

        Raises:
            PageUnreadableError: a file is missing, a folder, damaged or no page.
            PageSortError: a document without a number, or a number that it does not have.
        """
        from pagesort.prediction.given_pages import pixels_of_each

        prepared = pixels_of_each(self.preprocessing, pages)
        rows = [self.embed_images(pixels[None]).numpy() for pixels in prepared]
        return np.concatenate(rows) if rows else np.empty((0, self.dimension), np.float32)

    @property
    def dimension(self) -> int:
        """D, how many numbers an embedding has."""
        return int(self.model.visual_projection.weight.shape[0])

    @torch.inference_mode()
    def embed_images(self, pixels: np.ndarray) -> torch.Tensor:
        """Embed prepared pages, uint8 (N, H, W, 3): float32 (N, D), each of length 1.

        Raises:
            PageSortError: they are of another shape or type than the model takes.
        """
        self.preprocessing.check_pixels(pixels)
        return _project(self._tower.see(pixels), self.model.visual_projection)

    def batches_at_once(self, batch_size: int) -> int:
        """How many batches of so many pages are scored side by side to keep the machine busy."""
        return self._tower.batches_at_once(batch_size)

    @property
    def pages_at_once(self) -> int:
        """How many pages a CPU sees at a time: the same ones beside each other give equal bits."""
        return self._tower.pages_at_once

    def stop(self) -> None:
        """Drop the pages that wait for the image tower, because nobody waits for them any more."""
        self._tower.stop()

    @torch.inference_mode()
    def embed_texts(self, texts: str | Sequence[str]) -> torch.Tensor:
        """Embed texts as they are, without the prompt: float32 (T, D), each of length 1.

        Texts longer than the model reads are cut, their end mark kept.

        Args:
            texts: several, or a single one.
        """
        texts = [texts] if isinstance(texts, str) else texts
        if not texts:
            return torch.empty(0, self.dimension)
        size = _TEXTS_A_PART if self.device.type == "cpu" else _TEXTS_AT_ONCE
        parts = [
            self._tokenise(texts[start : start + size]) for start in range(0, len(texts), size)
        ]
        pooled = torch.cat(self._tower.side_by_side(self._see_texts, parts))
        return _project(pooled, self.model.text_projection)

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score prepared pages, uint8 (N, H, W, 3): softmax over the labels, float32 (N, C).

        Raises:
            PageSortError: as `embed_images` and `label_embeddings`.
        """
        return self.scores(self.embed_images(pixels))

    @torch.inference_mode()
    def scores(self, embeddings: torch.Tensor | np.ndarray) -> np.ndarray:
        """Score pages embedded before, (N, D) of length 1: softmax over the labels, float32 (N, C).

        Embeddings serve every `variant` of the model that made them.

        Raises:
            PageSortError: they are of another shape, as those of another model are; or as
                `label_embeddings`.
        """
        rows = torch.as_tensor(embeddings).double()
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise PageSortError(
                f"the model scores embeddings of the shape (N, {self.dimension}), and these are "
                f"{tuple(rows.shape)}",
                remedy="CLIP.embed makes them",
            )
        similarity = rows @ self.label_embeddings.double().T
        scale = self.model.logit_scale.detach().double().cpu().exp() / self.metadata.temperature
        return (similarity * scale).softmax(dim=-1).float().numpy()

    def export_onnx(self, path: str | Path) -> Path:
        """Write the image tower and the labels as one ONNX file, whose use docs/onnx.md tells.

        It takes prepared pages, uint8 (N, H, W, 3), for any N, and gives what `probabilities` and
        `embed_images` give, within 1e-4. The name ends in .onnx; a file of it is replaced.

        Raises:
            UsageError: the name ends otherwise, or requirements-onnx.txt is not installed.
            PageSortError: the model is not open in fp32 on the CPU, has no labels, or cannot be
                written so.
        """
        from pagesort.models import onnx_file

        onnx_file.export(self, Path(path))
        return Path(path)

    def _embed_labels(self) -> torch.Tensor:
        """Average the texts of each label; a batch may reach over several labels."""
        prompts = self.prompts
        if not prompts:
            raise no_labels()
        texts = [text for several in prompts.values() for text in several]
        owners = torch.repeat_interleave(torch.tensor([len(each) for each in prompts.values()]))
        if len(texts) > _MANY_TEXTS:
            logger.info("embedding %d texts for %d labels", len(texts), len(prompts))
        sums: torch.Tensor | None = None
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            rows = self.embed_texts(texts[start : start + _TEXTS_AT_ONCE]).double()
            if sums is None:
                sums = rows.new_zeros(len(prompts), rows.shape[1])
            sums.index_add_(0, owners[start : start + len(rows)], rows)
        assert sums is not None, "a label has a text"
        return _unit(sums).float()

    @torch.inference_mode()
    def _see_texts(self, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.model.text_model(**tokens).pooler_output

    def _tokenise(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        tokens = self.tokenizer(
            [clean_text(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        return {
            key: tokens[key].to(self.device)
            for key in ("input_ids", "attention_mask")
            if key in tokens
        }


def _int8_tower(
    tower: torch.nn.Module,
    preprocessing: Preprocessing,
    name: str,
    fingerprint: str,
    storage: Path | None,
    is_wanted: bool,
) -> torch.nn.Module:
    """Return a tower in 8-bit integers; where those cannot be had and were not asked for, itself.

    Raises:
        PageSortError: they were asked for and cannot be had.
    """
    # Only here, as it takes packages that are not always installed.
    from pagesort.models.fast.int8 import open_int8

    try:
        return open_int8(tower, preprocessing, name, fingerprint, storage)
    except PageSortError as error:
        if is_wanted:
            raise
        logger.warning("computing in fp32 instead of int8: %s", error)
        return tower


def choose_device(name: str) -> torch.device:
    """Find a device: `auto` takes a CUDA GPU, else an Apple GPU, else the CPU.

    Raises:
        PageSortError: a device that was named is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise PageSortError(
            f"unknown device '{name}'", remedy="Use auto, cpu, cuda, cuda:1 or mps"
        ) from error
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise PageSortError(f"the device '{name}' is not on this machine", remedy="Use auto or cpu")
    return device


def custom_collate(
    batch: Sequence[Mapping[str, Any] | None],
) -> dict[str, torch.Tensor] | tuple[None, None]:
    """Stack the items of a batch, dropping those that are None.

    Args:
        batch: items with `pixel_values` (tensor or array) and `label` (a number, a one-hot row
            or None); None for a page that could not be read.

    Returns:
        `pixel_values` (items, ...) of all items, and float `labels` (those given, ...) in their
        order. Labels that are None are left out, so that `labels` may have fewer rows than
        `pixel_values`, or none at all (0,). A batch of nothing but None gives (None, None).
    """
    items = [item for item in batch if item is not None]
    if not items:
        return None, None
    pixels = [torch.as_tensor(item["pixel_values"]) for item in items]
    labels = [item["label"] for item in items if item.get("label") is not None]
    rows = [torch.as_tensor(label, dtype=torch.float32) for label in labels]
    return {
        "pixel_values": torch.stack(pixels),
        "labels": torch.stack(rows) if rows else torch.empty(0),
    }


def _project(pooled: torch.Tensor, projection: torch.nn.Linear) -> torch.Tensor:
    """Project a tower's output into the shared space: float32 rows of length 1 on the CPU.

    In float64, because a float32 product of few rows is rounded differently for 1 page than for
    16, and the same page must get the same score alone and in a folder.
    """
    embeddings = pooled.cpu().double() @ projection.weight.detach().cpu().double().T
    return _unit(embeddings).float()


def _unit(embeddings: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(embeddings, dim=-1)
