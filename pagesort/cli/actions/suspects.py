"""Label errors as a table and a contact sheet."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.console import emit
from pagesort.cli.settings import Settings
from pagesort.common.tables import table_form
from pagesort.common.text import counted

if TYPE_CHECKING:
    from pagesort.evaluation.evaluate import EvaluationOutcome
    from pagesort.review.suspects import LabelledScores

logger = logging.getLogger(__name__)


def suspects_of_evaluation(settings: Settings, folder: Path, outcome: EvaluationOutcome) -> None:
    """Write the evaluated pages whose label is probably wrong; prints table and sheet."""
    from pagesort.review.suspects import labelled_scores

    name = outcome.files[0].stem.replace("EVAL_table_", "EVAL_")
    _write(settings, labelled_scores(outcome.table, outcome.scores), folder, name)


def suspects_of_table(settings: Settings, table: Path) -> int:
    """Write the training pages whose label is probably wrong, by scores of models not trained on
    them; prints table and sheet.
    """
    from pagesort.review.suspects import read_scores

    listed = settings.train_list
    folder = settings.train_folder if listed is None else listed.parent
    _write(settings, read_scores(table), folder, table.stem)
    return 0


def _write(settings: Settings, pages: LabelledScores, folder: Path, name: str) -> None:
    from pagesort.review import finished_run, sheet, suspects

    table = settings.results_folder / "tables" / f"{name}_SUSPECTS.csv"
    form = table_form(settings.csv_excel)
    found = suspects.write_suspects(pages, table, form)
    logger.info(
        "%s of %d have a label that is probably wrong", counted(len(found)), len(pages.names)
    )
    if doubt := suspects.doubt_of_model(pages):
        logger.warning("%s", doubt)
    emit(str(table))
    if not found:
        return
    written = sheet.write_sheet(
        sheet.Sheet(
            folder=settings.results_folder / "review" / f"{name}_SUSPECTS",
            root=folder,
            labels=pages.labels,
            mode="suspects",
            title=f"{folder.resolve().name}: labels that are probably wrong",
            run=finished_run.key_of_run(table),
            form=form,
            max_megapixels=settings.max_megapixels,
        ),
        found,
    )
    emit(str(written.index))
