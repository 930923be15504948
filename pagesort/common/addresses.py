"""Places that are no folders of this machine, such as `s3://bucket/scans`, as paths.

A path writes `s3://bucket/scans` as `s3:/bucket/scans`, so that joining, names and endings work as
for any other. What is read, and what people see, is the address.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

PROTOCOLS = (
    *("http", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"),
    *("hdfs", "webhdfs", "sftp", "ssh", "ftp", "smb", "dav", "webdav", "memory", "local"),
)
_ADDRESS = re.compile(rf"({'|'.join(PROTOCOLS)}):/", re.IGNORECASE)
_SHOWN = re.compile(rf"\b({'|'.join(PROTOCOLS)}):/{{1,2}}([^\s'\"<>]+)", re.IGNORECASE)
_FILE = "file://"


def read_path(text: str) -> Path:
    """A path as a person writes it; `file:///scans` is a folder of this machine."""
    if text.lower().startswith(_FILE):
        return Path(unquote(text[len(_FILE) :]))
    return Path(text)


def is_remote(path: str | Path) -> bool:
    """Whether a path is an address of another place."""
    text = path.as_posix() if isinstance(path, Path) else path
    return _ADDRESS.match(text) is not None


def address_of(path: str | Path) -> str:
    """The address that a path stands for."""
    protocol, _, rest = Path(path).as_posix().partition(":/")
    if protocol.lower() == "local":
        return f"{protocol}:///{rest.lstrip('/')}"
    return f"{protocol}://{rest.lstrip('/')}"


def absolute(path: Path) -> Path:
    """A path from the root on, its links as they are; without `..`."""
    if is_remote(path):
        steps: list[str] = []
        for part in PurePosixPath(path.as_posix()).parts[1:]:
            if part != "..":
                steps.append(part)
            elif len(steps) > 1:  # nothing leads above the host or bucket
                steps.pop()
        return Path(path.parts[0], *steps)
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written


def resolved(path: Path) -> Path:
    """A path from the root on, with its links followed."""
    return path if is_remote(path) else path.resolve()


def shown_place(path: Path) -> str:
    """A path as people and tables see it, with `/`."""
    return address_of(path) if is_remote(path) else path.as_posix()


def readable(text: str) -> str:
    """A message with its addresses as people know them, without passwords and signatures."""
    return _SHOWN.sub(lambda found: f"{found[1]}://{_harmless(found[2])}", text)


def _harmless(rest: str) -> str:
    """The part of an address behind `://`, less its password and its query."""
    host, slash, path = rest.partition("/")
    host = f"…@{host.rpartition('@')[2]}" if "@" in host else host
    place, query, _ = f"{host}{slash}{path}".partition("?")
    return f"{place}?…" if query else place


def has_secret(path: Path) -> bool:
    """Whether an address holds what nobody else should read: a password, or a query."""
    return is_remote(path) and readable(address_of(path)) != address_of(path)
