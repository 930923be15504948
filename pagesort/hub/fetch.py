"""Fetching a published model: into our own format, once, so that it works offline ever after."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import file_digest, locked, translate_unwritable, write_json
from pagesort.hub import download
from pagesort.hub.base_models import BUSY, base_model, base_settings, convert_pickle
from pagesort.hub.client import Hub, Patience, find_token, impatient, quiet_client
from pagesort.models import catalogue, external_formats, formats, installed, transformers_loader
from pagesort.models import folder as model_files
from pagesort.models.metadata import METADATA_FILE, read_metadata
from pagesort.pages.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pagesort.hub.download import RemoteFile

__all__ = ["PullOutcome", "PullRequest", "base_model", "pull"]

logger = logging.getLogger(__name__)

_PICKLE = "pytorch_model.bin"


@dataclass(frozen=True)
class PullRequest:
    """What to fetch, and where to.

    Args:
        repository: `owner/name` of the repository ([HF] repo_name).
        revision: branch or tag (`-rev`, else [HF] revision).
        models_dir: the folder of models; the model gets a folder in it that
            `catalogue.model_folder_name` names by what was fetched, and from where.
        storage: `[SETUP] model_storage`, where base models may lie.
        token: what `[HF] token` holds.
        use_local: go on with the model that is there if the hub cannot be asked.
        endpoint: address of the hub; None takes the library's (HF_ENDPOINT).
        patience: how long to wait and how often to try.
    """

    repository: str
    revision: str
    models_dir: Path
    storage: Path | None = None
    token: str | None = field(default=None, repr=False)
    use_local: bool = False
    endpoint: str | None = None
    patience: Patience = Patience()


@dataclass(frozen=True)
class PullOutcome:
    """What a pull led to.

    Args:
        folder: the model, ready for `CLIP.open`.
        commit: the commit it was made from; empty if the hub could not be asked.
        is_new: whether anything was fetched.
        kept: the new name of another model that lay in the folder's place.
    """

    folder: Path
    commit: str
    is_new: bool
    kept: Path | None = None


def pull(request: PullRequest) -> PullOutcome:
    """Fetch a model; what is there and unchanged is told, and only the revision is asked for.

    Raises:
        UsageError: the name of the repository is none.
        PageSortError: it cannot be fetched; what was there before is unchanged, and what was
            fetched so far is kept for the next try.
    """
    with quiet_client(request.patience):
        hub = Hub(request.repository, find_token(request.token), request.endpoint, request.patience)
        _undo_half_install(request)
        folder = installed.find(request.models_dir, request.repository, request.revision)
        try:
            return _pull(request, hub, folder)
        except PageSortError as error:
            if not request.use_local or folder is None:
                raise
            model_files.check_complete(folder)
            reason = str(error).removesuffix(".")
            logger.warning("%s. The model in %s is used as it is", reason, folder)
            return PullOutcome(folder, "", is_new=False)


def _pull(request: PullRequest, hub: Hub, folder: Path | None) -> PullOutcome:
    """Fetch what has changed since `folder` was fetched; None: nothing is there yet."""
    # Whoever has a model to go on with is not kept waiting by a hub that is silent.
    asking = impatient(hub) if request.use_local and folder is not None else hub
    commit = str(asking.info(request.revision).sha)
    origin = installed.read_origin(folder) if folder is not None else {}
    is_ours = folder is not None and _is_unchanged(folder, origin)
    if folder is not None and is_ours and origin.get("commit") == commit:
        logger.info("%s is up to date (%s, commit %s)", folder, request.revision, commit[:8])
        return PullOutcome(folder, commit, is_new=False)
    info = hub.info(request.revision, files=True)
    commit = str(info.sha)  # the branch may have moved between the two questions
    about = hub.about(request.revision, place=folder or request.models_dir)
    files = download.wanted(hub.ask(lambda: download.listed(info), about), request.repository)
    sources = {file.name: file.digest for file in files}
    note: dict[str, Any] = {
        "repository": request.repository,
        "revision": request.revision,
        "commit": commit,
    }
    if folder is not None and is_ours and origin.get("sources") == sources:
        # Where the note cannot be written, the next pull only asks one question more.
        with contextlib.suppress(PageSortError):
            write_json(folder / installed.ORIGIN_FILE, {**origin, **note})
        logger.info("%s is up to date: the newer commit %s left it as it is", folder, commit[:8])
        return PullOutcome(folder, commit, is_new=False)
    with _staging(request) as staging:
        store = staging / "files"
        if folder is not None and is_ours:
            _reuse(folder, origin, files, store)
        download.fetch(hub, commit, files, store, about, extra=_needed_besides(files))
        ready = _prepare(request, hub, staging, files)
        _check_usable(request, ready)
        note |= {"sources": sources, "files": _hashes(ready)}
        write_json(ready / installed.ORIGIN_FILE, note)
        target = folder or _new_folder(request, ready)
        kept = model_files.install(
            ready, target, may_replace=is_ours, aside=_own_folder(request, target)
        )
    _log_installed(request, target, kept, origin if is_ours else {})
    return PullOutcome(target, commit, is_new=True, kept=kept)


def _log_installed(
    request: PullRequest, folder: Path, kept: Path | None, replaced: Mapping[str, Any]
) -> None:
    """Say where a model lies, and what lay there; `replaced` is the note of its older state."""
    if kept is not None:
        logger.warning("the model that lay in %s is kept as %s", folder, kept.name)
    elif replaced and replaced["revision"] != request.revision:
        logger.warning("%s held revision %s until now", folder, replaced["revision"])
    logger.info("%s holds %s of %s", folder, request.revision, request.repository)


def _new_folder(request: PullRequest, ready: Path) -> Path:
    """Name the folder of a model that is not there yet.

    The names of published models are known to others, so that whatever has one makes way; any other
    model takes another name where its first one is taken.
    """
    kind = installed.kind_of(ready) or request.repository.rpartition("/")[2]
    name = catalogue.model_folder_name(kind, request.revision, request.repository)
    folder = request.models_dir / name
    if not folder.exists() or _may_take(request, folder):
        return folder
    return folder.with_name(catalogue.other_folder_name(name, request.revision, request.repository))


def _may_take(request: PullRequest, folder: Path) -> bool:
    """Whether a published model may take a folder: from all but its sister, another revision."""
    is_published = request.repository == catalogue.PUBLISHED_REPOSITORY
    return is_published and installed.read_origin(folder).get("repository") != request.repository


def _own_folder(request: PullRequest, folder: Path) -> Path | None:
    """Name the folder of its own for a model from elsewhere that lies in `folder`, if it is free.

    Earlier releases named models of all repositories alike.
    """
    origin = installed.read_origin(folder)
    repository = origin.get("repository", request.repository)
    if repository == request.repository:
        return None
    kind = installed.kind_of(folder) or repository.rpartition("/")[2]
    name = catalogue.model_folder_name(kind, origin["revision"], repository)
    return None if folder.with_name(name).exists() else folder.with_name(name)


@contextlib.contextmanager
def _staging(request: PullRequest) -> Iterator[Path]:
    """Hold a hidden folder beside the models; it stays, for the next try, if this one fails."""
    staging = _staging_folder(request)
    with locked(staging / "lock", request.models_dir, BUSY):
        yield staging
    shutil.rmtree(staging, ignore_errors=True)


def _staging_folder(request: PullRequest) -> Path:
    name = catalogue.model_folder_name("model", request.revision, request.repository)
    return request.models_dir / f".{name}.fetch"


def _undo_half_install(request: PullRequest) -> None:
    """Put the previous model back where a killed run had just moved it out of the way."""
    staging = _staging_folder(request)
    if not any(staging.glob("*.old")):
        return
    with locked(staging / "lock", request.models_dir, BUSY):
        for old in staging.glob("*.old"):
            folder = request.models_dir / old.name.removesuffix(".old")
            if not folder.exists():
                with translate_unwritable(folder):
                    old.rename(folder)


def _is_unchanged(folder: Path, origin: Mapping[str, Any]) -> bool:
    """Tell whether the files of a fetched model are still those that were written."""
    noted = origin.get("files", {})
    try:
        return bool(noted) and all(
            file_digest(folder / name) == digest for name, digest in noted.items()
        )
    except OSError:  # one is not there
        return False


def _hashes(folder: Path) -> dict[str, str]:
    files = model_files.model_files(folder)
    return {name: file_digest(path) for name, path in files.items()}


def _reuse(
    folder: Path, origin: Mapping[str, Any], files: Sequence[RemoteFile], store: Path
) -> None:
    """Take from the previous state of a model what the new one has in common with it."""
    with translate_unwritable(store):
        store.mkdir(parents=True, exist_ok=True)
        for file in files:
            is_same = origin["files"].get(file.name) == file.digest
            if is_same and not download.is_there(store, file):
                _link(folder / file.name, store / file.digest)


def _needed_besides(files: Sequence[RemoteFile]) -> int:
    """Bytes for the converted form of a model that is not in ours, if float16 becomes float32."""
    if any(file.name in ("tokenizer.json", "vocab.json") for file in files):
        return 0
    return 2 * sum(file.size for file in files if not file.name.endswith((".json", ".txt")))


def _prepare(
    request: PullRequest,
    hub: Hub,
    staging: Path,
    files: Sequence[RemoteFile],
) -> Path:
    """Build the model folder from the fetched files, in our own format."""
    source, ready = staging / "source", staging / "model"
    with translate_unwritable(staging):
        for folder in (source, ready, staging / "converted"):
            shutil.rmtree(folder, ignore_errors=True)
        source.mkdir()
        for file in files:
            _link(staging / "files" / file.digest, source / file.name)
    if _is_pickled_transformers(source):
        convert_pickle(source, ready)
        return ready
    if formats.recognise(source) == "transformers":
        with translate_unwritable(staging):
            ready.mkdir()
            for name, path in model_files.model_files(source).items():
                _link(path, ready / name)
        return ready
    converted = formats.open_model_folder(source, staging / "converted")
    with translate_unwritable(staging):
        converted.rename(ready)
    _complete(request, hub, ready, staging / "base")
    return ready


def _check_usable(request: PullRequest, ready: Path) -> None:
    """Load a model once before it takes the place of one that works.

    Raises:
        PageSortError: it cannot be loaded, or takes other pages than its settings make.
    """
    from pagesort.models.fast.fast_loading import load_to_predict

    try:
        model_files.check_complete(ready)
        model, _ = load_to_predict(ready)
        transformers_loader.check_input_size(model, Preprocessing.from_folder(ready), ready)
    except PageSortError as error:
        raise PageSortError(
            f"what {request.repository} holds as {request.revision} is no model that can be used "
            f"({error.what})",
            remedy="Tell its owner; what was there before is unchanged",
        ) from error
    # Windows renames no folder with a file that is still mapped into memory.
    del model
    gc.collect()


def _is_pickled_transformers(source: Path) -> bool:
    config = source / formats.CONFIG_FILE
    has_type = config.is_file() and "model_type" in external_formats.read_json(config)
    return has_type and (source / _PICKLE).is_file()


def _complete(request: PullRequest, hub: Hub, ready: Path, store: Path) -> None:
    """Give a converted model its base's tokenizer and preprocessing, and note what it is."""
    metadata = read_metadata(ready)
    if metadata is None:
        raise PageSortError("the converted model lacks its metadata", where=ready)
    training = {**metadata.training, "repository": request.repository}
    noted = dataclasses.replace(metadata, revision=request.revision, training=training)
    settings: Mapping[str, Path] = {}
    base = _base(request, metadata.base)
    if base is not None:
        base_hub = impatient(Hub(base.hub_id, hub.token, hub.endpoint))
        try:
            settings = base_settings(base_hub, request.storage, store)
        except PageSortError as error:
            logger.info("tokenizer and preprocessing are this program's own copies: %s", error.what)
    with translate_unwritable(ready):
        (ready / METADATA_FILE).write_text(noted.to_json(), encoding="utf-8")
        _take_over(settings, ready)


