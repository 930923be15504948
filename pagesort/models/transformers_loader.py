"""A model folder to towers and tokenizer in memory, refusing whatever does not fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError
from pagesort.models import formats
from pagesort.models.local_only import check_local, offline
from pagesort.models.tokenizer import TOKENIZERS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from pagesort.models.fast.towers import DualEncoder
    from pagesort.pages.loader import Preprocessing

# What the library raises on files that are damaged or were made for something else.
UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    LookupError,
)
# What CLIPModel and VisionTextDualEncoderModel have in common.
_PARTS = ("vision_model", "visual_projection", "text_model", "text_projection", "logit_scale")
_REFETCH = "Fetch or convert the model again"


def load_towers(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load weights and tokenizer of a `transformers` folder, without the network.

    Raises:
        PageSortError: a file is missing or damaged; tensors are missing, unknown or misshapen; or
            the model is no dual encoder.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    from pagesort.models.trunks_model import make_known

    check_local(folder)
    make_known()
    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with formats.quiet_transformers(), offline():
            model, report = AutoModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are reported to us by name
                **safely,
            )
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **safely)
    except (*UNLOADABLE, StrictDataclassError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PageSortError(
            f"the model cannot be loaded ({reason[0][:200]})", where=folder, remedy=_REFETCH
        ) from error
    _check_report(report, folder)
    _check_tokenizer(tokenizer, model.config, folder)
    if not all(hasattr(model, part) for part in _PARTS):
        raise PageSortError(
            f"a {type(model).__name__} does not embed both images and texts",
            where=folder,
            remedy="Use a CLIP or another dual encoder",
        )
    return model.eval(), tokenizer


def _check_report(report: Mapping[str, Any], folder: Path) -> None:
    # Old files carry this buffer, which the library now counts out itself.
    unknown = [name for name in report["unexpected_keys"] if not name.endswith("position_ids")]
    misshapen = [entry[0] for entry in report["mismatched_keys"]]
    missing = [name for name in report["missing_keys"] if name not in misshapen]
    kinds = (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
    faults = []
    for kind, names in kinds:
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            faults.append(f"{kind}: {', '.join(sorted(names)[:3])}{more}")
    if faults:
        raise PageSortError(
            f"the weights do not fit the model's config.json ({'; '.join(faults)})",
            where=folder,
            remedy=_REFETCH,
        )


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, config: Any, folder: Path) -> None:
    """The library makes up an empty tokenizer where the files of one are missing."""
    known = getattr(getattr(config, "text_config", None), "vocab_size", len(tokenizer))
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        problem = "the model has no tokenizer.json"
    elif len(tokenizer) > known:
        problem = f"the tokenizer has {len(tokenizer)} tokens, the model {known}"
    else:
        return
    raise PageSortError(problem, where=folder, remedy=_REFETCH)


def check_input_size(
    model: PreTrainedModel | DualEncoder, preprocessing: Preprocessing, folder: Path
) -> None:
    """Refuse pages of another size than a ViT takes; convolutional towers take any.

    Raises:
        PageSortError: `preprocessor_config.json` makes such pages.
    """
    if model.config.model_type != "clip":
        return
    size = model.config.vision_config.image_size
    if preprocessing.input_size != (size, size):
        height, width = preprocessing.input_size
        raise PageSortError(
            f"preprocessor_config.json makes pages of {height} x {width}, the model takes "
            f"{size} x {size}",
            where=folder,
            remedy=_REFETCH,
        )
