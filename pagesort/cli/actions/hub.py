"""Fetching a model, publishing one."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening
from pagesort.cli.console import confirmation, emit
from pagesort.cli.opening import wanted_revision
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, UsageError

if TYPE_CHECKING:
    from pagesort.hub.fetch import PullRequest
    from pagesort.hub.publish import PushRequest

logger = logging.getLogger(__name__)


def fetch_model(settings: Settings) -> Path | None:
    """Fetch the model of the settings from the hub or out of an archive, if that is asked for.

    Returns:
        The folder of the model, which predicts and is evaluated in this call; None if none came.
    """
    action, *file = settings.hf or ("",)
    if action == "import":
        from pagesort.models import archive

        folder = archive.import_model(Path(file[0]), settings.model_dir).folder
    elif action == "pull" or settings.fetches_first:
        from pagesort.hub import fetch

        others = [name for name in settings.actions if name != "hf"]
        revision = opening.wanted_revision(settings)
        request = pull_request(settings, revision, use_local=bool(others))
        try:
            folder = fetch.pull(request).folder
        except PageSortError as error:
            if action == "pull":
                raise
            logger.warning("%s: %s", settings.origins["use_hf"], error)
            return None
    else:
        return None
    if settings.hf:
        emit(str(folder))
    return folder


def export_model(settings: Settings, file: Path, model: Path | None) -> None:
    """Write the model into an ONNX file; prints its path.

    Raises:
        UsageError: another precision than fp32 is asked for, which such a file cannot have.
    """
    from pagesort.models import onnx_file

    if settings.is_named("precision") and settings.precision != "fp32":
        raise UsageError(
            f"--export_onnx writes fp32, and --precision {settings.precision} contradicts that",
            remedy="Give one of them",
        )
    onnx_file.check_file(file)
    settings = dataclasses.replace(settings, device="cpu", precision="fp32")
    classifier = opening.open_classifier(settings, model).classifier
    emit(str(classifier.export_onnx(file)))


def publish_model(settings: Settings, model: Path | None) -> None:
    """Publish a model on the hub or pack it into an archive, if that is asked for."""
    action, *file = settings.hf or ("",)
    if action == "push":
        from pagesort.hub import publish

        folder = opening.folder_to_share(settings, model)
        request = push_request(settings, folder)
        emit(publish.push(request, confirmation(settings.yes)).url)
    elif action == "export":
        from pagesort.models import archive

        folder = opening.folder_to_share(settings, model)
        emit(str(archive.export_model(folder, Path(file[0]))))


def pull_request(settings: Settings, revision: str, *, use_local: bool) -> PullRequest:
    """Say what is fetched from the hub; `use_local`: what is here does, if there is no hub."""
    from pagesort.hub.client import IMPATIENT, Patience
    from pagesort.hub.fetch import PullRequest

    return PullRequest(
        repository=settings.repo_name,
        revision=revision,
        models_dir=settings.model_dir,
        storage=settings.model_storage,
        token=settings.token,
        use_local=use_local,
        # If nobody has asked for the hub in this call, nobody waits for it.
        patience=IMPATIENT if settings.fetches_first else Patience(),
    )


def push_request(settings: Settings, folder: Path) -> PushRequest:
    """Say what is published on the hub, and as what."""
    from pagesort.hub.publish import PushRequest

    return PushRequest(
        folder=folder,
        repository=settings.repo_name,
        revision=wanted_revision(settings),
        public=settings.public,
        results=settings.results_folder,
        token=settings.token,
    )
