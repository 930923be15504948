"""Reading lines with a network whose answer is a class for every place along the line (CTC)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pagesort.common.errors import PageSortError
from pagesort.reading.batches import WIDEST, Shape, by_shape, greys, shape_for, shaped
from pagesort.reading.decoding import Decode, Reading, beam_search, greedy
from pagesort.reading.language import CharacterModel
from pagesort.reading.network import HEIGHT, CtcNetwork
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import LANGUAGE_FILE, REMEDY, ReaderFacts, fill

CPU_PIXELS = WIDEST * HEIGHT  # of a batch: larger ones are no faster there, and fill its caches


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
    network: CtcNetwork, pictures: Sequence[np.ndarray], shape: Shape, device: torch.device
) -> np.ndarray:
    """The logarithms of the probabilities of the classes along each line.

    Args:
        network: on the device, told to evaluate.
        pictures: N grey ones, uint8 (H_i, W_i).
        shape: to which all of them are brought.

    Returns:
        float32 (N, T, C).
    """
    lines = torch.from_numpy(greys([shaped(picture, shape) for picture in pictures]))
    with torch.inference_mode():
        answer: np.ndarray = network(lines.to(device)).float().log_softmax(-1).cpu().numpy()
    return answer


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
        shapes = [shape_for(picture.shape[1], picture.shape[0]) for picture in images]

        def read_batch(batch: Sequence[int]) -> list[Reading]:
            pictures = [images[number] for number in batch]
            answers = log_probabilities(self.network, pictures, shapes[batch[0]], self.device)
            return [self.decode(answer, self.facts.alphabet) for answer in answers]

        if self.device.type == "cpu":
            # Each thread computes lines of its own: no thread waits for the others, and texts are
            # decoded meanwhile. The widest lines go first, so that all end at about one time.
            batches = list(by_shape(shapes, CPU_PIXELS))[::-1]
            threads = torch.get_num_threads()
            with ThreadPoolExecutor(threads, "lines", torch.set_num_threads, (1,)) as pool:
                answers = list(pool.map(read_batch, batches))
        else:
            batches = list(by_shape(shapes))
            answers = [read_batch(batch) for batch in batches]
        numbers = [number for batch in batches for number in batch]
        readings = [reading for answer in answers for reading in answer]
        found = dict(zip(numbers, readings, strict=True))
        return [found[number] for number in range(len(images))]
