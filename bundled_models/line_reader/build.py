"""Making the bundled reader: start weights, training by `pagesort.reading`, figures and card."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bundled_models.line_reader.parts import mostly_hands, split_by_set
from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_READER
from pagesort.reading.examples import Examples, read_examples
from pagesort.reading.recipe import ReaderRecipe, ReaderRequest

OUT = BUNDLED_READER
RECIPE = ReaderRecipe(epochs=6, learning_rate=4e-4, batch_size=12, frozen=4)
SEED = 7
# What people may want to write although no line that trains has it.
MORE_CHARACTERS = (
    "".join(map(chr, range(33, 127)))
    + "".join(each for each in map(chr, range(0xA1, 0x180)) if each.isalpha())
    + "£§°²³½¼¾«»–—‘’“”„…•†€"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the reader, as the command line says; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _make(options)
    except PageSortError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bundled_models.line_reader", description=__doc__
    )
    parser.add_argument(
        "--lines", type=Path, required=True, help="a table with the columns path, text, dataset, "
        "document_or_hand, page, kind",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, help="the reader's folder (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path("line_reader_work"), help="where the training keeps its "
        "state; started again, it goes on there (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help="default: %(default)s")
    parser.add_argument(
        "--start", type=Path, help="a reader that an earlier training of this kind has made: go on "
        "from its weights, with handwriting and a third of the other lines",
    )  # fmt: skip
    parser.add_argument(
        "--trained", type=Path, help="a reader that is trained already: only measure it and write "
        "its folder",
    )  # fmt: skip
    parser.add_argument(
        "--mean", type=Path, help="another trained reader, such as that of --start: what is "
        "measured and written is the mean of the weights of both",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=SEED, help="of the training (%(default)s)")
    return parser


def _make(options: argparse.Namespace) -> None:
    from bundled_models.line_reader.finish import finish

    examples = read_examples(options.lines)
    trained = options.trained or _train(examples, options)
    if options.mean:
        trained = mean_reader(options.mean, trained, options.work / "mean")
    credits = options.lines.with_name("sources.csv")
    sys.stdout.write(finish(trained, split_by_set(examples), credits, options.out, options.work))


def _train(examples: Examples, options: argparse.Namespace) -> Path:
    """Train from the start weights, or go on where an earlier call stopped."""
    import torch

    from pagesort.reading.training import train_reader

    split, work = split_by_set(examples), options.work
    request = ReaderRequest(
        split=mostly_hands(split) if options.start else split,
        recipe=replace(RECIPE, epochs=options.epochs),
        start=options.start or start_reader(examples, work / "start"),
        checkpoints=work,
        models=work / "readers",
        seed=options.seed,
        source=examples.source.name,
    )
    return train_reader(request, torch.device("cpu")).folder


def start_reader(examples: Examples, folder: Path) -> Path:
    """Write the reader that the training starts from."""
    from bundled_models.line_reader.start_weights import start_network
    from pagesort.reading.alphabet import Alphabet
    from pagesort.reading.network import HEIGHT
    from pagesort.reading.reader_folder import ReaderFacts, write_reader

    known = "".join(line.text for line in examples.lines) + MORE_CHARACTERS
    alphabet = Alphabet([" ", *sorted(set(known) - {" "})])
    facts = ReaderFacts("ctc", {}, alphabet, HEIGHT)
    write_reader(folder, facts, start_network(alphabet.characters).state_dict())
    return folder


def mean_reader(first: Path, second: Path, folder: Path) -> Path:
    """Write the mean of the weights of two readers (arXiv 2203.05482) with the facts of the second.

    Raises:
        PageSortError: they have other letters or another network.
    """
    from pagesort.reading.reader_folder import read_facts, read_weights, write_reader
    from pagesort.training.weight_averaging import interpolated

    facts, other = read_facts(second), read_facts(first)
    if (facts.alphabet.characters, facts.network) != (other.alphabet.characters, other.network):
        raise PageSortError(
            f"there is no mean with {second}, which has other letters or another network",
            where=first,
            remedy="Give the reader that the training started from",
        )
    write_reader(folder, facts, interpolated(read_weights(first), read_weights(second), 0.5))
    return folder
