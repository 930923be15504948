"""What goes wrong with a hub, told as one line that says what to do, and what is worth another try.

Nothing of an error's own text reaches a person unless the hub wrote it for people: addresses of
files are signed, and requests carry the token.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import is_full

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

    @property
    def web_page(self) -> str:
        """The repository's address for a browser, without what the endpoint's holds of secrets."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{self.host}{parts.path.rstrip('/')}/{self.repository}"

    @property
    def safe_repository(self) -> str:
        return redacted(self.repository)

    @property
    def token(self) -> str:
        return self.token_source or "nowhere"

    @cached_property
    def known_revisions(self) -> str:
        """The revisions that the hub tells of; empty if it tells of none."""
        try:
            return ", ".join(self.revisions()) if self.revisions is not None else ""
        except caught():
            return ""


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
    fault = _Fault.of(error, about)
    for link in fault.chain:
        if isinstance(link, PageSortError):
            return link
    return next(row for row in _ROWS if row.fits(fault)).translate(fault)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same request may succeed a little later."""
    fault = _Fault.of(error)
    if fault.status is not None:
        return fault.status in (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)
    for link in fault.chain:
        if isinstance(link, WrongContentError):
            return not link.is_final
        if isinstance(link, BrokenOffError):
            return True
    is_hopeless = fault.is_a("UnsupportedProtocol", "LocalProtocolError") or fault.is_untrusted
    return fault.is_a("TransportError") and not is_hopeless


def is_unreachable(error: BaseException) -> bool:
    """Tell whether nothing answered at all, which more patience seldom mends."""
    return _Fault.of(error).is_a("ConnectError", "ConnectTimeout", "ProxyError")


def wanted_pause(error: BaseException) -> float | None:
    """Return the seconds that the hub asks to wait, if it does."""
    seconds = _Fault.of(error).seconds
    return float(seconds) if seconds else None


def is_missing(error: BaseException) -> bool:
    """Tell whether the hub says that there is no such repository, or none that may be seen."""
    fault = _Fault.of(error)
    said = fault.header("X-Error-Message").lower()
    return fault.status in (401, 404) and not ("invalid" in said and "credential" in said)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the answer that an error tells of; None without an answer."""
    return _Fault.of(error).status


def short(error: BaseException) -> str:
    """Say in a few words what happened, for the line that announces another try."""
    fault = _Fault.of(error)
    if fault.status is not None:
        return f"the hub answered {fault.status}"
    if fault.is_a("WrongContentError"):
        return "what arrived is not what the hub had announced"
    if fault.is_a("TimeoutException"):
        return "the hub does not answer"
    if fault.is_a("ConnectError"):
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


def _server_words(response: Any) -> str:
    """The hub's own explanation in the body of a refusal, where it is short JSON."""
    try:
        content = response.json()
    except (ValueError, RuntimeError):  # not JSON, or never read
        return ""
    said = content.get("error", "") if isinstance(content, dict) else ""
    return said if isinstance(said, str) else ""


