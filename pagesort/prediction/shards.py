"""Parts of a folder's pages for several processes, the same ones whoever asks."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

_BASE = re.compile(r"_part-\d+-of-\d+$")


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count` parts.

    A file belongs to the part that a hash of its path in the folder names. So no part needs to know
    of the others, files that are added or removed move no other file, and parts are of one size but
    for chance: of a million files in a hundred parts, each has 10,000 ± 300.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a part as it is written, `2/8`.

        Raises:
            ValueError: it is written otherwise, or there is no such part.
        """
        found = re.fullmatch(r"([1-9]\d{0,6})/([1-9]\d{0,6})", text.strip())
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(text)
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, path: str) -> bool:
        """Whether a file belongs to this part, by its path relative to the folder, with `/`."""
        return int.from_bytes(digest_of(os.fsencode(path)), "big") % self.count == self.number - 1

    def base(self, base: str) -> str:
        """What the names of this part's tables call the model."""
        return f"{base}_part-{self.number}-of-{self.count}"


def digest_of(path: bytes) -> bytes:
    """Eight bytes that tell, as a number, which part a file belongs to."""
    return hashlib.blake2b(path, digest_size=8).digest()


def whole_base(base: str) -> str:
    """What the tables of all parts call the model, given what those of one part call it."""
    return _BASE.sub("", base)
