"""Readers of lines: from a folder or file of any kind to something that reads pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_READER
from pagesort.reading.decoding import Reading
from pagesort.reading.reader_folder import REMEDY, ReaderFacts, is_reader, read_facts

if TYPE_CHECKING:
    import torch

__all__ = ["BUNDLED_READER", "Reader", "Reading"]


class Reader(ABC):
    """Reads pictures of lines.

    Attributes:
        name: what tables call it.
        formats: what a picture may show: `word`, `line`, `form`.
        facts: what is known of a reader of our own; None of others.
    """

    name: str
    formats: tuple[str, ...]
    facts: ReaderFacts | None = None

    @staticmethod
    def open(
        source: Path | None = None,
        device: torch.device | None = None,
        *,
        language_model: bool = True,
    ) -> Reader:
        """Open a reader.

        Args:
            source: a folder of our own, a `transformers` folder of a VisionEncoderDecoderModel, or
                a model file of kraken; by default the bundled reader.
            device: where it reads; by default the CPU.
            language_model: whether it considers which characters follow each other in the texts
                that it was trained on, where its folder tells.

        Raises:
            PageSortError: it is none of these, damaged, or needs a package that is not there.
        """
        import torch

        source = source or BUNDLED_READER
        device = device or torch.device("cpu")
        if source.is_dir() and is_reader(source):
            return _own(source, device, language_model)
        if not source.exists():
            raise PageSortError("there is no reader", where=source, remedy=REMEDY)
        return _foreign(source, device)

    @abstractmethod
    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """Read grey pictures, uint8 (H, W) of any height, in the order in which they come.

        They are best given some hundreds at a time: those of about one width are read together.
        """


def _own(folder: Path, device: torch.device, language_model: bool) -> Reader:
    """Open a reader of our own."""
    facts = read_facts(folder)
    if facts.architecture == "ctc":
        from pagesort.reading.ctc_reader import CtcReader

        return CtcReader.loaded(folder, facts, device, language_model)
    from pagesort.reading.seq2seq import Seq2SeqReader, load_seq2seq

    return Seq2SeqReader(load_seq2seq(folder, facts), facts, device, folder.name)


def _foreign(source: Path, device: torch.device) -> Reader:
    """Open a reader of another project."""
    from pagesort.reading import kraken_model, trocr

    if source.is_dir() and trocr.is_trocr(source):
        return trocr.TrocrReader.loaded(source, device)
    if kraken_model.is_kraken(source):
        return kraken_model.KrakenReader.loaded(source, device)
    raise PageSortError("this is no reader", where=source, remedy=REMEDY)
