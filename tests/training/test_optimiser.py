"""Learning rates fall towards the input, and what must not decay does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pagesort.models.transformers_loader import load_towers
from pagesort.training.optimiser import layer_depths, learning_rate_scales, make_optimiser
from tests.helpers.paths import ROOT

SMALL = ROOT / "models" / "pagesort-small"


@pytest.fixture(scope="module")
def clip(tiny_model_folder):
    return load_towers(tiny_model_folder)[0]


def test_layers_of_a_clip_get_falling_rates(clip) -> None:
    scales = learning_rate_scales(clip, 0.5)
    assert scales["vision_model.embeddings.patch_embedding.weight"] == 0.5**3
    assert scales["vision_model.pre_layrnorm.weight"] == 0.5**3
    assert scales["vision_model.encoder.layers.0.mlp.fc1.weight"] == 0.5**2
    assert scales["vision_model.encoder.layers.1.mlp.fc1.weight"] == 0.5
    assert scales["vision_model.post_layernorm.weight"] == 1.0
    assert scales["text_model.embeddings.token_embedding.weight"] == 0.5**3
    assert scales["visual_projection.weight"] == scales["logit_scale"] == 1.0


def test_stages_of_an_efficientnet_are_layers() -> None:
    scales = learning_rate_scales(load_towers(SMALL)[0], 0.9)
    at = "vision_model.timm_model."
    # Seven stages of blocks between the stem and one more convolution.
    assert scales[f"{at}conv_stem.weight"] == pytest.approx(0.9**8)
    assert scales[f"{at}blocks.0.0.conv_dw.weight"] == pytest.approx(0.9**7)
    assert scales[f"{at}blocks.6.0.bn3.bias"] == pytest.approx(0.9)
    assert scales[f"{at}conv_head.weight"] == 1.0


@pytest.mark.parametrize(
    ("names", "depths"),
    [
        (["stem.w", "blocks.0.w", "blocks.1.w", "norm.w"], [0, 1, 2, 3]),
        (["conv1.w", "layer1.0.conv1.w", "layer1.1.conv1.w", "layer2.0.w"], [0, 1, 2, 3]),
        (
            ["e.w", "stages.0.layers.0.w", "stages.1.downsampling.0.w", "stages.1.layers.0.w", "n"],
            [0, 1, 2, 2, 3],
        ),
        (["stages.0.blocks.0.w", "stages.0.blocks.1.w"], [1, 2]),
        (["layers.0.blocks.0.w", "layers.0.blocks.1.w", "layers.1.blocks.0.w"], [1, 2, 3]),
    ],
)
def test_blocks_are_known_by_many_names(names: list[str], depths: list[int]) -> None:
    assert list(layer_depths(names).values()) == depths


def test_an_unknown_tower_is_cut_by_order() -> None:
    depths = layer_depths(f"part{letter}.w" for letter in "abcdefghijklmnopqrstuvwx")
    assert sorted(set(depths.values())) == list(range(12))
    assert list(depths.values()) == sorted(depths.values())


def test_only_matrices_decay_and_frozen_weights_stay_out(clip) -> None:
    clip.text_model.requires_grad_(False)
    optimiser = make_optimiser(
        clip, learning_rate=1e-3, weight_decay=0.2, layer_decay=0.5, adam_beta2=0.98
    )
    clip.requires_grad_(True)
    seen = {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            seen[id(parameter)] = group
    for name, parameter in clip.named_parameters():
        if name.startswith("text_model"):
            assert id(parameter) not in seen
            continue
        group = seen[id(parameter)]
        assert group["weight_decay"] == (0.2 if parameter.ndim >= 2 else 0.0), name
    assert seen[id(clip.logit_scale)]["weight_decay"] == 0.0
    assert seen[id(clip.vision_model.encoder.layers[0].mlp.fc1.weight)]["lr"] == 1e-3 * 0.25


def test_a_deeper_layer_moves_less() -> None:
    class Dual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.vision_model = nn.Module()
            self.vision_model.layers = layers
            self.text_model = nn.Module()

    dual = Dual()
    start = [layer.weight.detach().clone() for layer in dual.vision_model.layers]
    optimiser = make_optimiser(
        dual, learning_rate=0.1, weight_decay=0.0, layer_decay=0.1, adam_beta2=0.99
    )
    for layer in dual.vision_model.layers:
        layer.weight.grad = torch.ones(2, 2)
    optimiser.step()
    moved = [
        (layer.weight - before).abs().max().item()
        for layer, before in zip(dual.vision_model.layers, start, strict=True)
    ]
    assert moved[0] == pytest.approx(0.1 * moved[1], rel=1e-3)
