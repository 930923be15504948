"""The characters that a reader knows, and their class numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from pagesort.common.errors import PageSortError

BLANK = 0
"""The class that stands for no character; characters count from 1."""
BREAK = "\n"
"""Parts the lines of a form."""
MOST_CHARACTERS = 10_000


def normalised(text: str) -> str:
    """Text as readers learn and write it: NFC, every run of white space one space, none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def tidied(text: str) -> str:
    """Text in lines, each as `normalised` leaves it; empty ones are left out."""
    return BREAK.join(filter(None, map(normalised, text.split(BREAK))))


class Alphabet:
    """Characters in the order of their classes, from 1 on; class 0 is no character.

    Args:
        characters: single code points that differ, as `normalised` leaves them.

    Raises:
        PageSortError: they are none, too many, alike or no characters.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        if not 0 < len(self.characters) <= MOST_CHARACTERS:
            raise PageSortError(
                f"an alphabet of {len(self.characters)} characters",
                remedy=f"It must have 1 to {MOST_CHARACTERS}",
            )
        if any(len(each) != 1 for each in self.characters):
            raise PageSortError("an alphabet holds something that is not one character")
        self._classes = {each: number for number, each in enumerate(self.characters, 1)}
        if len(self._classes) < len(self.characters):
            raise PageSortError("an alphabet holds a character twice")

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Alphabet:
        """The characters of some texts, in the order of their code points.

        Raises:
            PageSortError: the texts are empty.
        """
        return cls(sorted({character for text in texts for character in tidied(text)}))

    def __len__(self) -> int:
        """How many characters there are; a network has one class more."""
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        """Whether it has the same characters in the same order."""
        return isinstance(other, Alphabet) and self.characters == other.characters

    def __hash__(self) -> int:
        """As equal alphabets have it."""
        return hash(self.characters)

    def classes(self, text: str) -> list[int]:
        """The class of each character of a text; those that it lacks are left out."""
        known = (self._classes.get(character) for character in tidied(text))
        return [number for number in known if number is not None]

    def text(self, classes: Iterable[int]) -> str:
        """The characters of classes; 0 is none."""
        return "".join(self.characters[number - 1] for number in classes if number != BLANK)

    def lacks(self, text: str) -> str:
        """The characters of a text that are not in the alphabet, each once, in order."""
        missing = (each for each in tidied(text) if each not in self._classes)
        return "".join(dict.fromkeys(missing))

    def joined(self, other: Alphabet) -> Alphabet:
        """This alphabet, and behind it what only the other one has."""
        new = (each for each in other.characters if each not in self._classes)
        return Alphabet((*self.characters, *new))
