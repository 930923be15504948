"""How the bundled reader of lines is split, started and finished."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundled_models import onnx_layers
from bundled_models.line_reader import build, start_weights
from bundled_models.line_reader.finish import finish
from bundled_models.line_reader.parts import mostly_hands, split_by_set
from bundled_models.line_reader.start_weights import DIGEST, FILE
from bundled_models.onnx_layers import OnnxLayers
from pagesort.common.errors import PageSortError
from pagesort.models.line_networks import Stage
from pagesort.reading import network
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.examples import Example, Examples, read_examples
from pagesort.reading.language import CharacterModel
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import (
    LANGUAGE_FILE,
    ReaderFacts,
    read_facts,
    read_weights,
    write_reader,
)
from tests.reading.conftest import draw_line

SOURCES = "dataset,repo,licence,attribution\nA,https://a.example,CC BY 4.0,Ann.\nB,b,CC0,Ben\n"


def lines_of(hands: int, pages: int) -> tuple[Example, ...]:
    """Lines of set A, of so many hands with so many pages each, and of one hand of set B."""
    places = [("A", hand, page) for hand in range(hands) for page in range(pages)]
    places += [("B", 0, page) for page in range(30)]
    return tuple(
        Example(
            f"{name}/{hand}/{page}/{number}.png",
            Path("unread.png"),
            "abc",
            f"{name}/h{hand}",
            f"{name}{hand}-{page}",
            "hand",
        )
        for name, hand, page in places
        for number in range(3)
    )


def test_hands_and_pages_stay_on_one_side_and_always_fall_alike() -> None:
    examples = Examples(Path("lines.csv"), lines_of(20, 4))
    split = split_by_set(examples)

    sides = [split.train, split.validation, split.test]
    assert sum(map(len, sides)) == len(examples.lines)
    new = {line.document for line in split.test}
    assert 2 <= len(new) <= 4 and all(name.startswith("A/") for name in new)
    assert new.isdisjoint(line.document for line in split.train + split.validation)
    pages = {line.page for line in split.validation}
    assert pages.isdisjoint(line.page for line in split.train)
    assert any(page.startswith("B") for page in pages)
    assert split_by_set(examples) == split


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network of a hundredth of the usual size."""
    stages = tuple(Stage(channels, (True,)) for channels in (8, 16, 32))
    monkeypatch.setattr(network, "STAGES", stages)
    yield


def test_the_finished_folder_reads_and_tells_its_figures(tmp_path: Path, small: None) -> None:
    names = [f"A/h{hand}-{page}.png" for hand in range(10) for page in range(3)]
    for name in names:
        draw_line(tmp_path / name, "abc")
    table = tmp_path / "lines.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "text", "dataset", "document_or_hand", "page", "kind"))
        writer.writerows((name, "abc", "A", name[2:4], name, "hand") for name in names)
    sources = tmp_path / "sources.csv"
    sources.write_text(SOURCES, encoding="utf-8")
    trained, out = tmp_path / "trained", tmp_path / "out"
    torch.manual_seed(0)
    weights = network.CtcNetwork(4).state_dict()
    write_reader(trained, ReaderFacts("ctc", {}, Alphabet("abc"), 48), weights)
    out.mkdir()
    (out / "finder.safetensors").write_bytes(b"kept")
    split = split_by_set(read_examples(table))

    shown = finish(trained, split, sources, out, tmp_path / "work")

    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| all hand lines | 3 | 1 |" in card and "| all hand lines | 3 | 1 |" in shown
    assert "Ann. <https://a.example>, CC BY 4.0" in card and "Ben" not in card
    assert (out / "finder.safetensors").read_bytes() == b"kept"
    halves, wholes = ((folder / "model.safetensors").stat().st_size for folder in (out, trained))
    assert halves < 0.6 * wholes
    language = CharacterModel.of_texts(line.text for line in split.train).as_bytes()
    assert (out / LANGUAGE_FILE).read_bytes() == language
    picture = np.full((64, 200), 200, np.uint8)
    half, whole = (Reader.open(each, language_model=False) for each in (out, trained))
    assert half.read([picture])[0].text == whole.read([picture])[0].text


def test_later_stretches_see_all_handwriting_and_a_third_of_the_rest() -> None:
    lines = lines_of(20, 4)
    typed = tuple(replace(line, kind="typed") for line in lines[::2])
    split = split_by_set(Examples(Path("lines.csv"), lines[1::2] + typed))
    kept = mostly_hands(split)
    assert (kept.validation, kept.test) == (split.validation, split.test)
    count = {kind: sum(line.kind == kind for line in kept.train) for kind in ("hand", "typed")}
    was = {kind: sum(line.kind == kind for line in split.train) for kind in ("hand", "typed")}
    assert count == {"hand": was["hand"], "typed": -(-was["typed"] // 3)}


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_layers, "PACKAGE", "no_such_package")
    draw_line(tmp_path / "a.png", "abc")
    (tmp_path / "lines.csv").write_text("path,text,page\na.png,abc,1\n", encoding="utf-8")

    status = build.main(["--lines", str(tmp_path / "lines.csv"), "--work", str(tmp_path / "work")])

    assert status == 1
    error = capsys.readouterr().err
    assert "no_such_package is not installed" in error and "requirements-bundled.txt" in error


def test_frozen_layers_keep_their_weights(small: None) -> None:
    tiny = network.CtcNetwork(4)
    tiny.freeze(2)
    learning = {name for name, weight in tiny.named_parameters() if weight.requires_grad}
    assert not any(name.startswith(("stem", "blocks.0", "blocks.1")) for name in learning)
    assert any(name.startswith("blocks.2") for name in learning)
    assert any(name.startswith("head") for name in learning)


def test_the_start_computes_what_its_onnx_file_computes() -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    try:
        path = onnx_layers.package_file(FILE, DIGEST)
    except PageSortError as error:
        pytest.skip(error.what)
    model = onnx.load(path)
    last = next(node for node in OnnxLayers(path).nodes if node.op_type == "AveragePool").input[0]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last))
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = np.random.default_rng(0).uniform(-1, 1, (1, 1, 48, 160)).astype(np.float32)
    (expected,) = session.run([last], {"x": np.repeat(values, 3, axis=1)})

    start = start_weights.start_network("abc ").eval()
    with torch.no_grad():
        found = start.blocks(start.stem(torch.from_numpy(values))).numpy()

    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_mean_of_two_readers_lies_half_way_between_them(tmp_path: Path) -> None:
    facts = ReaderFacts("ctc", {}, Alphabet([" ", "a"]), 48, training={"epoch": 5})
    folders = [tmp_path / name for name in ("first", "second")]
    for value, folder in enumerate(folders):
        weights = {"weight": torch.tensor([4.0 * value, 1.0]), "count": torch.tensor(7)}
        write_reader(folder, replace(facts, training={"epoch": value}), weights)

    mean = build.mean_reader(*folders, tmp_path / "mean")
    weights = read_weights(mean)
    assert weights["weight"].tolist() == [2.0, 1.0] and weights["count"].item() == 7
    assert read_facts(mean).training == {"epoch": 1}

    write_reader(folders[0], replace(facts, alphabet=Alphabet([" ", "b"])), weights)
    with pytest.raises(PageSortError, match="other letters"):
        build.mean_reader(*folders, tmp_path / "none")
