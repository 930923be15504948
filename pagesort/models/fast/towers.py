"""CLIP's transformers and the EfficientNet-Lite tower in plain torch, for prediction alone.

They answer what the models of `transformers` and timm answer, the transformers to the last bit, and
their weights have the same names. What they spare is the import of those libraries, which takes
longer than all the rest of sorting one page.

Sources: Radford et al., arXiv 2103.00020 (CLIP); Tan and Le, arXiv 1905.11946 (EfficientNet), whose
Lite variants have neither squeeze-and-excitation nor a swish.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

# Lite's seven stages: repeats, kernel, stride, expansion and channels before scaling.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
# Variant -> factors of channels and repeats, as Google's release of the Lite models has them.
LITE_FACTORS = {
    "lite0": (1.0, 1.0),
    "lite1": (1.0, 1.1),
    "lite2": (1.1, 1.2),
    "lite3": (1.2, 1.4),
    "lite4": (1.4, 1.8),
}
_NORM_EPS = 1e-3


class Pooled(NamedTuple):
    """What a tower makes of its input: one row each, (N, features)."""

    pooler_output: torch.Tensor


@dataclass(frozen=True)
class TransformerShape:
    """What the layers of a transformer are made of; `activation` is a key of `ACTIVATIONS`."""

    width: int
    inner: int
    layers: int
    heads: int
    norm_eps: float
    activation: str


@dataclass(frozen=True)
class TextShape(TransformerShape):
    """A text tower; `eos_token_id` is what `config.json` says, which is 2 in old files."""

    vocab_size: int
    max_position_embeddings: int
    eos_token_id: int


@dataclass(frozen=True)
class VisionShape(TransformerShape):
    """A vision transformer for square pages of `image_size` pixels."""

    image_size: int
    patch_size: int
    num_channels: int


def _quick_gelu(states: torch.Tensor) -> torch.Tensor:
    return states * torch.sigmoid(1.702 * states)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "quick_gelu": _quick_gelu,
    "gelu": functional.gelu,
}


class _Unfilled:
    """Keeps a layer from drawing random weights: on a meta device that loads torch's compiler."""

    def reset_parameters(self) -> None:
        """Leave the weights to the file."""


class _Linear(_Unfilled, nn.Linear):
    pass


class _Embedding(_Unfilled, nn.Embedding):
    pass


class _Conv2d(_Unfilled, nn.Conv2d):
    pass


class _Attention(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.k_proj = _Linear(shape.width, shape.width)
        self.v_proj = _Linear(shape.width, shape.width)
        self.q_proj = _Linear(shape.width, shape.width)
        self.out_proj = _Linear(shape.width, shape.width)

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
    ) -> torch.Tensor:
        rows, length, width = states.shape

        def by_head(values: torch.Tensor) -> torch.Tensor:
            return values.view(rows, length, self.heads, -1).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            by_head(self.q_proj(states)),
            by_head(self.k_proj(states)),
            by_head(self.v_proj(states)),
            attn_mask=mask,
            is_causal=causal,
            scale=(width // self.heads) ** -0.5,
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(rows, length, width))


