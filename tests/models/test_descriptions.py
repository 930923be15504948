"""Tables of descriptions, label checks and prompts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.models import descriptions, label_words
from tests.helpers.labels import LABELS
from tests.helpers.paths import ROOT


def _table(folder: Path, text: str | bytes, name: str = "table.tsv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_the_shipped_table_describes_every_default_label_in_six_ways_or_more() -> None:
    table = descriptions.read_descriptions(ROOT / "category_description_total.tsv")
    assert tuple(table) == LABELS
    assert all(len(texts) >= 6 for texts in table.values())
    flat = [text for texts in table.values() for text in texts]
    assert len(set(flat)) == len(flat)


@pytest.mark.parametrize(
    "text",
    [
        "label\tdescription\nDRAW_L\tmap, with legend\nTEXT\tčeský text\n",
        'label,description\r\nDRAW_L,"map, with legend"\r\nTEXT,český text\r\n',
        "\ufeffDescription\tLABEL\nmap, with legend\tDRAW+AF8-L\n\nčeský  text \tTEXT\n",
        "label;description\nDRAW_L;map, with legend\nTEXT;český text\n",
        "id\tlabel\tdescription\n1\tDRAW_L\tmap, with legend\n2\tTEXT\tčeský text\n",
    ],
)
def test_tabs_commas_bom_order_and_utf7_slips_are_understood(tmp_path: Path, text: str) -> None:
    table = descriptions.read_descriptions(_table(tmp_path, text))
    assert table == {"DRAW_L": ["map, with legend"], "TEXT": ["český text"]}


def test_several_descriptions_keep_their_order_and_repeated_ones_count_once(tmp_path: Path) -> None:
    path = _table(tmp_path, "label\tdescription\nB\ttwo\nA\tone\nB\tthree\nB\ttwo\n")
    assert descriptions.read_descriptions(path) == {"B": ["two", "three"], "A": ["one"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("label\tdescription\n", "no rows"),
        ("label\ttext\nA\tb\n", "header has label, text"),
        ("label\tdescription\nA\t \n", "empty description in line 2"),
        ("label\tdescription\n\tb\n", "empty label in line 2"),
        ("label,description\nA,one, two\n", "line 2 has 3 cells, the header 2"),
        ("label\tdescription\nA\té\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_wrong_table_is_told_with_its_place(tmp_path: Path, text: str | bytes, told: str) -> None:
    path = _table(tmp_path, text)
    with pytest.raises(PageSortError, match=told) as caught:
        descriptions.read_descriptions(path)
    assert str(path) in str(caught.value)


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="No such file.*--cat_csv"):
        descriptions.read_descriptions(tmp_path / "none.tsv")


def test_tables_of_a_prefix_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    _table(tmp_path, "label\tdescription\nA\tone\nB\ttwo\n", "page_1.tsv")
    _table(tmp_path, "label,description\nB,three\nA,one\nA,four\n", "page_2.csv")
    _table(tmp_path, "label\tdescription\nX\tother\n", "other.tsv")
    _table(tmp_path, "not a table", "page_3.txt")
    merged = descriptions.read_description_tables(tmp_path, "page_")
    assert merged == {"A": ["one", "four"], "B": ["two", "three"]}
    with pytest.raises(PageSortError, match="starts with 'none'"):
        descriptions.read_description_tables(tmp_path, "none")
    with pytest.raises(PageSortError, match="does not exist"):
        descriptions.read_description_tables(tmp_path / "absent", "page_")
    _table(tmp_path, "label\tdescription\nA\tone\nC\ttwo\n", "page_4.tsv")
    with pytest.raises(PageSortError, match=r"missing B; unknown C.*page_4\.tsv"):
        descriptions.read_description_tables(tmp_path, "page_")


def test_labels_must_match_and_the_difference_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = {"B": ["two"], "A": ["one"]}
    assert list(descriptions.match_labels(table, ["A", "B"], "t")) == ["A", "B"]
    with pytest.raises(PageSortError, match=r"missing C, D; unknown B"):
        descriptions.match_labels(table, ["A", "C", "D"], "t")
    with pytest.raises(PageSortError, match=r"missing C"):
        descriptions.match_labels(table, ["A", "B", "C"], "t")
    assert not caplog.records
    filled = descriptions.match_labels(table, ["A", "B", "LINE_T"], "t", otherwise={})
    assert filled["LINE_T"] == ["a table or form with typewritten text"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "LINE_T" in caplog.text
    with pytest.raises(PageSortError, match=r"missing C; unknown B"):
        descriptions.match_labels(table, ["A", "C"], "t", otherwise={"C": ["c"]})


def test_labels_that_a_table_lacks_keep_what_they_have(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    own = {"A": ["own one"], "C": ["own three", "and more"]}
    filled = descriptions.match_labels({"A": ["one"]}, ["C", "A", "B"], "t", otherwise=own)
    assert filled == {"C": ["own three", "and more"], "A": ["one"], "B": ["a page of the kind b"]}
    assert "t does not describe C: the model's own descriptions stand" in caplog.text
    assert "no description for label B" in caplog.text


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("handwritten", "a page of handwritten text"),
        ("printed_typed", "a page of printed typed text"),
        ("table-handwritten", "a page with a handwritten table"),
        ("TABLE_HW", "a page with a handwritten table"),
        ("Text printed", "a page with printed text"),
        ("blank", "a blank page"),
        ("Illustrated", "an illustrated page"),
        ("other", "a page of another kind"),
        ("index_card", "an index card"),
        ("Map", "a page with a map"),
        ("Old_MAPS-2", "a page with old maps 2"),
        ("music", "a page with music"),
        ("rukopis", "a page of the kind rukopis"),
        ("PHOTO_L", "a page with a photograph inside a table"),
        ("_", "a page of the kind _"),
    ],
)
def test_a_label_of_somebody_elses_becomes_a_sentence(label: str, sentence: str) -> None:
    assert label_words.sentence_from_label(label) == sentence


def test_the_prompt_is_set_around_each_description_but_never_twice() -> None:
    texts = {"A": ["a map", "a scan of a plan"], "B": ["print"]}
    prompted = descriptions.prompt_texts(texts)
    assert prompted == {"A": ["a scan of a map", "a scan of a plan"], "B": ["a scan of print"]}
    assert descriptions.prompt_texts({"B": ["print"]}, "{description}, scanned") == {
        "B": ["print, scanned"]
    }
    for wrong in ("a scan", "{description} and {description}", "{} and {description}", "{}{}"):
        with pytest.raises(PageSortError, match=r"\{description\} or \{\} exactly once"):
            descriptions.prompt_texts(texts, wrong)
    with pytest.raises(PageSortError, match="no prompt"):
        descriptions.prompt_texts(texts, [])
    with pytest.raises(PageSortError, match="not a text"):
        descriptions.prompt_texts(texts, ["{}", 5])


def test_each_end_of_a_prompt_is_said_once() -> None:
    def said(text: str, prompt: str) -> str:
        return descriptions.prompt_texts({"A": [text]}, prompt)["A"][0]

    assert said("A good", "a {} review of a movie.") == "A good review of a movie."
    assert said("good review of a movie.", "a {} review of a movie.") == "a good review of a movie."
    assert said("a map, scanned", "{}, scanned") == "a map, scanned"
    assert said("{braces} {}", "a {}.") == "a {braces} {}."


def test_several_prompts_make_every_text_of_a_description_before_the_next() -> None:
    texts = {"A": ["one", "two"], "B": ["three"]}
    prompts = ["a {}", "{description}.", "a {description}"]
    assert descriptions.check_prompts(prompts) == ("a {description}", "{description}.")
    assert descriptions.prompt_texts(texts, prompts) == {
        "A": ["a one", "one.", "a two", "two."],
        "B": ["a three", "three."],
    }


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("negative", "negative"),
        ("Old_Maps__x", "old maps x"),
        ("well-known", "well-known"),
        ("Dopisy č.5", "dopisy č.5"),
        ("_", "_"),
        ("LINE_HW", "a table or form with handwritten text"),
        ("text", "text"),
    ],
)
def test_the_words_of_a_label(label: str, words: str) -> None:
    assert label_words.words_from_label(label) == words