@dataclass(frozen=True)
class _Fault:
    """An error, what led to it (outermost first), and what the request was about."""

    chain: tuple[BaseException, ...]
    about: About

    @classmethod
    def of(cls, error: BaseException, about: About | None = None) -> _Fault:
        return cls(tuple(_chain(error)), about or About("", ""))

    @cached_property
    def response(self) -> Any:
        """The hub's answer; None where there was none."""
        answers = (getattr(link, "response", None) for link in self.chain)
        return next((one for one in answers if getattr(one, "status_code", None) is not None), None)

    @property
    def status(self) -> int | None:
        return None if self.response is None else int(self.response.status_code)

    @cached_property
    def names(self) -> set[str]:
        """Classes by name, as version 1 of the library stands on httpx and version 2 on httpx2."""
        return {kind.__name__ for link in self.chain for kind in type(link).__mro__}

    def is_a(self, *names: str) -> bool:
        return not self.names.isdisjoint(names)

    def header(self, name: str) -> str:
        return "" if self.response is None else str(self.response.headers.get(name, "")).strip()

    @property
    def seconds(self) -> str:
        """How long the hub asks to wait; empty if it does not say so in seconds."""
        value = self.header("Retry-After")
        return value if value.isdigit() else ""

    @property
    def answer(self) -> str:
        """The status, and the hub's own words if there are any."""
        said = redacted(self.header("X-Error-Message") or _server_words(self.response))
        return f"{self.status}: {said}" if said else str(self.status)

    @property
    def text(self) -> str:
        return redacted(str(self.chain[0]))

    @property
    def wrong_file(self) -> str:
        return next(link.name for link in self.chain if isinstance(link, WrongContentError))

    @property
    def refusal(self) -> OSError | None:
        """What the operating system refused."""
        refusals = (link for link in self.chain if isinstance(link, OSError))
        return next((link for link in refusals if link.errno is not None), None)

    @property
    def place(self) -> Any:
        return (self.refusal and self.refusal.filename) or self.about.place or ""

    def says(self, *marks: str) -> bool:
        return any(mark in str(link) for link in self.chain for mark in marks)

    @property
    def is_untrusted(self) -> bool:
        return self.is_a("SSLError") or self.says(
            "CERTIFICATE_VERIFY_FAILED", "certificate verify failed"
        )

    @property
    def is_page(self) -> bool:
        """Whether a web page answered; a hub's gateway sends those of 429 and 5xx, no others."""
        is_gateway = self.status is not None and (self.status == 429 or self.status >= 500)
        is_page = "text/html" in self.header("Content-Type").lower()
        return is_page and not is_gateway and not self.header("X-Error-Code")

    @property
    def is_unknown_address(self) -> bool:
        is_call = self.response is not None and "/api/" in str(self.response.url)
        return self.status == 404 and is_call and not self.header("X-Error-Code")


@dataclass(frozen=True)
class _Row:
    """What to tell of the errors of a class, an `X-Error-Code` or a status, if `when` holds.

    `what`, `remedy` and `where` are formatted with `about` and `fault`.
    """

    what: str
    remedy: str
    where: str = ""
    names: tuple[str, ...] = ()
    statuses: Container[int] = ()
    when: Callable[[_Fault], object] = lambda _: True
    kind: type[PageSortError] = PageSortError

    def fits(self, fault: _Fault) -> bool:
        is_any = not self.names and not self.statuses
        is_named = fault.is_a(*self.names) or fault.header("X-Error-Code") in self.names
        is_meant = is_any or is_named or fault.status in self.statuses
        return is_meant and bool(self.when(fault))

    def translate(self, fault: _Fault) -> PageSortError:
        texts = (self.what, self.remedy, self.where)
        what, remedy, where = (text.format(fault=fault, about=fault.about) for text in texts)
        return self.kind(what, remedy=remedy, where=where or None)


_NO_HUB = (
    "what answered for {about.host} is no hub, perhaps the login page of this network",
    "Open a web page in a browser to log in to the network, and check HF_ENDPOINT and the proxy",
)
_UNREACHABLE = (
    "cannot reach {about.host}",
    f"Check the network, HF_ENDPOINT and the proxy; {WITHOUT_HUB}",
)
_GATED = "{about.repository} is open only to those whom its owner has let in"
_BUSY = "{about.host} has had too many requests from here (429)"
_REFUSED_HERE = "cannot be written or read ({fault.refusal.strerror})"


def _has_token(fault: _Fault) -> bool:
    return bool(fault.about.token_source)


