"""Which model answers, with which descriptions: from the settings to an open classifier."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.console import as_typed
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.paths import BUNDLED_MODEL, DESCRIPTIONS, SMALL_MODEL

if TYPE_CHECKING:
    from classifier import CLIP
    from pagesort.models.descriptions import Table
    from pagesort.models.metadata import ModelMetadata

OWN_DESCRIPTIONS = "own"
SUBSTITUTED = ".answered_by_bundled_model"  # in the folder of models, one missing model a line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A model ready to use, its `transformers` folder, and what reports call it and its texts."""

    classifier: CLIP
    folder: Path
    name: str
    descriptions: str


def open_classifier(
    settings: Settings,
    source: Path | None = None,
    *,
    own_descriptions: bool = False,
    bundled: Path | None = None,
) -> Opened:
    """Open the model that predicts and is evaluated; tell which it is, and the device.

    Args:
        settings: what was asked for.
        source: a model to take whatever the settings say.
        own_descriptions: whether the model keeps its own descriptions whatever the settings say.
        bundled: the bundled model that answers if the settings name none.
    """
    source = source or _model_source(settings) or bundled
    table = None if own_descriptions else _named_descriptions(settings)
    folder, metadata = _model_folder(settings, source)
    if table is None:
        table = _table_instead(settings, metadata, own_descriptions)
    # Not asked for on the command line, `False` leaves it to the model.
    average = settings.avg if settings.avg or settings.is_named("avg") else None
    metadata = _settled(settings, metadata, table, average)
    return _opened(settings, source, folder, metadata, table)


def quicker_precision(settings: Settings, classifier: CLIP) -> str:
    """Say how a run in float32 would be quicker on this processor; empty where it would not be."""
    chosen = settings.precision == "auto" and not settings.resume
    if not chosen or classifier.precision != "fp32" or classifier.device.type != "cpu":
        return ""
    from pagesort.models.fast.int8 import takes_int8
    from pagesort.models.image_tower import has_int8

    if not takes_int8(classifier.model.vision_model):
        return ""
    again = "the same command with --precision int8"
    if not has_int8():
        again = f"python3 -m pip install -r requirements-int8.txt, then {again}"
    return (
        "This processor has no bfloat16, and in 8-bit integers a run takes about half the time: "
        f"stop with Ctrl-C and type {again}"
    )


def open_zero_shot(
    settings: Settings, labels: Sequence[str] | None = None, source: Path | None = None
) -> Opened:
    """Open the untouched base model, or that of --model_path, on the labels of pages or a table.

    Args:
        settings: what was asked for.
        labels: those of the pages to be evaluated; None where pages have none.
        source: a model to take instead.
    """
    from pagesort.models.zero_shot import zero_shot_descriptions

    named = _named_descriptions(settings)
    source = source or _base_source(settings, "in its place answers")
    folder, metadata = _model_folder(settings, source)
    table = zero_shot_descriptions(
        labels,
        named or _configured_descriptions(settings),
        named is not None,
        own=metadata,
        prompts=settings.prompt,
    )
    if table is not None:
        metadata = metadata.relabelled(tuple(table.texts))
    average = settings.avg if settings.is_named("avg") else None
    metadata = _settled(settings, metadata, table, average)
    return _opened(settings, source, folder, metadata, table)


def open_start(settings: Settings, labels: Sequence[str]) -> CLIP:
    """Open the model that training starts from, with the labels and descriptions of the data."""
    from pagesort.models.descriptions import Table
    from pagesort.models.metadata import described_to_train

    named = _named_descriptions(settings)
    source = _base_source(settings, "training starts from") or SMALL_MODEL
    folder, metadata = _model_folder(settings, source)
    if named is None and _has_own_table(settings):
        named = _configured_descriptions(settings)
    # The shipped table is only needed for labels that the starting model does not describe.
    needs_shipped = named is None and not set(labels) <= set(metadata.descriptions)
    shipped = _configured_descriptions(settings).texts if needs_shipped else {}
    texts = described_to_train(labels, named, metadata.descriptions, shipped)
    metadata = metadata.relabelled(labels)
    average = settings.avg if settings.is_named("avg") else None
    metadata = _settled(settings, metadata, Table(texts), average)
    from classifier import CLIP

    classifier = CLIP.open(folder, metadata=metadata, device=settings.device)
    logger.info("training starts from %s on %s", folder, classifier.device)
    return classifier


