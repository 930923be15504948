"""`run.py` with a stand-in for the model, so that a test can start and kill it dozens of times.

Used as a program: `python stand_in.py SECONDS_A_BATCH [arguments of run.py]`, or with `held` for
the seconds: then the third batch lasts until there is a file `go_on`. Everything but the towers is
real: settings, listing, decoding, journal, tables, signals, exit status.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from pagesort import models
from pagesort.models.metadata import ModelMetadata
from pagesort.pages.preprocessing import Preprocessing
from tests.helpers.pages import write_model_settings

LABELS = ("DRAW", "LINE_P", "TEXT_T")
PACE = sys.argv.pop(1)
HELD_BATCH = 3


class Processor:
    """What stands for torch's device, which takes seconds to import."""

    type = "cpu"

    def __str__(self) -> str:
        """Its name."""
        return self.type


class StandIn:
    """Scores a page by its mean colour."""

    labels = LABELS
    name = "stand-in"
    fingerprint = model_fingerprint = "0" * 64
    device = Processor()
    precision = "bf16"  # in float32, a run looks for what would be quicker
    dimension = 3
    metadata = ModelMetadata(LABELS, {label: [label] for label in LABELS})
    preprocessing: Preprocessing
    begun = 0

    @classmethod
    def open(cls, folder: Path, **_: object) -> StandIn:
        """Take any folder for a model."""
        model = cls()
        model.preprocessing = Preprocessing.from_folder(folder)
        return model

    def batches_at_once(self, batch_size: int) -> int:
        """One."""
        return 1

    pages_at_once = 1

    def stop(self) -> None:
        """There is nothing to stop."""

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3), slowly."""
        return softmax(self._seen(pixels) / 20)

    def embed_images(self, pixels: np.ndarray) -> np.ndarray:
        """Embed uint8 (N, H, W, 3), slowly: float32 (N, 3), of length 1."""
        colours = 1 + self._seen(pixels)
        return (colours / np.linalg.norm(colours, axis=1, keepdims=True)).astype(np.float32)

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """Score embedded pages."""
        return softmax(np.asarray(embeddings) * 10)

    def _seen(self, pixels: np.ndarray) -> np.ndarray:
        """Mean colours (N, 3), when a batch's time is over."""
        with Path("batches.log").open("a", encoding="utf-8") as log:
            log.write("a batch begins\n")
        self.begun += 1
        if PACE != "held":
            time.sleep(float(PACE))
        while PACE == "held" and self.begun == HELD_BATCH and not Path("go_on").exists():
            time.sleep(0.01)
        return np.asarray(pixels.mean(axis=(1, 2)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of rows, float32."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def open_model_folder(path: Path, _storage: Path) -> Path:
    """Make the path a model folder, which needs settings of its preprocessing only."""
    if not (path / "preprocessor_config.json").exists():
        square = {"height": 32, "width": 32}
        write_model_settings(path, size={"shortest_edge": 32}, crop_size=square)
    return path


formats = types.ModuleType("pagesort.models.formats")
formats.open_model_folder = open_model_folder
formats.read_metadata = lambda _folder: StandIn.metadata
classifier = types.ModuleType("classifier")
classifier.CLIP = StandIn
sys.modules |= {"pagesort.models.formats": formats, "classifier": classifier}
sys.modules |= {"torch": None}  # whoever imports it fails: it would cost every start seconds
models.formats = formats

if __name__ == "__main__":
    import run

    run._leave()