# The first that fits is told: a gated repository is also a missing one by its class.
# One row is what, remedy, where, and then of which errors: a table, so laid out by hand.
# fmt: off
_ROWS = (
    _Row("{about.host} is not asked, because HF_HUB_OFFLINE is set",
         f"Unset it to use the hub; {WITHOUT_HUB}", names=("OfflineModeIsEnabled",)),
    _Row("'{about.safe_repository}' cannot be the name of a repository",
         "Write [HF] repo_name as OWNER/NAME", names=("HFValidationError",), kind=UsageError),
    # The hub answered.
    _Row(_GATED, "Ask for access on {about.web_page}",
         names=("GatedRepo", "GatedRepoError"), when=_has_token),
    _Row(_GATED,
         "Ask for access on {about.web_page}, and log in with 'hf auth login' or set HF_TOKEN",
         names=("GatedRepo", "GatedRepoError")),
    _Row("{about.repository} has no revision '{about.revision}'; it has {about.known_revisions}",
         "Name one of these with -rev", names=("RevisionNotFound", "RevisionNotFoundError"),
         when=lambda fault: fault.about.known_revisions),
    _Row("{about.repository} has no revision '{about.revision}'",
         "Name another one with -rev", names=("RevisionNotFound", "RevisionNotFoundError")),
    _Row(*_NO_HUB, when=lambda fault: fault.is_page),
    _Row("{about.host} has closed the repository {about.repository}",
         "Ask its owner, or name another one as [HF] repo_name", names=("DisabledRepoError",)),
    _Row("{about.host} has no repository {about.repository}, or the token from "
         "{about.token_source} cannot see it", "Check [HF] repo_name, and whose token it is",
         names=("RepositoryNotFoundError",), when=_has_token),
    _Row("the token from {about.token_source} is not valid",
         "Log in again with 'hf auth login', or set HF_TOKEN to a new token; public models need "
         "none", "{about.host}", statuses=(401,), when=_has_token),
    _Row("{about.host} has no repository {about.repository}, or it is private",
         "Check [HF] repo_name; for a private one log in with 'hf auth login' or set HF_TOKEN",
         names=("RepositoryNotFoundError",), statuses=(401,)),
    _Row("the token from {about.token} may read but not write",
         "Make one with write permission for it under 'Access Tokens' on {about.host}, and set "
         "HF_TOKEN to it or use 'hf auth login'", "{about.repository}",
         statuses=(403,), when=lambda fault: fault.about.writing),
    _Row("{about.host} does not let this token or this network read {about.repository} (403)",
         "Check the token's permissions, and that no firewall stands between", statuses=(403,)),
    _Row(*_NO_HUB, when=lambda fault: fault.is_unknown_address),
    _Row("a file of {about.repository} that was listed a moment ago is not there",
         "Run the command again", statuses=(404,)),
    _Row("the proxy wants a name and a password (407)",
         "Put them into HTTPS_PROXY, as in http://name:password@host:port", statuses=(407,)),
    _Row("{about.repository} was changed by somebody else meanwhile ({fault.status})",
         "Run the command again", statuses=(409, 412)),
    _Row(_BUSY, "Run the command again in {fault.seconds} seconds; what was fetched is kept",
         statuses=(429,), when=lambda fault: fault.seconds),
    _Row(_BUSY, "Run the command again in some minutes; what was fetched is kept",
         statuses=(429,)),
    _Row(*_NO_HUB, statuses=(511,)),
    _Row("{about.host} is busy or out of order ({fault.status})",
         f"Run the command again later; {WITHOUT_HUB}", statuses=range(500, 1000)),
    _Row("{about.host} refused the request ({fault.answer})",
         "Check [HF] repo_name and revision", "{about.repository}", statuses=range(500)),
    # Nothing answered, or not to the end.
    _Row("{fault.wrong_file} does not arrive with the announced checksum, however often fetched",
         "Try later or through another network; what was there before is unchanged",
         "{about.repository}", names=("WrongContentError",)),
    _Row("the certificate of what answered for {about.host} is not trusted",
         "Behind a proxy that opens connections, set SSL_CERT_FILE to its certificate; a login "
         "page of the network may also be the reason", when=lambda fault: fault.is_untrusted),
    _Row("the proxy does not let requests through to {about.host}",
         "Check HTTPS_PROXY and NO_PROXY", names=("ProxyError",)),
    _Row(*_UNREACHABLE, names=("ConnectError", "ConnectTimeout")),
    _Row(*_UNREACHABLE, when=lambda fault: ConnectionError in map(type, fault.chain)),
    _Row("no answer from {about.host}", f"Run the command again later; {WITHOUT_HUB}",
         names=("TimeoutException",)),
    _Row("the connection to {about.host} broke off again and again",
         "Run the command again: it goes on where it stopped",
         names=("TransportError", "BrokenOffError")),
    # This machine refused, or the library stumbled.
    _Row(_REFUSED_HERE, "Free some space; the next try goes on", "{fault.place}",
         when=lambda fault: fault.refusal and is_full(fault.refusal)),
    _Row(_REFUSED_HERE, "Check the folder's permissions", "{fault.place}",
         when=lambda fault: fault.refusal),
    _Row("{about.host} does not accept the model card ({fault.text})", "Report this",
         when=lambda fault: fault.says("Invalid metadata in README.md")),
    _Row(*_NO_HUB),
)
# fmt: on
