"""Files of a repository: which are wanted, and fetching them so that a stopped fetch goes on.

The client library keeps nothing of a file that was stopped, checks sizes but not hashes, and makes
two requests a file. So the bytes are read here, over its own session and with its own headers.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError
from pagesort.common.files import check_space, hash_into, translate_unwritable
from pagesort.common.text import size_text
from pagesort.common.transfer import Transfer
from pagesort.hub import errors
from pagesort.models import folder, formats

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

    from pagesort.hub.client import Hub

logger = logging.getLogger(__name__)

_ENOUGH_GAINED = 1 << 18  # bytes; a try that brought so many counts as none that failed
_WRONG_AT_MOST = 3  # whole downloads of one file that do not fit its hash
_LARGEST_SETTINGS = 30_000_000  # bytes of a JSON file
_INDEX = re.compile(r".*\.index\.json")
_BIN = re.compile(r"pytorch_model-\d{5}-of-\d{5}\.bin")
_PICKLES = (".pt", ".pth", ".bin")
_TEXTS = {"merges.txt", "vocab.txt", "trained_names.txt", "trained_pages.txt"}


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository at one commit.

    Args:
        name: its path in the repository.
        size: in bytes.
        digest: SHA-256 of a file kept by LFS, else git's SHA-1, in hexadecimal digits.
    """

    name: str
    size: int
    digest: str

    def hasher(self) -> Any:
        """Start the hash that `digest` was made with; git's begins with the length."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


def listed(info: ModelInfo) -> list[RemoteFile]:
    """Read the list of files from the answer of `Hub.info(..., files=True)`.

    Raises:
        NotAHubError: a file has no size or no hash.
    """
    files = []
    for entry in info.siblings or []:
        digest = entry.lfs.sha256 if entry.lfs else entry.blob_id
        size = entry.lfs.size if entry.lfs else entry.size
        if not isinstance(size, int) or not re.fullmatch(
            r"[0-9a-f]{40}|[0-9a-f]{64}", digest or ""
        ):
            raise errors.NotAHubError("a list of files without sizes or hashes")
        files.append(RemoteFile(entry.rfilename, size, digest or ""))
    return files


def wanted(files: Iterable[RemoteFile], where: str) -> list[RemoteFile]:
    """Choose what a model needs: safetensors, other weights only where there are none.

    Names with folders or of other sorts are passed over, so that nothing is ever written outside;
    so is the card, which says nothing that the model needs and changes more often than it.

    Args:
        files: all files of the repository.
        where: its name, for messages.

    Raises:
        PageSortError: there are no weights, or several of which none is known to be the right one.
    """
    plain = [file for file in files if re.fullmatch(r"[\w.+-]+", file.name)]
    weights = _weights(plain, where)
    settings = [
        file
        for file in plain
        if file.name in _TEXTS
        or (
            file.name.endswith(".json")
            and not _INDEX.fullmatch(file.name)
            and file.size <= _LARGEST_SETTINGS
        )
    ]
    return [*settings, *weights]


def fetch(
    hub: Hub,
    commit: str,
    files: Sequence[RemoteFile],
    store: Path,
    about: errors.About,
    *,
    extra: int = 0,
) -> None:
    """Bring files into a folder under the names of their hashes; what is there is not asked for.

    Args:
        hub: where they are.
        commit: the commit that lists them, so that a later one cannot mix in.
        files: what to fetch.
        store: the folder; a file that was begun stands there as `<hash>.partial`.
        about: for messages.
        extra: bytes that will be needed on the same disk besides.

    Raises:
        PageSortError: no space, or the hub cannot be asked, or what came was wrong repeatedly.
    """
    missing = [file for file in files if not is_there(store, file)]
    left = sum(file.size - _kept(store, file) for file in missing)
    check_space(store, left + extra, what=f"fetching {hub.repository}")
    with translate_unwritable(store):
        store.mkdir(parents=True, exist_ok=True)
    if not missing:
        return
    total = sum(file.size for file in missing)
    logger.info("fetching %d files, %s, of %s", len(missing), size_text(total), hub.repository)
    with Transfer(total, "fetched") as transfer:
        for file in missing:
            _fetch_one(_Download(hub, commit, file, store, transfer), about)
    logger.info("fetched %s, checksums agree", size_text(total))


def is_there(store: Path, file: RemoteFile) -> bool:
    """Tell whether a file is complete; it got its name after its hash was compared."""
    path = store / file.digest
    return path.is_file() and path.stat().st_size == file.size


def _weights(files: Sequence[RemoteFile], where: str) -> list[RemoteFile]:
    by_name = {file.name: file for file in files}
    if formats.WEIGHTS_FILE in by_name:
        return [by_name[formats.WEIGHTS_FILE]]
    safe = [file for file in files if file.name.endswith(".safetensors")]
    if formats.INDEX_FILE in by_name:
        parts = [file for file in safe if folder.is_model_file(file.name)]
        return [by_name[formats.INDEX_FILE], *parts]
    if not safe and "pytorch_model.bin" in by_name:
        return [by_name["pytorch_model.bin"]]
    if not safe and any(_BIN.fullmatch(file.name) for file in files):
        raise PageSortError(
            "the repository holds its weights as a pickle in several parts",
            where=where,
            remedy="Ask its owner for safetensors",
        )
    # Beside weights a training may have left its own state, which is none.
    pickles = [
        file
        for file in files
        if file.name.endswith(_PICKLES)
        and not re.match(r"(training_args|optimizer|scheduler|rng_state|scaler)", file.name)
    ]
    found = safe or pickles
    if len(found) == 1:
        return found
    if found:
        names = ", ".join(file.name for file in found)
        problem, remedy = f"holds several weights ({names})", "Ask its owner for one model a branch"
    else:
        names = ", ".join(file.name for file in files[:10]) or "nothing"
        problem, remedy = f"holds no weights (but {names})", "Check [HF] repo_name and the revision"
    raise PageSortError(f"the repository {problem}", where=where, remedy=remedy)


def _partial(store: Path, file: RemoteFile) -> Path:
    return store / f"{file.digest}.partial"


def _kept(store: Path, file: RemoteFile) -> int:
    partial = _partial(store, file)
    return min(partial.stat().st_size, file.size) if partial.is_file() else 0


class _Download:
    """One file on its way."""

    def __init__(
        self, hub: Hub, commit: str, file: RemoteFile, store: Path, transfer: Transfer
    ) -> None:
        self.hub = hub
        self.commit = commit
        self.file = file
        self.partial = _partial(store, file)
        self.transfer = transfer
        self.wrong = 0
        self.before = self.kept = _kept(store, file)
        self.hasher = file.hasher()

    def attempt(self) -> None:
        """Read the file from where it stopped and compare its hash.

        Raises:
            WrongContentError: the bytes are wrong, and are removed.
            BrokenOffError: the answer ended early; what came is kept.
        """
        self._hash_kept()
        self.before = self.kept
        if self.kept < self.file.size or not self.partial.exists():
            self._stream()
        if self.kept < self.file.size:
            raise errors.BrokenOffError(self.file.name)
        if self.kept > self.file.size or self.hasher.hexdigest() != self.file.digest:
            self.partial.unlink()
            self.transfer.advance(-self.kept)
            self.before = self.kept = 0
            self.wrong += 1
            is_final = self.wrong >= _WRONG_AT_MOST
            raise errors.WrongContentError(self.file.name, is_final=is_final)

    def has_gained(self) -> bool:
        """Tell whether the last try brought enough to count the failures anew."""
        return self.kept - self.before >= _ENOUGH_GAINED

    def _hash_kept(self) -> None:
        self.hasher = self.file.hasher()
        self.kept = 0
        if self.partial.is_file():
            with self.partial.open("rb") as file:
                self.kept = hash_into(self.hasher, file)

    def _start_anew(self) -> None:
        self.transfer.advance(-self.kept)
        self.hasher = self.file.hasher()
        self.kept = 0

    def _stream(self) -> None:
        """Append what is missing, up to the first byte too many."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        hub = self.hub
        url = hf_hub_url(
            hub.repository, self.file.name, revision=self.commit, endpoint=hub.api.endpoint
        )
        headers = build_hf_headers(token=hub.token.value or False)
        headers["Accept-Encoding"] = "identity"  # else sizes and ranges are of packed bytes
        if self.kept:
            headers["Range"] = f"bytes={self.kept}-"
        with get_session().stream("GET", url, headers=headers) as response:
            hf_raise_for_status(response)
            if "text/html" in response.headers.get("Content-Type", "").lower():
                raise errors.NotAHubError(self.file.name)
            if self.kept and not _continues(response, self.kept):
                self._start_anew()
            with self.partial.open("ab" if self.kept else "wb") as out:
                for chunk in response.iter_bytes():
                    out.write(chunk)
                    self.hasher.update(chunk)
                    self.kept += len(chunk)
                    self.transfer.advance(len(chunk))
                    if self.kept > self.file.size:
                        return


def _fetch_one(download: _Download, about: errors.About) -> None:
    file, target = download.file, download.partial.with_suffix("")
    download.transfer.begin(file.name, file.size, download.kept)
    download.hub.ask(download.attempt, about, download.has_gained)
    with translate_unwritable(target):
        download.partial.replace(target)


def _continues(response: Any, kept: int) -> bool:
    """Tell whether an answer begins where it was asked to; some caches send the whole file."""
    stated = response.headers.get("Content-Range", "")
    return response.status_code == 206 and stated.startswith(f"bytes {kept}-")
