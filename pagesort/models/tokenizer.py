"""CLIP's tokenizer without a network: built from the merges kept in `clip_vocabulary/`."""

from __future__ import annotations

import html
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
"""The files of a model's tokenizer, in the forms that there are."""
SETTINGS_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
"""All files that decide what a tokenizer of CLIP makes of a text."""
_MERGES = Path(__file__).parent / "clip_vocabulary" / "merges.txt"
_START, _END = "<|startoftext|>", "<|endoftext|>"
# Every byte as a symbol, every byte as the end of a word, and the two marks of a text.
_SMALLEST = 256 + 256 + 2

# CLIP repairs its texts with ftfy; these are the repairs that written descriptions can need.
_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"}
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_REPAIRS = str.maketrans(
    _LIGATURES
    | _FULL_WIDTH
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)


def clean_text(text: str) -> str:
    """Prepare a text the way CLIP does: straight quotes, no HTML entities, single spaces."""
    return " ".join(html.unescape(html.unescape(text.translate(_REPAIRS))).split())


def clip_tokenizer(vocabulary_size: int, context_length: int) -> CLIPTokenizer:
    """Build CLIP's tokenizer for a model with this many tokens (49,408 in every published one).

    A smaller vocabulary keeps the first merges and the two marks at its end, as OpenAI's own
    tokenizer does with a shorter list.

    Raises:
        PageSortError: the vocabulary cannot even hold the bytes.
    """
    from transformers import CLIPTokenizer

    if vocabulary_size < _SMALLEST:
        raise PageSortError(
            f"the model knows {vocabulary_size} tokens, CLIP's tokenizer needs {_SMALLEST}",
            remedy="Only models made for CLIP's own tokenizer can be converted",
        )
    lines = _MERGES.read_text(encoding="utf-8").split("\n")
    pairs = list(islice(filter(None, map(str.strip, lines)), vocabulary_size - _SMALLEST))
    symbols = _byte_symbols()
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    words += [pair.replace(" ", "") for pair in pairs]
    words += [_START, _END]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[tuple(pair.split(" ")) for pair in pairs],  # type: ignore[misc] # pairs they are
        model_max_length=context_length,
    )


def _byte_symbols() -> list[str]:
    """The printable stand-ins of the 256 bytes in the order of CLIP's vocabulary.

    Printable bytes stand for themselves and come first; the others take the code points from
    256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = len(set(range(256)) - set(printable))
    return [chr(code) for code in [*printable, *range(256, 256 + others)]]