class _Perceptron(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[shape.activation]
        self.fc1 = _Linear(shape.width, shape.inner)
        self.fc2 = _Linear(shape.inner, shape.width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation(self.fc1(states)))


class _Layer(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.self_attn = _Attention(shape)
        self.layer_norm1 = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.mlp = _Perceptron(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, eps=shape.norm_eps)

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
    ) -> torch.Tensor:
        states = states + self.self_attn(self.layer_norm1(states), mask, causal=causal)
        return states + self.mlp(self.layer_norm2(states))


class _Encoder(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor | None = None, *, causal: bool = False
    ) -> torch.Tensor:
        for layer in self.layers:
            states = layer(states, mask, causal=causal)
        return states


class _TextEmbeddings(nn.Module):
    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.token_embedding = _Embedding(shape.vocab_size, shape.width)
        self.position_embedding = _Embedding(shape.max_position_embeddings, shape.width)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        return self.token_embedding(input_ids) + self.position_embedding(places)


class TextTower(nn.Module):
    """CLIP's text transformer, which reads from left to right and answers at the end mark."""

    def __init__(self, shape: TextShape) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.end = shape.eos_token_id
        self.embeddings = _TextEmbeddings(shape)
        self.encoder = _Encoder(shape)
        self.final_layer_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Pooled:
        """Read token ids, int64 (N, T), where `attention_mask` (N, T) is 1."""
        length = input_ids.shape[1]
        mask = None
        # Texts of one length need no mask, and torch's quicker kernel takes none.
        if not attention_mask.all():
            before = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
            mask = before & attention_mask.bool()[:, None, None, :]
        states = self.embeddings(input_ids)
        states = self.encoder(states, mask, causal=mask is None and length > 1)
        states = self.final_layer_norm(states)
        # Old files name a wrong end mark; theirs is the token with the highest number.
        marks = input_ids if self.end == 2 else input_ids == self.end
        ends = marks.int().argmax(dim=-1)
        return Pooled(states[torch.arange(len(states), device=states.device), ends])


class _PatchEmbeddings(nn.Module):
    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        patches = (shape.image_size // shape.patch_size) ** 2
        self.class_embedding = nn.Parameter(torch.empty(shape.width))
        self.patch_embedding = _Conv2d(
            shape.num_channels, shape.width, shape.patch_size, shape.patch_size, bias=False
        )
        self.position_embedding = _Embedding(patches + 1, shape.width)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        values = pixel_values.to(self.patch_embedding.weight.dtype)
        patches = self.patch_embedding(values).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class VisionTransformer(nn.Module):
    """CLIP's vision transformer, which answers at the class token before its patches."""

    def __init__(self, shape: VisionShape) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.embeddings = _PatchEmbeddings(shape)
        self.pre_layrnorm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.encoder = _Encoder(shape)
        self.post_layernorm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.features = shape.width

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        """See normalised pages, (N, 3, S, S)."""
        states = self.encoder(self.pre_layrnorm(self.embeddings(pixel_values)))
        return Pooled(self.post_layernorm(states[:, 0, :]))


class _SameConv(_Conv2d):
    """A convolution without bias whose output has the size of its input over the stride.

    An odd pixel of padding goes to the right and the bottom, as in TensorFlow, where these weights'
    forerunners come from.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        # With stride 1 the padding is even and known beforehand.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, pages: torch.Tensor) -> torch.Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            height, width = (
                max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
                for size in pages.shape[-2:]
            )
            left, top = width // 2, height // 2
            pages = functional.pad(pages, (left, width - left, top, height - top))
        return super().forward(pages)


class _Norm(nn.BatchNorm2d):
    """Batch normalisation, followed by a ReLU that ends at 6 unless it closes a block."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, *, bounded: bool = True) -> None:
        super().__init__(channels, eps=_NORM_EPS)
        self.bounded = bounded

    def forward(self, pages: torch.Tensor) -> torch.Tensor:
        pages = super().forward(pages)
        return functional.relu6(pages, inplace=True) if self.bounded else pages

    def fold_into(self, before: _SameConv) -> nn.Module:
        """Let the convolution before it do its work; return what is left to be done here."""
        kept = [before.weight, self.running_mean, self.running_var, self.weight, self.bias]
        weight, mean, variance, scale, shift = (each.detach().double() for each in kept)
        scale = scale * (variance + self.eps).rsqrt()
        before.weight = nn.Parameter((weight * scale[:, None, None, None]).float())
        before.bias = nn.Parameter((shift - mean * scale).float())
        return nn.ReLU6(inplace=True) if self.bounded else nn.Identity()


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution; input and output are added where they match."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        self.conv_dw = _SameConv(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1 = _Norm(inputs)
        self.conv_pw = _SameConv(inputs, outputs, 1)
        self.bn2 = _Norm(outputs, bounded=False)

    def forward(self, pages: torch.Tensor) -> torch.Tensor:
        made = self.bn1(self.conv_dw(pages))
        made = self.bn2(self.conv_pw(made))
        return made + pages if self.adds else made


class _Inverted(nn.Module):
    """The same with more channels in between."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = _rounded(inputs * expansion)
        self.adds = stride == 1 and inputs == outputs
        self.conv_pw = _SameConv(inputs, inner, 1)
        self.bn1 = _Norm(inner)
        self.conv_dw = _SameConv(inner, inner, kernel, stride, groups=inner)
        self.bn2 = _Norm(inner)
        self.conv_pwl = _SameConv(inner, outputs, 1)
        self.bn3 = _Norm(outputs, bounded=False)

    def forward(self, pages: torch.Tensor) -> torch.Tensor:
        made = self.bn1(self.conv_pw(pages))
        made = self.bn2(self.conv_dw(made))
        made = self.bn3(self.conv_pwl(made))
        return made + pages if self.adds else made


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class LiteNet(nn.Module):
    """EfficientNet-Lite without its pooling.

    Args:
        variant: a key of `LITE_FACTORS`.
    """

    def __init__(self, variant: str) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        wider, deeper = LITE_FACTORS[variant]
        self.conv_stem = _SameConv(3, _STEM, 3, 2)
        self.bn1 = _Norm(_STEM)
        stages: list[nn.Module] = []
        inputs = _STEM
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            outputs = _rounded(channels * wider)
            if 0 < number < len(_STAGES) - 1:  # the ends keep their depth
                repeats = math.ceil(repeats * deeper)
            blocks: list[nn.Module] = []
            for place in range(repeats):
                step = stride if place == 0 else 1
                blocks.append(
                    _Inverted(inputs, outputs, kernel, step, expansion)
                    if expansion > 1
                    else _Separable(inputs, outputs, kernel, step)
                )
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _SameConv(inputs, _HEAD, 1)
        self.bn2 = _Norm(_HEAD)

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        return self.conv_stem, self.bn1, self.blocks[0]

    def forward(self, pages: torch.Tensor) -> torch.Tensor:
        """Features (N, 1280, H / 32, W / 32) of normalised pages (N, 3, H, W)."""
        return self.levels(pages, ())[0]

    def levels(self, pages: torch.Tensor, stages: Sequence[int]) -> list[torch.Tensor]:
        """What these of the seven stages make of normalised pages (N, 3, H, W), and the end."""
        pages = self.bn1(self.conv_stem(pages))
        found = []
        for number, block in enumerate(self.blocks):
            pages = block(pages)
            if number in stages:
                found.append(pages)
            if number == 0:
                pages = pages.to(self.conv_head.weight.dtype)
        return [*found, self.bn2(self.conv_head(pages))]

    def fold_norms(self) -> None:
        """Turn every convolution and the normalisation after it into one convolution, in place.

        That is the same function, rounded once less: a quarter less time, and in bfloat16 nearer
        to float32. Only for prediction, with all weights in float32.
        """
        for part in list(self.modules()):
            convolutions = [name for name, each in part.named_children() if name[:4] == "conv"]
            norms = [name for name, each in part.named_children() if isinstance(each, _Norm)]
            for before, norm in zip(convolutions, norms, strict=True):
                setattr(part, norm, getattr(part, norm).fold_into(getattr(part, before)))


class LiteTower(nn.Module):
    """EfficientNet-Lite with TensorFlow's padding; takes pages of any size from 32 pixels.

    Args:
        variant: a key of `LITE_FACTORS`.
    """

    def __init__(self, variant: str) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.timm_model = LiteNet(variant)
        self.features = _HEAD

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits.

        Of 2,004 pages the bundled model in bfloat16 takes 99.65 % for what it does in float32, and
        without these 99.30 %; they take a tenth of its time.
        """
        return self.timm_model.sensitive

    def fold_norms(self) -> None:
        """See `LiteNet.fold_norms`."""
        self.timm_model.fold_norms()

    def forward(self, pixel_values: torch.Tensor) -> Pooled:
        """See normalised pages, (N, 3, H, W)."""
        values = pixel_values.to(self.timm_model.conv_stem.weight.dtype)
        pages = self.timm_model(values)
        return Pooled(functional.adaptive_avg_pool2d(pages, 1).flatten(1))


class VisionTower(Protocol):
    """An image tower that a dual encoder takes."""

    features: int

    def __call__(self, pixel_values: torch.Tensor) -> Pooled:
        """See normalised pages, (N, 3, H, W)."""


class DualEncoder(nn.Module):
    """Both towers with their projections into the shared space and the scale of the scores.

    Args:
        config: `model_type`, `text_config` and, for a vision transformer, `vision_config`, for
            those who ask the model about its sizes.
    """

    def __init__(self, text: TextShape, vision: VisionTower, shared: int, config: Any) -> None:
        """Lay out the weights; they are filled afterwards."""
        super().__init__()
        self.config = config
        self.vision_model = vision
        self.visual_projection = _Linear(vision.features, shared, bias=False)
        self.text_model = TextTower(text)
        self.text_projection = _Linear(text.width, shared, bias=False)
        self.logit_scale = nn.Parameter(torch.empty(()))

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.logit_scale.device
