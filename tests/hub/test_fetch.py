"""Fetching models: from a hub that works, and from one that does not."""

from __future__ import annotations

import errno
import functools
import json
import logging
import multiprocessing
import os
import pickle
import re
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pagesort.common import files
from pagesort.common.errors import PageSortError, UsageError
from pagesort.hub import fetch as hubs
from pagesort.hub.client import Patience
from pagesort.models import folder as model_files
from pagesort.models.catalogue import BASES
from tests.helpers.hub_fixtures import (
    BASE,
    PUBLISHED,
    QUICK,
    SMALL,
    alone,
    assert_equal_weights,
    assert_no_secret,
    base_folder,
    hub,
    published,
)
from tests.helpers.hub_server import READER, STRANGER, WRITER, HubServer
from tests.helpers.openai_models import (
    openai_state,
    random_model,
    write_checkpoint,
    write_published,
)

__all__ = ["alone", "base_folder", "hub", "published"]  # fixtures

ONE_TRY = Patience(tries=1, tries_unreachable=1, pause=0.0, connect=2.0, answer=0.5)
STAGING = ".model_rev_v11.fetch"
WEIGHTS = r"GET .*(cdn|resolve/.*safetensors)"


def request(server: HubServer, models: Path, **facts: object) -> hubs.PullRequest:
    values: dict[str, object] = {
        "repository": PUBLISHED,
        "revision": "v1.1",
        "endpoint": server.url,
        "patience": QUICK,
    }
    return hubs.PullRequest(models_dir=models, **(values | facts))  # type: ignore[arg-type]


def failure(server: HubServer, models: Path, **facts: object) -> str:
    """The line that a person reads when a pull fails."""
    with pytest.raises(PageSortError) as caught:
        hubs.pull(request(server, models, **facts))
    assert "\n" not in str(caught.value)
    assert_no_secret(str(caught.value))
    return str(caught.value)


def test_published_model_is_converted_with_the_tokenizer_of_its_base(
    hub: HubServer, tmp_path: Path, published: Path, base_folder: Path
) -> None:
    from classifier import CLIP
    from pagesort.models.formats import open_model_folder

    outcome = hubs.pull(request(hub, tmp_path / "models"))
    assert outcome.is_new and outcome.folder == tmp_path / "models" / "ViT-B16_rev_v11"
    assert outcome.commit == hub.repositories[PUBLISHED].branches["v1.1"]
    assert_equal_weights(outcome.folder, open_model_folder(published, tmp_path / "direct"))
    for name in ("tokenizer.json", "preprocessor_config.json"):
        assert (outcome.folder / name).read_bytes() == (base_folder / name).read_bytes()
    opened = CLIP.open(outcome.folder)
    assert opened.labels == ("DRAW", "LINE_HW", "TEXT_P")
    assert (opened.metadata.base, opened.metadata.revision) == ("ViT-B/16", "v1.1")
    assert hub.requests(rf"{BASE}.*(model.safetensors|bin)") == []
    # Nothing else is left beside it.
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["ViT-B16_rev_v11"]


