"""Base codes, revisions and folder names."""

from __future__ import annotations

import pytest

from pagesort.common.errors import UsageError
from pagesort.models import catalogue


@pytest.mark.parametrize(
    ("code", "hub_id", "size"),
    [
        ("ViT-B/16", "openai/clip-vit-base-patch16", 224),
        ("vit-b/32", "openai/clip-vit-base-patch32", 224),
        (" ViT-L/14 ", "openai/clip-vit-large-patch14", 224),
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336", 336),
        ("ViT-L/14@336", "openai/clip-vit-large-patch14-336", 336),
    ],
)
def test_a_code_finds_its_base_model(code: str, hub_id: str, size: int) -> None:
    base = catalogue.base_of_code(code)
    assert (base.hub_id, base.image_size) == (hub_id, size)


def test_an_unknown_code_is_told_with_all_that_exist() -> None:
    with pytest.raises(UsageError, match=r"ViT-X/1.*ViT-B/16, ViT-B/32, ViT-L/14, ViT-L/14@336px"):
        catalogue.base_of_code("ViT-X/1")


@pytest.mark.parametrize(
    ("revision", "code"),
    [
        ("main", "ViT-B/16"),
        ("v1.1", "ViT-B/16"),
        ("v1.1.3.7", "ViT-B/16"),
        ("1.2", "ViT-B/32"),
        ("V2.1.9", "ViT-L/14"),
        ("v2.2.3.4", "ViT-L/14@336px"),
    ],
)
def test_a_revision_belongs_to_the_base_of_its_first_two_numbers(revision: str, code: str) -> None:
    assert catalogue.base_of_revision(revision).code == code


@pytest.mark.parametrize("revision", ["v3.1", "v1", "v1.10", "latest", "", "v1.1.x"])
def test_an_unknown_revision_is_told(revision: str) -> None:
    with pytest.raises(UsageError, match=r"v1\.1 \(ViT-B/16\)"):
        catalogue.base_of_revision(revision)


def test_code_and_revision_are_settled_together() -> None:
    def settled(code: str | None, revision: str | None) -> tuple[str, str]:
        base, chosen = catalogue.resolve(code, revision)
        return base.code, chosen

    assert settled(None, None) == ("ViT-B/16", "v1.1")
    assert settled("ViT-L/14", None) == ("ViT-L/14", "v2.1")
    assert settled(None, "v2.2.3.4") == ("ViT-L/14@336px", "v2.2.3.4")
    assert settled("ViT-L/14@336", "v2.2") == ("ViT-L/14@336px", "v2.2")
    with pytest.raises(UsageError, match=r"v1\.2 belongs to ViT-B/32, not to ViT-B/16"):
        catalogue.resolve("ViT-B/16", "v1.2")


@pytest.mark.parametrize(
    ("code", "revision", "name"),
    [
        ("ViT-B/16", "v1.1", "ViT-B16_rev_v11"),
        ("ViT-B/16", "main", "ViT-B16_rev_v11"),
        ("vit-b/32", "v1.2.3", "ViT-B32_rev_v123"),
        ("ViT-L/14@336", "v2.2", "ViT-L14-336px_rev_v22"),
        ("my model/7", "../x", "mymodel7_rev_x"),
    ],
)
def test_folder_names(code: str, revision: str, name: str) -> None:
    assert catalogue.model_folder_name(code, revision) == name
    published = name.startswith("ViT-")
    assert catalogue.is_published_folder(name) is published
    assert not catalogue.is_published_folder(name.replace("_rev_", "_"))


@pytest.mark.parametrize(
    ("code", "revision", "repository", "name"),
    [
        ("ViT-B/16", "main", "me/one", "ViT-B16_rev_main_of_me--one"),
        ("ViT-B/16", "v1.1.9", "me/one", "ViT-B16_rev_v119_of_me--one"),
        ("pagesort-small", "feature/x", "me/one.", "pagesort-small_rev_feature-x_of_me--one"),
        ("ViT-B/16", "\u0159", "me/one", "ViT-B16_rev_069f39ae_of_me--one"),
    ],
)
def test_folder_names_of_other_repositories(
    code: str, revision: str, repository: str, name: str
) -> None:
    assert catalogue.model_folder_name(code, revision, repository) == name
    assert not catalogue.is_published_folder(name)


def test_long_folder_names_are_cut_and_stay_apart() -> None:
    names = {
        name(each)
        for each in ("a" * 300, "a" * 299 + "b")
        for name in (
            lambda text: catalogue.model_folder_name(text, "main", "me/one"),
            lambda text: catalogue.model_folder_name("ViT-B/16", text, "me/one"),
            lambda text: catalogue.other_folder_name("\u0159" * 100, text, "me/one"),
        )
    }
    assert len(names) == 6
    assert all(len(name) <= 100 for name in names)
