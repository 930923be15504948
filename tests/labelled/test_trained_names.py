"""What a model keeps of the documents and sources that it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage, read_labelled_folder
from pagesort.labelled.trained_names import (
    NO_NAMES,
    TRAINED_NAMES_FILE,
    TrainedNames,
    read_trained_names,
    write_trained_names,
)
from tests.helpers.evaluations import write_page


def page(document: str, source: str = "") -> LabelledPage:
    return LabelledPage(Path("x.png"), "A", document, "A/x.png", source)


def test_names_come_back_without_being_told(tmp_path: Path) -> None:
    names = TrainedNames.of(["zpráva-1937", "7", ""], ["archive of the town"])
    path = write_trained_names(tmp_path, names)
    text = path.read_text(encoding="ascii")
    assert len(text.splitlines()) == 2
    assert "zpr" not in text and "town" not in text
    assert read_trained_names(tmp_path) == names
    assert names.know(page("zpráva-1937"))
    assert names.know(page("other", "archive of the town"))
    # A number alone, or no source at all, is nothing that two pages share.
    assert not names.know(page("7"))
    assert not names.know(page("other"))


def test_a_model_without_the_list_knows_nothing(tmp_path: Path) -> None:
    assert read_trained_names(tmp_path) == NO_NAMES
    assert not NO_NAMES
    assert TrainedNames.of(["a"]) | NO_NAMES == TrainedNames.of(["a"])


@pytest.mark.parametrize("text", ["document 12\n", "page 0123456789abcdef\n", "ř"])
def test_a_damaged_list_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / TRAINED_NAMES_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(PageSortError, match="list of trained documents cannot be read"):
        read_trained_names(tmp_path)


def test_a_table_in_the_folder_tells_sources(tmp_path: Path) -> None:
    for name in ("one-1.png", "two-1.png"):
        write_page(tmp_path / "A" / name, (9, 9, 9))
    table = tmp_path / "sources.csv"
    table.write_text("path,source,label\nA/one-1.png,town archive,A\n", encoding="utf-8")
    data = read_labelled_folder(tmp_path, named_by="--train_folder")
    assert [each.source for each in data.pages] == ["town archive", ""]
    table.write_text("file;archive\n", encoding="utf-8")
    with pytest.raises(PageSortError, match="no columns path and source.*LABEL/page.png"):
        read_labelled_folder(tmp_path, named_by="--train_folder")
