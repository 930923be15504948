"""Make the bundled line finder: `python3 -m bundled_models.line_finder`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_READER
from pagesort.reading.line_finder import WEIGHTS

OUT = BUNDLED_READER


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the weights of the line finder in 16 bits; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m bundled_models.line_finder")
    parser.add_argument(
        "--out", type=Path, default=OUT, help=f"the folder for {WEIGHTS} (%(default)s)"
    )
    out = parser.parse_args(arguments).out
    try:
        _write(out)
    except PageSortError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _write(out: Path) -> None:
    from safetensors.torch import save_file

    from bundled_models.line_finder.detector import detector

    weights = {name: value.half() for name, value in detector().state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / WEIGHTS)


if __name__ == "__main__":
    raise SystemExit(main())
