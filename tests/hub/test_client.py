"""Tokens, waiting, and the words for errors, without a hub."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.hub import download, errors
from pagesort.hub.client import Hub, Patience, find_token, quiet_client
from pagesort.hub.download import RemoteFile
from tests.helpers.hub_fixtures import QUICK, alone, assert_no_secret
from tests.helpers.hub_server import READER, WRITER, running

__all__ = ["alone"]  # a fixture


@pytest.mark.parametrize(
    "written", ["hf_qViUKX....", "", " ", "hf_xxxxxxxx", "<your token>", "hf_YOUR_TOKEN", "None"]
)
def test_placeholder_is_no_token(written: str, caplog: pytest.LogCaptureFixture) -> None:
    assert find_token(written).value is None
    assert caplog.messages == []


def test_token_in_the_settings_works_and_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    token = find_token(f" {WRITER}\n")
    assert (token.value, token.source) == (WRITER, "config.txt [HF] token")
    assert len(caplog.messages) == 1 and "set HF_TOKEN or use 'hf auth login'" in caplog.text
    assert_no_secret(caplog.text, repr(token), repr(Hub("a/b", token)))


def test_environment_comes_before_settings_and_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = tmp_path / "hf_home" / "token"
    login.parent.mkdir()
    login.write_text(f"{READER}\n")
    assert (find_token(None).value, find_token(None).source) == (READER, "the stored login")
    assert find_token(WRITER).value == WRITER
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_older")
    assert find_token(WRITER).value == "hf_older"
    monkeypatch.setenv("HF_TOKEN", "hf_newer\n")
    assert (find_token(WRITER).value, find_token(WRITER).source) == ("hf_newer", "HF_TOKEN")


def test_torn_token_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{WRITER[:8]}\n{WRITER[8:]}")
    with pytest.raises(PageSortError, match="from HF_TOKEN holds a blank, a line break") as caught:
        find_token(None)
    assert WRITER[8:] not in str(caught.value)


def test_redaction() -> None:
    text = f"GET https://me:pw@cdn.example/a/b?X-Amz-Signature=1234 Bearer {WRITER} {READER}"
    assert errors.redacted(text) == "GET https://cdn.example/a/b Bearer [token] [token]"


def test_hosts_are_named_without_passwords() -> None:
    about = errors.About("a/b", "https://name:secret@mirror.example:8443/hub")
    assert about.host == "mirror.example:8443"


def test_pauses_grow_within_bounds() -> None:
    patience = Patience(tries=6, pause=1.0, longest_pause=5.0)
    broken = errors.BrokenOffError("x")
    pauses = [patience.before_next(failed, broken) for failed in range(1, 7)]
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_tries_are_counted_anew_where_something_arrived(tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000  # 12.8 MB
    with running() as server:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "model.safetensors").write_bytes(content)
        commit = server.add("a/b", tmp_path / "in")
        hub = Hub("a/b", endpoint=server.url, patience=QUICK)
        server.fail("GET /cdn", "drop", times=8, after=1_500_000)
        with quiet_client(QUICK):
            info = hub.info("main", files=True)
            files = download.listed(info)
            download.fetch(hub, commit, files, tmp_path / "out", hub.about())
        assert (tmp_path / "out" / files[0].digest).read_bytes() == content
        starts = [seen.range for seen in server.requests("GET /cdn")]
        assert starts == [None, *(f"bytes={n * 1_500_000}-" for n in range(1, 9))]


def test_server_that_knows_no_ranges_sends_all_again(tmp_path: Path) -> None:
    with running() as server:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "config.json").write_bytes(b"x" * 5000)
        commit = server.add("a/b", tmp_path / "in")
        hub = Hub("a/b", endpoint=server.url, patience=QUICK)
        with quiet_client(QUICK):
            (file,) = download.listed(hub.info("main", files=True))
            (tmp_path / "out").mkdir()
            # What was kept is longer than the file, and of another one.
            (tmp_path / "out" / f"{file.digest}.partial").write_bytes(b"y" * 6000)
            download.fetch(hub, commit, [file], tmp_path / "out", hub.about())
        assert (tmp_path / "out" / file.digest).read_bytes() == b"x" * 5000


def test_hash_of_git_covers_the_length() -> None:
    empty = RemoteFile("x", 0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    assert empty.hasher().hexdigest() == empty.digest


def test_library_keeps_quiet_and_is_left_as_it_was() -> None:
    from huggingface_hub import utils

    level = logging.getLogger("httpx").level
    bars = utils.are_progress_bars_disabled()
    with quiet_client(QUICK):
        assert utils.are_progress_bars_disabled()
        assert logging.getLogger("httpx").level == logging.CRITICAL
    assert (logging.getLogger("httpx").level, utils.are_progress_bars_disabled()) == (level, bars)


@pytest.mark.parametrize("endpoint", ["mirror.local", "https://", "ftp://x", "C:\\hub"])
def test_endpoint_that_is_no_address(endpoint: str) -> None:
    with quiet_client(QUICK), pytest.raises(PageSortError, match="HF_ENDPOINT is .* no address"):
        Hub("a/b", endpoint=endpoint, patience=QUICK).info("main")


@pytest.mark.parametrize("proxy", ["what://me:secret@x:1", "http://me:secret@x:abc"])
def test_proxy_that_is_no_address(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setenv("HTTPS_PROXY", proxy)
    huggingface_hub.close_session()
    with pytest.raises(PageSortError, match="Check HTTPS_PROXY") as caught, quiet_client(QUICK):
        Hub("a/b", endpoint="https://hub.example", patience=QUICK).info("main")
    assert "secret" not in str(caught.value)


def test_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    words = "Check the network|Check HTTPS_PROXY"
    with pytest.raises(PageSortError, match=words), quiet_client(QUICK):
        Hub("a/b", endpoint="https://hub.example", patience=QUICK).info("main")
