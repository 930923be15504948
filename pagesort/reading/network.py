"""The network that reads a line: convolutions, two attention layers, CTC.

Its shape is that of PP-OCRv6's small recogniser (Apache-2.0), so that training can start from its
published weights, with two changes: one grey channel, and twice as many steps a line, because
handwriting is denser than print.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pagesort.models.line_networks import LETTER_HEIGHT, LETTER_STAGES, LetterTrunk

HEIGHT, STAGES = LETTER_HEIGHT, LETTER_STAGES
STEP = 4  # pixels of its width that become one step of the reading
NECK = 120  # channels of the attention layers
HEADS = 8


class Attention(nn.Module):
    """A transformer layer, normalised before each part, without places: convolutions know them."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-5)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm_after = nn.LayerNorm(channels, eps=1e-5)
        self.expand = nn.Linear(channels, 2 * channels)
        self.project = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        count, length, channels = steps.shape
        parts = self.qkv(self.norm(steps)).view(count, length, 3, HEADS, channels // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(count, length, channels)
        steps = steps + self.dropout(self.out(mixed))
        inner = functional.silu(self.expand(self.norm_after(steps)))
        return steps + self.dropout(self.project(inner))


class Neck(nn.Module):
    """From (n, 384, 3, w) to steps (n, w - 1, 120)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(channels, NECK, 1)
        self.entrance = nn.Conv2d(channels, NECK, 1)
        # Every second step is a step of the network whose weights it starts from.
        self.around = nn.Conv2d(NECK, NECK, (1, 7), 1, (0, 6), dilation=(1, 2), groups=NECK)
        self.layers = nn.ModuleList([Attention(NECK, dropout) for _ in range(2)])
        self.norm = nn.LayerNorm(NECK, eps=1e-6)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = functional.avg_pool2d(features, (3, 2), (3, 1))
        around = functional.silu(self.entrance(pooled))
        around = around + functional.silu(self.around(around))
        steps = around.squeeze(2).transpose(1, 2)
        for layer in self.layers:
            steps = layer(steps)
        shortcut = functional.silu(self.shortcut(pooled))
        return self.norm(steps) + shortcut.squeeze(2).transpose(1, 2)


class CtcNetwork(LetterTrunk):
    """Grey lines (n, 1, 48, w), -1 black to 1 white, to logits (n, w / 4 - 1, classes), 0 blank."""

    def __init__(self, classes: int, dropout: float = 0.1) -> None:
        super().__init__(STAGES)
        self.neck = Neck(STAGES[-1].channels, dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(NECK, classes)

    def freeze(self, blocks: int) -> None:
        """Let the first layers, and so many blocks behind them, keep their weights; 0: none do."""
        for part in (self.stem, *list(self.blocks)[:blocks]) if blocks else ():
            part.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        steps = self.neck(self.blocks(self.stem(images)))
        return self.head(self.dropout(steps))
