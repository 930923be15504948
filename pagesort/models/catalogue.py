"""The published base models: their codes, revisions, hub names, input sizes and folder names."""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass

from pagesort.common.errors import UsageError

DEFAULT_REVISION = "v1.1"
PUBLISHED_REPOSITORY = "ufal/clip-historical-page"


@dataclass(frozen=True)
class BaseModel:
    """One untouched CLIP that the published models were tuned from.

    `image_size` and `patch_size` in pixels; `width` is that of the image tower.
    """

    code: str
    hub_id: str
    revision: str
    image_size: int
    patch_size: int
    width: int


BASES = (
    BaseModel("ViT-B/16", "openai/clip-vit-base-patch16", "v1.1", 224, 16, 768),
    BaseModel("ViT-B/32", "openai/clip-vit-base-patch32", "v1.2", 224, 32, 768),
    BaseModel("ViT-L/14", "openai/clip-vit-large-patch14", "v2.1", 224, 14, 1024),
    BaseModel("ViT-L/14@336px", "openai/clip-vit-large-patch14-336", "v2.2", 336, 14, 1024),
)

_ALIASES = {"vit-l/14@336": "vit-l/14@336px"}
_REVISION = re.compile(r"v?(\d+\.\d+)(?:\.\d+)*", re.IGNORECASE)
_LONGEST_NAME = 100  # letters; archives of models take no longer names


def base_of_code(code: str) -> BaseModel:
    """Return the base model with this code, whatever the case of its letters.

    Raises:
        UsageError: no base model has it; the message lists those that exist.
    """
    wanted = code.strip().lower()
    wanted = _ALIASES.get(wanted, wanted)
    for base in BASES:
        if base.code.lower() == wanted:
            return base
    allowed = ", ".join(base.code for base in BASES)
    raise UsageError(f"unknown base model '{code}'", remedy=f"Use one of {allowed}")


def base_of_revision(revision: str) -> BaseModel:
    """Return the base model a published revision belongs to, by its first two numbers.

    Raises:
        UsageError: the revision belongs to no base model.
    """
    wanted = _two_numbers(revision)
    for base in BASES:
        if base.revision == wanted:
            return base
    allowed = ", ".join(f"{base.revision} ({base.code})" for base in BASES)
    raise UsageError(
        f"unknown revision '{revision}'",
        remedy=f"Use main, or one that starts with {allowed}",
    )


def is_published_revision(revision: str) -> bool:
    """Whether a revision has the form of published ones, so that it tells its base model."""
    revision = revision.strip()
    return revision.lower() == "main" or _REVISION.fullmatch(revision) is not None


def resolve(code: str | None, revision: str | None) -> tuple[BaseModel, str]:
    """Settle which base model and which revision are meant when one or both are named.

    Neither named means the default revision; a code alone means that base's own revision. A branch
    of somebody's own may hold any base, so that a code beside it tells which.

    Raises:
        UsageError: one of them is unknown, or they contradict each other.
    """
    if revision is None:
        base = base_of_revision(DEFAULT_REVISION) if code is None else base_of_code(code)
        return base, base.revision
    if code is not None and not is_published_revision(revision):
        return base_of_code(code), revision
    base = base_of_revision(revision)
    if code is not None and base_of_code(code) != base:
        raise UsageError(
            f"revision {revision} belongs to {base.code}, not to {base_of_code(code).code}",
            remedy="Name only one of them, or two that belong together",
        )
    return base, revision


def folder_code(code: str) -> str:
    """Write a base code so that it can stand in a file name: `ViT-L/14@336px` -> `ViT-L14-336px`.

    A name that is no base code keeps its letters, digits and `.`, `+`, `-`, `_`.
    """
    # The name of somebody's own model only has to be made safe.
    with contextlib.suppress(UsageError):
        code = base_of_code(code).code
    return re.sub(r"[^\w.+-]+", "", code.replace("@", "-")) or "model"


def base_of_sizes(image_size: object, patch_size: object, width: object) -> BaseModel | None:
    """Return the base model whose image tower has these sizes, if there is one."""
    sizes = (image_size, patch_size, width)
    return next((b for b in BASES if (b.image_size, b.patch_size, b.width) == sizes), None)


def is_same_base(code: str, other: str) -> bool:
    """Whether two codes, or names of models of other kinds, mean the same."""
    try:
        return base_of_code(code) == base_of_code(other)
    except UsageError:
        return code == other


def same_revision(one: str, other: str, repository: str = PUBLISHED_REPOSITORY) -> bool:
    """Whether two names mean the same state of a repository: published `main` is the default."""
    return _settled(one, repository) == _settled(other, repository)


def model_folder_name(code: str, revision: str, repository: str = PUBLISHED_REPOSITORY) -> str:
    """Name the folder of a model under the models folder by what it is and whence it comes.

    A published one is `ViT-B16_rev_v11`: its revision loses its dots, and `main` is the default
    revision. Models of other repositories are `ViT-B16_rev_main_of_owner--name`; no name on the hub
    holds two dashes in a row. Every name can be a folder's on every system.
    """
    revision = _settled(revision, repository)
    short = re.sub(r"[^0-9A-Za-z_-]+", "", revision.replace("/", "-")).strip("-")
    name = f"{folder_code(code)}_rev_{short or _digest(revision)}"
    if repository != PUBLISHED_REPOSITORY:
        owner = re.sub(r"[^0-9A-Za-z_.-]+", "", repository.replace("/", "--")).rstrip(".")
        name += f"_of_{owner}"
    if len(name.encode()) > _LONGEST_NAME:
        start = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore")
        name = f"{start}-{_digest(f'{code} {revision} {repository}')}"
    return name


def other_folder_name(name: str, revision: str, repository: str) -> str:
    """Name the folder of a model whose first name another model has: `..._of_owner--name-1f3a`."""
    return f"{name[: _LONGEST_NAME - 9]}-{_digest(f'{revision} {repository}')}"


def is_published_folder(name: str) -> bool:
    """Whether a folder has the name of a published model, whatever its revision."""
    starts = tuple(f"{folder_code(base.code)}_rev_" for base in BASES)
    return name.startswith(starts) and "_of_" not in name


def _settled(revision: str, repository: str) -> str:
    """Write the published `main` as the default revision."""
    revision = revision.strip()
    is_main = repository == PUBLISHED_REPOSITORY and revision.lower() == "main"
    return DEFAULT_REVISION if is_main else revision


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _two_numbers(revision: str) -> str:
    """Cut `v1.1.3.7` to `v1.1`; what has no such form comes back as it is."""
    revision = revision.strip()
    if revision.lower() == "main":
        return DEFAULT_REVISION
    match = _REVISION.fullmatch(revision)
    return f"v{match[1]}" if match else revision
