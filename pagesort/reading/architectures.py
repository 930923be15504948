"""The kinds of networks that readers of our own have, as trainings and folders ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pagesort.reading import ctc_reader, seq2seq
from pagesort.reading.learner import CtcLearner, Learner, Seq2SeqLearner
from pagesort.reading.reader_folder import ReaderFacts


@dataclass(frozen=True)
class Architecture:
    """How the networks of one kind are made.

    Attributes:
        settings: what of a recipe such a network is built with.
        build, load: lay one out, with random weights or those of a folder.
        learner: what it learns by.
        last_rows: parameters whose last row is of no character, and stays the last one.
    """

    settings: tuple[str, ...]
    build: Callable[[ReaderFacts], Any]
    load: Callable[[Path, ReaderFacts], Any]
    learner: Callable[[Any], Learner[Any]]
    last_rows: tuple[str, ...] = ()

    def grown(self, old: nn.Module, new: nn.Module) -> Mapping[str, torch.Tensor]:
        """The weights of a network in the shapes of one with more classes, which keep their own."""
        grown = {name: value.clone() for name, value in new.state_dict().items()}
        for name, value in old.state_dict().items():
            if value.shape == grown[name].shape:
                grown[name] = value
                continue
            if name in self.last_rows:
                grown[name][: len(value) - 1] = value[:-1]
                grown[name][-1] = value[-1]
            else:
                grown[name][: len(value)] = value
        return grown


_ALL = {
    "ctc": Architecture((), ctc_reader.build_network, ctc_reader.load_network, CtcLearner),
    "seq2seq": Architecture(
        tuple(seq2seq.DEFAULTS),
        seq2seq.build_seq2seq,
        seq2seq.load_seq2seq,
        Seq2SeqLearner,
        ("embedding.weight",),
    ),
}


def architecture_of(name: str) -> Architecture:
    """The kind of network of a name, as `reader_folder.ARCHITECTURES` lists them."""
    return _ALL[name]
