"""Reading lines with a published encoder and decoder, as TrOCR is (Li et al., arXiv 2109.10282)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.models.transformers_loader import UNLOADABLE
from pagesort.reading.decoding import Reading
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import REMEDY

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "vision-encoder-decoder"
CONFIG_FILE = "config.json"
AT_ONCE = 8
LONGEST = 256  # tokens of a line


def is_trocr(folder: Path) -> bool:
    """Whether a folder holds a VisionEncoderDecoderModel of `transformers`."""
    try:
        return bool(read_json(folder / CONFIG_FILE).get("model_type") == MODEL_TYPE)
    except (FileNotFoundError, PageSortError):
        return False


class TrocrReader(Reader):
    """Reads pictures of lines, or of words, with a `VisionEncoderDecoderModel`."""

    formats = ("line", "word")

    def __init__(
        self, model: Any, processor: Any, tokenizer: Any, device: torch.device, name: str
    ) -> None:
        self.model = model.to(device).eval()
        self.processor = processor
        self.tokenizer = tokenizer
        self.device = device
        self.name = name

    @classmethod
    def loaded(cls, folder: Path, device: torch.device) -> TrocrReader:
        """Load a model from its folder, without the network and without running code of its files.

        Raises:
            PageSortError: a file is missing or damaged, or names something that lies elsewhere.
        """
        import torch
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError
        from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

        from pagesort.models.formats import quiet_transformers
        from pagesort.models.local_only import check_local, offline

        check_local(folder)
        safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet_transformers(), offline():
                # Declared to return the model alone.
                found: Any = VisionEncoderDecoderModel.from_pretrained(
                    str(folder),
                    dtype=torch.float32,
                    use_safetensors=True,
                    output_loading_info=True,
                    **safely,
                )
                model, report = found
                processor = AutoImageProcessor.from_pretrained(str(folder), **safely)
                tokenizer = AutoTokenizer.from_pretrained(str(folder), **safely)
        except (*UNLOADABLE, StrictDataclassError, SafetensorError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise PageSortError(
                f"the reader cannot be loaded ({reason[0][:200]})", where=folder, remedy=REMEDY
            ) from error
        # Some published folders lack the encoder's pooler, which nothing is read with.
        missing = [name for name in report["missing_keys"] if "pooler" not in name]
        if missing or report["mismatched_keys"]:
            raise PageSortError(
                "the reader's weights do not fit its config.json", where=folder, remedy=REMEDY
            )
        return cls(model, processor, tokenizer, device, folder.name)

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """Read grey pictures of lines, uint8 (H, W), in the order in which they come."""
        parts = range(0, len(images), AT_ONCE)
        return [one for start in parts for one in self._read(images[start : start + AT_ONCE])]

    def _read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        import torch
        from PIL import Image

        colours = [Image.fromarray(image).convert("RGB") for image in images]
        pixels = self.processor(colours, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            found = self.model.generate(
                pixels.to(self.device),
                max_new_tokens=LONGEST,
                num_beams=1,
                do_sample=False,
                return_dict_in_generate=True,
                output_scores=True,
            )
            scores = self.model.compute_transition_scores(
                found.sequences, found.scores, normalize_logits=True
            )
        texts = self.tokenizer.batch_decode(found.sequences, skip_special_tokens=True)
        padding = self.tokenizer.pad_token_id
        written = found.sequences[:, -scores.shape[1] :] != padding
        readings = []
        for text, line, kept in zip(texts, scores.exp(), written, strict=True):
            confidence = float(line[kept].mean()) if bool(kept.any()) else 0.0
            readings.append(Reading(" ".join(text.split()), min(1.0, confidence)))
        return readings
