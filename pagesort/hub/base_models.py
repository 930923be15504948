"""The untouched base models: found on this machine, else fetched from the hub."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.files import locked, translate_unwritable
from pagesort.hub import download
from pagesort.hub.client import IMPATIENT, Hub, Patience, find_token, quiet_client
from pagesort.models import catalogue, external_formats, formats
from pagesort.models import folder as model_files
from pagesort.models.tokenizer import SETTINGS_FILES

logger = logging.getLogger(__name__)

BUSY = "another process is fetching this model"
_PICKLE = "pytorch_model.bin"
_ASSETS = "pagesort"
_SETTINGS = (external_formats.PREPROCESSOR_FILE, *SETTINGS_FILES)


def base_model(
    base: catalogue.BaseModel,
    storage: Path | None,
    *,
    allow_network: bool = True,
    token: str | None = None,
    endpoint: str | None = None,
    patience: Patience = IMPATIENT,
) -> Path | None:
    """Return a `transformers` folder of a base model, ready for `CLIP.open`.

    Looked for in `storage` (under the name of its repository or its base code), then in the hub's
    own cache; the hub is asked only if it is in neither. Weights that exist as a pickle alone are
    rewritten as safetensors once, without running anything in them. Of several processes that need
    it at once one fetches it, and the others wait.

    Args:
        base: which one.
        storage: `[SETUP] model_storage`; None leaves it to the hub's own cache.
        allow_network: whether the hub may be asked.
        token: what `[HF] token` holds.
        endpoint: address of the hub; None takes the library's (HF_ENDPOINT).
        patience: how long to wait; by default, without a network the answer comes within seconds.

    Returns:
        The folder, or None if it is neither there nor to be had; why is logged in one line.
    """
    try:
        found, pickled = _local(base.hub_id, storage)
        if found is not None:
            return found
        if pickled is None and not allow_network:
            logger.info("%s is not on this machine", base.hub_id)
            return None
        target = _conversion(base.hub_id, storage)
        lock = target.with_name(f".{target.name}.lock")
        with locked(lock, Path(base.hub_id), BUSY, wait_s=math.inf):
            # Another process may have brought it meanwhile.
            found, pickled = _local(base.hub_id, storage)
            if found is not None:
                return found
            if pickled is not None:
                return _converted(pickled, target)
            with quiet_client(patience):
                hub = Hub(base.hub_id, find_token(token), endpoint, patience)
                return _fetched(hub, storage)
    except PageSortError as error:
        logger.warning("%s is not on this machine and could not be fetched: %s", base.hub_id, error)
        return None


def base_settings(hub: Hub, storage: Path | None, store: Path) -> dict[str, Path]:
    """Return the tokenizer's and the preprocessor's files of a base model: name to path.

    Args:
        hub: the base model's repository, which is asked only if the files are not on this machine.
        storage: `[SETUP] model_storage`, looked into first, then the hub's own cache.
        store: the folder that fetched files are put into.

    Raises:
        PageSortError: the hub cannot be asked.
    """
    for folder in _places(hub.repository, storage):
        if _has_settings(folder):
            return {name: folder / name for name in _SETTINGS if (folder / name).is_file()}
    commit, files = _wanted(hub, with_weights=False)
    download.fetch(hub, commit, files, store, hub.about(place=store))
    return {file.name: store / file.digest for file in files}


def _local(repository: str, storage: Path | None) -> tuple[Path | None, Path | None]:
    """Find on this machine a whole base model, else one whose weights are a pickle."""
    pickled: Path | None = None
    for folder in _places(repository, storage):
        if _is_whole(folder):
            return folder, None
        if pickled is None and (folder / _PICKLE).is_file() and _has_settings(folder):
            pickled = folder
    return None, pickled


def _places(repository: str, storage: Path | None) -> Iterator[Path]:
    """Where a base model may lie: under the names of its repository or its base code."""
    name = repository.rpartition("/")[2]
    if storage is not None:
        yield storage / name
        yield storage / f"{name}-safetensors"
        for base in catalogue.BASES:
            if base.hub_id == repository:
                yield storage / catalogue.folder_code(base.code)
        yield storage / repository
    cached = _cached(repository)
    if cached is not None:
        yield cached
    yield _assets(repository)


def _assets(repository: str) -> Path:
    """Where the hub's library lets others keep files: for the cache's models in another form."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / _ASSETS / repository.rpartition("/")[2]


