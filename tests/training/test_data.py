"""Prepared pages and training views: the same whoever asks, wherever a training begins."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage, read_labelled_folder
from pagesort.pages.loader import PageLoader, load_page
from pagesort.pages.preprocessing import Preprocessing
from pagesort.training.data import TrainingViews, prepare_pages
from tests.helpers.killed import do_and_kill
from tests.helpers.pages import DAMAGES, write_page
from tests.helpers.paths import ROOT

SIZE = (24, 20)
COUNTS = {"A": 7, "B": 2, "C": 1}


@pytest.fixture
def pages(tmp_path: Path) -> tuple[LabelledPage, ...]:
    for label, count in COUNTS.items():
        for number in range(count):
            size = (90 + number, 110 + ord(label) % 20)
            write_page(tmp_path / "data" / label / f"{label}-{number}.png", number, size)
    return read_labelled_folder(tmp_path / "data", named_by="x").pages


def prepared(pages: tuple[LabelledPage, ...], folder: Path, workers: int = 2):
    return prepare_pages(pages, folder, SIZE, 300.0, workers)


def views_of(pages: tuple[LabelledPage, ...], folder: Path, **options: object) -> TrainingViews:
    prepared(pages, folder)
    settings: dict = {"seed": 420, "epochs": 3, "sampling": "balanced", "augment": True} | options
    return TrainingViews(pages, sorted(COUNTS), folder, SIZE, **settings)


def test_pages_are_prepared_once(tmp_path: Path, pages, monkeypatch) -> None:
    folder = tmp_path / "deep" / "pages"
    assert prepared(pages, folder) == (pages, ())
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(files) == len(pages)
    for path in files:
        with Image.open(path) as image:
            assert image.size == (2 * SIZE[1], 2 * SIZE[0])
    monkeypatch.setattr(PageLoader, "image", None)
    assert prepared(pages, folder) == (pages, ())
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files


def test_a_changed_page_and_another_size_are_prepared_anew(tmp_path: Path, pages) -> None:
    prepared(pages, tmp_path / "pages")
    write_page(pages[0].path, 5, (91, 120))
    prepared(pages, tmp_path / "pages")
    prepare_pages(pages, tmp_path / "pages", (20, 24), 300.0, 1)
    assert len(list((tmp_path / "pages").iterdir())) == 2 * len(pages) + 1
    os.utime(pages[1].path, (1, 1))  # as large as before, but written at another time
    prepared(pages, tmp_path / "pages")
    assert len(list((tmp_path / "pages").iterdir())) == 2 * len(pages) + 2


def test_broken_pages_are_left_out_with_their_reason(tmp_path: Path, pages, caplog) -> None:
    wanted = {}
    for name, (damage, reason) in DAMAGES.items():
        if name not in ("pipe.png", "dangling.png", "folder.png"):
            damage(tmp_path / "data" / "A" / name)
            wanted[f"A/{name}"] = reason
    (tmp_path / "data" / "A" / "vanished.png").write_text("")
    listed = read_labelled_folder(tmp_path / "data", named_by="x").pages
    (tmp_path / "data" / "A" / "vanished.png").unlink()
    kept, left_out = prepared(listed, tmp_path / "pages")
    assert kept == pages
    assert {page.name for page, _ in left_out} == set(wanted)
    for page, reason in left_out:
        assert wanted[page.name] in reason
        assert str(page.path) in caplog.text
    _, again = prepare_pages(pages, tmp_path / "other", SIZE, 0.001, 1)
    assert all("megapixels" in reason for _, reason in again)
    assert len(again) == len(pages)


def test_pages_larger_than_the_memory_budget_are_prepared(
    tmp_path: Path, pages, monkeypatch
) -> None:
    monkeypatch.setattr("pagesort.pages.memory_budget.SHARE", 0.0)
    assert prepared(pages, tmp_path / "pages", workers=4) == (pages, ())


def test_a_view_is_close_to_what_prediction_sees(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paper = np.full((900, 700, 3), (235, 225, 200))
    for _ in range(400):
        top, left = rng.integers(0, 880), rng.integers(0, 660)
        paper[top : top + rng.integers(2, 20), left : left + rng.integers(2, 40)] = rng.integers(
            0, 256, 3
        )
    (tmp_path / "data" / "A").mkdir(parents=True)
    Image.fromarray(paper.astype(np.uint8)).save(tmp_path / "data" / "A" / "a-1.png")
    pages = read_labelled_folder(tmp_path / "data", named_by="x").pages
    size = (192, 144)
    prepare_pages(pages, tmp_path / "pages", size, 300.0, 1)
    views = TrainingViews(pages, ["A"], tmp_path / "pages", size, 1, 1, augment=False)
    seen = Preprocessing(resize=size).apply(load_page(pages[0].path)).astype(int)
    assert views[0]["pixels"].shape == (*size, 3)
    assert views[0]["pixels"].dtype == np.uint8
    assert np.abs(views[0]["pixels"] - seen).mean() < 2.0


def test_natural_epochs_show_every_page_once_in_orders_of_their_own(tmp_path: Path, pages) -> None:
    views = views_of(pages, tmp_path / "pages", sampling="natural")
    assert len(views) == 30
    orders = [[views.page_of(10 * epoch + place) for place in range(10)] for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_longer_and_shorter_natural_epochs(tmp_path: Path, pages) -> None:
    longer = views_of(pages, tmp_path / "pages", sampling="natural", views_per_epoch=16)
    for epoch in range(3):
        order = [longer.page_of(16 * epoch + place) for place in range(16)]
        assert sorted(order[:10]) == list(range(10))
        assert len(set(order[10:])) == 6
    shorter = views_of(pages, tmp_path / "pages", sampling="natural", views_per_epoch=5, epochs=4)
    seen = [shorter.page_of(index) for index in range(20)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))


def test_balanced_views_show_labels_equally_often_and_pages_in_turn(tmp_path: Path, pages) -> None:
    views = views_of(pages, tmp_path / "pages", views_per_epoch=21, epochs=2)
    shown = [views.page_of(index) for index in range(len(views))]
    labels = [pages[page].label for page in shown]
    for start in range(0, len(shown), 3):
        assert sorted(labels[start : start + 3]) == ["A", "B", "C"]
    of_a = [page for page in shown if pages[page].label == "A"]
    assert sorted(of_a[:7]) == sorted(of_a[7:]) == list(range(7))
    assert of_a[:7] != of_a[7:]
    assert Counter(shown)[9] == 14


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_a_view_is_decided_by_seed_and_place_alone(tmp_path: Path, pages, sampling: str) -> None:
    first = views_of(pages, tmp_path / "pages", sampling=sampling)
    in_order = [first[index] for index in range(len(first))]
    other = pickle.loads(pickle.dumps(views_of(pages, tmp_path / "again", sampling=sampling)))
    for index in np.random.default_rng(0).permutation(len(first)).tolist():
        view = other[index]
        assert (view["label"], view["index"]) == (in_order[index]["label"], index)
        assert np.array_equal(view["pixels"], in_order[index]["pixels"])
    reseeded = views_of(pages, tmp_path / "pages", sampling=sampling, seed=-1)
    assert any(not np.array_equal(reseeded[i]["pixels"], in_order[i]["pixels"]) for i in range(5))
    of_one_page = {view["pixels"].tobytes() for view in in_order if view["label"] == 2}
    assert len(of_one_page) > 1
    for wrong in (-1, len(first)):
        with pytest.raises(IndexError):
            first[wrong]


def test_views_come_through_a_loader_with_processes(tmp_path: Path, pages) -> None:
    from torch.utils.data import DataLoader

    views = views_of(pages, tmp_path / "pages")
    batches = list(DataLoader(views, batch_size=8, num_workers=2, shuffle=False))
    assert [len(batch["label"]) for batch in batches] == [8, 8, 8, 6]
    assert batches[1]["index"].tolist() == list(range(8, 16))
    assert np.array_equal(batches[1]["pixels"][3].numpy(), views[11]["pixels"])
    assert batches[1]["label"][3] == views[11]["label"]


def test_what_views_cannot_be_made_of_is_told(tmp_path: Path, pages) -> None:
    folder = tmp_path / "pages"
    prepared(pages, folder)
    with pytest.raises(PageSortError, match="no page to train on"):
        TrainingViews([], ["A"], folder, SIZE, 1, 1)
    with pytest.raises(PageSortError, match="none of the model's"):
        TrainingViews(pages, ["A", "B"], folder, SIZE, 1, 1)
    with pytest.raises(PageSortError, match="cannot be read"):
        TrainingViews(pages, sorted(COUNTS), tmp_path / "gone", SIZE, 1, 1)
    write_page(pages[0].path, 5, (91, 120))
    with pytest.raises(PageSortError, match="changed or removed") as error:
        TrainingViews(pages, sorted(COUNTS), folder, SIZE, 1, 1)
    assert error.value.where == pages[0].path


def test_a_damaged_prepared_page_is_told(tmp_path: Path, pages) -> None:
    views = views_of(pages, tmp_path / "pages")
    for path in (tmp_path / "pages").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(PageSortError) as error:
        views[0]
    assert "Remove the folder" in error.value.remedy


def test_a_full_disk_is_told_and_what_is_prepared_is_kept(
    tmp_path: Path, pages, monkeypatch
) -> None:
    folder = tmp_path / "pages"
    sound = Path.replace

    def fill_up(self: Path, target: Path) -> Path:
        if len(list(folder.glob("*.jpg"))) >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return sound(self, target)

    monkeypatch.setattr(Path, "replace", fill_up)
    with pytest.raises(PageSortError, match="the disk is full") as error:
        prepared(pages, folder, workers=1)
    assert "Free some space" in error.value.remedy
    assert len(list(folder.iterdir())) == 4
    monkeypatch.setattr(Path, "replace", sound)
    assert prepared(pages, folder) == (pages, ())


def test_a_file_that_is_refused_is_told_by_its_folder(tmp_path: Path, pages, monkeypatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PageSortError, match="Permission denied") as error:
        prepared(pages, tmp_path / "pages", workers=1)
    assert error.value.where == str(tmp_path / "pages")


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path, pages) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PageSortError, match="cannot be kept"):
        prepared(pages, tmp_path / "file")


def test_leftovers_of_killed_processes_go_after_an_hour(tmp_path: Path, pages) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, age in ((".old.1-1.tmp", 7200), (".new.2-2.tmp", 60)):
        (folder / name).write_text("half")
        os.utime(folder / name, (time.time() - age,) * 2)
    prepared(pages, folder)
    assert [path.name for path in folder.glob(".*")] == [".new.2-2.tmp"]


PREPARE = (
    "import sys; from pathlib import Path;"
    "from pagesort.labelled.folder import read_labelled_folder;"
    "from pagesort.training.data import prepare_pages;"
    "pages = read_labelled_folder(sys.argv[1], named_by='x').pages;"
    "kept, _ = prepare_pages(pages, sys.argv[2], (24, 20), 300.0, 2); print(len(kept))"
)


def test_processes_that_start_together_share_the_pages(tmp_path: Path, pages) -> None:
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "data"), str(tmp_path / "pages")]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env=os.environ | {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"},
        )
        for rank in range(2)
    ]
    assert [process.communicate()[0].strip() for process in running] == [b"10", b"10"]
    assert len(list((tmp_path / "pages").iterdir())) == len(pages)


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_a_killed_preparation_goes_on(tmp_path: Path) -> None:
    for number in range(12):
        write_page(tmp_path / "data" / "A" / f"a-{number}.png", number)
    pages, data = tmp_path / "pages", tmp_path / "data"
    do_and_kill([15], pages, "prepare_pages", data, pages)
    before = {path: path.stat().st_mtime_ns for path in pages.glob("*.jpg")}
    assert 1 < len(before) < 12
    do_and_kill([0], pages, "prepare_pages", data, pages)
    after = {path: path.stat().st_mtime_ns for path in pages.glob("*.jpg")}
    assert len(after) == 12
    assert before.items() <= after.items()
    for path in after:
        with Image.open(path) as image:
            image.load()