def _opened(
    settings: Settings,
    source: Path | None,
    folder: Path,
    metadata: ModelMetadata,
    table: Table | None,
) -> Opened:
    """Load a model to predict with texts that are settled, and tell which it is."""
    from classifier import CLIP

    classifier = CLIP.open(
        folder,
        metadata=metadata,
        device=settings.device,
        precision=settings.precision,
        lean=True,
        storage=storage_of(settings),
    )
    logger.info("model %s on %s in %s", folder, classifier.device, classifier.precision)
    texts = OWN_DESCRIPTIONS if table is None else Path(table.where).name
    return Opened(classifier, folder, _name_of(source), with_prompts(settings, texts))


def _settled(
    settings: Settings, metadata: ModelMetadata, table: Table | None, average: bool | None
) -> ModelMetadata:
    """Settle labels and descriptions with the prompts of the command line."""
    return metadata.settled(table, average=average, prompts=settings.prompt or None)


def _table_instead(
    settings: Settings, metadata: ModelMetadata, own_descriptions: bool
) -> Table | None:
    """Return the table that the settings put in place of a model's own descriptions, if any.

    It serves where the model has none, and where averages are asked for that its own do not serve.
    """
    if not metadata.descriptions:
        return _configured_descriptions(settings)
    if own_descriptions:
        return None
    if _needs_more_to_average(settings, metadata):
        return _configured_descriptions(settings)
    _log_unused_table(settings)
    return None


def _name_of(source: Path | None) -> str:
    """Return what reports call a model: the name it was asked for by, not that of a conversion."""
    return (source or BUNDLED_MODEL).name


def with_prompts(settings: Settings, texts: str) -> str:
    """Add the prompts of the command line to the name of descriptions."""
    return " | ".join((texts, *settings.prompt))


def base_models(settings: Settings) -> list[Path]:
    """Return the folders of the untouched base models that are on this machine."""
    from pagesort.hub import base_models as hub_base
    from pagesort.models import catalogue

    found = (
        hub_base.base_model(base, settings.model_storage, allow_network=False)
        for base in catalogue.BASES
    )
    return [folder for folder in found if folder is not None]


def _needs_more_to_average(settings: Settings, metadata: ModelMetadata) -> bool:
    """Whether averages are asked for that the model's own descriptions do not serve for.

    They do where a label has several, unless the settings file names a table to average instead.
    """
    if not (settings.is_named("avg") and settings.avg):
        return False
    if _has_own_table(settings):
        return True
    return not any(len(texts) > 1 for texts in metadata.descriptions.values())


def _has_own_table(settings: Settings) -> bool:
    """Whether the settings name another table of descriptions than the one that is shipped."""
    return settings.is_configured("cat_csv") and settings.cat_csv.resolve() != DESCRIPTIONS


def _model_folder(settings: Settings, source: Path | None) -> tuple[Path, ModelMetadata]:
    """Return the `transformers` folder of a model, converting a foreign one, and its metadata."""
    from pagesort.models import formats

    source = source or BUNDLED_MODEL
    folder = formats.open_model_folder(source, storage_of(settings))
    metadata = formats.read_metadata(folder)
    if metadata is None:
        return folder, formats.ModelMetadata(base=folder.name)
    _check_base(settings, metadata)
    return folder, metadata


def storage_of(settings: Settings) -> Path:
    """Return the folder that keeps converted models."""
    return settings.model_storage or settings.model_dir / "converted"


def _base_source(settings: Settings, purpose: str) -> Path | None:
    """Return the path of the untouched base model, or of --model_path; None: the bundled model.

    Raises:
        PageSortError: a base model named on the command line is neither here nor to be had.
    """
    if settings.model_path is not None:
        return _model_source(settings)
    from pagesort.hub import base_models as hub_base
    from pagesort.models import catalogue

    base, _ = catalogue.resolve(*_wanted_model(settings))
    folder = hub_base.base_model(base, settings.model_storage, token=settings.token)
    if folder is None and settings.is_named("model", "revision"):
        raise PageSortError(
            f"the base model {base.hub_id} is not on this machine and cannot be fetched",
            remedy="Leave out -m and -rev to use the bundled model, or name one with --model_path",
        )
    if folder is None:
        logger.info(
            "the base model %s is not on this machine: %s the bundled model",
            base.hub_id,
            purpose,
        )
    return folder


