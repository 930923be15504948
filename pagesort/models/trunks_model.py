"""`page_trunks` as a model of the `transformers` library, which `AutoModel` loads once it is known.

from pagesort.models.trunks_model import make_known
make_known()
model = AutoModel.from_pretrained("models/pagesort-medium")
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pagesort.models.fast.page_trunks import KIND, TAKES_INT8, PageTrunks

_DEFAULT_SIZE = 512


class TrunksConfig(PreTrainedConfig):
    """Settings of `TrunksModel`; `hidden_size` numbers come out a page."""

    model_type = KIND
    hidden_size: int = _DEFAULT_SIZE


class TrunksModel(PreTrainedModel):
    """The image tower with what a dual encoder of the library expects of one."""

    config_class = TrunksConfig
    base_model_prefix = "trunks_model"
    main_input_name = "pixel_values"

    def __init__(self, config: TrunksConfig) -> None:
        """Lay out the tower; its weights are random or come from a file."""
        super().__init__(config)
        self.trunks = PageTrunks(config.hidden_size)
        self.post_init()  # type: ignore[no-untyped-call]  # the library has no types for it

    @property
    def sensitive(self) -> tuple[nn.Module, ...]:
        """The parts to leave in float32 when the others go on in fewer bits."""
        return self.trunks.sensitive

    @property
    def untaught(self) -> tuple[nn.Module, ...]:
        """The parts that no gradient reaches."""
        return self.trunks.untaught

    @property
    def takes_int8(self) -> bool:
        """Whether its answers stay the same in 8-bit integers."""
        return TAKES_INT8

    def forward(self, pixel_values: torch.Tensor, **_usual: Any) -> BaseModelOutputWithPooling:
        """See pages (N, 3, H, W), RGB, -1 to 1."""
        return BaseModelOutputWithPooling(pooler_output=self.trunks(pixel_values))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def make_known() -> None:
    """Let the library's `AutoConfig` and `AutoModel` know the tower; again is no harm."""
    AutoConfig.register(KIND, TrunksConfig, exist_ok=True)
    AutoModel.register(TrunksConfig, TrunksModel, exist_ok=True)
