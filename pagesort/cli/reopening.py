"""The model of a run once more, in another process, and what counts pages unlike others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.opening import Opened, storage_of
from pagesort.cli.settings import Settings

if TYPE_CHECKING:
    from classifier import CLIP
    from pagesort.models.metadata import ModelMetadata
    from pagesort.prediction.likeness import Likeness


@dataclass(frozen=True)
class OpenedAgain:
    """Opens a model that is open here in another process, which needs the same folders."""

    folder: Path
    name: str
    metadata: ModelMetadata
    device: str
    precision: str
    storage: Path

    @classmethod
    def of(cls, settings: Settings, opened: Opened) -> OpenedAgain:
        """What to open, so that it is the same model in the same precision."""
        classifier = opened.classifier
        return cls(
            opened.folder.absolute(),
            opened.name,
            classifier.metadata,
            classifier.device.type,
            classifier.precision,
            storage_of(settings).absolute(),
        )

    def __call__(self) -> tuple[CLIP, Likeness | None]:
        """Open it, and what counts pages unlike its training pages."""
        from classifier import CLIP

        classifier = CLIP.open(
            self.folder,
            metadata=self.metadata,
            device=self.device,
            precision=self.precision,
            lean=True,
            storage=self.storage,
        )
        return classifier, likeness_of(Opened(classifier, self.folder, self.name, ""))


def likeness_of(opened: Opened) -> Likeness | None:
    """What counts pages unlike those that the model was trained on; None where it tells of none."""
    from pagesort.models.training_pages import read_training_pages
    from pagesort.prediction.likeness import Likeness

    training = read_training_pages(opened.folder, opened.classifier.dimension)
    return None if training is None else Likeness(opened.classifier, opened.name, training)