def _cached(repository: str) -> Path | None:
    """The folder of a repository's newest state in the hub's own cache, if there is one."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(repository, formats.CONFIG_FILE)
    except OSError:  # a cache that may not be read
        return None
    return Path(config).parent if isinstance(config, str) else None


def _has_settings(folder: Path) -> bool:
    tokenizer = (folder / "tokenizer.json").is_file() or (
        (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    )
    names = (formats.CONFIG_FILE, external_formats.PREPROCESSOR_FILE)
    return tokenizer and all((folder / name).is_file() for name in names)


def _is_whole(folder: Path) -> bool:
    if not _has_settings(folder):
        return False
    try:
        return all((folder / name).is_file() for name in model_files.weight_files(folder))
    except PageSortError:
        return False


def _fetched(hub: Hub, storage: Path | None) -> Path:
    if storage is None:
        folder = _to_cache(hub)
    else:
        folder = _to_storage(hub, storage / hub.repository.rpartition("/")[2])
    target = _conversion(hub.repository, storage)
    return folder if _is_whole(folder) else _converted(folder, target)


def _to_storage(hub: Hub, target: Path) -> Path:
    """Fetch into a folder of its own, which gets its name when it is complete."""
    commit, files = _wanted(hub, with_weights=True)
    staging = target.with_name(f".{target.name}.fetch")
    store = staging / "files"
    download.fetch(hub, commit, files, store, hub.about(place=target))
    ready = staging / "model"
    with translate_unwritable(staging):
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir()
        for file in files:
            (store / file.digest).replace(ready / file.name)
    kept = model_files.install(ready, target, may_replace=False)
    if kept is not None:
        logger.info("the incomplete model that lay there is kept as %s", kept)
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _to_cache(hub: Hub) -> Path:
    """Fetch into the hub's own cache, where other programs find it too.

    The bytes are put where the library keeps them, by hash; the library then finds them there and
    gives them their names.
    """
    from huggingface_hub import constants, hf_hub_download

    commit, files = _wanted(hub, with_weights=True)
    cache = Path(constants.HF_HUB_CACHE)
    store = cache / f"models--{hub.repository.replace('/', '--')}" / "blobs"
    about = hub.about(place=cache)
    download.fetch(hub, commit, files, store, about)
    path = ""
    for file in files:
        path = hub.ask(
            lambda name=file.name: hf_hub_download(  # type: ignore[misc]
                hub.repository,
                name,
                revision="main",
                endpoint=hub.api.endpoint,
                token=hub.token.value or False,
            ),
            about,
        )
    return Path(path).parent


def _wanted(hub: Hub, *, with_weights: bool) -> tuple[str, list[download.RemoteFile]]:
    info = hub.info("main", files=True)
    files = hub.ask(lambda: download.listed(info), hub.about())
    if with_weights:
        return str(info.sha), download.wanted(files, hub.repository)
    return str(info.sha), [file for file in files if file.name in _SETTINGS]


def _conversion(repository: str, storage: Path | None) -> Path:
    """Where the safetensors form of a model that came as a pickle is kept."""
    if storage is None:
        return _assets(repository)
    return storage / f"{repository.rpartition('/')[2]}-safetensors"


def _converted(folder: Path, target: Path) -> Path:
    """Write the safetensors form of a model that came as a pickle."""
    if not _is_whole(target):
        convert_pickle(folder, target)
    return target


def convert_pickle(folder: Path, target: Path) -> None:
    """Rewrite a `transformers` folder with `pytorch_model.bin` as one with safetensors.

    Raises:
        PageSortError: the pickle holds more than weights, or the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    weights = folder / _PICKLE
    logger.info("rewriting %s as safetensors, once, to %s", weights, target)
    state = external_formats.load_torch(weights)
    tensors = {
        # Old files carry this buffer, which the library now counts out itself. Copies, because
        # tensors that share their memory cannot be written.
        key: value.contiguous().clone()
        for key, value in state.items()
        if hasattr(value, "contiguous") and not key.endswith("position_ids")
    }
    if not tensors:
        raise PageSortError("the file holds no weights", where=weights, remedy="Fetch it again")
    staging = target.with_name(f".{target.name}.convert")
    # The library wraps what the system says, a full disk for one.
    with translate_unwritable(target, also=(SafetensorError,)):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        save_file(tensors, staging / formats.WEIGHTS_FILE, metadata={"format": "pt"})
        for name, path in model_files.model_files(folder).items():
            if "/" not in name:
                shutil.copyfile(path, staging / name)
    model_files.check_complete(staging)
    model_files.install(staging, target, may_replace=True)
