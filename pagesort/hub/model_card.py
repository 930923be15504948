"""The card of a published model, written from what the model folder and its evaluations tell."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.hub.card_use import use_section
from pagesort.models import catalogue, formats
from pagesort.models import folder as model_files
from pagesort.models.descriptions import prompt_texts
from pagesort.models.external_formats import read_json
from pagesort.models.metadata import ModelMetadata, read_metadata
from pagesort.pages.preprocessing import Preprocessing

MARK = "<!-- written by pagesort from pagesort.json and the evaluations -->"
_MOST_EVALUATIONS = 3
_PLOT_KINDS = ("conf_mat", "reliability", "samples")
# Facts about the training that have a place of their own, or mean nothing to a reader.
_SHOWN_ELSEWHERE = {
    "texts", "epochs", "history", "pages", "recipe", "validation", "versions", "page_names",
    "stages", "recipes", "cross_validation",
}  # fmt: skip
_LONGEST = 300


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a model: its report, and the plots that belong to it.

    `differs` says how the model was used otherwise than it is published; empty if it was not.
    """

    report: Mapping[str, Any]
    plots: tuple[Path, ...]
    differs: str = ""


def evaluations_of(folder: Path, results: Path) -> list[Evaluation]:
    """Find the evaluations of exactly these weights, at most three: as published, newest first.

    Args:
        folder: the model folder.
        results: the folder of results, with `stats/` and `plots/`.
    """
    weights = formats.fingerprint(folder)
    metadata = read_metadata(folder)
    found = []
    for path in sorted((results / "stats").glob("EVAL_*.json")):
        try:
            report = read_json(path)
        except PageSortError:
            continue
        if _is_of(report, weights):
            name = path.stem.removeprefix("EVAL_")
            plots = [results / "plots" / f"{kind}_{name}.png" for kind in _PLOT_KINDS]
            there = tuple(plot for plot in plots if plot.is_file())
            found.append(Evaluation(report, there, _difference(report["model"], metadata)))
    found.sort(key=lambda each: str(each.report.get("date", "")), reverse=True)
    found.sort(key=lambda each: bool(each.differs))
    return found[:_MOST_EVALUATIONS]


