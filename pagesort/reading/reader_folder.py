"""The folder of a reader of our own: what it is in `reader.json`, its weights in safetensors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.common.checked_json import is_of, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable, translate_unwritable, whole
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.pictures import DIGEST_DIGITS

if TYPE_CHECKING:
    import torch
    from torch import nn

FACTS_FILE = "reader.json"
WEIGHTS_FILE = "model.safetensors"
LANGUAGE_FILE = "language.safetensors"
FORMAT = "pagesort reader"
VERSION = 1
REMEDY = (
    "Name another folder with --reader_path, or train a reader with --train_reader --from_scratch"
)
ARCHITECTURES = ("ctc", "seq2seq")
FORMATS = ("word", "line", "form")
LARGEST_WEIGHTS = 2_000_000_000  # bytes
MOST_SETTINGS, LARGEST_SETTING = 32, 4096
HEIGHTS = range(8, 257)
SHAPE = {
    "format": str,
    "version": int,
    "architecture": str,
    "network": dict,
    "alphabet": list,
    "height": int,
    "formats": list,
    "training": dict,
    "hands": list,
    "seen": str,
}


@dataclass(frozen=True)
class ReaderFacts:
    """What a reader is, beside its weights.

    Attributes:
        architecture: `ctc` or `seq2seq`.
        network: what its network is built with.
        alphabet: the characters that it can write.
        height: of the pictures that it takes, in pixels.
        formats: what a picture may show: `word`, `line`, `form`.
        training: how it was made, for people and cards.
        hands: the documents or hands that it learnt from.
        seen: digests of the pictures that it learnt from or was chosen by; see `digest_of`.
    """

    architecture: str
    network: Mapping[str, int]
    alphabet: Alphabet
    height: int
    formats: tuple[str, ...] = ("line", "word")
    training: Mapping[str, Any] = field(default_factory=dict)
    hands: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()


def is_reader(folder: Path) -> bool:
    """Whether a folder is meant to be a reader of our own."""
    return (folder / FACTS_FILE).is_file()


def read_facts(folder: Path) -> ReaderFacts:
    """Read what a reader is.

    Raises:
        PageSortError: it is damaged, or of another version.
    """
    path = folder / FACTS_FILE
    try:
        content = read_json(path, REMEDY, shape=SHAPE)
    except FileNotFoundError:
        raise PageSortError("there is no reader", where=folder, remedy=REMEDY) from None
    problem = _problem(content)
    if problem:
        raise PageSortError(problem, where=path, remedy=REMEDY)
    try:
        alphabet = Alphabet(content["alphabet"])
    except PageSortError as error:
        raise PageSortError(error.what, where=path, remedy=REMEDY) from error
    digests = content["seen"]
    starts = range(0, len(digests), DIGEST_DIGITS)
    return ReaderFacts(
        content["architecture"],
        content["network"],
        alphabet,
        content["height"],
        tuple(content["formats"]),
        content["training"],
        tuple(content["hands"]),
        frozenset(digests[start : start + DIGEST_DIGITS] for start in starts),
    )


def _problem(content: Mapping[str, Any]) -> str:
    """What is wrong with a reader's facts; empty if nothing is."""
    if content["format"] != FORMAT or content["version"] != VERSION:
        return f"this is no {FORMAT} of version {VERSION}"
    if content["architecture"] not in ARCHITECTURES:
        return f"'architecture' is none of {', '.join(ARCHITECTURES)}"
    if content["height"] not in HEIGHTS:
        return f"'height' is not {HEIGHTS[0]} to {HEIGHTS[-1]}"
    if not content["formats"] or not set(map(str, content["formats"])) <= set(FORMATS):
        return f"'formats' is not some of {', '.join(FORMATS)}"
    if not all(isinstance(each, str) for key in ("alphabet", "hands") for each in content[key]):
        return "'alphabet' or 'hands' is no list of texts"
    numbers = content["network"].values()
    if len(numbers) > MOST_SETTINGS or not all(
        is_of(each, int) and 0 <= each <= LARGEST_SETTING for each in numbers
    ):
        return f"'network' holds something else than whole numbers from 0 to {LARGEST_SETTING}"
    if not re.fullmatch(rf"(?:[0-9a-f]{{{DIGEST_DIGITS}}})*", content["seen"]):
        return "'seen' holds no beginnings of hashes"
    return ""


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read a reader's weights.

    Raises:
        PageSortError: they are missing, damaged or far too large.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    with translate_unreadable(
        path, "the reader's weights cannot be read", REMEDY, (SafetensorError,)
    ):
        if path.stat().st_size > LARGEST_WEIGHTS:
            raise PageSortError("the reader's weights are too large", where=path, remedy=REMEDY)
        return load_file(path)


def fill(network: nn.Module, folder: Path) -> None:
    """Put a reader's weights into its network.

    Raises:
        PageSortError: as `read_weights`, or they are those of another network.
    """
    weights = read_weights(folder)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise PageSortError(
            "the weights are not those of the network that reader.json tells",
            where=folder / WEIGHTS_FILE,
            remedy=REMEDY,
        ) from error


def write_reader(
    folder: Path,
    facts: ReaderFacts,
    weights: Mapping[str, torch.Tensor],
    more: Mapping[str, bytes] | None = None,
) -> None:
    """Write a reader's folder, whole or not at all, over one that is there.

    Args:
        more: the contents of other files, by their names.

    Raises:
        PageSortError: it cannot be written.
    """
    from safetensors.torch import save

    content = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": facts.architecture,
        "network": dict(facts.network),
        "alphabet": list(facts.alphabet.characters),
        "height": facts.height,
        "formats": list(facts.formats),
        "training": dict(facts.training),
        "hands": list(facts.hands),
        "seen": "".join(sorted(facts.seen)),
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n"
    with translate_unwritable(folder, "the reader cannot be written"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole(folder) as partial:
            partial.mkdir()
            (partial / FACTS_FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
            for name, content_of_file in (more or {}).items():
                (partial / name).write_bytes(content_of_file)
            # Not by `save_file`, whose file nobody else may read.
            kept = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
            (partial / WEIGHTS_FILE).write_bytes(save(kept))
            shutil.rmtree(folder, ignore_errors=True)  # which a stopped training may have left
