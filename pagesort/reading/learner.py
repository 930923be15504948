"""What a reader learns by: its network with the loss of a batch, and what it reads there."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from pagesort.reading.alphabet import BLANK, Alphabet
from pagesort.reading.decoding import greedy
from pagesort.reading.network import CtcNetwork
from pagesort.reading.seq2seq import END, LONGEST_FORM, Seq2SeqNetwork

Network = TypeVar("Network", CtcNetwork, Seq2SeqNetwork)
IGNORED = -100


class Learner(nn.Module, Generic[Network]):
    """A network with its loss, in nats a character, a mean over pictures."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Network = network

    def forward(
        self, greys: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the loss of a batch as `views.Collator` makes it."""
        return {"loss": self.losses(greys, targets, lengths).mean()}

    @abstractmethod
    def losses(
        self, greys: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each picture (N,)."""

    @abstractmethod
    def read(
        self,
        greys: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
        alphabet: Alphabet,
    ) -> tuple[list[float], list[str]]:
        """The loss of each picture, and what it is read as."""


class CtcLearner(Learner[CtcNetwork]):
    """Learns by CTC's loss (Graves et al. 2006)."""

    def losses(
        self, greys: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each line (N,)."""
        return self._losses(greys, targets, lengths)[0]

    def read(
        self,
        greys: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
        alphabet: Alphabet,
    ) -> tuple[list[float], list[str]]:
        """The loss of each line, and what it is read as."""
        losses, chances = self._losses(greys, targets, lengths)
        lines = chances.transpose(0, 1).cpu().numpy()
        return losses.tolist(), [greedy(line, alphabet).text for line in lines]

    def _losses(
        self, greys: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each line (N,), and the log probabilities of classes (T, N, C)."""
        chances = self.network(greys).float().log_softmax(-1).transpose(0, 1)
        steps = torch.full_like(lengths, len(chances))
        # A line with more characters than steps cannot be learnt from, and must not end it all.
        losses = F.ctc_loss(
            chances, targets, steps, lengths, BLANK, reduction="none", zero_infinity=True
        )
        return losses / lengths.clamp(min=1), chances


class Seq2SeqLearner(Learner[Seq2SeqNetwork]):
    """Learns to write the next character behind the true ones."""

    def losses(
        self, greys: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each picture (N,)."""
        start = torch.full_like(targets[:, :1], self.network.start)
        logits = self.network(greys, torch.cat([start, targets], 1)).float()
        places = torch.arange(targets.shape[1] + 1, device=targets.device)
        wanted = F.pad(targets, (0, 1), value=END)
        wanted = wanted.masked_fill(places > lengths[:, None], IGNORED)
        losses = F.cross_entropy(
            logits.transpose(1, 2), wanted, ignore_index=IGNORED, reduction="none"
        )
        return losses.sum(1) / (lengths + 1)

    def read(
        self,
        greys: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
        alphabet: Alphabet,
    ) -> tuple[list[float], list[str]]:
        """The loss of each picture, and what it is read as."""
        losses = self.losses(greys, targets, lengths)
        # What is twice as long as the truth is wrong, however it goes on.
        longest = min(LONGEST_FORM, 2 * int(lengths.max()) + 10)
        tokens, _ = self.network.write(greys, longest)
        texts = [
            alphabet.text(line[: line.index(END)] if END in line else line)
            for line in tokens.tolist()
        ]
        return losses.tolist(), texts
