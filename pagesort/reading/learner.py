"""What a reader learns by: its network with the loss of a batch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pagesort.reading.alphabet import BLANK
from pagesort.reading.network import CtcNetwork


class CtcLearner(nn.Module):
    """A network with CTC's loss (Graves et al. 2006), in nats a character, a mean over lines."""

    def __init__(self, network: CtcNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        greys: torch.Tensor,
        steps: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the loss of a batch as `views.collate` makes it."""
        return {"loss": self.losses(greys, steps, targets, lengths)[0].mean()}

    def losses(
        self,
        greys: torch.Tensor,
        steps: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of each line (N,), and the log probabilities (T, N, C)."""
        logits = self.network(greys)
        chances = logits.float().log_softmax(-1).transpose(0, 1)
        # A line with more characters than places cannot be learnt from, and must not end it all.
        losses = F.ctc_loss(
            chances, targets, steps, lengths, BLANK, reduction="none", zero_infinity=True
        )
        return losses / lengths.clamp(min=1), chances


def make_optimiser(
    network: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over all weights; biases and norms, whatever has one dimension, have no decay."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[parameter.ndim >= 2].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": weight_decay if decays else 0.0}
            for decays, parameters in groups.items()
        ],
        lr=learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