def _base(request: PullRequest, code: str) -> catalogue.BaseModel | None:
    """Return the base of a converted model; None for a model of another kind."""
    meant: catalogue.BaseModel | None = None
    with contextlib.suppress(UsageError):
        if request.repository == catalogue.PUBLISHED_REPOSITORY:
            meant = catalogue.base_of_revision(request.revision)
    with contextlib.suppress(UsageError):
        held = catalogue.base_of_code(code)
        if meant is not None and held != meant:
            logger.warning(
                "revision %s stands for %s, but %s holds a %s there",
                request.revision, meant.code, request.repository, held.code,
            )  # fmt: skip
        return held
    return meant


def _take_over(settings: Mapping[str, Path], ready: Path) -> None:
    """Copy the base's files that fit the model; others would be those of another model."""
    tokenizer = {
        name: path for name, path in settings.items() if name != external_formats.PREPROCESSOR_FILE
    }
    if "tokenizer.json" in tokenizer and _vocabulary_fits(tokenizer["tokenizer.json"], ready):
        for name, path in tokenizer.items():
            shutil.copyfile(path, ready / name)
    preprocessor = settings.get(external_formats.PREPROCESSOR_FILE)
    if preprocessor is not None:
        content = external_formats.read_json(preprocessor)
        with contextlib.suppress(PageSortError):
            # The published file tells size, mean and deviation itself; the base must agree.
            if Preprocessing.from_settings(content, preprocessor) == Preprocessing.from_folder(
                ready
            ):
                shutil.copyfile(preprocessor, ready / external_formats.PREPROCESSOR_FILE)


def _vocabulary_fits(tokenizer: Path, ready: Path) -> bool:
    model = external_formats.read_json(tokenizer).get("model", {})
    text = external_formats.read_json(ready / formats.CONFIG_FILE).get("text_config", {})
    return len(model.get("vocab", ())) == text.get("vocab_size")


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk knows no such thing."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
