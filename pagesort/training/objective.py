"""What is fine-tuned: a dual encoder, the texts of its labels, and the objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pagesort.models.image_tower import TwoTowers
from pagesort.models.tokenizer import clean_text
from pagesort.pages.preprocessing import Preprocessing

_LARGEST_LOGIT_SCALE = 4.6052
"""log(100): where CLIP clips its learnt temperature (arXiv 2103.00020, section 2.5)."""
_TEXTS_AT_ONCE = 64
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class LabelTexts:
    """The texts of all labels as tokens, label by label.

    `input_ids` and `attention_mask` are (T, L); `owners` (T,) names each text's label and `lengths`
    (T,) tells how many of its tokens count.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    owners: np.ndarray
    lengths: np.ndarray

    @classmethod
    def tokenised(
        cls, prompts: Mapping[str, Sequence[str]], tokenizer: Any, longest: int
    ) -> LabelTexts:
        """Tokenise label -> texts, cut to `longest` tokens, as the classifier does."""
        texts = [clean_text(text) for several in prompts.values() for text in several]
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        mask = tokens["attention_mask"]
        owners = np.repeat(np.arange(len(prompts)), [len(texts) for texts in prompts.values()])
        return cls(tokens["input_ids"], mask, owners, mask.sum(dim=1).numpy())

    def tokens(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """The texts of `rows`, no longer than the longest of them."""
        longest = int(self.lengths[rows].max())
        return {
            "input_ids": self.input_ids[rows, :longest],
            "attention_mask": self.attention_mask[rows, :longest],
        }


@dataclass(frozen=True)
class Collator:
    """Views to one batch: pages, labels, and one random text of each label or of each page.

    The texts are decided by the seed and the first view's number, so that a batch is the same
    whatever process makes it. Pages stay uint8: shared memory, through which workers hand them on,
    is small in containers.
    """

    texts: LabelTexts
    seed: int
    a_text_each: bool
    with_texts: bool = True

    def __call__(self, views: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Stack views of `pixels` uint8 (H, W, 3), `label` and `index`."""
        labels = np.array([view["label"] for view in views])
        batch = {
            "pixels": torch.from_numpy(np.stack([view["pixels"] for view in views])),
            "labels": torch.from_numpy(labels),
        }
        if not self.with_texts:
            return batch
        rng = np.random.default_rng((self.seed, 1, int(views[0]["index"])))
        wanted = labels if self.a_text_each else np.unique(self.texts.owners)
        rows = [rng.choice(np.flatnonzero(self.texts.owners == label)) for label in wanted]
        return batch | self.texts.tokens(np.array(rows))


class LabelLearner(nn.Module):
    """A dual encoder that learns which texts belong to a page.

    Args:
        dual_encoder: a CLIPModel, or a VisionTextDualEncoderModel with any image tower.
        texts: of all labels.
        preprocessing: how the pages are normalised.
        contrastive: whether the pages and texts of a batch are compared, or each page with one text
            of every label.
        image_only: keep the text tower, and compare with the mean of each label's texts.
        freeze_batch_norm: keep the statistics of batch normalisation.
        class_weights: how much pages of each label count (C,), in relation to each other; alike
            without. For the comparison with all labels only.
    """

    _mean: torch.Tensor
    _std: torch.Tensor
    _fixed_labels: torch.Tensor | None
    _class_weights: torch.Tensor | None

    def __init__(
        self,
        dual_encoder: TwoTowers,
        texts: LabelTexts,
        preprocessing: Preprocessing,
        *,
        contrastive: bool = False,
        image_only: bool = False,
        freeze_batch_norm: bool = True,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.dual_encoder = dual_encoder
        self.texts = texts
        self.contrastive = contrastive
        self.image_only = image_only
        self.freeze_batch_norm = freeze_batch_norm
        self._divisor = round(1.0 / preprocessing.rescale, 6)
        device = dual_encoder.logit_scale.device
        for name in ("mean", "std"):
            values = torch.tensor(getattr(preprocessing, name), device=device)
            self.register_buffer(f"_{name}", values.view(1, 3, 1, 1), persistent=False)
        weights = None if class_weights is None else class_weights.float().to(device)
        self.register_buffer("_class_weights", weights, persistent=False)
        fixed = None
        if image_only:
            dual_encoder.eval()
            dual_encoder.text_model.requires_grad_(False)
            dual_encoder.text_projection.requires_grad_(False)
            fixed = self.label_embeddings()
        self.register_buffer("_fixed_labels", fixed, persistent=False)
        # Several processes would wait for the gradients of these, which never come.
        for part in getattr(dual_encoder.vision_model, "untaught", ()):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> LabelLearner:
        """Switch to training, but for what shall stay as it is."""
        super().train(mode)
        if self.image_only:
            self.dual_encoder.text_model.eval()
        if self.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, _BATCH_NORMS):
                    module.eval()
        return self

    def forward(
        self,
        pixels: torch.Tensor,
        labels: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compare pages with texts.

        Args:
            pixels: uint8 (N, H, W, 3).
            labels: class indices (N,).
            input_ids: tokens of one text a label (C, L), or, contrastive, of one a page (N, L).
            attention_mask: which of the tokens count.

        Returns:
            `loss`, a mean over the pages, and `logits` (N, C or N).
        """
        pages = self.embed_pages(pixels)
        if self._fixed_labels is not None:
            texts = self._fixed_labels[labels] if self.contrastive else self._fixed_labels
        else:
            texts = self._embed_tokens({"input_ids": input_ids, "attention_mask": attention_mask})
        logits = (self._scale() * pages @ texts.T).float()
        if self.contrastive:
            return {"loss": joint_contrastive_loss(logits, labels), "logits": logits}
        loss = functional.cross_entropy(logits, labels, self._class_weights)
        return {"loss": loss, "logits": logits}

    def embed_pages(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed pages, uint8 (N, H, W, 3): float32 (N, D) of length 1."""
        return unit(self.dual_encoder.visual_projection(self.pool_pages(pixels)))

    def pool_pages(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what the image tower makes of pages, uint8 (N, H, W, 3), before the projection."""
        # The operations of Preprocessing.normalise, in its order, on the device of the model.
        values = (pixels.permute(0, 3, 1, 2).float() / self._divisor - self._mean) / self._std
        pooled: torch.Tensor = self.dual_encoder.vision_model(pixel_values=values).pooler_output
        return pooled

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._mean.device

    @torch.no_grad()
    def label_embeddings(self) -> torch.Tensor:
        """Normalised mean of the embeddings of each label's texts: float32 (C, D)."""
        rows = np.arange(len(self.texts.owners))
        parts = [
            self._embed_tokens(self.texts.tokens(rows[start : start + _TEXTS_AT_ONCE]))
            for start in range(0, len(rows), _TEXTS_AT_ONCE)
        ]
        embeddings = torch.cat(parts)
        sums = embeddings.new_zeros(int(self.texts.owners[-1]) + 1, embeddings.shape[1])
        owners = torch.from_numpy(self.texts.owners).to(embeddings.device)
        return unit(sums.index_add_(0, owners, embeddings))

    @torch.no_grad()
    def page_logits(self, pixels: np.ndarray, label_embeddings: torch.Tensor) -> np.ndarray:
        """Score pages, uint8 (N, H, W, 3), as prediction does: logits, float32 (N, C)."""
        # Without TF32, as the classifier computes: what is measured here is what will be answered.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pages = self.embed_pages(torch.from_numpy(pixels).to(self._mean.device))
        scale = self.dual_encoder.logit_scale.exp()
        return (scale * pages @ label_embeddings.T).cpu().numpy()

    def _embed_tokens(self, tokens: Mapping[str, torch.Tensor | None]) -> torch.Tensor:
        on_device = {
            key: value.to(self._mean.device) for key, value in tokens.items() if value is not None
        }
        pooled = self.dual_encoder.text_model(**on_device).pooler_output
        return unit(self.dual_encoder.text_projection(pooled))

    def _scale(self) -> torch.Tensor:
        return self.dual_encoder.logit_scale.clamp(max=_LARGEST_LOGIT_SCALE).exp()


def joint_contrastive_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy over a batch in which a label may occur several times.

    All texts of a page's label share its target equally, and the reverse, so that no page pushes
    away another of its own label (arXiv 2204.03610). With one page a label it is CLIP's loss.

    Args:
        logits: pages by texts (N, N), text `i` being one of page `i`'s label.
        labels: class indices (N,).
    """
    same = (labels[:, None] == labels[None, :]).to(logits.dtype)
    targets = same / same.sum(dim=1, keepdim=True)
    to_texts = functional.cross_entropy(logits, targets)
    return (to_texts + functional.cross_entropy(logits.T, targets)) / 2.0


def unit(embeddings: torch.Tensor) -> torch.Tensor:
    """Scale embeddings (N, D) to length 1, in float32."""
    return functional.normalize(embeddings.float(), dim=-1)


def save_memory(dual_encoder: nn.Module, switched_on: bool) -> list[str]:
    """Let the towers keep few activations and compute the others again in the backward pass.

    Returns:
        The towers that cannot do so.
    """
    unable = []
    word = "enable" if switched_on else "disable"
    for name in ("vision_model", "text_model"):
        tower = getattr(dual_encoder, name)
        timm_model = getattr(tower, "timm_model", None)
        if timm_model is not None and hasattr(timm_model, "set_grad_checkpointing"):
            timm_model.set_grad_checkpointing(switched_on)
        elif getattr(tower, "supports_gradient_checkpointing", False):
            # The first is its name in newer versions, which warn of the other.
            switch = getattr(tower, f"activation_checkpointing_{word}", None)
            (switch or getattr(tower, f"gradient_checkpointing_{word}"))()
        else:
            unable.append(name)
    return unable
