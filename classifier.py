"""The classifier: pages and label descriptions to embeddings to probabilities."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pagesort import catalogue, checkpoints, descriptions
from pagesort.errors import PageSortError
from pagesort.images import Preprocessing
from pagesort.splits import split_data_80_10_10
from pagesort.tokenizer import clean_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["CLIP", "choose_device", "custom_collate", "split_data_80_10_10"]

logger = logging.getLogger(__name__)

_TEXTS_AT_ONCE = 64
# What the library raises on files that are damaged or were made for something else.
_UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    LookupError,
)
# What CLIPModel and VisionTextDualEncoderModel have in common.
_PARTS = ("vision_model", "visual_projection", "text_model", "text_projection", "logit_scale")
_REFETCH = "Fetch or convert the model again"


class CLIP:
    """A model ready to sort pages: both towers, its labels, and one embedding a label.

    Args:
        model: a `transformers` model with image and text features, in float32 on `device`.
        tokenizer: the tokenizer of its text tower.
        preprocessing: how it wants its pages.
        metadata: labels, descriptions of every label, prompt, averaging, temperature.
        model_fingerprint: hash of the weights and settings.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: Preprocessing,
        metadata: checkpoints.ModelMetadata,
        *,
        model_fingerprint: str = "",
    ) -> None:
        """Store the parts; nothing is computed yet."""
        self.model = model
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.metadata = metadata
        self.model_fingerprint = model_fingerprint
        self._label_embeddings: torch.Tensor | None = None

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        descriptions: Mapping[str, Sequence[str]] | None = None,
        fallback_descriptions: Mapping[str, Sequence[str]] | None = None,
        average: bool | None = None,
        prompt: str | None = None,
        where: str | Path = "the description table",
    ) -> CLIP:
        """Open a model folder as `checkpoints.open_model_folder` returns it.

        Args:
            folder: a `transformers` folder, with or without `pagesort.json`.
            device: `auto` (a CUDA or Apple GPU if there is one), or a device by name.
            descriptions: label -> descriptions that replace the model's own.
            fallback_descriptions: label -> descriptions for a model that carries none.
            average: whether all descriptions of a label count or only the first; None leaves it
                to the model, or to the number of descriptions where they are replaced.
            prompt: a template with `{description}` that replaces the model's own.
            where: where `descriptions` or `fallback_descriptions` come from, for messages.

        Raises:
            PageSortError: the folder is incomplete, labels differ, or the device is not there.
        """
        folder = Path(folder)
        chosen = choose_device(device)
        metadata = _settle_metadata(
            checkpoints.read_metadata(folder) or checkpoints.ModelMetadata(base=folder.name),
            descriptions,
            fallback_descriptions,
            where,
        )
        if average is not None:
            metadata = dataclasses.replace(metadata, average=average)
        if prompt is not None:
            metadata = dataclasses.replace(metadata, prompt=prompt)
        preprocessing = Preprocessing.from_folder(folder)
        model, tokenizer = _load(folder)
        _check_input_size(model, preprocessing, folder)
        return cls(
            model.to(chosen),
            tokenizer,
            preprocessing,
            metadata,
            model_fingerprint=checkpoints.fingerprint(folder),
        )

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
    def prompts(self) -> dict[str, list[str]]:
        """Label -> the texts that stand for it, prompt included."""
        return descriptions.prompt_texts(self.metadata.descriptions, self.metadata.prompt)

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides a score: weights, settings, prompts, averaging, temperature."""
        told = [self.model_fingerprint, self.prompts, self.metadata.average]
        told.append(self.metadata.temperature)
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def label_embeddings(self) -> torch.Tensor:
        """One embedding a label, (labels, D), float32 of length 1; computed once."""
        if self._label_embeddings is None:
            self._label_embeddings = self._embed_labels()
        return self._label_embeddings

    @torch.inference_mode()
    def embed_images(self, pixels: np.ndarray) -> torch.Tensor:
        """Embed prepared pages, uint8 (N, H, W, 3): float32 (N, D), each of length 1."""
        values = torch.from_numpy(self.preprocessing.normalise(pixels)).to(self.device)
        with _exact_float32():
            pooled = self.model.vision_model(pixel_values=values).pooler_output
        return _project(pooled, self.model.visual_projection)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed texts as they are, without the prompt: float32 (T, D), each of length 1.

        Texts longer than the model reads are cut, their end mark kept.
        """
        parts = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self._tokenise(texts[start : start + _TEXTS_AT_ONCE])
            with _exact_float32():
                pooled = self.model.text_model(**tokens).pooler_output
            parts.append(_project(pooled, self.model.text_projection))
        return torch.cat(parts)

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score prepared pages, uint8 (N, H, W, 3): softmax over the labels, float32 (N, C)."""
        similarity = self.embed_images(pixels).double() @ self.label_embeddings.double().T
        scale = self.model.logit_scale.detach().double().cpu().exp() / self.metadata.temperature
        return (similarity * scale).softmax(dim=-1).float().numpy()

    def _embed_labels(self) -> torch.Tensor:
        rows = []
        for label, texts in self.prompts.items():
            used = texts if self.metadata.average else texts[:1]
            embedding = self.embed_texts(used).mean(dim=0, keepdim=True)
            logger.debug("label %s is the mean of %d descriptions", label, len(used))
            rows.append(_unit(embedding))
        return torch.cat(rows)

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
        `pixel_values`; where all are None there is no `labels`. A batch of nothing but None gives
        (None, None).
    """
    items = [item for item in batch if item is not None]
    if not items:
        return None, None
    collated = {
        "pixel_values": torch.stack([torch.as_tensor(item["pixel_values"]) for item in items])
    }
    labels = [item["label"] for item in items if item.get("label") is not None]
    if labels:
        rows = [torch.as_tensor(label, dtype=torch.float32) for label in labels]
        collated["labels"] = torch.stack(rows)
    return collated


