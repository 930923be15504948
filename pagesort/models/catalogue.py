"""The published base models: their codes, revisions, hub names, input sizes and folder names."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from pagesort.common.errors import UsageError

DEFAULT_REVISION = "v1.1"
PUBLISHED_REPOSITORY = "ufal/clip-historical-page"


@dataclass(frozen=True)
class BaseModel:
    """One untouched CLIP that the published models were tuned from; `image_size` in pixels."""

    code: str
    hub_id: str
    revision: str
    image_size: int


BASES = (
    BaseModel("ViT-B/16", "openai/clip-vit-base-patch16", "v1.1", 224),
    BaseModel("ViT-B/32", "openai/clip-vit-base-patch32", "v1.2", 224),
    BaseModel("ViT-L/14", "openai/clip-vit-large-patch14", "v2.1", 224),
    BaseModel("ViT-L/14@336px", "openai/clip-vit-large-patch14-336", "v2.2", 336),
)

_ALIASES = {"vit-l/14@336": "vit-l/14@336px"}
_REVISION = re.compile(r"v?(\d+\.\d+)(?:\.\d+)*", re.IGNORECASE)


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


def resolve(code: str | None, revision: str | None) -> tuple[BaseModel, str]:
    """Settle which base model and which revision are meant when one or both are named.

    Neither named means the default revision; a code alone means that base's own revision.

    Raises:
        UsageError: one of them is unknown, or they contradict each other.
    """
    if revision is None:
        base = base_of_revision(DEFAULT_REVISION) if code is None else base_of_code(code)
        return base, base.revision
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


def model_folder_name(code: str, revision: str) -> str:
    """Name the folder of a model under the models folder: `ViT-B16_rev_v11`.

    A revision loses its dots; `main` is the default revision.
    """
    if revision.strip().lower() == "main":
        revision = DEFAULT_REVISION
    return f"{folder_code(code)}_rev_{re.sub(r'[^0-9A-Za-z_-]+', '', revision)}"


def is_published_folder(name: str) -> bool:
    """Whether a folder has the name of a published model, whatever its revision."""
    return any(name.startswith(f"{folder_code(base.code)}_rev_") for base in BASES)


def _two_numbers(revision: str) -> str:
    """Cut `v1.1.3.7` to `v1.1`; what has no such form comes back as it is."""
    revision = revision.strip()
    if revision.lower() == "main":
        return DEFAULT_REVISION
    match = _REVISION.fullmatch(revision)
    return f"v{match[1]}" if match else revision
