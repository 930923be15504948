"""Reading lines with a network whose answer is a class for every place along the line (CTC)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pagesort.common.errors import PageSortError
from pagesort.reading.batches import by_shape, greys, shape_for, shaped
from pagesort.reading.decoding import Decode, Reading, beam_search, greedy
from pagesort.reading.language import CharacterModel
from pagesort.reading.network import HEIGHT, CtcNetwork
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import LANGUAGE_FILE, REMEDY, ReaderFacts, fill


def build_network(facts: ReaderFacts) -> CtcNetwork:
    """Lay out the network of a reader, with random weights.

    Raises:
        PageSortError: there is no such network.
    """
    if facts.height != HEIGHT or facts.network:
        raise PageSortError("this version has no network of these settings", remedy=REMEDY)
    return CtcNetwork(len(facts.alphabet) + 1)


def load_network(folder: Path, facts: ReaderFacts) -> CtcNetwork:
    """Lay out the network of a reader, with its weights.

    Raises:
        PageSortError: the weights are not those of such a network.
    """
    network = build_network(facts)
    fill(network, folder)
    return network


def log_probabilities(
    network: CtcNetwork, pictures: Sequence[np.ndarray], device: torch.device
) -> list[np.ndarray]:
    """The logarithms of the probabilities of the classes along each line.

    Args:
        network: on the device, told to evaluate.
        pictures: grey, uint8 (H_i, W_i).

    Returns:
        For each picture float32 (T_i, C).
    """
    found: dict[int, np.ndarray] = {}
    shapes = [shape_for(picture.shape[1], picture.shape[0]) for picture in pictures]
    for batch in by_shape(shapes):
        lines = greys([shaped(pictures[number], shapes[number]) for number in batch])
        with torch.inference_mode():
            logits = network(torch.from_numpy(lines).to(device))
            answer = logits.float().log_softmax(-1).cpu().numpy()
        found.update(zip(batch, answer, strict=True))
    return [found[number] for number in range(len(pictures))]


class CtcReader(Reader):
    """Reads pictures of lines with a `CtcNetwork`."""

    facts: ReaderFacts

    def __init__(
        self, network: CtcNetwork, facts: ReaderFacts, device: torch.device, name: str = "ctc"
    ) -> None:
        # The layout in which a CPU computes these convolutions fastest.
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.facts = facts
        self.device = device
        self.name = name
        self.formats = facts.formats
        self.decode: Decode = greedy

    @classmethod
    def loaded(
        cls, folder: Path, facts: ReaderFacts, device: torch.device, language_model: bool = True
    ) -> CtcReader:
        """Load a reader from its folder, with its language model if it has one.

        Raises:
            PageSortError: its weights are missing, or these or its language model damaged.
        """
        reader = cls(load_network(folder, facts), facts, device, folder.name)
        if language_model and (folder / LANGUAGE_FILE).exists():
            model = CharacterModel.read(folder / LANGUAGE_FILE)
            reader.decode = partial(beam_search, model=model)
        return reader

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """Read grey pictures of lines, uint8 (H, W), in the order in which they come."""
        answers = log_probabilities(self.network, images, self.device)
        return [self.decode(answer, self.facts.alphabet) for answer in answers]