def model_called(settings: Settings, word: str) -> Path:
    """Return the path of a model that is named by it, or by its name under --model_dir.

    Raises:
        PageSortError: there is none.
    """
    path = Path(word).expanduser()
    for candidate in (path, settings.model_dir / path):
        if candidate.exists():
            return candidate
    raise PageSortError("the model does not exist", where=path, remedy=_models_in(settings))


def _model_source(settings: Settings) -> Path | None:
    """Return the path of the model to use; None stands for the bundled one.

    Raises:
        PageSortError: a model named on the command line is not there.
    """
    if settings.model_path is not None:
        if not settings.model_path.exists():
            raise PageSortError(
                "the model does not exist",
                where=settings.model_path,
                remedy=f"--model_path takes a model folder or a .pt file. {_models_in(settings)}",
            )
        return settings.model_path
    revision = wanted_revision(settings)
    folder = _installed(settings, revision)
    if folder is not None:
        return folder
    wanted = f"{_kind_of_revision(settings, revision)} revision {revision}".strip()
    # To --train_groups, --model_dir is where the new model goes, and names none that looks.
    names_model = ("model", "revision", *(() if settings.train_groups else ("model_dir",)))
    if settings.is_named(*names_model):
        raise PageSortError(
            f"the model {wanted} is not on this machine",
            where=settings.model_dir,
            remedy=f"{_models_in(settings)}; leave out -m, -rev and --model_dir to use the "
            "bundled model",
        )
    _log_substitute(settings.model_dir, wanted, revision)
    return None


def _installed(settings: Settings, revision: str) -> Path | None:
    """Find the model of a revision: that of the repository of the settings, else the published one.

    Raises:
        UsageError: it is there, and of another kind than `-m` wants.
    """
    from pagesort.models import catalogue, installed

    code = settings.model if settings.is_named("model") else ""
    repositories = dict.fromkeys((settings.repo_name, catalogue.PUBLISHED_REPOSITORY))
    for repository in repositories:
        folder = installed.find(settings.model_dir, repository, revision, code)
        if folder is not None:
            return folder
    found = installed.find(settings.model_dir, settings.repo_name, revision)
    if found is not None and settings.is_named("revision"):
        kind = installed.kind_of(found) or "a model of another kind"
        raise UsageError(
            f"-m {code} contradicts -rev {revision} of {settings.repo_name}, which is {kind}",
            where=found,
            remedy="Leave out one of them",
        )
    return None


def _kind_of_revision(settings: Settings, revision: str) -> str:
    """Return the base code that is meant beside a revision; empty where nothing tells it."""
    from pagesort.models import catalogue

    with contextlib.suppress(UsageError):
        return catalogue.base_of_revision(revision).code
    return settings.model if settings.is_named("model") else ""


def _log_substitute(model_dir: Path, wanted: str, revision: str) -> None:
    """Say that the bundled model answers for another one, once for each folder of models."""
    note = model_dir / SUBSTITUTED
    known = note.read_text(encoding="utf-8").splitlines() if note.is_file() else []
    if wanted in known:
        return
    logger.info(
        "%s is not on this machine, so the bundled model answers. To fetch the full one: %s",
        wanted,
        as_typed(["python3", "run.py", "--hf", "-rev", revision]),
    )
    with contextlib.suppress(OSError):  # then it is said again next time
        note.write_text("\n".join([*known, wanted]) + "\n", encoding="utf-8")


def wanted_revision(settings: Settings) -> str:
    """Return the revision to fetch: the one that is named, else that of the base model's code."""
    from pagesort.models import catalogue

    code, revision = _wanted_model(settings)
    if code is None and revision is not None:
        return revision
    return catalogue.resolve(code, revision)[1]


