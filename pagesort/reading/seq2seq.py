"""Reading a picture character by character: a ResNet encodes it, a transformer decodes the text.

The shape is that of Singh and Karayev (2021, arXiv 2103.06450): no places are cut out of the
picture, so that it may hold a word, a line, or lines below one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pagesort.common.errors import PageSortError
from pagesort.reading.batches import by_shape, greys, shape_for, shaped
from pagesort.reading.decoding import Reading
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import REMEDY, ReaderFacts, fill

END = 0  # which CTC has for the blank
DEPTHS = (18, 34)
LONGEST_LINE, LONGEST_FORM = 256, 2000  # characters
DEFAULTS = {"resnet": 18, "width": 256, "layers": 4, "heads": 4}


class Seq2SeqNetwork(nn.Module):
    """Grey pictures to texts.

    Args:
        classes: of the alphabet, with the end of a text as 0.
        resnet: 18 or 34 layers, of which the last group is left out: one step is 8 x 8 pixels.
        width: channels of the decoder, a multiple of 4.
        layers, heads: of the decoder.
    """

    def __init__(
        self,
        classes: int,
        *,
        resnet: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        from torchvision.models import resnet18, resnet34

        whole = {18: resnet18, 34: resnet34}[resnet](weights=None)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 64, 7, 2, 3, bias=False),
            *(whole.bn1, whole.relu, whole.layer1, whole.layer2, whole.layer3),
        )
        self.narrow = nn.Conv2d(256, width, 1)
        self.start = classes
        self.embedding = nn.Embedding(classes + 1, width)
        layer = nn.TransformerDecoderLayer(
            width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
        self.head = nn.Linear(width, classes)
        self.width = width

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """What the decoder looks at: of (N, 1, H, W) from -1 to 1, (N, H/8 * W/8, width)."""
        features = self.narrow(self.encoder(images))
        _, _, high, wide = features.shape
        features = features + self._places_2d(high, wide, features)
        return features.flatten(2).transpose(1, 2)

    def decode(self, memory: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logits of what follows each token: of (N, L), (N, L, classes)."""
        length = tokens.shape[1]
        shown = self.embedding(tokens) * math.sqrt(self.width)
        shown = shown + _waves(length, self.width, shown)
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        return self.head(self.decoder(shown, memory, tgt_mask=mask, tgt_is_causal=True))

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logits of what follows each token that stands in a picture's text."""
        return self.decode(self.encode(images), tokens)

    def _places_2d(self, high: int, wide: int, like: torch.Tensor) -> torch.Tensor:
        """Half of the channels tell the row, half the column: (width, H, W)."""
        half = self.width // 2
        rows = _waves(high, half, like).T[:, :, None].expand(half, high, wide)
        columns = _waves(wide, half, like).T[:, None].expand(half, high, wide)
        return torch.cat([rows, columns])

    @torch.inference_mode()
    def write(self, images: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the likeliest next character until the text ends.

        Returns:
            Classes (N, L), END behind each text, and the probability of each, (N, L).
        """
        memory = self.encode(images)
        count = len(images)
        tokens = torch.full((count, 1), self.start, device=images.device)
        chances = torch.ones((count, 0), device=images.device)
        ended = torch.zeros(count, dtype=torch.bool, device=images.device)
        while tokens.shape[1] <= longest and not bool(ended.all()):
            chance, best = self.decode(memory, tokens)[:, -1].float().softmax(-1).max(-1)
            best = torch.where(ended, END, best)
            tokens = torch.cat([tokens, best[:, None]], 1)
            chances = torch.cat([chances, chance[:, None]], 1)
            ended = ended | (best == END)
        return tokens[:, 1:], chances


def _waves(length: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Sines and cosines that tell places apart (Vaswani et al. 2017): (length, width)."""
    places = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    steps = torch.arange(0, width, 2, device=like.device, dtype=torch.float32)
    angles = places * torch.exp(steps * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width].to(like.dtype)


def build_seq2seq(facts: ReaderFacts) -> Seq2SeqNetwork:
    """Lay out the network of a reader, with random weights.

    Raises:
        PageSortError: there is no such network.
    """
    given = facts.network
    if given.keys() != DEFAULTS.keys() or given["resnet"] not in DEPTHS:
        raise PageSortError("this version has no network of these settings", remedy=REMEDY)
    try:
        return Seq2SeqNetwork(len(facts.alphabet) + 1, **given)
    except (ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        raise PageSortError(
            f"there is no network of these settings ({error})", remedy=REMEDY
        ) from error


def load_seq2seq(folder: Path, facts: ReaderFacts) -> Seq2SeqNetwork:
    """Lay out the network of a reader, with its weights.

    Raises:
        PageSortError: the weights are not those of such a network.
    """
    network = build_seq2seq(facts)
    fill(network, folder)
    return network


class Seq2SeqReader(Reader):
    """Reads pictures of words, lines or forms with a `Seq2SeqNetwork`."""

    facts: ReaderFacts

    def __init__(
        self, network: Seq2SeqNetwork, facts: ReaderFacts, device: torch.device, name: str
    ) -> None:
        self.network = network.to(device).eval()
        self.facts = facts
        self.device = device
        self.name = name
        self.formats = facts.formats

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """Read grey pictures, uint8 (H, W); line breaks part the lines of a form."""
        is_form = "form" in self.formats
        shapes = [shape_for(image.shape[1], image.shape[0], is_form=is_form) for image in images]
        longest = LONGEST_FORM if is_form else LONGEST_LINE
        found: dict[int, Reading] = {}
        for batch in by_shape(shapes):
            pictures = [shaped(images[number], shapes[number]) for number in batch]
            tokens, chances = self.network.write(
                torch.from_numpy(greys(pictures)).to(self.device), longest
            )
            for number, line, sure in zip(batch, tokens.tolist(), chances, strict=True):
                length = line.index(END) if END in line else len(line)
                confidence = float(sure[: length + 1].mean()) if line else 0.0
                text = self.facts.alphabet.text(line[:length])
                found[number] = Reading(text.strip(), min(1.0, confidence))
        return [found[number] for number in range(len(images))]
