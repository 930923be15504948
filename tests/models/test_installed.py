"""Which model of a folder answers for a repository, a revision and a base code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagesort.models import installed
from pagesort.models.catalogue import PUBLISHED_REPOSITORY as PUBLISHED
from pagesort.models.metadata import ModelMetadata


def put(models: Path, name: str, base: str = "", origin: tuple[str, str] | None = None) -> Path:
    """A folder with what its model tells of itself, and no weights."""
    folder = models / name
    folder.mkdir(parents=True)
    if base:
        text = ModelMetadata(base=base).to_json()
        (folder / "pagesort.json").write_text(text, encoding="utf-8")
    if origin:
        note = {"repository": origin[0], "revision": origin[1], "files": {}}
        (folder / installed.ORIGIN_FILE).write_text(json.dumps(note), encoding="utf-8")
    return folder


def test_origin_and_kind_count_not_the_name(tmp_path: Path) -> None:
    small = put(tmp_path, "ViT-B16_rev_v119", "pagesort-small", ("me/one", "v1.1.9"))
    full = put(tmp_path, "renamed", "ViT-B/16", (PUBLISHED, "v1.1"))
    assert installed.find(tmp_path, "me/one", "v1.1.9") == small
    assert installed.find(tmp_path, "me/one", "v1.1.9", "ViT-B/16") is None
    assert installed.find(tmp_path, PUBLISHED, "v1.1.9") is None
    for revision in ("v1.1", "main"):
        assert installed.find(tmp_path, PUBLISHED, revision, "ViT-B/16") == full
    assert installed.find(tmp_path, "me/one", "main") is None


def test_folders_that_do_not_tell_their_origin_are_known_by_their_name(tmp_path: Path) -> None:
    copied = put(tmp_path, "ViT-B16_rev_v11", "ViT-B/16")
    bare = put(tmp_path, "ViT-B32_rev_v12")
    unpacked = put(tmp_path, "tiny_rev_main_of_me--one", "tiny")
    put(tmp_path, "ViT-L14_rev_v21", "tiny")
    assert installed.find(tmp_path, PUBLISHED, "v1.1", "ViT-B/16") == copied
    assert installed.find(tmp_path, PUBLISHED, "v1.2", "ViT-B/32") == bare
    assert installed.find(tmp_path, "me/one", "main") == unpacked
    assert installed.find(tmp_path, PUBLISHED, "v2.1") is None
    assert installed.find(tmp_path, "me/one", "v1.1") is None


def test_models_that_made_way_and_hidden_folders_do_not_answer(tmp_path: Path) -> None:
    put(tmp_path, "ViT-B16_rev_v11_before_20260101-1200", "ViT-B/16", (PUBLISHED, "v1.1"))
    put(tmp_path, ".ViT-B16_rev_v11.fetch", "ViT-B/16", (PUBLISHED, "v1.1"))
    assert installed.find(tmp_path, PUBLISHED, "v1.1") is None
    assert installed.find(tmp_path / "none", PUBLISHED, "v1.1") is None


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_name": "ViT-L/14"}, "ViT-L/14"),
        ({"model_type": "clip", "vision_config": {"patch_size": 16}}, "ViT-B/16"),
        ({"model_type": "clip", "vision_config": {"hidden_size": 32}}, ""),
        ({"model_type": "bert"}, ""),
    ],
)
def test_kind_of_a_folder_without_metadata(
    tmp_path: Path, config: dict[str, object], kind: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert installed.kind_of(tmp_path) == kind


@pytest.mark.parametrize("content", ["[1]", "{}", '{"repository": 1, "revision": "x"}', "{" * 999])
def test_a_damaged_note_of_the_origin_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / installed.ORIGIN_FILE).write_text(content, encoding="utf-8")
    assert installed.read_origin(tmp_path) == {}
