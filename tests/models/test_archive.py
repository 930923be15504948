"""Models in one file: packed, checked, installed, and refused where something is wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from pagesort.common import files
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.text import size_text
from pagesort.models import archive as model_archive
from pagesort.models import folder as model_files
from pagesort.models.archive import LIST_FILE, export_model, import_model
from tests.helpers.processes import ended_process


@pytest.fixture
def model(tmp_path: Path, tiny_model_folder: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "ViT-B16_rev_v11"))


@pytest.fixture
def archive(model: Path, tmp_path: Path) -> Path:
    return export_model(model, tmp_path / "model.zip")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewritten(archive: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> Path:
    """Copy an archive, changed on the way."""
    target = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        change(old, new)
    return target


def refusal(archive: Path, tmp_path: Path) -> str:
    with pytest.raises(PageSortError) as caught:
        import_model(archive, tmp_path / "models")
    models = tmp_path / "models"
    assert not models.exists() or list(models.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip(model: Path, archive: Path, tmp_path: Path) -> None:
    outcome = import_model(archive, tmp_path / "models")
    assert (outcome.folder, outcome.is_new) == (tmp_path / "models" / "ViT-B16_rev_v11", True)
    assert contents(outcome.folder) == contents(model)
    again = import_model(archive, tmp_path / "models")
    assert not again.is_new and [p.name for p in (tmp_path / "models").iterdir()] == [model.name]


def test_same_model_makes_the_same_archive(model: Path, archive: Path, tmp_path: Path) -> None:
    assert export_model(model, tmp_path / "b.zip").read_bytes() == archive.read_bytes()


def test_origin_and_strange_files_stay_behind(model: Path, tmp_path: Path) -> None:
    (model / model_files.ORIGIN_FILE).write_text("{}")
    (model / "optimizer.pt").write_bytes(b"x")
    (model / "plots").mkdir()
    (model / "plots" / "conf_mat_1n.png").write_bytes(b"png")
    export_model(model, tmp_path / "a.zip")
    names = zipfile.ZipFile(tmp_path / "a.zip").namelist()
    assert "plots/conf_mat_1n.png" in names and names[0] == LIST_FILE
    assert not {"origin.json", "optimizer.pt"} & set(names)
    folder = import_model(tmp_path / "a.zip", tmp_path / "models").folder
    assert (folder / "plots" / "conf_mat_1n.png").read_bytes() == b"png"


def test_other_model_of_that_name_is_kept(archive: Path, tmp_path: Path) -> None:
    folder = import_model(archive, tmp_path / "models").folder
    (folder / "pagesort.json").write_text(
        (folder / "pagesort.json").read_text().replace('"temperature": 1.0', '"temperature": 2.0')
    )
    before = contents(folder)
    outcome = import_model(archive, tmp_path / "models")
    assert outcome.kept is not None and contents(outcome.kept) == before
    assert contents(outcome.folder) != before


def test_existing_file_is_not_overwritten(model: Path, archive: Path) -> None:
    with pytest.raises(UsageError, match="the file exists"):
        export_model(model, archive)
    with pytest.raises(UsageError, match="cannot lie in the model"):
        export_model(model, model / "a.zip")


def test_incomplete_model_is_not_exported(model: Path, tmp_path: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(PageSortError, match="no tokenizer.json"):
        export_model(model, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/etc/evil.json", "an absolute path"),
        ("C:\\evil.json", "an absolute path"),
        ("\\\\server\\evil.json", "an absolute path"),
        ("../evil.json", "leads out of the folder"),
        ("plots/../../evil.png", "leads out of the folder"),
        ("plots\\..\\..\\evil.png", "leads out of the folder"),
        ("evil.py", "is no file of a model"),
        ("pytorch_model.bin", "is no file of a model"),
        ("plots/", "is a folder"),
        ("origin.json", "is no file of a model"),
        ("plots/CON.png", "Windows reserves"),
        ("CONFIG.JSON", "is no file of a model"),
        ("merges.txt", "which its list does not name"),
    ],
)
def test_unexpected_entries_are_refused(
    archive: Path, tmp_path: Path, name: str, told: str
) -> None:
    def add(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        new.writestr(name, b"evil")

    assert told in refusal(rewritten(archive, add), tmp_path)
    assert not list(tmp_path.rglob("*evil*"))


def test_links_are_refused(archive: Path, tmp_path: Path) -> None:
    def add(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            if entry.filename == "config.json":
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            new.writestr(entry, old.read(entry))

    assert "which is a link" in refusal(rewritten(archive, add), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_and_missing_entries_are_refused(archive: Path, tmp_path: Path) -> None:
    def double(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        new.writestr("config.json", b"{}")

    def drop(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            if entry.filename != "config.json":
                new.writestr(entry, old.read(entry))

    assert "'config.json' twice" in refusal(rewritten(archive, double), tmp_path)
    assert "it lacks 'config.json'" in refusal(rewritten(archive, drop), tmp_path)


def test_changed_content_is_refused(archive: Path, tmp_path: Path) -> None:
    def change(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "model.safetensors":
                data = data[:-1] + bytes([data[-1] ^ 1])
            new.writestr(entry, data)

    line = refusal(rewritten(archive, change), tmp_path)
    assert "model.safetensors does not have the checksum" in line


def test_bomb_stops_at_the_listed_size(archive: Path, tmp_path: Path) -> None:
    def swell(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "config.json":
                entry.compress_type = zipfile.ZIP_DEFLATED
                data = bytes(50_000_000)
            new.writestr(entry, data)

    assert "config.json does not have the checksum" in refusal(rewritten(archive, swell), tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "con", ".hidden", "x.", "a" * 200, 7])
def test_strange_model_names_are_refused(archive: Path, tmp_path: Path, name: object) -> None:
    def rename(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == LIST_FILE:
                data = json.dumps(json.loads(data) | {"name": name}).encode()
            new.writestr(entry, data)

    assert "a name that no folder should have" in refusal(rewritten(archive, rename), tmp_path)


def test_damaged_and_foreign_files_are_told(archive: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(data[: len(data) // 2])
    assert "not a readable archive" in refusal(cut, tmp_path)
    flipped = tmp_path / "flipped.zip"
    place = len(data) // 2
    flipped.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
    line = refusal(flipped, tmp_path)
    assert "not a readable archive" in line or "checksum" in line
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as new:
        new.writestr("config.json", "{}")
    assert f"it has no {LIST_FILE}" in refusal(foreign, tmp_path)
    assert "there is no such archive" in refusal(tmp_path / "none.zip", tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compression_is_told(archive: Path, tmp_path: Path, method: int) -> None:
    def squeeze(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "model.safetensors":
                entry.compress_type = method
            new.writestr(entry, data)

    changed = rewritten(archive, squeeze)
    with zipfile.ZipFile(changed) as squeezed:
        start = squeezed.getinfo("model.safetensors").header_offset
    data = changed.read_bytes()
    changed.write_bytes(data[: start + 500] + bytes(300) + data[start + 800 :])
    line = refusal(changed, tmp_path)
    assert "not a readable archive" in line or "unusual way" in line


def test_archive_that_cannot_be_read_is_told(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worn-out stick: the disk that is written to is not at fault."""
    read = zipfile.ZipExtFile.read

    def fail(self: zipfile.ZipExtFile, size: int = -1) -> bytes:
        if self.name == "model.safetensors":
            raise OSError(errno.EIO, "Input/output error")
        return read(self, size)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    assert f"cannot be read (Input/output error): {archive}" in refusal(archive, tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(zipfile.ZipFile, "__init__", refuse)
    assert "not a readable archive (Permission denied)" in refusal(archive, tmp_path)


def test_archive_of_very_many_files_is_refused_at_once(archive: Path, tmp_path: Path) -> None:
    def swarm(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        for number in range(20_000):
            new.writestr(f"plots/{number}.png", b"")

    changed = rewritten(archive, swarm)
    started = time.monotonic()
    assert "it holds 200" in refusal(changed, tmp_path)
    assert time.monotonic() - started < 5


def test_bundled_model_and_other_folders_keep_their_place(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "here"
    conversion = models / "ViT-B16_rev_v11" / "a-1234" / "model.safetensors"
    conversion.parent.mkdir(parents=True)
    conversion.write_bytes(b"x")
    with pytest.raises(PageSortError, match="is another thing"):
        import_model(archive, models)
    assert conversion.is_file()
    shutil.rmtree(models)
    folder = import_model(archive, models).folder
    (folder / "trained_pages.txt").write_text("0" * 16)
    monkeypatch.setattr("pagesort.models.archive.BUNDLED_MODEL", folder)
    with pytest.raises(PageSortError, match="is another thing"):
        import_model(archive, models)
    assert [path.name for path in models.iterdir()] == ["ViT-B16_rev_v11"]


def test_remains_of_a_killed_import_go_with_the_next_one(archive: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    start = ".ViT-B16_rev_v11."
    mine = f"{start}{os.getppid()}-{files._machine()}-0.partial"  # of a process that is alive
    for left in (models / f"{start}{ended_process()}-{files._machine()}-0.partial", models / mine):
        left.mkdir(parents=True)
        (left / "model.safetensors").write_bytes(b"half")
    import_model(archive, models)
    assert {path.name for path in models.iterdir()} == {"ViT-B16_rev_v11", mine}


def test_later_version_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "_VERSION", 2)
    later = export_model(model, tmp_path / "later.zip")
    monkeypatch.setattr(model_archive, "_VERSION", 1)
    assert "Update this program" in refusal(later, tmp_path)


def test_disk_space_is_checked(
    model: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    # What is asked for includes what stays free, or it could be less than there is.
    total = sum(path.stat().st_size for path in model.iterdir())
    needed = size_text(total + 50_000_000)
    line = refusal(archive, tmp_path)
    assert f"needs {needed} of free space, and 1.0 kB are free" in line
    with pytest.raises(PageSortError, match="the archive needs"):
        export_model(model, tmp_path / "b.zip")
    assert not list(tmp_path.glob(".*.partial")) and not (tmp_path / "b.zip").exists()
