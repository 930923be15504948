"""JSON files as damage or malice leaves them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

# As they stand in a file, as some cannot be had from Python's own writer.
VALUES = (
    *(
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        '""',
        "[]",
        "{}",
        "[[]]",
        '{"a": []}',
        '"../../x"',
        '"a:b"',
    ),
    *("1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "1" + "0" * 5000, "9" * 30),
    *('"' + "x" * 100_000 + '"', '"\\ud800"', '"\\u0000"', "[" * 90 + "]" * 90),
    *("[" * 100_000 + "]" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "[" * 100_000),
)
_MARK = "a value to be exchanged"


def damaged(content: Any, seed: int, count: int) -> Iterator[bytes]:
    """Yield forms of a JSON file: one value exchanged or left out, or the file cut or spoilt."""
    chance = random.Random(seed)
    text = json.dumps(content)
    yield from (b"", b"\xff\xfe\x00", b"[1, 2]", b"null", text.encode()[: len(text) // 2])
    for value in VALUES:
        yield value.encode()
    for number in range(count):
        copy = json.loads(text)
        holder, key = chance.choice(list(_places(copy)))
        if number % 5 == 0:
            del holder[key]
            yield json.dumps(copy).encode()
            continue
        holder[key] = _MARK
        value = VALUES[number % len(VALUES)]
        yield json.dumps(copy).replace(json.dumps(_MARK), value).encode()


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder of a value, with the key or the index of the value in it."""
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from _places(content[key])
