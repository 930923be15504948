"""Which model in the folder of models is meant by a repository, a revision and a base code.

What a folder's own files tell counts: where it was fetched from, and what kind of model it holds. A
folder that does not tell whence it comes, as one that was copied or unpacked there, is known by the
name that fetching would have given it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError, UsageError
from pagesort.models import catalogue
from pagesort.models.metadata import CONFIG_FILE, UNKNOWN_BASE, read_metadata

ORIGIN_FILE = "origin.json"
"""Where a fetched model came from; stays on the machine."""
_ASIDE = re.compile(r".*_before_\d{8}-\d{4}(-\d+)?")


def read_origin(folder: Path) -> dict[str, Any]:
    """Read where a model came from: `repository`, `revision`, `commit`, hashes of `files`.

    Returns:
        The note of whoever fetched it; empty for one that was not fetched by this program.
    """
    shape: dict[str, Any] = {"repository": str, "revision": str, "files": dict}
    try:
        return read_json(folder / ORIGIN_FILE, shape=shape)
    except (OSError, PageSortError):
        return {}


def kind_of(folder: Path) -> str:
    """Tell what kind of model a folder holds: a base code, or another name; empty if unknown.

    By its metadata, else by what a published model calls itself, else by the sizes of its tower.
    """
    try:
        metadata = read_metadata(folder)
        if metadata is not None:
            return "" if metadata.base == UNKNOWN_BASE else metadata.base
        config = read_json(folder / CONFIG_FILE)
    except (OSError, PageSortError):
        return ""
    name, vision = config.get("model_name"), config.get("vision_config")
    if isinstance(name, str) and name:
        return name
    if config.get("model_type") != "clip" or not isinstance(vision, dict):
        return ""
    # What is not written has the library's defaults, those of ViT-B/32.
    sizes = (("image_size", 224), ("patch_size", 32), ("hidden_size", 768))
    base = catalogue.base_of_sizes(*(vision.get(name, default) for name, default in sizes))
    return base.code if base else ""


def find(models_dir: Path, repository: str, revision: str, code: str = "") -> Path | None:
    """Find the model of a repository's revision in the folder of models.

    Args:
        models_dir: the folder of models; it may be missing.
        repository: `owner/name`.
        revision: branch or tag.
        code: a base code that the model must be of; empty if it may be of any kind.
    """
    for folder in _folders(models_dir):
        if _is_meant(folder, repository, revision) and (
            not code or catalogue.is_same_base(_kind_or_name(folder, revision), code)
        ):
            return folder
    return None


def _folders(models_dir: Path) -> Iterator[Path]:
    """List the visible folders by name, without models that made way for others."""
    try:
        yield from sorted(
            path
            for path in models_dir.iterdir()
            if path.is_dir() and not path.name.startswith(".") and not _ASIDE.fullmatch(path.name)
        )
    except OSError:
        return


def _is_meant(folder: Path, repository: str, revision: str) -> bool:
    origin = read_origin(folder)
    if origin:
        is_same = catalogue.same_revision(origin["revision"], revision, repository)
        return bool(origin["repository"] == repository and is_same)
    if "_rev_" not in folder.name:
        return False
    kind = _kind_or_name(folder, revision)
    return folder.name == catalogue.model_folder_name(kind, revision, repository)


def _kind_or_name(folder: Path, revision: str) -> str:
    """The kind of a model; of one that does not tell it, that which its revision stands for."""
    if kind := kind_of(folder):
        return kind
    try:
        return "" if read_origin(folder) else catalogue.base_of_revision(revision).code
    except UsageError:
        return ""
