"""What a person is told of each error, where no hub is needed to raise it."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pagesort.common.errors import UsageError
from pagesort.hub import errors


class _AnswerError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__("an answer")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = "https://hub.example/a/b/resolve/main/x"
        self.response = SimpleNamespace(
            status_code=status, headers=named, url=url, json=lambda: {"error": "a {brace} of it"}
        )


def _named(name: str) -> Exception:
    return type(name, (Exception,), {})("raised")


def _told(error: Exception, **about: Any) -> str:
    return str(errors.explain(error, errors.About("a/b", "https://hub.example", **about)))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_named("OfflineModeIsEnabled"), "hub.example is not asked, because HF_HUB_OFFLINE is set"),
        (_named("GatedRepoError"), "Ask for access on https://hub.example/a/b, and log in"),
        (_named("RevisionNotFoundError"), "a/b has no revision 'main'. Name another one"),
        (_named("DisabledRepoError"), "hub.example has closed the repository a/b"),
        (_named("RepositoryNotFoundError"), "has no repository a/b, or it is private"),
        (_named("ProxyError"), "the proxy does not let requests through to hub.example"),
        (_named("ConnectTimeout"), "cannot reach hub.example"),
        (ConnectionError("raised"), "cannot reach hub.example"),
        (_named("TimeoutException"), "no answer from hub.example"),
        (errors.BrokenOffError(), "the connection to hub.example broke off again and again"),
        (errors.WrongContentError("x.bin"), "x.bin does not arrive with the announced checksum"),
        (OSError(errno.ENOSPC, "full", "x.bin"), "(full): x.bin. Free some space"),
        (OSError(errno.EACCES, "denied"), "(denied): models. Check the folder's permissions"),
        (ValueError("Invalid metadata in README.md"), "does not accept the model card"),
        (errors.NotAHubError(), "what answered for hub.example is no hub"),
        (_AnswerError(200, Content_Type="text/html"), "what answered for hub.example is no hub"),
        (_AnswerError(400), "refused the request (400: a {brace} of it): a/b"),
        (_AnswerError(401), "has no repository a/b, or it is private"),
        (_AnswerError(403), "does not let this token or this network read a/b (403)"),
        (_AnswerError(404), "a file of a/b that was listed a moment ago is not there"),
        (_AnswerError(407), "the proxy wants a name and a password"),
        (_AnswerError(412), "a/b was changed by somebody else meanwhile (412)"),
        (_AnswerError(429, Retry_After="7"), "Run the command again in 7 seconds"),
        (_AnswerError(429), "Run the command again in some minutes"),
        (_AnswerError(503), "hub.example is busy or out of order (503)"),
        (_AnswerError(511), "what answered for hub.example is no hub"),
    ],
)
def test_each_error_is_told(error: Exception, told: str) -> None:
    assert told in _told(error, place=Path("models"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_named("GatedRepoError"), "Ask for access on https://hub.example/a/b."),
        (_named("RepositoryNotFoundError"), "or the token from HF_TOKEN cannot see it"),
        (_AnswerError(401), "the token from HF_TOKEN is not valid: hub.example"),
        (_AnswerError(403), "the token from HF_TOKEN may read but not write: a/b"),
        (_AnswerError(404, X_Error_Code="RevisionNotFound"), "it has main, v2. Name one of these"),
    ],
)
def test_a_token_and_what_the_hub_tells_change_the_line(error: Exception, told: str) -> None:
    assert told in _told(
        error, token_source="HF_TOKEN", writing=True, revisions=lambda: ["main", "v2"]
    )


def test_a_name_that_is_none_is_a_fault_of_usage() -> None:
    about = errors.About("a b", "https://hub.example")
    assert isinstance(errors.explain(_named("HFValidationError"), about), UsageError)