def _settle_metadata(
    metadata: checkpoints.ModelMetadata,
    replacing: Mapping[str, Sequence[str]] | None,
    fallback: Mapping[str, Sequence[str]] | None,
    where: str | Path,
) -> checkpoints.ModelMetadata:
    """Give every label its descriptions: the caller's, else the model's own, else the fallback."""
    labels = metadata.labels or tuple(replacing or fallback or ())
    if not labels:
        raise PageSortError(
            "the model carries no labels",
            remedy="Name a table of labels and descriptions with --cat_csv",
        )
    average = metadata.average
    if replacing is not None:
        texts = descriptions.match_labels(replacing, labels, where, fill_missing=True)
        average = True
    elif metadata.descriptions:
        texts = descriptions.match_labels(
            metadata.descriptions, labels, checkpoints.METADATA_FILE, fill_missing=True
        )
    else:
        texts = descriptions.match_labels(fallback or {}, labels, where, fill_missing=True)
        average = True
    return dataclasses.replace(metadata, labels=labels, descriptions=texts, average=average)


def _load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load weights and tokenizer, refusing tensors that are missing, unknown or misshapen."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with checkpoints.quiet_transformers():
            model, report = AutoModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are reported to us by name
                **safely,
            )
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **safely)
    except (*_UNLOADABLE, StrictDataclassError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PageSortError(
            f"the model cannot be loaded ({reason[0][:200]})", where=folder, remedy=_REFETCH
        ) from error
    _check_report(report, folder)
    _check_tokenizer(tokenizer, model.config, folder)
    if not all(hasattr(model, part) for part in _PARTS):
        raise PageSortError(
            f"a {type(model).__name__} does not embed both images and texts",
            where=folder,
            remedy="Use a CLIP or another dual encoder",
        )
    return model.eval(), tokenizer


def _check_report(report: Mapping[str, Any], folder: Path) -> None:
    # Old files carry this buffer, which the library now counts out itself.
    unknown = [name for name in report["unexpected_keys"] if not name.endswith("position_ids")]
    misshapen = [entry[0] for entry in report["mismatched_keys"]]
    missing = [name for name in report["missing_keys"] if name not in misshapen]
    kinds = (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
    told = []
    for kind, names in kinds:
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            told.append(f"{kind}: {', '.join(sorted(names)[:3])}{more}")
    if told:
        raise PageSortError(
            f"the weights do not fit the model's config.json ({'; '.join(told)})",
            where=folder,
            remedy=_REFETCH,
        )


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, config: Any, folder: Path) -> None:
    """The library makes up an empty tokenizer where the files of one are missing."""
    complete = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
    known = getattr(getattr(config, "text_config", None), "vocab_size", len(tokenizer))
    if not any(all((folder / name).is_file() for name in names) for names in complete):
        problem = "the model has no tokenizer.json"
    elif len(tokenizer) > known:
        problem = f"the tokenizer has {len(tokenizer)} tokens, the model {known}"
    else:
        return
    raise PageSortError(problem, where=folder, remedy=_REFETCH)


def _check_input_size(model: PreTrainedModel, preprocessing: Preprocessing, folder: Path) -> None:
    """A ViT takes pages of one size only; convolutional towers take any."""
    if type(model).__name__ != "CLIPModel":
        return
    size = model.config.vision_config.image_size
    if preprocessing.input_size != (size, size):
        height, width = preprocessing.input_size
        raise PageSortError(
            f"preprocessor_config.json makes pages of {height} x {width}, the model takes "
            f"{size} x {size}",
            where=folder,
            remedy=_REFETCH,
        )


def _project(pooled: torch.Tensor, projection: torch.nn.Linear) -> torch.Tensor:
    """Project a tower's output into the shared space: float32 rows of length 1 on the CPU.

    In float64, because a float32 product of few rows is rounded differently for 1 page than for
    16, and the same page must get the same score alone and in a folder.
    """
    embeddings = pooled.cpu().double() @ projection.weight.detach().cpu().double().T
    return _unit(embeddings).float()


def _unit(embeddings: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(embeddings, dim=-1)


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Keep a GPU from rounding float32 convolutions to TF32, which it does unless told."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
