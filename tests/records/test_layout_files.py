"""Copies of ALTO and PAGE files: one attribute changes, and strangers' XML does no harm."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from pagesort.common.errors import UsageError
from pagesort.records.layout_files import CopyReport, write_copies
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page
from tests.records.test_documents import write

__all__ = ["command", "workplace"]  # fixtures

ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<!-- <Page no="page"> -->
<alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#"><Layout>
 <Page   WIDTH='10'
   ID="p" {attribute}><PrintSpace><String CONTENT="ř &lt;Page &#10; >"/></PrintSpace></Page >
</Layout></alto>\r\n"""
SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/"
PAGE = """<p:PcGts xmlns:p="{space}"><p:Metadata/>
<p:Page imageFilename="a>b.png" comments=" custom='x' type='y'" {attribute}/></p:PcGts>"""


def copied(
    tmp_path: Path, text: str | bytes, label: str = "TEXT_HW", note: str = "", name: str = "a-1.xml"
) -> tuple[str, CopyReport]:
    """What a file beside the page a-1.png becomes, and the report."""
    folder, target = tmp_path / "scans", tmp_path / "out"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = (folder / name).read_bytes()
    table = write(tmp_path / "t.csv", ("a", 1, label, 0.5, note, "a-1.png"))
    report = write_copies(table, folder, target)
    assert (folder / name).read_bytes() == before
    path = target / name
    return (path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""), report


def in_page(attribute: str, version: str = "2019-07-15") -> str:
    return PAGE.format(space=SPACE + version, attribute=attribute)


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_alto_gets_one_attribute_and_keeps_every_other_byte(tmp_path: Path, version: str) -> None:
    text, report = copied(tmp_path, ALTO.format(version=version, attribute=""))
    assert report.written == 1
    assert text == ALTO.format(version=version, attribute='PAGECLASS="TEXT_HW" ')
    again, _ = copied(tmp_path / "2", ALTO.format(version=version, attribute="PAGECLASS='x'"))
    assert again == ALTO.format(version=version, attribute="PAGECLASS='TEXT_HW'")


def test_page_says_it_in_custom_or_in_type_where_the_schema_has_a_value(tmp_path: Path) -> None:
    ours = "pagesort {category:TEXT_HW;}"
    for number, (before, after, label, note) in enumerate(
        [
            ("", f'custom="{ours}"', "TEXT_HW", ""),
            ("custom='structure {a:1;}'", f"custom='structure {{a:1;}} {ours}'", "TEXT_HW", ""),
            (f'custom="x&#10;y {ours}"', f'custom="x&#10;y {ours}"', "TEXT_HW", "nearly blank"),
            ('type="content"', 'type="blank"', "TEXT_HW", "blank"),
            ("", 'type="table-of-contents"', "Table_of_Contents", ""),
            ("", 'custom="pagesort {category:a\\u007d&quot;&lt;&amp;&apos;;}"', "a}\"<&'", ""),
        ]
    ):
        text, report = copied(tmp_path / str(number), in_page(before), label, note)
        assert report.written == 1
        assert text == in_page(after if before else f"{after} "), before
        ElementTree.fromstring(text)


