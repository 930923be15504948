"""The name of a label in words, for labels that nobody has described."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What the parts of the default labels mean.
_GRAPHICS = {"DRAW": "a page with a drawing, map or diagram", "PHOTO": "a page with a photograph"}
_HANDS = {"HW": "handwritten", "P": "printed", "T": "typewritten"}

# Words by which people name categories, by what a sentence needs beside them.
_OF_TEXTS = _set("handwritten manuscript printed typed typewritten cursive mixed")
_OF_PAGES = _set(
    "blank empty damaged torn illustrated coloured colored black white grey gray dark light bright "
    "bound loose folded clean dirty rotated blurred illegible unreadable"
)
_REST = _set("other others misc miscellaneous rest unknown unsorted various")
_SHEETS = _set("page sheet cover leaf card postcard envelope letter form")
_THINGS = _set(
    "chart diagram drawing figure graphic graph illustration image list logo map painting photo "
    "photograph picture plan plot scheme seal signature sketch stamp table title"
)
_MASSES = _set("handwriting music print text typescript typewriting writing")


def words_from_label(label: str) -> str:
    """Make a label's name into words for a prompt: `Old_maps` becomes `old maps`.

    A default label becomes what it means, as `LINE_HW` says little to a model.
    """
    return _words_of_default(label) or " ".join(label.replace("_", " ").split()).lower() or label


def sentence_from_label(label: str) -> str:
    """Say what is on a page with this label: `handwritten` becomes `a page of handwritten text`.

    The sentence is right for any name: what is known neither as a noun nor as an adjective is
    called a kind of page.
    """
    default = _words_of_default(label)
    if default is not None:
        return default
    words = label.replace("_", " ").replace("-", " ").lower().split()
    words = ["handwritten" if word == "hw" else word for word in words]
    # `table handwritten` sorts well in a folder, and is read better as `handwritten table`.
    if len(words) > 1 and words[-1] in _OF_TEXTS and words[-2] not in _OF_TEXTS | _OF_PAGES:
        words.insert(0, words.pop())
    phrase = " ".join(words)
    last = next((word for word in reversed(words) if not word.isdigit()), "")
    if last in _OF_TEXTS:
        return f"a page of {phrase} text"
    if last in _OF_PAGES:
        return f"{_with_article(phrase)} page"
    if phrase in _REST:
        return "a page of another kind"
    if last in _SHEETS:
        return _with_article(phrase)
    if last in _THINGS:
        return f"a page with {_with_article(phrase)}"
    is_plural = last.endswith("s") and not last.endswith(("is", "us", "ss"))
    if last in _MASSES or is_plural:
        return f"a page with {phrase}"
    return f"a page of the kind {phrase or label}"


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _words_of_default(label: str) -> str | None:
    """Say what one of the default labels means, or return None for any other label."""
    kind, _, detail = label.upper().partition("_")
    if kind in _GRAPHICS and detail in ("", "L"):
        return _GRAPHICS[kind] + (" inside a table" if detail else "")
    if kind == "LINE" and detail in _HANDS:
        return f"a table or form with {_HANDS[detail]} text"
    if kind == "TEXT" and detail in _HANDS:
        return f"a page of {_HANDS[detail]} text"
    return None
