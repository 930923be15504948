"""Reading lines with a recognition model of kraken, which kraken itself loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.reading.decoding import Reading
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import REMEDY

if TYPE_CHECKING:
    import torch

SUFFIXES = (".mlmodel", ".safetensors")
BASELINE = 0.75  # of a line's height, from the top

Predict = Callable[[Any, Any], Iterable[Any]]
"""Of a picture of Pillow and a segmentation of kraken, its records."""


def is_kraken(source: Path) -> bool:
    """Whether a file is meant to be a model of kraken, which is told by its name."""
    return source.is_file() and source.suffix in SUFFIXES


class KrakenReader(Reader):
    """Reads pictures of lines with a model of kraken."""

    formats = ("line", "word")

    def __init__(self, predict: Predict, name: str) -> None:
        self.predict = predict
        self.name = name

    @classmethod
    def loaded(cls, path: Path, device: torch.device) -> KrakenReader:
        """Have kraken load a model.

        Raises:
            PageSortError: kraken is not there, or does not take the model.
        """
        try:
            import kraken  # noqa: F401 - whether it is there
        except ImportError as error:
            raise PageSortError(
                "models of kraken need kraken, which is not installed",
                where=path,
                remedy="python3 -m pip install kraken, in an environment of its own if it wants "
                "another torch",
            ) from error
        try:
            return cls(_predictor(path, str(device)), path.stem)
        except Exception as error:  # noqa: BLE001 - of another program, which raises anything
            reason = " ".join(str(error).split())[:200]
            raise PageSortError(
                f"kraken does not take this model ({reason})", where=path, remedy=REMEDY
            ) from error

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """Read grey pictures of lines, uint8 (H, W), in the order in which they come."""
        return [self._read(image) for image in images]

    def _read(self, image: np.ndarray) -> Reading:
        from PIL import Image

        record = next(iter(self.predict(Image.fromarray(image), _whole_line(*image.shape))))
        sure = list(record.confidences)
        confidence = float(np.mean(sure)) if sure else 0.0
        return Reading(" ".join(record.prediction.split()), min(1.0, max(0.0, confidence)))


def _predictor(path: Path, device: str) -> Predict:
    """What reads the lines of a picture, by the tasks of kraken 7 or by the functions before."""
    try:
        from kraken.configs import RecognitionInferenceConfig
        from kraken.tasks import RecognitionTaskModel
    except ImportError:
        from kraken import rpred
        from kraken.lib import models

        model = models.load_any(path, device=device)
        return lambda picture, lines: rpred.rpred(model, picture, lines)
    task = RecognitionTaskModel.load_model(path)
    return lambda picture, lines: task.predict(picture, lines, RecognitionInferenceConfig())


def _whole_line(height: int, width: int) -> Any:
    """A segmentation whose one line fills the picture."""
    from kraken.containers import BaselineLine, Segmentation

    right, bottom, base = width - 1, height - 1, round(BASELINE * height)
    line = BaselineLine(
        id="line",
        baseline=[(0, base), (right, base)],
        boundary=[(0, 0), (right, 0), (right, bottom), (0, bottom), (0, 0)],
    )
    return Segmentation(
        type="baselines",
        imagename="line",
        text_direction="horizontal-lr",
        script_detection=False,
        lines=[line],
    )