def test_old_page_has_no_place_for_it(tmp_path: Path) -> None:
    assert "no place for a category" in copied(tmp_path, in_page("", "2010-03-19"))[1].problems[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><alto>&b;</alto>', "DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><alto/>', "DOCTYPE"),
        ("<alto><Layout><Page ID='a'", "not valid XML"),
        ("no xml", "not valid XML"),
        ("", "not valid XML"),
        ("<html><Page/></html>", "neither ALTO nor PAGE"),
        ("<alto><Layout/></alto>", "neither ALTO nor PAGE"),
        ('<?xml version="1.0" encoding="utf-7"?><alto/>', "encoding"),
        ('<?xml version="1.0" encoding="no-such"?><alto/>', "encoding"),
        ("<alto><Layout><Page/><Page/></Layout></alto>", ""),
    ],
)
def test_strangers_files_are_left_out_and_named(tmp_path: Path, text: str, said: str) -> None:
    copy, report = copied(tmp_path, text)
    if said:
        assert copy == "" and said in report.problems[0] and "a-1.xml" in report.problems[0]
    else:  # the table tells page 1 of two
        assert copy == '<alto><Layout><Page PAGECLASS="TEXT_HW"/><Page/></Layout></alto>'


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-2", "windows-1250", "utf-8-sig"])
def test_every_encoding_stays_what_it_is(tmp_path: Path, encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?><alto><Layout><Page a="ř"/></Layout></alto>'
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a-1.xml").write_bytes(text.encode(encoding))
    table = write(tmp_path / "t.csv", ("a", 1, "KŘÍŽ", 0.5, "", "a-1.png"))
    write_copies(table, folder, tmp_path / "out")
    data = (tmp_path / "out" / "a-1.xml").read_bytes()
    assert data.decode(encoding) == text.replace('"ř"/', '"ř" PAGECLASS="KŘÍŽ"/')
    (page,) = ElementTree.fromstring(data).iter("Page")
    assert page.attrib == {"a": "ř", "PAGECLASS": "KŘÍŽ"}


def test_pages_of_a_document_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    pages = "".join(f'<Page ID="p{number}"/>' for number in range(3))
    (folder / "d.xml").write_text(f"<alto><Layout>{pages}</Layout></alto>", encoding="utf-8")
    rows = [("d", 1, "A", 0.5, "", "d.pdf"), ("d", 3, "B", 0.5, "", "d.pdf")]
    write_copies(write(tmp_path / "t.csv", *rows), folder, tmp_path / "out")
    text = (tmp_path / "out" / "d.xml").read_text(encoding="utf-8")
    assert text.count("PAGECLASS") == 2
    assert 'ID="p0" PAGECLASS="A"' in text and 'ID="p2" PAGECLASS="B"' in text


def test_what_is_in_the_way_is_never_overwritten(tmp_path: Path) -> None:
    text = ALTO.format(version="4", attribute="")
    first, _ = copied(tmp_path, text)
    second, report = copied(tmp_path, text, "PHOTO")
    assert report.written == 1 and second == first.replace("TEXT_HW", "PHOTO")
    (tmp_path / "out" / "a-1.xml").write_text(second.replace("10", "11"), encoding="utf-8")
    third, report = copied(tmp_path, text, "DRAW")
    assert "in the way" in report.problems[0] and "PHOTO" in third
    with pytest.raises(UsageError, match="over the originals"):
        write_copies(tmp_path / "t.csv", tmp_path / "scans", tmp_path / "out" / ".." / "scans")


def test_files_beside_the_pages_of_a_run_are_found(command: Run, tmp_path: Path) -> None:
    folder, target = tmp_path / "my scans", tmp_path / "classified"
    for name in ("x/a-1.png", "x/b-2.png", "c.png"):
        write_page(folder / name)
    alto = ALTO.format(version="4", attribute="")
    for name in ("x/alto/a-1.xml", "x/a-1.xml", "x/page/b-2.xml"):
        (folder / name).parent.mkdir(exist_ok=True)
        text = in_page("") if "page" in name else alto
        (folder / name).write_text(text, encoding="utf-8", newline="")
    status, out, err = command("-d", folder, "--inner", "--write_alto", target)
    assert status == 0 and "1 page has no ALTO or PAGE file beside them" in err
    guesses = {row["PATH"]: row["CLASS-1"] for row in read_table(out.splitlines()[0])}
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.xml")} == {
        "x/alto/a-1.xml", "x/a-1.xml", "x/page/b-2.xml",
    }  # fmt: skip
    said = (target / "x" / "a-1.xml").read_text(encoding="utf-8")
    assert f'PAGECLASS="{guesses["x/a-1.png"]}"' in said
    (folder / "c.xml").write_text("<html/>", encoding="utf-8")
    status, _, err = command("-d", folder, "--inner", "--write_alto", target)
    assert status == 3 and "no copy of" in err
    result = command("-d", folder, "--write_alto", folder)
    assert "over the originals" in error_line(result, status=2)
