"""What makes training on a CPU quicker changes no result, and lasts only for the training."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from classifier import CLIP
from pagesort.common.hardware import _gnu_library, freed_memory_kept
from pagesort.training.cpu import plain_attention, quick_on_processors

BLOCK = 48 << 20
"""Bytes: more than the library ever keeps in its heap by itself."""


def attention_of(model: torch.nn.Module) -> list[str]:
    towers = (model.vision_model, model.text_model)
    return [tower.config._attn_implementation for tower in towers]


def gradients(model: torch.nn.Module, autocast: bool) -> torch.Tensor:
    torch.manual_seed(3)
    pages, tokens = torch.randn(3, 3, 32, 32), torch.randint(0, 990, (3, 9))
    mask = torch.ones_like(tokens)
    mask[0, 5:] = 0
    tokens[:, -1] = 999
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = model(pixel_values=pages, input_ids=tokens, attention_mask=mask)
    (found.logits_per_image.float().square().mean()).backward()
    return torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])


@pytest.mark.parametrize("autocast", [False, True])
def test_plain_attention_has_the_gradients_of_the_fused(autocast, tiny_model_folder) -> None:
    fused = CLIP.open(tiny_model_folder).model.train()
    plain = copy.deepcopy(fused)
    with plain_attention(plain, 3):
        assert attention_of(plain) == ["eager", "eager"]
        found = gradients(plain, autocast)
    alike = torch.cosine_similarity(gradients(fused, autocast), found, dim=0)
    assert alike > (0.99 if autocast else 0.999999)


@pytest.mark.parametrize(("precision", "within"), [("bf16", "eager"), ("no", "sdpa")])
def test_attention_is_plain_in_bfloat16_for_a_while(precision, within, tiny_model_folder) -> None:
    model = CLIP.open(tiny_model_folder).model
    with pytest.raises(ZeroDivisionError), quick_on_processors(model, precision, 3):
        assert attention_of(model) == [within, within]
        1 / 0  # noqa: B018
    assert attention_of(model) == ["sdpa", "sdpa"]


@pytest.mark.parametrize(
    ("batch_size", "image_size", "patch_size", "within"),
    [
        (16, 224, 16, "eager"),  # ViT-B/16: 720 MB
        (64, 224, 16, "sdpa"),
        (16, 224, 32, "eager"),
        (16, 336, 14, "sdpa"),
    ],
)
def test_attention_that_would_keep_much_memory_stays_fused(
    batch_size, image_size, patch_size, within
) -> None:
    config = CLIPVisionConfig(
        hidden_size=12, intermediate_size=8, num_hidden_layers=12, num_attention_heads=12,
        image_size=image_size, patch_size=patch_size, attn_implementation="sdpa",
    )  # fmt: skip
    holder = torch.nn.Module()
    holder.vision_model = CLIPVisionModel(config)
    with plain_attention(holder, batch_size):
        assert holder.vision_model.config._attn_implementation == within


def faults_of_new_blocks() -> int:
    """Pages of memory that the system had to fetch for five blocks, one after the other."""
    before = _faults()
    for _ in range(5):
        torch.empty(BLOCK, dtype=torch.uint8).fill_(1)
    return _faults() - before


def _faults() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(_gnu_library() is None, reason="the GNU C library")
def test_memory_that_is_freed_is_used_again() -> None:
    with freed_memory_kept(all_of_it=True):
        faults_of_new_blocks()
        assert faults_of_new_blocks() < BLOCK // 4096
        held = _resident()
    left = _resident()
    assert left < held - BLOCK // 2, "memory is not given back after the training"
    torch.empty(8 * BLOCK, dtype=torch.uint8).fill_(1)
    assert _resident() < left + BLOCK, "freed memory is kept after the training, too"


@pytest.mark.skipif(_gnu_library() is None, reason="the GNU C library")
def test_blocks_of_a_tower_are_used_again_while_pages_are_scored() -> None:
    with freed_memory_kept():
        for _ in range(2):
            before = _faults()
            for _ in range(20):
                several = [torch.empty(24 << 20, dtype=torch.uint8).fill_(1) for _ in range(4)]
                del several
            found = _faults() - before
        assert found < (24 << 20) // 4096
    left = _resident()
    with freed_memory_kept():
        torch.empty(16 * BLOCK, dtype=torch.uint8).fill_(1)
        assert _resident() < left + (160 << 20)


def _resident() -> int:
    facts = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(facts.split()[1]) * os.sysconf("SC_PAGE_SIZE")