def test_second_pull_asks_for_the_revision_only(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    hubs.pull(request(hub, tmp_path))
    hub.seen.clear()
    outcome = hubs.pull(request(hub, tmp_path))
    assert not outcome.is_new
    assert [seen.path for seen in hub.seen] == [f"/api/models/{PUBLISHED}/revision/v1.1"]
    assert "is up to date" in caplog.messages[-1]


def test_main_is_fetched_as_the_default_base(hub: HubServer, tmp_path: Path) -> None:
    assert hubs.pull(request(hub, tmp_path, revision="main")).folder.name == "ViT-B16_rev_v11"
    assert hub.requests("GET .*/revision/main")


def test_new_card_fetches_nothing(hub: HubServer, tmp_path: Path) -> None:
    hubs.pull(request(hub, tmp_path))
    repository = hub.repositories[PUBLISHED]
    files = repository.commits[repository.branches["v1.1"]].files
    newer = repository.add("v1.1", {**files, "README.md": b"# new words"})
    hub.seen.clear()
    outcome = hubs.pull(request(hub, tmp_path))
    assert (outcome.commit, outcome.is_new) == (newer, False)
    assert hub.requests(WEIGHTS) == []
    hub.seen.clear()
    hubs.pull(request(hub, tmp_path))
    assert len(hub.seen) == 1


def test_newer_weights_replace_the_older_ones(hub: HubServer, tmp_path: Path) -> None:
    first = hubs.pull(request(hub, tmp_path / "models"))
    before = (first.folder / "model.safetensors").read_bytes()
    state = openai_state(random_model(SMALL, seed=6), half=True)
    newer = write_published(tmp_path / "newer", state, model_name="ViT-B/16", image_size=40)
    hub.add(PUBLISHED, newer, "v1.1")
    second = hubs.pull(request(hub, tmp_path / "models"))
    assert second.is_new and second.kept is None
    assert (second.folder / "model.safetensors").read_bytes() != before
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_model_that_was_not_fetched_from_there_is_kept(
    hub: HubServer, tmp_path: Path, tiny_model_folder: Path
) -> None:
    shutil.copytree(tiny_model_folder, tmp_path / "ViT-B16_rev_v11")
    outcome = hubs.pull(request(hub, tmp_path))
    assert outcome.kept is not None and "_before_" in outcome.kept.name
    assert_equal_weights(outcome.kept, tiny_model_folder)


def test_damaged_file_on_this_machine_is_fetched_again(hub: HubServer, tmp_path: Path) -> None:
    folder = hubs.pull(request(hub, tmp_path)).folder
    weights = folder / "model.safetensors"
    right = weights.read_bytes()
    weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    outcome = hubs.pull(request(hub, tmp_path))
    assert outcome.is_new and weights.read_bytes() == right


def test_unknown_revision_lists_what_there_is(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories[PUBLISHED].tags["v1.0-paper"] = hub.repositories[PUBLISHED].branches["main"]
    line = failure(hub, tmp_path, revision="v1.1.9")
    assert "no revision 'v1.1.9'; it has main, v1.1, v1.0-paper" in line
    line = failure(hub, tmp_path, revision="v7")
    assert "no revision 'v7'; it has main, v1.1, v1.0-paper" in line
    assert list(tmp_path.iterdir()) == [tmp_path / "hf_home"] or not list(tmp_path.iterdir())


def test_stopped_pull_goes_on_and_leaves_the_previous_model(
    hub: HubServer, tmp_path: Path, published: Path
) -> None:
    folder = hubs.pull(request(hub, tmp_path / "models")).folder
    before = (folder / "model.safetensors").read_bytes()
    state = openai_state(random_model(SMALL, seed=7), half=True)
    newer = write_published(tmp_path / "newer", state, model_name="ViT-B/16", image_size=40)
    hub.add(PUBLISHED, newer, "v1.1")
    hub.fail("GET /cdn", "drop", after=300_000)
    line = failure(hub, tmp_path / "models", patience=ONE_TRY)
    assert "broke off" in line and "goes on where it stopped" in line
    assert (folder / "model.safetensors").read_bytes() == before
    hub.seen.clear()
    assert hubs.pull(request(hub, tmp_path / "models")).is_new
    assert [seen.range for seen in hub.requests("GET /cdn")] == ["bytes=300000-"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that has all loaded")
def test_killed_pull_goes_on(hub: HubServer, tmp_path: Path) -> None:
    hub.fail("GET /cdn", "stall in", after=400_000, seconds=30)
    asked = request(hub, tmp_path, patience=Patience())
    process = multiprocessing.get_context("fork").Process(target=hubs.pull, args=(asked,))
    process.start()
    begun = tmp_path / STAGING / "files"
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in begun.glob("*.partial")) < 400_000:
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.02)
    process.kill()
    process.join()
    hub.seen.clear()
    assert hubs.pull(request(hub, tmp_path)).is_new
    assert [seen.range for seen in hub.requests("GET /cdn")] == ["bytes=400000-"]


def test_second_process_waits_its_turn(hub: HubServer, tmp_path: Path) -> None:
    hub.fail("GET /cdn", "stall in", after=1000, seconds=5)
    patient = Patience(tries=2, pause=0.01, answer=5.0)
    first = threading.Thread(
        target=lambda: hubs.pull(request(hub, tmp_path, patience=patient)), daemon=True
    )
    first.start()
    while not hub.requests("GET /cdn"):
        time.sleep(0.01)
    assert "another process is fetching" in failure(hub, tmp_path)
    hub.stops.set()
    first.join(20)
    assert (tmp_path / "ViT-B16_rev_v11").is_dir()


@pytest.mark.parametrize(
    ("pattern", "kind", "facts"),
    [
        ("GET /api", 503, {"times": 2}),
        ("GET /cdn", 502, {"times": 3}),
        ("GET /cdn", "reset", {"times": 2}),
        ("GET /cdn", "drop", {"times": 3, "after": 200_000}),
        ("GET /cdn", "stall", {"seconds": 0.8}),
        ("GET /cdn", "stall in", {"after": 100_000, "seconds": 0.8}),
        ("GET /cdn", "corrupt", {"after": 123_456, "times": 2}),
        ("GET .*config.json", "reset", {"times": 2}),
        ("GET /api", 429, {"headers": {"Retry-After": "0"}}),
    ],
)
def test_passing_faults_are_overcome(
    hub: HubServer, tmp_path: Path, pattern: str, kind: int | str, facts: dict[str, object]
) -> None:
    hub.fail(pattern, kind, **facts)  # type: ignore[arg-type]
    assert hubs.pull(request(hub, tmp_path)).is_new
    assert hub.faults[0].times == 0


@pytest.mark.parametrize(
    ("pattern", "kind", "told"),
    [
        ("GET /api", 503, "is busy or out of order (503). Run the command again later"),
        ("GET /cdn", 500, "is busy or out of order (500)"),
        ("GET /api", 429, "too many requests from here (429)"),
        ("GET /api", "portal", "is no hub, perhaps the login page of this network"),
        ("GET /api", "redirect", "is no hub, perhaps the login page of this network"),
        ("GET /cdn", "portal", "is no hub, perhaps the login page of this network"),
        ("GET /api", "stall", "no answer from 127.0.0.1"),
        ("GET /api", "reset", "broke off again and again"),
        ("GET /cdn", "corrupt", "model.safetensors does not arrive with the announced checksum"),
        ("GET /cdn", "drop", "broke off again and again. Run the command again: it goes on"),
        ("GET .*config.json", 403, "does not let this token or this network read"),
        ("GET .*config.json", 404, "not there. Run the command again"),
        ("GET /api", 407, "HTTPS_PROXY"),
        ("GET /api", 511, "is no hub"),
        ("GET /api", 418, "refused the request (418: out of order)"),
        ("GET /api", 404, "is no hub"),
    ],
)
def test_lasting_faults_are_told_in_one_line(
    hub: HubServer, tmp_path: Path, pattern: str, kind: int | str, told: str
) -> None:
    hub.fail(pattern, kind, times=1000, after=50_000, seconds=0.8)
    patience = replace(QUICK, tries=2) if kind == "stall" else QUICK
    started = time.monotonic()
    assert told in failure(hub, tmp_path / "models", patience=patience)
    assert time.monotonic() - started < 5
    models = tmp_path / "models"
    assert not models.exists() or [path.name for path in models.iterdir()] in (
        [],
        [STAGING],
    )


def test_nothing_there_to_answer(hub: HubServer, tmp_path: Path) -> None:
    line = failure(hub, tmp_path, endpoint="http://127.0.0.1:9")
    assert "cannot reach 127.0.0.1:9" in line and "--hf import FILE" in line


def test_offline_switch(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in failure(hub, tmp_path)
    assert hub.seen == []


def test_local_model_is_used_if_the_hub_is_silent(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = hubs.pull(request(hub, tmp_path)).folder
    dead = request(hub, tmp_path, endpoint="http://127.0.0.1:9", use_local=True, patience=ONE_TRY)
    outcome = hubs.pull(dead)
    assert (outcome.folder, outcome.is_new, outcome.commit) == (folder, False, "")
    assert "exported elsewhere. The model in" in caplog.messages[-1]
    assert "is used as it is" in caplog.messages[-1]


def test_local_model_does_not_wait_long_for_a_hub_that_is_busy(
    hub: HubServer, tmp_path: Path
) -> None:
    hubs.pull(request(hub, tmp_path))
    hub.seen.clear()
    hub.fail("GET /api", 503, times=1000)
    assert not hubs.pull(request(hub, tmp_path, use_local=True)).is_new
    assert len(hub.seen) == 2


@pytest.mark.parametrize(
    ("facts", "token", "told"),
    [
        ({}, "hf_wrongOne", "the token from HF_TOKEN is not valid"),
        ({"private": True}, "", "or it is private. Check [HF] repo_name; for a private one log in"),
        ({"private": True}, STRANGER, "or the token from HF_TOKEN cannot see it"),
        ({"gated": True}, "", "Ask for access on http://127.0.0.1"),
        ({"gated": True}, STRANGER, "open only to those whom its owner has let in"),
    ],
)
def test_closed_repositories(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, bool], token: str, told: str,
) -> None:  # fmt: skip
    for name, value in facts.items():
        setattr(hub.repositories[PUBLISHED], name, value)
    monkeypatch.setenv("HF_TOKEN", token)
    assert told in failure(hub, tmp_path)


def test_token_opens_what_is_closed_and_stays_with_the_hub(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("DEBUG")
    hub.repositories[PUBLISHED].private = hub.repositories[PUBLISHED].gated = True
    monkeypatch.setenv("HF_TOKEN", READER)
    hub.fail("GET /cdn", "reset", times=2)
    outcome = hubs.pull(request(hub, tmp_path))
    assert {seen.token for seen in hub.requests(PUBLISHED)} == {READER}
    # The store is another host, which the token is none of its business.
    assert {seen.token for seen in hub.requests("GET /cdn")} == {None}
    texts = [path.read_text("utf-8") for path in outcome.folder.glob("*.json")]
    assert_no_secret(caplog.text, *texts, repr(request(hub, tmp_path, token=WRITER)))


def test_missing_repository_and_impossible_name(hub: HubServer, tmp_path: Path) -> None:
    assert "no repository no/body" in failure(hub, tmp_path, repository="no/body")
    with pytest.raises(UsageError, match="Write .HF. repo_name as OWNER/NAME"):
        hubs.pull(request(hub, tmp_path, repository="https://what/ever/this"))


def test_disk_space_is_checked_before(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 9 * 10**8, 50_000_001))
    line = failure(hub, tmp_path)
    assert re.search(r"needs 5\d MB of free space, and 50 MB are free: .*Free some space", line)
    assert hub.requests(WEIGHTS) == []


class _Dangerous:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("executed",)


def test_checkpoint_is_fetched_only_where_nothing_else_is(
    hub: HubServer, tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = openai_state(random_model(SMALL))
    both = tmp_path / "both"
    shutil.copytree(published, both)
    write_checkpoint(both / "model.pt", state)
    (both / "pytorch_model.bin").write_bytes(pickle.dumps(_Dangerous()))
    hub.add("me/both", both)
    hubs.pull(request(hub, tmp_path / "1", repository="me/both", revision="main"))
    assert hub.requests(r"GET .*resolve.*\.(pt|bin)") == []

    (tmp_path / "only").mkdir()
    write_checkpoint(tmp_path / "only" / "model.pt", state)
    hub.add("me/only", tmp_path / "only")
    folder = hubs.pull(request(hub, tmp_path / "2", repository="me/only", revision="main")).folder
    assert (folder / "model.safetensors").is_file() and not list(folder.glob("*.pt"))

    (tmp_path / "only" / "model.pt").write_bytes(pickle.dumps({"a": _Dangerous()}))
    hub.add("me/only", tmp_path / "only")
    line = failure(hub, tmp_path / "2", repository="me/only", revision="main")
    assert "holds more than weights" in line and not (tmp_path / "executed").exists()
    assert folder == tmp_path / "2" / "only_rev_main_of_me--only"
    assert [path for path in (tmp_path / "2").iterdir() if path.name[0] != "."] == [folder]


def test_pickle_in_parts_is_not_fetched(hub: HubServer, tmp_path: Path, base_folder: Path) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(base_folder, parts, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    for number in (1, 2):
        (parts / f"pytorch_model-0000{number}-of-00002.bin").write_bytes(b"x" * 100)
    hub.add("me/parts", parts)
    line = failure(hub, tmp_path / "models", repository="me/parts", revision="main")
    assert "as a pickle in several parts: me/parts. Ask its owner for safetensors" in line
    assert hub.requests("GET .*resolve") == []


def test_newer_model_that_cannot_be_used_does_not_replace_the_older_one(
    hub: HubServer, tmp_path: Path, base_folder: Path
) -> None:
    hub.add("me/own", base_folder)
    folder = hubs.pull(request(hub, tmp_path, repository="me/own", revision="main")).folder
    content = json.loads((base_folder / "config.json").read_text())
    content["vision_config"]["num_hidden_layers"] += 1
    repository = hub.repositories["me/own"]
    files = repository.commits[repository.branches["main"]].files
    repository.add("main", {**files, "config.json": json.dumps(content).encode()})
    line = failure(hub, tmp_path, repository="me/own", revision="main")
    assert "what me/own holds as main is no model that can be used (the weights do not" in line
    assert "Tell its owner; what was there before is unchanged" in line
    assert (folder / "config.json").read_bytes() == (base_folder / "config.json").read_bytes()


def test_revisions_whose_names_are_alike_without_dots_stay_apart(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = openai_state(random_model(SMALL, seed=8), half=True)
    other = write_published(tmp_path / "other", state, model_name="ViT-B/16", image_size=40)
    hub.add(PUBLISHED, other, "v1.1.13")
    repository = hub.repositories[PUBLISHED]
    repository.branches["v1.1.1.3"] = repository.branches["v1.1"]
    first = hubs.pull(request(hub, tmp_path, revision="v1.1.13")).folder
    second = hubs.pull(request(hub, tmp_path, revision="v1.1.1.3")).folder
    assert first.name == "ViT-B16_rev_v1113" and second.name.startswith("ViT-B16_rev_v1113-")
    assert hubs.pull(request(hub, tmp_path, revision="v1.1.13")).folder == first
    assert not hubs.pull(request(hub, tmp_path, revision="v1.1.1.3")).is_new
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_main_and_the_default_revision_share_a_folder_which_is_told(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = hub.repositories[PUBLISHED]
    state = openai_state(random_model(SMALL, seed=8), half=True)
    other = write_published(tmp_path / "other", state, model_name="ViT-B/16", image_size=40)
    hub.add(PUBLISHED, other, "main")
    first = hubs.pull(request(hub, tmp_path, revision="v1.1")).folder
    assert hubs.pull(request(hub, tmp_path, revision="main")).folder == first
    assert f"{first} held revision v1.1 until now" in caplog.text
    assert repository.branches["main"] != repository.branches["v1.1"]


def test_models_of_other_repositories_never_lie_in_one_folder(
    hub: HubServer, tmp_path: Path, base_folder: Path, tiny_model_folder: Path
) -> None:
    hub.add("me/one", tiny_model_folder)
    hub.add("me/one", base_folder, "feature/x")
    hub.add("you/one", tiny_model_folder)
    models = tmp_path / "models"
    asked = [("me/one", "main"), ("me/one", "feature/x"), ("you/one", "main"), (PUBLISHED, "main")]
    folders = [
        hubs.pull(request(hub, models, repository=name, revision=revision)).folder
        for name, revision in asked
    ]
    assert [folder.name for folder in folders] == [
        "tiny_rev_main_of_me--one",
        "one_rev_feature-x_of_me--one",
        "tiny_rev_main_of_you--one",
        "ViT-B16_rev_v11",
    ]
    for (name, revision), folder in zip(asked, folders, strict=True):
        again = hubs.pull(request(hub, models, repository=name, revision=revision))
        assert (again.folder, again.is_new) == (folder, False)


def test_a_folder_that_an_earlier_release_named_is_updated_or_makes_way(
    hub: HubServer, tmp_path: Path, tiny_model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add("me/one", tiny_model_folder)
    mine = hubs.pull(request(hub, tmp_path, repository="me/one", revision="main")).folder
    earlier = mine.rename(tmp_path / "ViT-B16_rev_v11")
    again = hubs.pull(request(hub, tmp_path, repository="me/one", revision="main"))
    assert (again.folder, again.is_new) == (earlier, False)
    outcome = hubs.pull(request(hub, tmp_path, revision="v1.1"))
    assert (outcome.folder, outcome.kept) == (earlier, mine)
    assert f"the model that lay in {earlier} is kept as {mine.name}" in caplog.text
    again = hubs.pull(request(hub, tmp_path, repository="me/one", revision="main"))
    assert (again.folder, again.is_new) == (mine, False)


def test_folder_that_cannot_be_written_does_where_nothing_has_to_be(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs.pull(request(hub, tmp_path))
    repository = hub.repositories[PUBLISHED]
    contents = repository.commits[repository.branches["v1.1"]].files
    repository.add("v1.1", {**contents, "README.md": b"# new words"})

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.os, "fsync", refuse)
    assert not hubs.pull(request(hub, tmp_path)).is_new
    repository.add("v1.1", {**contents, "config.json": contents["config.json"] + b" "})
    line = failure(hub, tmp_path)
    assert "Read-only file system" in line and "Check the permissions" in line


def test_files_outside_the_folder_are_never_written(hub: HubServer, tmp_path: Path) -> None:
    repository = hub.repositories[PUBLISHED]
    files = repository.commits[repository.branches["v1.1"]].files
    evil = {"../../evil.json": b"{}", "/tmp/evil.json": b"{}", "a\\..\\evil.json": b"{}"}
    repository.add("v1.1", {**files, **evil, "sub/x.json": b"{}"})
    assert hubs.pull(request(hub, tmp_path / "a" / "b")).is_new
    assert not list(tmp_path.rglob("*evil*")) and hub.requests("evil") == []


def test_repository_without_weights(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_text("{}")
    hub.add("me/empty", tmp_path / "x")
    line = failure(hub, tmp_path, repository="me/empty", revision="main")
    assert "holds no weights (but config.json): me/empty" in line


def test_without_the_base_the_own_tokenizer_serves(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    del hub.repositories[BASE]
    folder = hubs.pull(request(hub, tmp_path)).folder
    model_files.check_complete(folder)
    assert "this program's own copies" in caplog.text


def test_base_model_is_fetched_once_into_storage(
    hub: HubServer, tmp_path: Path, base_folder: Path
) -> None:
    facts = {"endpoint": hub.url, "patience": QUICK}
    folder = hubs.base_model(BASES[0], tmp_path / "storage", **facts)
    assert folder == tmp_path / "storage" / "clip-vit-base-patch16"
    assert_equal_weights(folder, base_folder)
    assert hub.requests("bin") == []
    hub.seen.clear()
    assert hubs.base_model(BASES[0], tmp_path / "storage", **facts) == folder
    assert hub.seen == []


def test_base_model_goes_into_the_cache_of_the_hub(
    hub: HubServer, tmp_path: Path, base_folder: Path
) -> None:
    from huggingface_hub import try_to_load_from_cache

    facts = {"endpoint": hub.url, "patience": QUICK}
    hub.fail("GET /cdn", "corrupt", after=1000)
    folder = hubs.base_model(BASES[0], None, **facts)
    assert folder is not None and str(folder).startswith(str(tmp_path / "hf_home" / "hub"))
    assert_equal_weights(folder, base_folder)
    assert try_to_load_from_cache(BASE, "model.safetensors") == str(folder / "model.safetensors")
    assert len(hub.requests("GET /cdn")) == 2  # the library itself fetched no second copy
    hub.seen.clear()
    assert hubs.base_model(BASES[0], None, **facts) == folder
    assert hub.seen == []


def test_base_model_that_is_a_pickle_only(
    hub: HubServer, tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    repository = hub.repositories[BASE]
    files = dict(repository.commits[repository.branches["main"]].files)
    del files["model.safetensors"]
    repository.add("main", files)
    facts = {"endpoint": hub.url, "patience": QUICK}
    for storage in (tmp_path / "storage", None):
        folder = hubs.base_model(BASES[0], storage, **facts)
        assert folder is not None
        assert_equal_weights(folder, base_folder)
        assert not list(folder.glob("*.bin"))
        hub.seen.clear()
        assert hubs.base_model(BASES[0], storage, **facts) == folder
        assert hub.seen == []
    repository.add("main", {**files, "pytorch_model.bin": pickle.dumps(_Dangerous())})
    shutil.rmtree(tmp_path / "hf_home")
    assert hubs.base_model(BASES[0], tmp_path / "other", **facts) is None
    assert not (tmp_path / "executed").exists()


def test_base_model_that_several_processes_need_is_fetched_by_one(
    hub: HubServer, tmp_path: Path, base_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    patient = Patience(tries=3, pause=0.01, answer=5.0)
    for storage, seconds in ((tmp_path / "storage", 0.7), (None, 0.1)):
        hub.seen.clear()
        hub.fail("GET /cdn", "stall in", after=100_000, seconds=seconds)
        fetch = functools.partial(
            hubs.base_model, BASES[0], storage, endpoint=hub.url, patience=patient
        )
        with ThreadPoolExecutor(3) as pool:
            found = {call.result(30) for call in [pool.submit(fetch) for _ in range(3)]}
        assert len(found) == 1
        folder = found.pop()
        assert folder is not None
        assert_equal_weights(folder, base_folder)
        assert [seen.range for seen in hub.requests("GET /cdn")] == [None, "bytes=100000-"]
    assert "waiting until it has ended" in caplog.text


def test_full_disk_while_a_pickle_is_rewritten(
    hub: HubServer, tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def refuse(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", refuse)
    pickled = tmp_path / "pickled"
    shutil.copytree(base_folder, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    hub.add("me/pickled", pickled)
    line = failure(hub, tmp_path / "models", repository="me/pickled", revision="main")
    assert "cannot be written (the disk is full)" in line and "Free some space" in line


def test_base_model_without_a_hub(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dead = {"endpoint": "http://127.0.0.1:9"}
    started = time.monotonic()
    assert hubs.base_model(BASES[0], tmp_path / "storage", **dead) is None
    assert time.monotonic() - started < 5
    assert len(caplog.messages) == 1 and "cannot reach 127.0.0.1:9" in caplog.messages[0]
    assert hubs.base_model(BASES[0], None, allow_network=False) is None


def test_base_model_lies_in_storage_under_any_of_its_names(
    tmp_path: Path, base_folder: Path
) -> None:
    for name in ("clip-vit-base-patch16", "ViT-B16", "openai/clip-vit-base-patch16"):
        storage = tmp_path / name.replace("/", "-")
        shutil.copytree(base_folder, storage / name)
        assert hubs.base_model(BASES[0], storage, allow_network=False) == storage / name


def test_half_an_installation_is_undone(hub: HubServer, tmp_path: Path) -> None:
    folder = hubs.pull(request(hub, tmp_path)).folder
    staging = tmp_path / STAGING
    staging.mkdir()
    folder.rename(staging / "ViT-B16_rev_v11.old")  # where a killed run was between two renamings
    dead = request(hub, tmp_path, endpoint="http://127.0.0.1:9", use_local=True, patience=ONE_TRY)
    assert hubs.pull(dead).folder == folder
    assert json.loads((folder / "origin.json").read_text())["repository"] == PUBLISHED