def folder_to_share(settings: Settings, model: Path | None) -> Path:
    """Return the `transformers` folder of the model to publish or pack; the bundled one is not it.

    Raises:
        PageSortError: there is no such model.
    """
    source = model or _model_source(settings)
    if source is None:
        raise PageSortError(
            "there is no model to publish or pack",
            remedy="Name one with --model_path, or fetch the one of -m or -rev with --hf",
        )
    return _model_folder(settings, source)[0]


def _wanted_model(settings: Settings) -> tuple[str | None, str | None]:
    """Return base code and revision, without the one that a stronger setting of the other beats.

    The command line is stronger than the settings file, which is stronger than a default; of equal
    strength both count, and must belong together.
    """

    def strength(name: str) -> int:
        return settings.is_configured(name) + settings.is_named(name)

    code, revision = strength("model"), strength("revision")
    return (
        settings.model if code >= revision else None,
        settings.revision if revision >= code else None,
    )


def _models_in(settings: Settings) -> str:
    """Say which models the folder of models holds."""
    try:
        names = sorted(
            path.name
            for path in settings.model_dir.iterdir()
            if path.is_dir() and not path.name.startswith(".")
        )
    except OSError:
        return f"The folder {settings.model_dir} cannot be read"
    return f"{settings.model_dir} holds {', '.join(names) or 'no model'}"


def _named_descriptions(settings: Settings) -> Table | None:
    """Read the descriptions that the command line asks for; None if it asks for none."""
    if settings.is_named("cat_dir", "cat_prefix"):
        return _description_folder(settings)
    if settings.is_named("cat_csv"):
        return _description_table(settings)
    return None


def _configured_descriptions(settings: Settings) -> Table:
    """Read the table of descriptions, or where averaging needs several all tables of the folder."""
    table = _description_table(settings)
    if not settings.avg or table.has_several:
        return table
    logger.info("%s holds one description a label, too few to average", settings.cat_csv)
    return _description_folder(settings)


def _description_table(settings: Settings) -> Table:
    """Read the one table of descriptions."""
    from pagesort.models.descriptions import Table, read_descriptions

    return Table(read_descriptions(settings.cat_csv), settings.cat_csv)


def _description_folder(settings: Settings) -> Table:
    """Read every table of the folder of descriptions."""
    from pagesort.models.descriptions import Table, read_description_tables

    logger.info("averaging the tables %s* in %s", settings.cat_prefix, settings.cat_dir)
    texts = read_description_tables(settings.cat_dir, settings.cat_prefix)
    return Table(texts, settings.cat_dir)


def description_sets(settings: Settings) -> dict[str, Mapping[str, Sequence[str]]]:
    """Return the tables that the command line names, each under its file's name, to compare."""
    from pagesort.models import descriptions

    if settings.is_named("cat_dir", "cat_prefix"):
        paths = descriptions.description_tables(settings.cat_dir, settings.cat_prefix)
        return {path.name: descriptions.read_descriptions(path) for path in paths}
    if settings.is_named("cat_csv"):
        return {settings.cat_csv.name: descriptions.read_descriptions(settings.cat_csv)}
    return {}


def _log_unused_table(settings: Settings) -> None:
    """Say so if the settings file names a table that the model's own descriptions pass over."""
    if _has_own_table(settings):
        logger.info(
            "the model brings its own descriptions; to use %s (%s) instead, give it with -cc",
            settings.cat_csv,
            settings.origins["cat_csv"],
        )


def _check_base(settings: Settings, metadata: ModelMetadata) -> None:
    """Refuse a base or revision on the command line that contradicts the model it stands beside."""
    from pagesort.models import catalogue

    if settings.model_path is None:
        return
    publishes = settings.hf is not None and settings.hf[0] == "push"
    if publishes and all(metadata.base != base.code for base in catalogue.BASES):
        return  # a model of another kind goes to whichever branch is named
    asked = {}
    if settings.is_named("model"):
        asked[f"-m {settings.model}"] = settings.model
    if settings.is_named("revision"):
        with contextlib.suppress(UsageError):  # a branch of somebody's own says nothing of a base
            code = catalogue.base_of_revision(settings.revision).code
            asked[f"-rev {settings.revision}"] = code
    for words, code in asked.items():
        if code != metadata.base:
            raise UsageError(
                f"{words} contradicts the model, whose base is {metadata.base}",
                where=settings.model_path,
                remedy=f"Leave out {words.split()[0]}",
            )
