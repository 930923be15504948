"""What goes wrong with a hub, told as one line that says what to do, and what is worth another try.

Nothing of an error's own text reaches a person unless the hub wrote it for people: addresses of
files are signed, and requests carry the token.
"""

from __future__ import annotations

import errno
import re
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pagesort.common.errors import PageSortError, UsageError

WITHOUT_HUB = (
    "models that lie on this machine work without it, and --hf import FILE installs one that was "
    "exported elsewhere"
)
_QUERY = re.compile(r"(https?://)(?:[^\s/@'\"]*@)?([^\s?'\"]*)(\?[^\s'\"]*)?")
_TOKEN = re.compile(r"\b(?:hf|api_org)_[\w.-]+|(?<=Bearer )\S+")
_LONGEST = 200


class NotAHubError(Exception):
    """What answered does not speak the hub's protocol."""


class WrongContentError(Exception):
    """The bytes of a file are not those the hub had announced; `is_final` if it came so often."""

    def __init__(self, name: str, *, is_final: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.is_final = is_final


class BrokenOffError(Exception):
    """The answer ended before all of it was there."""


@dataclass(frozen=True)
class About:
    """What a request was about, for messages.

    Args:
        repository: `owner/name`.
        endpoint: address of the hub.
        revision: the branch, tag or commit asked for.
        token_source: where the token that was sent came from; empty if none was.
        writing: whether the request wanted to change something.
        place: the folder that receives files.
        revisions: asks the hub which revisions the repository has; may raise what a request raises.
    """

    repository: str
    endpoint: str
    revision: str = "main"
    token_source: str = ""
    writing: bool = False
    place: Path | None = None
    revisions: Callable[[], list[str]] | None = None

    @property
    def host(self) -> str:
        """The hub's name as a person knows it, without what the address may hold of secrets."""
        parts = urlsplit(self.endpoint)
        name = parts.hostname or self.endpoint
        return f"{name}:{parts.port}" if parts.port else name


def caught(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what the client library raises, whichever HTTP library it stands on, and `others`."""
    from huggingface_hub.errors import HfHubHTTPError

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    # The one error of theirs that stands outside their family.
    bad_address = vars(sys.modules[transport.__module__.partition(".")[0]])["InvalidURL"]
    ours = (NotAHubError, WrongContentError, BrokenOffError)
    # An answer that is JSON but no hub's makes the library stumble over what it does not hold.
    stumbles = (ValueError, TypeError, KeyError, AttributeError)
    return (transport, bad_address, OSError, RuntimeError, *stumbles, *ours, *others)


def explain(error: BaseException, about: About) -> PageSortError:
    """Turn an error of the client library into one line that says what to do."""
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, PageSortError):
            return link
        if isinstance(link, OfflineModeIsEnabled):
            return PageSortError(
                f"{about.host} is not asked, because HF_HUB_OFFLINE is set",
                remedy=f"Unset it to use the hub; {WITHOUT_HUB}",
            )
        if isinstance(link, HFValidationError):
            return UsageError(
                f"'{redacted(about.repository)}' cannot be the name of a repository",
                remedy="Write [HF] repo_name as OWNER/NAME",
            )
    response = _response(chain)
    if response is not None:
        return _explain_answer(chain, response, about)
    return _explain_transport(chain, about)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same request may succeed a little later."""
    chain = list(_chain(error))
    response = _response(chain)
    if response is not None:
        return response.status_code in (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)
    for link in chain:
        if isinstance(link, WrongContentError):
            return not link.is_final
        if isinstance(link, BrokenOffError):
            return True
    if any(_is_kind(link, "UnsupportedProtocol", "LocalProtocolError") for link in chain):
        return False
    return any(_is_kind(link, "TransportError") for link in chain) and not _is_untrusted(chain)


def is_unreachable(error: BaseException) -> bool:
    """Tell whether nothing answered at all, which more patience seldom mends."""
    kinds = ("ConnectError", "ConnectTimeout", "ProxyError")
    return any(_is_kind(link, *kinds) for link in _chain(error))


def wanted_pause(error: BaseException) -> float | None:
    """Return the seconds that the hub asks to wait, if it does."""
    response = _response(list(_chain(error)))
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if value.strip().isdigit() else None


def is_missing(error: BaseException) -> bool:
    """Tell whether the hub says that there is no such repository, or none that may be seen."""
    response = _response(list(_chain(error)))
    return response is not None and response.status_code in (401, 404) and not _is_bad_token(error)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the answer that an error tells of; None without an answer."""
    response = _response(list(_chain(error)))
    return None if response is None else int(response.status_code)


def short(error: BaseException) -> str:
    """Say in a few words what happened, for the line that announces another try."""
    chain = list(_chain(error))
    response = _response(chain)
    if response is not None:
        return f"the hub answered {response.status_code}"
    if any(isinstance(link, WrongContentError) for link in chain):
        return "what arrived is not what the hub had announced"
    if any(_is_kind(link, "TimeoutException") for link in chain):
        return "the hub does not answer"
    if any(_is_kind(link, "ConnectError") for link in chain):
        return "the hub cannot be reached"
    return "the connection broke off"


def redacted(text: str) -> str:
    """Cut a text to one line without signatures, passwords and tokens."""
    line = " ".join(text.split())
    line = _TOKEN.sub("[token]", _QUERY.sub(r"\1\2", line))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what caused it; the library wraps the telling one up to three times."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _response(chain: list[BaseException]) -> Any:
    for link in chain:
        response = getattr(link, "response", None)
        if getattr(response, "status_code", None) is not None:
            return response
    return None


def _is_kind(error: BaseException, *names: str) -> bool:
    """Compare by name: version 1 of the library stands on httpx, version 2 on httpx2."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _is_bad_token(error: BaseException) -> bool:
    response = _response(list(_chain(error)))
    said = response.headers.get("X-Error-Message", "") if response is not None else ""
    return "invalid" in said.lower() and "credential" in said.lower()


def _is_untrusted(chain: list[BaseException]) -> bool:
    marks = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")
    return any(
        isinstance(link, ssl.SSLError) or any(mark in str(link) for mark in marks) for link in chain
    )


def _explain_answer(chain: list[BaseException], response: Any, about: About) -> PageSortError:
    status = int(response.status_code)
    code = response.headers.get("X-Error-Code", "")
    # A gated repository is also a missing one by its class, so it comes first.
    if code == "GatedRepo" or any(_is_kind(link, "GatedRepoError") for link in chain):
        return _gated(about)
    if code == "RevisionNotFound" or any(_is_kind(link, "RevisionNotFoundError") for link in chain):
        return unknown_revision(about)
    # A hub answers in JSON; its gateway's pages of 429 and 5xx are the exception.
    if _is_page(response) and not code and status != 429 and status < 500:
        return _no_hub(about)
    if any(_is_kind(link, "DisabledRepoError") for link in chain):
        return PageSortError(
            f"{about.host} has closed the repository {about.repository}",
            remedy="Ask its owner, or name another one as [HF] repo_name",
        )
    if any(_is_kind(link, "RepositoryNotFoundError") for link in chain):
        return _missing(about)
    if status == 401:
        return _unauthorised(about)
    return _explain_status(status, code, response, about)


def _explain_status(status: int, code: str, response: Any, about: About) -> PageSortError:
    if status == 403:
        return _forbidden(about)
    if status == 404 and not code and "/api/" in str(response.url):
        return _no_hub(about)
    if status == 404:
        return PageSortError(
            f"a file of {about.repository} that was listed a moment ago is not there",
            remedy="Run the command again",
        )
    if status in (409, 412):
        return PageSortError(
            f"{about.repository} was changed by somebody else meanwhile ({status})",
            remedy="Run the command again",
        )
    if status == 429:
        seconds = response.headers.get("Retry-After", "").strip()
        after = f" in {seconds} seconds" if seconds.isdigit() else " in some minutes"
        return PageSortError(
            f"{about.host} has had too many requests from here (429)",
            remedy=f"Run the command again{after}; what was fetched is kept",
        )
    if status == 407:
        return PageSortError(
            "the proxy wants a name and a password (407)",
            remedy="Put them into HTTPS_PROXY, as in http://name:password@host:port",
        )
    if status == 511:
        return _no_hub(about)
    if status >= 500:
        return PageSortError(
            f"{about.host} is busy or out of order ({status})",
            remedy=f"Run the command again later; {WITHOUT_HUB}",
        )
    said = redacted(response.headers.get("X-Error-Message", "") or _server_words(response))
    return PageSortError(
        f"{about.host} refused the request ({status}{': ' + said if said else ''})",
        where=about.repository,
        remedy="Check [HF] repo_name and revision",
    )


def unknown_revision(about: About) -> PageSortError:
    """Say that a revision is not there, and which ones are if the hub tells."""
    what = f"{about.repository} has no revision '{about.revision}'"
    remedy = "Name another one with -rev"
    if about.revisions is not None:
        try:
            names = about.revisions()
        except caught():
            names = []
        if names:
            what += f"; it has {', '.join(names)}"
            remedy = "Name one of these with -rev"
    return PageSortError(what, remedy=remedy)


def _gated(about: About) -> PageSortError:
    login = "" if about.token_source else ", and log in with 'hf auth login' or set HF_TOKEN"
    return PageSortError(
        f"{about.repository} is open only to those whom its owner has let in",
        remedy=f"Ask for access on {web_page(about)}{login}",
    )


def _missing(about: About) -> PageSortError:
    if about.token_source:
        return PageSortError(
            f"{about.host} has no repository {about.repository}, or the token from "
            f"{about.token_source} cannot see it",
            remedy="Check [HF] repo_name, and whose token it is",
        )
    return PageSortError(
        f"{about.host} has no repository {about.repository}, or it is private",
        remedy="Check [HF] repo_name; for a private one log in with 'hf auth login' or set "
        "HF_TOKEN",
    )


def _unauthorised(about: About) -> PageSortError:
    if not about.token_source:
        return _missing(about)
    return PageSortError(
        f"the token from {about.token_source} is not valid",
        where=about.host,
        remedy="Log in again with 'hf auth login', or set HF_TOKEN to a new token; public models "
        "need none",
    )


def _forbidden(about: About) -> PageSortError:
    if about.writing:
        return PageSortError(
            f"the token from {about.token_source or 'nowhere'} may read but not write",
            where=about.repository,
            remedy="Make one with write permission for it under 'Access Tokens' on "
            f"{about.host}, and set HF_TOKEN to it or use 'hf auth login'",
        )
    return PageSortError(
        f"{about.host} does not let this token or this network read {about.repository} (403)",
        remedy="Check the token's permissions, and that no firewall stands between",
    )


def _explain_transport(chain: list[BaseException], about: About) -> PageSortError:
    for link in chain:
        if isinstance(link, WrongContentError):
            return PageSortError(
                f"{link.name} does not arrive with the announced checksum, however often fetched",
                where=about.repository,
                remedy="Try later or through another network; what was there before is unchanged",
            )
    if _is_untrusted(chain):
        return PageSortError(
            f"the certificate of what answered for {about.host} is not trusted",
            remedy="Behind a proxy that opens connections, set SSL_CERT_FILE to its certificate; "
            "a login page of the network may also be the reason",
        )
    if any(_is_kind(link, "ProxyError") for link in chain):
        return PageSortError(
            f"the proxy does not let requests through to {about.host}",
            remedy="Check HTTPS_PROXY and NO_PROXY",
        )
    if any(_is_kind(link, "ConnectError", "ConnectTimeout") for link in chain) or any(
        type(link) is ConnectionError for link in chain
    ):
        return PageSortError(
            f"cannot reach {about.host}",
            remedy=f"Check the network, HF_ENDPOINT and the proxy; {WITHOUT_HUB}",
        )
    if any(_is_kind(link, "TimeoutException") for link in chain):
        return PageSortError(
            f"no answer from {about.host}", remedy=f"Run the command again later; {WITHOUT_HUB}"
        )
    if any(_is_kind(link, "TransportError") or isinstance(link, BrokenOffError) for link in chain):
        return PageSortError(
            f"the connection to {about.host} broke off again and again",
            remedy="Run the command again: it goes on where it stopped",
        )
    return _explain_local(chain, about)


def _explain_local(chain: list[BaseException], about: About) -> PageSortError:
    for link in chain:
        if isinstance(link, OSError) and link.errno is not None:
            space = link.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
            return PageSortError(
                f"cannot be written or read ({link.strerror})",
                where=link.filename or about.place,
                remedy="Free some space; the next try goes on"
                if space
                else "Check the folder's permissions",
            )
    if any("Invalid metadata in README.md" in str(link) for link in chain):
        return PageSortError(
            f"{about.host} does not accept the model card ({redacted(str(chain[0]))})",
            remedy="Report this",
        )
    return _no_hub(about)


def _no_hub(about: About) -> PageSortError:
    return PageSortError(
        f"what answered for {about.host} is no hub, perhaps the login page of this network",
        remedy="Open a web page in a browser to log in to the network, and check HF_ENDPOINT and "
        "the proxy",
    )


def _is_page(response: Any) -> bool:
    return "text/html" in response.headers.get("Content-Type", "").lower()


def _server_words(response: Any) -> str:
    """The hub's own explanation in the body of a refusal, where it is short JSON."""
    try:
        content = response.json()
    except (ValueError, RuntimeError):  # not JSON, or never read
        return ""
    said = content.get("error", "") if isinstance(content, dict) else ""
    return said if isinstance(said, str) else ""


def web_page(about: About) -> str:
    """Return a repository's address for a browser, without what the endpoint's holds of secrets."""
    parts = urlsplit(about.endpoint)
    return f"{parts.scheme}://{about.host}{parts.path.rstrip('/')}/{about.repository}"
