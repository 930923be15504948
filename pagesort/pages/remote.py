"""Pages at other places, through fsspec: listed and fetched only when they are asked for.

Nothing is kept on this machine. Sizes and times are bounded, and a page that cannot be fetched
fails with the reason.
"""

from __future__ import annotations

import functools
import html
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pagesort.common.addresses import address_of, readable
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.optional import optional_package
from utils import SYSTEM_FOLDERS, PassedOver, endings_of, natural_key

logger = logging.getLogger(__name__)

LARGEST_FILE = 512 << 20
CONNECT_S, READ_S = 20.0, 60.0
"""Seconds after which a place that does not answer is given up."""
DEEPEST = 64  # folders in folders
READ_BYTES = 1 << 20
KEPT_BYTES = 128 << 20
_DOCUMENTS = (".pdf", ".tif", ".tiff")  # which are asked for again for every page
_WEB = ("http", "https")
REQUIREMENTS = "requirements-remote.txt"


def fetch(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        PageUnreadableError: it is too large, or cannot be fetched.
        PageSortError: a package is missing that such places need.
    """
    if path.suffix.lower() not in _DOCUMENTS:
        return _fetched(path)
    with _recent_lock:
        data = _recent.get(path)
    return _remember(path, _fetched(path)) if data is None else data


_recent: OrderedDict[Path, bytes] = OrderedDict()
_recent_lock = threading.Lock()


def _remember(path: Path, data: bytes) -> bytes:
    """Keep the last documents, whose pages are asked for one after the other."""
    with _recent_lock:
        _recent[path] = data
        while sum(map(len, _recent.values())) > KEPT_BYTES:
            _recent.popitem(last=False)
    return data


def _fetched(path: Path) -> bytes:
    system = _system(_protocol(path))
    # Of a web server, in one go: it may know neither sizes nor parts of files.
    more = {"block_size": 0, "size": 1} if _protocol(path) in _WEB else {}
    pieces, size = [], 0
    try:
        with system.open(address_of(path), "rb", **more) as file:
            while piece := file.read(READ_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST_FILE:
                    break
    except Exception as error:  # noqa: BLE001 - every kind of place has errors of its own
        raise PageUnreadableError(_reason(error), where=path) from error
    if size > LARGEST_FILE:
        limit = f"{LARGEST_FILE >> 20} MiB, the most that is fetched of a file"
        raise PageUnreadableError(f"it has more than {limit}", where=path)
    return b"".join(pieces)


def facts(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds, 0 where it is not told; None: no file."""
    system = _system(_protocol(path))
    try:
        info = system.info(address_of(path))
    except Exception as error:  # noqa: BLE001 - as above
        logger.debug("%s: %r", path, error)
        return None
    if info.get("type") == "directory":
        return None
    changed = next((info[key] for key in ("mtime", "LastModified", "created") if key in info), 0)
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    is_told = isinstance(changed, int | float)
    return int(info.get("size") or 0), int(changed * 1e9) if is_told else 0


def list_pages(
    folder: Path, formats: Iterable[str], inner: bool, passed: PassedOver
) -> Iterator[Path]:
    """Yield the pages of a folder at another place, as `utils.list_pages` does for one here.

    Raises:
        PageSortError: the folder cannot be listed.
    """
    endings = endings_of(formats)

    def walk(place: Path, depth: int) -> Iterator[Path]:
        for name, is_folder in _content(place):
            if name.startswith("."):
                continue
            if not is_folder:
                if name.lower().endswith(endings):
                    yield place / name
            elif inner and name.lower() not in SYSTEM_FOLDERS and depth < DEEPEST:
                try:
                    yield from walk(place / name, depth + 1)
                except PageSortError as error:
                    logger.warning("Folder left out: %s (%s)", place / name, error.what)
                    passed.closed.append(place / name)

    return walk(folder, 0)


def _content(folder: Path) -> list[tuple[str, bool]]:
    """The names in a folder in natural order, and which of them are folders."""
    is_web = _protocol(folder) in _WEB
    address = address_of(folder).rstrip("/")
    try:
        system = _system(_protocol(folder))
        entries = system.ls(f"{address}/" if is_web else address, detail=True)
    except PageSortError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise PageSortError(
            f"cannot list the folder ({_reason(error)})", where=folder, remedy="Check the address"
        ) from error
    found: dict[str, bool] = {}
    root = address if is_web else system._strip_protocol(address).rstrip("/")
    for entry in entries:
        name = _name_in(str(entry["name"]), root, is_web)
        if name:
            found[name] = found.get(name, False) or entry["type"] == "directory"
    return sorted(found.items(), key=natural_key)


def _name_in(place: str, root: str, is_web: bool) -> str:
    """The name of an entry of a folder; empty for what leads elsewhere, as links of pages may."""
    if is_web:
        place = html.unescape(place)
    inside = place.rstrip("/")
    if not inside.startswith(f"{root}/"):
        return ""
    name = inside[len(root) + 1 :]
    if is_web:
        if set("?#") & set(name):
            return ""
        plain = unquote(name)
        name = name if set("%?#/") & set(plain) else plain
    return "" if "/" in name or name in ("", ".", "..") or "\0" in name else name


def _protocol(path: Path) -> str:
    return path.parts[0].rstrip("/:").lower()


@functools.lru_cache(maxsize=16)
def _system(protocol: str) -> Any:
    """The file system of a kind of place.

    Raises:
        PageSortError: a package is missing.
    """
    fsspec = optional_package("fsspec", f"reading {protocol}://", REQUIREMENTS)
    options: dict[str, Any] = {}
    try:
        if protocol in _WEB:
            import aiohttp

            options["client_kwargs"] = {
                "timeout": aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_S, sock_read=READ_S
                )
            }
        elif protocol in ("s3", "s3a"):
            options["config_kwargs"] = {"connect_timeout": CONNECT_S, "read_timeout": READ_S}
        return fsspec.filesystem(protocol, **options)
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PageSortError(
            f"{protocol}:// cannot be read, as a package is missing ({reason})",
            remedy=f"python3 -m pip install -r {REQUIREMENTS}, or the package that it names",
        ) from error


def _reason(error: Exception) -> str:
    """What a place has against being read, in a few words and without secrets."""
    if isinstance(error, FileNotFoundError):
        return "the file is no longer there"
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return f"the place has not answered for {READ_S:g} seconds"
    said = " ".join(readable(str(error)).split())[:200]
    return f"it cannot be fetched ({said or type(error).__name__})"
