"""Conversion of OpenAI-CLIP tensors, against `open_clip` on the same weights."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPModel

from pagesort.common.errors import PageSortError
from pagesort.models.openai_clip import convert_state_dict
from tests.helpers.openai_models import TINY, openai_state, random_model

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    return random_model(TINY)


@pytest.fixture
def state(reference: torch.nn.Module) -> State:
    return openai_state(reference)


def _converted(state: State, image_size: int | None = None) -> CLIPModel:
    config, tensors = convert_state_dict(state, image_size)
    model = CLIPModel(config).eval()
    model.load_state_dict(tensors, strict=True)
    return model


def test_every_size_is_read_off_the_shapes(state: State) -> None:
    config, tensors = convert_state_dict(state)
    vision, text = config.vision_config, config.text_config
    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (128, 3, 2)
    assert (vision.patch_size, vision.image_size, vision.intermediate_size) == (8, 40, 512)
    assert (text.hidden_size, text.num_hidden_layers, text.num_attention_heads) == (64, 2, 1)
    assert (text.vocab_size, text.max_position_embeddings) == (49408, 32)
    assert config.projection_dim == vision.projection_dim == text.projection_dim == 48
    assert vision.hidden_act == text.hidden_act == "quick_gelu"
    assert set(tensors) == set(CLIPModel(config).state_dict())
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())


def test_both_towers_agree_with_open_clip(reference: torch.nn.Module, state: State) -> None:
    model = _converted(state)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(3, 3, 40, 40, generator=generator)
    # Texts of different lengths, what comes after the end mark left at 0 as CLIP does.
    tokens = torch.randint(1, 49406, (4, 32), generator=generator)
    for row, length in enumerate((2, 7, 31, 16)):
        tokens[row, length] = 49407
        tokens[row, length + 1 :] = 0
    with torch.inference_mode():
        expected_images, expected_texts = (
            reference.encode_image(pixels),
            reference.encode_text(tokens),
        )
        images = model.get_image_features(pixel_values=pixels).pooler_output
        texts = model.get_text_features(input_ids=tokens).pooler_output
    assert torch.allclose(images, expected_images, atol=1e-5)
    assert torch.allclose(texts, expected_texts, atol=1e-5)
    assert expected_images.std() > 0.01
    assert expected_texts.std() > 0.01


@pytest.mark.parametrize("vocabulary", [700, 49500])
def test_another_vocabulary_still_pools_at_its_highest_token(vocabulary: int) -> None:
    sizes = TINY | {"text_cfg": TINY["text_cfg"] | {"vocab_size": vocabulary}}
    reference = random_model(sizes)
    model = _converted(openai_state(reference))
    tokens = torch.randint(1, vocabulary, (5, 32), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = reference.encode_text(tokens)
        texts = model.get_text_features(input_ids=tokens).pooler_output
    assert torch.allclose(texts, expected, atol=1e-5)


def test_float16_weights_and_what_openais_archives_carry_besides(state: State) -> None:
    halved = {name: value.half() for name, value in state.items()}
    halved |= {
        "input_resolution": torch.tensor(40),
        "context_length": torch.tensor(32),
        "vocab_size": torch.tensor(49408),
        "attn_mask": torch.zeros(32, 32),
        "logit_scale": state["logit_scale"].reshape(1),
    }
    _, tensors = convert_state_dict(halved)
    _, expected = convert_state_dict(state)
    assert tensors["logit_scale"].shape == ()
    for name, value in tensors.items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, expected[name], atol=2e-2), name


def _without(state: State) -> State:
    return {k: v for k, v in state.items() if k != "visual.transformer.resblocks.1.ln_2.bias"}


def _many_missing(state: State) -> State:
    return {k: v for k, v in state.items() if not k.startswith("transformer.resblocks.0.attn")} | {
        "transformer.resblocks.0.attn.out_proj.bias": torch.zeros(64)
    }


WRONG = {
    "missing: visual.transformer.resblocks.1.ln_2.bias": _without,
    "missing: visual.proj": lambda s: {k: v for k, v in s.items() if k != "visual.proj"},
    "missing: transformer.resblocks.0.attn.in_proj_weight, "
    "transformer.resblocks.0.attn.in_proj_bias, "
    "transformer.resblocks.0.attn.out_proj.weight": _many_missing,
    "unknown: head.weight": lambda s: s | {"head.weight": torch.zeros(2, 2)},
    "unknown: a0, a1, a2 and 7 more": lambda s: s | {f"a{i}": torch.zeros(1) for i in range(10)},
    "misshapen: ln_final.bias (65,) instead of (64,)": lambda s: (
        s | {"ln_final.bias": torch.zeros(65)}
    ),
    "misshapen: visual.positional_embedding (25, 128) instead of (17, 128)": lambda s: (
        s | {"visual.positional_embedding": torch.zeros(25, 128)}
    ),
    "misshapen: visual.conv1.weight (128, 192)": lambda s: (
        s | {"visual.conv1.weight": torch.zeros(128, 192)}
    ),
    "not a float tensor: ln_final.bias": lambda s: (
        s | {"ln_final.bias": torch.zeros(64, dtype=torch.int64)}
    ),
    "not finite: text_model.final_layer_norm.bias": lambda s: (
        s | {"ln_final.bias": torch.full((64,), float("nan"))}
    ),
    "the image tower is a ResNet": lambda s: s | {"visual.layer1.0.conv1.weight": torch.zeros(1)},
    "missing: visual.conv1.weight, visual.positional_embedding, visual.proj": lambda s: {},
}


@pytest.mark.parametrize("told", WRONG)
def test_wrong_tensors_are_refused_by_name(state: State, told: str) -> None:
    with pytest.raises(PageSortError) as caught:
        convert_state_dict(WRONG[told](state))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stated_image_size_counts_only_where_it_fits(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    assert convert_state_dict(state, 43)[0].vision_config.image_size == 43
    assert not caplog.records
    assert convert_state_dict(state, 224)[0].vision_config.image_size == 40
    assert "224" in caplog.text