def write_card(
    folder: Path,
    *,
    repository: str,
    revision: str,
    evaluations: Sequence[Evaluation] = (),
    licence: str | None = None,
) -> str:
    """Write the text of a model's card, its front matter for the hub included.

    Args:
        folder: the model folder, in this program's format.
        repository: `owner/name` that it is published as.
        revision: the branch.
        evaluations: what is known of its quality.
        licence: the hub's short name of a licence; None lets the model's origin decide.

    Raises:
        PageSortError: the folder's settings cannot be read.
    """
    metadata = read_metadata(folder) or ModelMetadata(base=folder.name)
    config = read_json(folder / formats.CONFIG_FILE)
    base = _base(metadata)
    licence, licence_text = _licence(folder, metadata, licence)
    notes = _own_notes(folder)
    parts = [
        _front_matter(base, licence, folder),
        MARK,
        f"# {repository.rpartition('/')[2]} ({revision})",
        _opening(metadata, config, base),
        use_section(repository, revision, config, metadata, Preprocessing.from_folder(folder)),
        _labels(metadata),
        _training(metadata),
        _figures(evaluations, has_notes=bool(notes)),
        _limits(metadata, evaluations, has_notes=bool(notes)),
        f"## Licence\n\n{licence_text}",
        notes,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plot_names(evaluations: Sequence[Evaluation]) -> dict[str, Path]:
    """Name the plots as they lie in the repository: name, with `plots/`, to path."""
    plots = (plot for each in evaluations for plot in each.plots)
    return {name: plot for plot in plots if model_files.is_model_file(name := f"plots/{plot.name}")}


def _is_of(report: object, weights: str) -> bool:
    """Tell whether a report is of these weights: its fingerprint covers them and its own texts."""
    model = report.get("model") if isinstance(report, dict) else None
    if not isinstance(model, dict) or model.get("zero_shot"):
        return False
    decisive = [weights, model.get("texts"), model.get("average"), model.get("temperature")]
    return model.get("fingerprint") == hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _difference(model: Mapping[str, Any], metadata: ModelMetadata | None) -> str:
    """Say how an evaluation used the model otherwise than its folder does by itself."""
    if metadata is None or not metadata.descriptions:
        return f"with the descriptions of {_inline(str(model.get('descriptions', '?')))}"
    counted = {
        label: texts if metadata.average else texts[:1]
        for label, texts in metadata.descriptions.items()
    }
    if model.get("texts") != prompt_texts(counted, metadata.prompt):
        source = str(model.get("descriptions", "")) or "own"
        if source == "own":
            return "with other descriptions than it has now"
        return f"with the descriptions of {_inline(source)} in place of its own"
    if model.get("temperature") != metadata.temperature:
        return f"at temperature {_value(model.get('temperature'))}"
    return ""


def _base(metadata: ModelMetadata) -> catalogue.BaseModel | None:
    try:
        return catalogue.base_of_code(metadata.base)
    except UsageError:
        return None


def _licence(folder: Path, metadata: ModelMetadata, named: str | None) -> tuple[str, str]:
    """Return the hub's short name of the licence, and the sentence for people."""
    if named is not None:
        return named, f"`{named}`, as its publisher states."
    file = next((name for name in model_files.model_files(folder) if "LICENSE" in name), None)
    if file is not None:
        return "other", f"See [{file}]({file})."
    if metadata.training.get("source"):
        origin = metadata.training.get("repository", "another publisher")
        return "unknown", f"The weights come from {_inline(str(origin))}; its licence holds."
    pages = "Rights in the pages it was trained on are not touched by this."
    if metadata.base == SMALL_MODEL.name:
        return "mit", f"MIT, as pagesort and the model that comes with it. {pages}"
    if metadata.base == BUNDLED_MODEL.name:
        return "mit", (
            "MIT, as pagesort and the model that comes with it, but for the weights of its two "
            f"trunks: Apache 2.0. {pages}"
        )
    base = _base(metadata)
    if base is not None:
        return "mit", (
            f"MIT, as {base.hub_id} and the program that trained it. If it started from weights "
            f"that somebody else had tuned, their licence holds as well. {pages}"
        )
    return "unknown", "Nothing is recorded about it; ask its publisher."


def _front_matter(base: catalogue.BaseModel | None, licence: str, folder: Path) -> str:
    lines = ["---", f"license: {licence}"]
    if licence == "other":
        name = next(n for n in model_files.model_files(folder) if "LICENSE" in n)
        lines += ["license_name: see-license-file", f"license_link: {name}"]
    lines += ["library_name: transformers", "pipeline_tag: zero-shot-image-classification"]
    if base is not None:
        lines.append(f"base_model: {base.hub_id}")
    lines += ["tags:", "- clip", "- document-classification", "- historical-documents"]
    return "\n".join([*lines, "- pagesort", "---"])


def _opening(
    metadata: ModelMetadata, config: Mapping[str, Any], base: catalogue.BaseModel | None
) -> str:
    kind = (config.get("architectures") or [config.get("model_type", "dual encoder")])[0]
    start = f"[{base.hub_id}](https://huggingface.co/{base.hub_id})" if base else ""
    if not start and metadata.training.get("start"):
        start = f"`{_inline(metadata.base)}`"
    return (
        f"Sorts scans of document pages into {len(metadata.labels)} categories, so that each page "
        "can go to the right next step (OCR, HTR, extraction of tables or figures). An image tower "
        "and a text tower; a category is the mean of the embeddings of its written descriptions.\n"
        "\n"
        + (f"* base model: {start}\n" if start else "")
        + f"* class: `{kind}` of the `transformers` library\n"
        f"* prompt: {'; '.join(f'`{_inline(text)}`' for text in metadata.prompts)}\n"
        f"* descriptions of a category: {'all, averaged' if metadata.average else 'the first'}\n"
        f"* temperature of the scores: {metadata.temperature:g}"
    )


def _labels(metadata: ModelMetadata) -> str:
    if not metadata.labels:
        return ""
    lines = ["## Labels and their descriptions", "", "| label | descriptions |", "|---|---|"]
    for label in metadata.labels:
        texts = [_cell(text) for text in metadata.descriptions.get(label, [])]
        lines.append(f"| {_cell(label)} | {'<br>'.join(texts)} |")
    return "\n".join(lines)


def _training(metadata: ModelMetadata) -> str:
    facts = metadata.training
    if not facts:
        return "## Training\n\nNothing is recorded about it."
    parts = ["## Data and training"]
    pages = facts.get("pages")
    if isinstance(pages, dict):
        parts.append(_page_table(metadata.labels, pages))
    recipe = facts.get("recipe")
    if isinstance(recipe, dict):
        parts.append("Recipe: " + ", ".join(f"{k} {_value(v)}" for k, v in recipe.items()) + ".")
    others = [
        f"* {_inline(key)}: {_value(value)}"
        for key, value in facts.items()
        if key not in _SHOWN_ELSEWHERE
    ]
    parts.append("\n".join(others))
    if isinstance(facts.get("validation"), dict) and facts["validation"]:
        facts_text = ", ".join(f"{k} {_value(v)}" for k, v in facts["validation"].items())
        parts.append(
            f"On the validation pages, which chose epoch, mixture and temperature: {facts_text}."
        )
    if isinstance(facts.get("versions"), dict):
        facts_text = ", ".join(f"{k} {_value(v)}" for k, v in facts["versions"].items())
        parts.append(f"Versions: {facts_text}.")
    return "\n\n".join(part for part in parts if part)


def _page_table(labels: Sequence[str], pages: Mapping[str, Any]) -> str:
    kinds = [kind for kind, counts in pages.items() if isinstance(counts, dict)]
    if not kinds:
        return ""
    lines = ["| pages of | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for label in labels:
        counts = " | ".join(str(pages[kind].get(label, 0)) for kind in kinds)
        lines.append(f"| {_cell(label)} | {counts} |")
    totals = " | ".join(str(sum(pages[kind].values())) for kind in kinds)
    return "\n".join([*lines, f"| all | {totals} |"])


def _figures(evaluations: Sequence[Evaluation], *, has_notes: bool) -> str:
    if not evaluations:
        below = "; what its makers measured may stand in their notes below" if has_notes else ""
        return f"## Figures\n\nNo evaluation lay beside it when it was published{below}."
    parts = ["## Figures"]
    for each in evaluations:
        pages, figures = each.report.get("pages", {}), each.report.get("figures", {})
        where = Path(str(pages.get("folder", "")).replace("\\", "/")).name
        part = _inline(str(pages.get("part", "pages")))
        seen = ", on which it was trained" if pages.get("trained_on_all") else ""
        used = f", {each.differs}" if each.differs else ""
        head = f"{pages.get('scored', '?')} pages, {part} of `{_inline(where)}`{seen}{used}"
        parts.append(f"**{head}** ({_inline(str(each.report.get('date', '')))}):")
        lines = ["| figure | value |", "|---|---|"]
        for top in figures.get("top", []):
            lines.append(
                f"| top-{top['k']} | {_percent(top['value'])} (95 % interval "
                f"{_percent(top['low'])} to {_percent(top['high'])}) |"
            )
        macro = figures.get("macro") or {}
        lines += [f"| macro {name} | {_percent(value)} |" for name, value in macro.items()]
        if "ece" in figures:
            lines.append(f"| expected calibration error | {_value(figures['ece'])} |")
        parts.append("\n".join(lines))
        parts += [f"![{plot.stem}](plots/{plot.name})" for plot in each.plots]
    return "\n\n".join(parts)


def _limits(metadata: ModelMetadata, evaluations: Sequence[Evaluation], *, has_notes: bool) -> str:
    known = "nothing is known of its quality"
    if any(not each.differs for each in evaluations):
        known = "the figures above hold"
    elif evaluations:
        known = "the figures above hold where it is used as they say"
    elif has_notes:
        known = "the notes below may tell its quality"
    names = ", ".join(f"`{_inline(label)}`" for label in metadata.labels) or "its labels"
    return (
        f"## Limits\n\nIt answers with one of {names} "
        f"for any picture, whatever it shows. For pages like those named here {known}; pages of "
        "other archives, scripts and times may fare worse. Look at pages with low scores."
    )


def _own_notes(folder: Path) -> str:
    """What somebody wrote by hand into the model folder, without its front matter."""
    path = folder / model_files.CARD_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
    if MARK in text:
        return ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    lines, is_code = [], False
    for line in text.strip().splitlines():
        is_code ^= line.lstrip().startswith(("```", "~~~"))
        # Their title comes below ours.
        lines.append(f"##{line}" if not is_code and re.match(r"#{1,4} ", line) else line)
    return "## Notes that lie with the model\n\n" + "\n".join(lines) if lines else ""


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, (int, float)) else "unknown"


def _value(value: object) -> str:
    """Write a recorded value on one line, numbers without needless digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{_inline(str(k))} {_value(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        is_nested = any(isinstance(each, (dict, list, tuple)) for each in value)
        listed = ("; " if is_nested else ", ").join(_value(each) for each in value)
        return f"({listed})"
    return _inline(str(value))


def _inline(text: str) -> str:
    """Keep a text from ending its line or its code span, and from growing without end."""
    line = " ".join(text.split()).replace("`", "'")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")
