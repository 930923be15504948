"""Publishing models: what is told, what is sent, and what happens when it fails half-way."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError, UsageError
from pagesort.hub import fetch
from pagesort.hub import publish as hub_push
from pagesort.hub.client import Patience
from pagesort.hub.publish import PushOutcome, PushRequest
from pagesort.models.metadata import read_metadata
from tests.helpers.hub_fixtures import QUICK, alone, assert_equal_weights, assert_no_secret
from tests.helpers.hub_server import READER, STRANGER, WRITER, HubServer, running

__all__ = ["alone"]  # a fixture

NAME = "me/my-pages"


@pytest.fixture
def hub() -> HubServer:
    with running() as server:
        yield server


@pytest.fixture
def model(tmp_path: Path, tiny_model_folder: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture(autouse=True)
def logged_in(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITER)


def publish(
    server: HubServer, folder: Path, revision: str = "v1.1", **facts: object
) -> PushOutcome:
    values: dict[str, object] = {"repository": NAME, "endpoint": server.url, "patience": QUICK}
    request = PushRequest(folder, revision=revision, **(values | facts))  # type: ignore[arg-type]
    return hub_push.push(request, lambda question: True)


def head(server: HubServer, branch: str = "v1.1") -> dict[str, bytes]:
    repository = server.repositories[NAME]
    return repository.commits[repository.branches[branch]].files


def failure(server: HubServer, folder: Path, **facts: object) -> str:
    with pytest.raises(PageSortError) as caught:
        publish(server, folder, **facts)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert_no_secret(str(caught.value))
    return str(caught.value)


def test_new_repository_is_private_and_holds_the_folder_and_a_card(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    (model / "notes.doc").write_bytes(b"mine")
    outcome = publish(hub, model)
    assert outcome.is_new and outcome.url == f"{hub.url}/{NAME}/tree/v1.1"
    assert hub.repositories[NAME].private
    assert hub.repositories[NAME].branches["v1.1"] == outcome.commit
    sent = head(hub)
    for path in model.iterdir():
        if path.name != "notes.doc":
            assert sent[path.name] == path.read_bytes()
    assert "notes.doc" not in sent and sent["README.md"].startswith(b"---\nlicense: unknown\n")
    told = caplog.text
    assert f"repository {NAME} on 127.0.0.1:{hub.port}: will be made, private" in told
    assert "branch v1.1: will be made" in told and "notes.doc: stays here" in told
    assert "model.safetensors, " in told and " will be sent" in told
    # The first push fills main, too, which the repository's page shows, by the same commit.
    assert "branch main: filled, too" in told and "main holds no model" not in told
    assert hub.repositories[NAME].branches["main"] == outcome.commit
    # The files of the first commit that the hub itself made are still there.
    assert ".gitattributes" in sent
    assert_no_secret(told, *(text.decode("utf-8", "ignore") for text in sent.values()))


def test_public_has_to_be_asked_for(hub: HubServer, model: Path) -> None:
    publish(hub, model, public=True, revision="main")
    assert not hub.repositories[NAME].private


def test_main_of_a_repository_that_holds_something_is_left_alone_and_told(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(hub, model)
    repository = hub.repositories[NAME]
    first = repository.add("main", {"README.md": b"# Soon", ".gitattributes": b""})
    del repository.branches["v1.1"]
    outcome = publish(hub, model)
    assert repository.branches == {"main": first, "v1.1": outcome.commit}
    assert "main holds no model" in caplog.text and "-rev main" in caplog.text


def test_branch_that_a_first_push_could_not_make_is_made_by_the_next(
    hub: HubServer, model: Path
) -> None:
    hub.fail("POST .*/branch/", 403)
    with pytest.raises(PageSortError):
        publish(hub, model, revision="feature/x")
    repository = hub.repositories[NAME]
    assert set(repository.branches) == {"main"}
    publish(hub, model, revision="feature/x")
    assert repository.branches["feature/x"] == repository.branches["main"]
    assert len(repository.commits) == 2


def test_nothing_is_said_of_main_once_it_holds_a_model(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(hub, model, revision="main")
    publish(hub, model)
    assert "main holds no model" not in caplog.text


def test_pushed_model_pulls_back_with_equal_weights(
    hub: HubServer, model: Path, tmp_path: Path
) -> None:
    publish(hub, model)
    folder = fetch.pull(
        fetch.PullRequest(NAME, "v1.1", tmp_path / "models", endpoint=hub.url, patience=QUICK)
    ).folder
    assert_equal_weights(folder, model)
    assert (folder / "pagesort.json").read_bytes() == (model / "pagesort.json").read_bytes()
    # And what was fetched is published without the note of its origin.
    publish(hub, folder, revision="v1.2")
    assert set(head(hub, "v1.2")) == set(head(hub))


@pytest.mark.slow
def test_pushed_model_loads_with_plain_transformers(
    hub: HubServer, model: Path, tmp_path: Path
) -> None:
    publish(hub, model)
    code = f"""
        from transformers import CLIPModel, CLIPProcessor
        model = CLIPModel.from_pretrained({NAME!r}, revision="v1.1")
        processor = CLIPProcessor.from_pretrained({NAME!r}, revision="v1.1")
        from PIL import Image
        page = Image.new("RGB", (50, 70), "white")
        inputs = processor(text=["a scan"], images=page, return_tensors="pt", padding=True)
        print(model(**inputs).logits_per_image.shape)
    """
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment | {"NO_PROXY": "*"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "torch.Size([1, 1])", done.stderr


def test_nobody_to_ask_is_an_error_before_anything_is_asked(hub: HubServer, model: Path) -> None:
    request = PushRequest(model, NAME, "v1.1", endpoint=hub.url, patience=QUICK)
    with pytest.raises(UsageError, match="no terminal to ask on. Add --yes"):
        hub_push.push(request, None)
    assert hub.seen == []


def test_no_means_no(hub: HubServer, model: Path) -> None:
    request = PushRequest(model, NAME, "v1.1", endpoint=hub.url, patience=QUICK)
    asked = []
    with pytest.raises(PageSortError, match="answered with no"):
        hub_push.push(request, lambda question: bool(asked.append(question)))
    assert asked == [f"Publish this as {NAME}, branch v1.1?"]
    assert hub.repositories == {} and hub.requests("POST|PUT") == []


def test_second_push_sends_nothing(hub: HubServer, model: Path) -> None:
    first = publish(hub, model)
    hub.seen.clear()
    second = publish(hub, model)
    assert (second.commit, second.is_new) == (first.commit, False)
    assert hub.requests("POST|PUT") == []


def test_only_what_changed_is_sent_and_stale_weights_go(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    publish(hub, model)
    repository = hub.repositories[NAME]
    old = {"pytorch_model.bin": b"old", "plots/old.png": b"old", "paper.pdf": b"theirs"}
    repository.add("v1.1", {**head(hub), **old, "README.md": b"# older"})
    hub.seen.clear()
    publish(hub, model)
    assert hub.requests("PUT") == []
    assert "pytorch_model.bin: removed from the branch" in caplog.text
    assert re.search(r"README.md, [\d.]+ kB: sent, replaces the one there", caplog.text)
    assert head(hub)["paper.pdf"] == b"theirs" and not {*old} - {"paper.pdf"} & {*head(hub)}
    assert head(hub)["README.md"].startswith(b"---")


def test_public_repository_is_told_as_such(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    publish(hub, model, public=True)
    publish(hub, model, revision="v2.1")
    assert "is there, PUBLIC: everybody can see it" in caplog.text


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("", "publishing needs an access token"),
        ("hf_wrongOne", "the token from HF_TOKEN is not valid"),
        (READER, "the token from HF_TOKEN may read but not write"),
        (STRANGER, "the token from HF_TOKEN may read but not write"),
    ],
)
def test_tokens_that_cannot_publish(
    hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch, token: str, told: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert told in failure(hub, model)
    assert hub.repositories == {}


def test_read_token_on_a_repository_that_is_there(
    hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, model)
    (model / "trained_pages.txt").write_text("0" * 16)
    monkeypatch.setenv("HF_TOKEN", READER)
    for revision in ("v1.1", "v2.2"):
        assert "may read but not write" in failure(hub, model, revision=revision)
    assert hub.requests("PUT")[1:] == []


def test_change_by_somebody_else_is_not_overwritten(hub: HubServer, model: Path) -> None:
    publish(hub, model)
    (model / "trained_pages.txt").write_text("0" * 16)

    def somebody_else(question: str) -> bool:
        hub.repositories[NAME].add("v1.1", {**head(hub), "config.json": b"{}"})
        return True

    request = PushRequest(model, NAME, "v1.1", endpoint=hub.url, patience=QUICK)
    with pytest.raises(PageSortError, match=r"changed by somebody else meanwhile \(412\). Run"):
        hub_push.push(request, somebody_else)
    assert head(hub)["config.json"] == b"{}"


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("GET /api", 503),
        ("POST /api/repos/create", 500),
        ("POST /api/repos/create", "lost"),
        ("POST .*/branch/", "reset"),
        ("POST .*/branch/", "lost"),
        ("POST .*/commit/", 502),
        ("POST .*/commit/", "lost"),
        ("POST .*/commit/", "stall"),
        ("POST /api/validate-yaml", "reset"),
    ],
)
def test_passing_faults_are_overcome(
    hub: HubServer, model: Path, pattern: str, kind: int | str
) -> None:
    hub.fail(pattern, kind, seconds=0.8)
    publish(hub, model)
    assert hub.faults[0].times == 0
    # One commit of ours after the hub's own, even if the answer to it was lost.
    assert [c.title for c in hub.repositories[NAME].commits.values()] == [
        "initial commit",
        "Publish my-pages v1.1",
    ]


@pytest.mark.slow  # here the library itself waits, for seconds
@pytest.mark.parametrize("kind", [503, "reset", "stall"])
@pytest.mark.parametrize("pattern", ["PUT /upload", "POST .*/preupload/", "POST .*batch"])
def test_faults_while_sending_are_overcome(
    hub: HubServer, model: Path, pattern: str, kind: int | str
) -> None:
    hub.fail(pattern, kind, seconds=0.8)
    publish(hub, model)
    assert head(hub)["model.safetensors"] == (model / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("pattern", "kind", "told"),
    [
        ("GET /api", "portal", "is no hub"),
        ("GET /api", 500, "busy or out of order (500)"),
        ("POST /api/repos/create", 503, "busy or out of order (503)"),
        ("POST .*/commit/", "reset", "broke off again and again"),
        ("POST .*/commit/", 409, "changed by somebody else meanwhile (409)"),
        ("POST .*/commit/", 413, "refused the request (413: out of order)"),
        ("POST .*/preupload", "portal", "is no hub"),
        ("POST .*/batch", 403, "may read but not write"),
    ],
)
def test_lasting_faults_are_told(
    hub: HubServer, model: Path, pattern: str, kind: int | str, told: str
) -> None:
    hub.fail(pattern, kind, times=1000)
    assert told in failure(hub, model)


def test_large_files_go_in_parts(hub: HubServer, model: Path) -> None:
    hub.multipart = 40_000
    publish(hub, model)
    assert head(hub)["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert len(hub.requests("PUT /upload")) > 2
    assert {seen.token for seen in hub.requests("PUT")} == {None}


def test_tag_is_no_branch(hub: HubServer, model: Path) -> None:
    publish(hub, model)
    hub.repositories[NAME].tags["v1.1.1"] = hub.repositories[NAME].branches["main"]
    assert "v1.1.1 is a tag" in failure(hub, model, revision="v1.1.1")


def test_incomplete_folder_is_refused(hub: HubServer, model: Path) -> None:
    (model / "tokenizer.json").unlink()
    assert "no tokenizer.json" in failure(hub, model)
    (model / "model.safetensors").unlink()
    assert "no model of any known format" in failure(hub, model)
    assert hub.seen == []


@pytest.mark.parametrize("token", [WRITER, "hf_" + "aB3" * 11])
def test_text_that_holds_a_token_is_not_sent(hub: HubServer, model: Path, token: str) -> None:
    (model / "trained_pages.txt").write_text(f"token = {token}")
    line = failure(hub, model)
    assert "trained_pages.txt" in line and token not in line
    assert hub.seen == []


def test_model_of_another_base_does_not_get_onto_the_branch(hub: HubServer, model: Path) -> None:
    metadata = read_metadata(model)
    assert metadata is not None
    large = dataclasses.replace(metadata, base="ViT-L/14@336px")
    (model / "pagesort.json").write_text(large.to_json(), encoding="utf-8")
    line = failure(hub, model, revision="v1.1.3")
    assert "branch v1.1.3 is for models of ViT-B/16, and this is one of ViT-L/14@336px" in line
    assert "-rev, such as v2.2" in line and hub.seen == []
    assert publish(hub, model, revision="v2.2.3.4").is_new


def test_address_that_is_told_holds_no_password(
    hub: HubServer, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pagesort")
    request = PushRequest(
        model, NAME, "v1.1", endpoint=f"http://user:topSecret@127.0.0.1:{hub.port}", patience=QUICK
    )
    # The name goes along as another login than the token, which this hub does not know.
    hub.tokens["Basic dXNlcjp0b3BTZWNyZXQ="] = "write"
    hub.members.add("Basic dXNlcjp0b3BTZWNyZXQ=")
    outcome = hub_push.push(request, lambda question: True)
    assert outcome.url == f"http://127.0.0.1:{hub.port}/{NAME}/tree/v1.1"
    assert "topSecret" not in caplog.text


def test_no_answer_at_all(hub: HubServer, model: Path) -> None:
    quick = Patience(tries_unreachable=1)
    line = failure(hub, model, endpoint="http://127.0.0.1:9", patience=quick)
    assert "cannot reach 127.0.0.1:9" in line
