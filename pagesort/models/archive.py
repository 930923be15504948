"""A model in one file, for machines without a network: a zip archive with checksums.

It holds the model's files as they are and, first, a list of them with sizes and SHA-256. Nothing is
taken out of an archive that holds anything else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pagesort.common.checked_json import is_of, parse_object
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import (
    check_space,
    file_digest,
    flush,
    translate_unreadable,
    translate_unwritable,
    unfinished,
)
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.common.text import size_text
from pagesort.common.transfer import Transfer
from pagesort.models import folder as model_files

logger = logging.getLogger(__name__)

LIST_FILE = "pagesort-archive.json"
_FORMAT, _VERSION = "pagesort archive", 1
_LARGEST_LIST = 1_000_000  # bytes
_MOST_FILES = 1000
_LARGEST_FILE = 1 << 50  # bytes
_CHUNK = 1 << 20
# The same moment for all, so that the same model always makes the same archive.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_ANEW = "Make the archive anew with --hf export, or copy it again"
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Imported:
    """What an import led to.

    Args:
        folder: the model.
        is_new: whether it was installed; not if exactly this model was there.
        kept: the new name of another model that lay in the folder's place.
    """

    folder: Path
    is_new: bool
    kept: Path | None = None


def export_model(folder: Path, file: Path) -> Path:
    """Pack a model folder of this program's format into one archive.

    Args:
        folder: the model folder; its name is the one that the import will give.
        file: the archive, which must not exist.

    Returns:
        The archive.

    Raises:
        UsageError: the archive exists, or is to lie in the model folder.
        PageSortError: the folder is incomplete, or the archive cannot be written.
    """
    if os.path.lexists(file):
        raise UsageError("the file exists", where=file, remedy="Name a new one, or remove it")
    if folder.resolve() in file.resolve().parents:
        raise UsageError("an archive cannot lie in the model it holds", where=file)
    model_files.check_complete(folder)
    files = model_files.model_files(folder)
    for name in model_files.other_files(folder):
        logger.info("%s is no part of the model and stays out of the archive", name)
    total = sum(path.stat().st_size for path in files.values())
    with translate_unwritable(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        check_space(file.parent, total, what="the archive")
        with unfinished(file) as partial:
            _pack(files, folder.resolve().name, partial, total)
            flush(partial)
            # A file of that name that came meanwhile is not replaced either.
            if os.path.lexists(file):
                raise UsageError("the file exists", where=file, remedy="Name a new one")
            partial.replace(file)
    logger.info("%s: %d files, %s", file, len(files), size_text(total))
    return file


def import_model(file: Path, models_dir: Path) -> Imported:
    """Check an archive and install its model under the name it had.

    Raises:
        PageSortError: the archive is damaged or holds what it should not, or there is no space;
            nothing is installed then.
    """
    if not file.is_file():
        raise PageSortError(
            "there is no such archive", where=file, remedy="Name a file that --hf export made"
        )
    with _opened(file) as archive:
        name, listed = _checked_list(archive, file)
        target = models_dir / name
        if _holds(target, listed):
            logger.info("%s holds exactly this model already", target)
            return Imported(target, is_new=False)
        _check_place(target, file)
        total = sum(facts["size"] for facts in listed.values())
        check_space(models_dir, total, what="the model")
        with translate_unwritable(models_dir), unfinished(target) as staging:
            staging.mkdir(parents=True)
            _unpack(archive, listed, staging, file, total)
            model_files.check_complete(staging)
            kept = model_files.install(staging, target, may_replace=False)
    if kept is not None:
        logger.info("the model that lay in %s is kept as %s", target, kept.name)
    logger.info("%s holds the model of %s, checksums agree", target, file.name)
    return Imported(target, is_new=True, kept=kept)


def _pack(files: Mapping[str, Path], name: str, partial: Path, total: int) -> None:
    listed = {}
    for each, path in files.items():
        with translate_unreadable(path):
            listed[each] = {"size": path.stat().st_size, "sha256": file_digest(path)}
    head = {"format": _FORMAT, "version": _VERSION, "name": name, "files": listed}
    # Weights do not shrink, so nothing is compressed.
    with (
        zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive,
        Transfer(total, "packed") as transfer,
    ):
        archive.writestr(_entry(LIST_FILE), json.dumps(head, indent=2, ensure_ascii=False))
        for each, path in files.items():
            transfer.begin(each, path.stat().st_size)
            with path.open("rb") as source, archive.open(_entry(each), "w", force_zip64=True) as to:
                while chunk := source.read(_CHUNK):
                    to.write(chunk)
                    transfer.advance(len(chunk))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    damaged = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    # What goes wrong while the model is written was told as such before it comes here.
    except (*damaged, OSError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
        raise PageSortError(
            f"not a readable archive ({reason})", where=file, remedy=_ANEW
        ) from error


def _read(source: IO[bytes], size: int, file: Path) -> bytes:
    """Read from an archive, while errors of writing are being told as such."""
    with translate_unreadable(file, remedy=_ANEW):
        return source.read(size)


def _check_place(target: Path, file: Path) -> None:
    """Keep an archive from the places of the bundled models, and of what is no model at all."""
    is_taken = target.is_dir() and any(target.iterdir()) and not model_files.model_files(target)
    is_ours = target.resolve() in (BUNDLED_MODEL.resolve(), SMALL_MODEL.resolve())
    if is_taken or is_ours:
        raise PageSortError(
            f"the archive was refused: {target} has the name of its model and is another thing",
            where=file,
            remedy="Rename the model folder where the archive was made, and export it again",
        )


def _checked_list(archive: zipfile.ZipFile, file: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the model's name and the list of its files, if the archive holds just those.

    Raises:
        PageSortError: an entry has a path, is a link, is not listed, or is listed and missing.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_FILES:
        raise _refused(f"it holds {len(entries)} files", file)
    for entry in entries:
        reason = _objection(entry)
        if reason:
            raise _refused(f"it holds {_shown(entry.filename)}, {reason}", file)
    names = [entry.filename for entry in entries]
    counts = Counter(name.lower() for name in names)
    doubled = sorted(name for name in names if counts[name.lower()] > 1)
    if doubled:
        raise _refused(f"it holds {_shown(doubled[0])} twice", file)
    if LIST_FILE not in names:
        raise _refused(f"it has no {LIST_FILE}, so --hf export did not make it", file)
    name, listed = _read_list(archive, file)
    unlisted = sorted(set(names) - {LIST_FILE} - set(listed))
    missing = sorted(set(listed) - set(names))
    if unlisted:
        raise _refused(f"it holds {_shown(unlisted[0])}, which its list does not name", file)
    if missing:
        raise _refused(f"it lacks {_shown(missing[0])}, which its list names", file)
    return name, listed


def _objection(entry: zipfile.ZipInfo) -> str:
    """Say what is wrong with an entry; empty if nothing is."""
    # The name as the archive has it: `filename` ends at a NUL and turns a system's separator round.
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if not entry.filename.strip():  # which ends at a NUL
        return "which has no name"
    if re.match(r"[/\\]|[A-Za-z]:", name):
        return "an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "a path that leads out of the folder"
    if entry.is_dir():
        return "which is a folder"
    if kind not in (0, stat.S_IFREG):
        return "which is a link or a device"
    if any(_RESERVED.fullmatch(part) for part in name.split("/")):
        return "a name that Windows reserves"
    if name != LIST_FILE and not model_files.is_model_file(name):
        return "which is no file of a model"
    if entry.flag_bits & 1:
        return "which is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "which is packed in an unusual way"
    return ""


def _read_list(archive: zipfile.ZipFile, file: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    with archive.open(LIST_FILE) as source:
        text = source.read(_LARGEST_LIST + 1)
    try:
        head = parse_object(text, file, largest=_LARGEST_LIST)
    except PageSortError as error:
        raise _refused(f"its {LIST_FILE} is damaged, {error.what}", file) from error
    if head.get("format") != _FORMAT:
        raise _refused(f"its {LIST_FILE} is damaged", file)
    if head.get("version") != _VERSION:
        raise PageSortError(
            f"an archive of version {head.get('version')}, this program reads {_VERSION}",
            where=file,
            remedy="Update this program",
        )
    name, listed = head.get("name"), head.get("files")
    if not isinstance(name, str) or not _is_safe_name(name):
        raise _refused("its model has a name that no folder should have", file)
    if (
        not isinstance(listed, dict)
        or len(listed) > _MOST_FILES
        or not all(_is_fact(facts) for facts in listed.values())
    ):
        raise _refused(f"its {LIST_FILE} is damaged", file)
    return name, listed


def _is_safe_name(name: str) -> bool:
    safe = re.fullmatch(r"[\w+-][\w.+ @()-]{0,100}", name) and not name.endswith((".", " "))
    return bool(safe) and not _RESERVED.fullmatch(name)


def _is_fact(facts: object) -> bool:
    if not isinstance(facts, dict):
        return False
    size: Any = facts.get("size")
    digest = facts.get("sha256")
    is_size = is_of(size, int) and 0 <= size <= _LARGEST_FILE
    return is_size and isinstance(digest, str) and bool(re.fullmatch(r"[0-9a-f]{64}", digest))


def _unpack(
    archive: zipfile.ZipFile,
    listed: Mapping[str, Mapping[str, Any]],
    staging: Path,
    file: Path,
    total: int,
) -> None:
    with Transfer(total, "unpacked") as transfer:
        for name, facts in listed.items():
            transfer.begin(name, facts["size"])
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest, size = hashlib.sha256(), 0
            with archive.open(name) as source, target.open("xb") as to:
                while chunk := _read(source, _CHUNK, file):
                    size += len(chunk)
                    if size > facts["size"]:
                        break
                    digest.update(chunk)
                    to.write(chunk)
                    transfer.advance(len(chunk))
            if size != facts["size"] or digest.hexdigest() != facts["sha256"]:
                raise _refused(f"{name} does not have the checksum that its list states", file)


def _holds(target: Path, listed: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether a folder is exactly the model of an archive."""
    if not target.is_dir():
        return False
    files = model_files.model_files(target)
    return set(files) == set(listed) and all(
        path.stat().st_size == listed[name]["size"] and file_digest(path) == listed[name]["sha256"]
        for name, path in files.items()
    )


def _refused(reason: str, file: Path) -> PageSortError:
    return PageSortError(f"the archive was refused: {reason}", where=file, remedy=_ANEW)


def _shown(name: str) -> str:
    """Write a name from an archive so that it cannot act on a terminal."""
    return ascii(name[:100])
