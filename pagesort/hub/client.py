"""One conversation with a hub: the token, bounded waiting, other tries, and errors as one line."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pagesort.common.errors import PageSortError
from pagesort.hub import errors as hub_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

CONFIG_TOKEN = "config.txt [HF] token"
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_STORED = "the stored login"
# The published config.txt holds `hf_qViUKX....`; others say what belongs there.
_PLACEHOLDER = re.compile(
    r".*(\.\.|\u2026|[<>{}*]|your[_-]|token_here).*|(hf_?)?x*|(hf_)?token|none|null", re.I
)
# These write addresses with signatures, or bars of their own, to stderr.
_NOISY = ("httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub")


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try; times in seconds.

    Args:
        tries: how often a request is made that fails for a passing reason.
        tries_unreachable: the same if nothing answers at all.
        pause: the first pause between two tries; each further one is twice as long.
        longest_pause: the pauses grow no further; a hub that asks for more is told to the person.
        connect: how long a connection may take to stand; None takes the library's setting.
        answer: how long the other side may be silent; None takes the library's setting.
    """

    tries: int = 5
    tries_unreachable: int = 2
    pause: float = 1.0
    longest_pause: float = 30.0
    connect: float | None = None
    answer: float | None = None

    def before_next(self, failed: int, error: BaseException) -> float | None:
        """Return the seconds to wait after so many failed tries; None to give up."""
        if not hub_errors.is_transient(error):
            return None
        if failed >= (self.tries_unreachable if hub_errors.is_unreachable(error) else self.tries):
            return None
        wanted = hub_errors.wanted_pause(error)
        if wanted is not None and wanted > self.longest_pause:
            return None
        return max(wanted or 0.0, min(self.pause * 2 ** (failed - 1), self.longest_pause))


# For what goes on without a hub anyway.
IMPATIENT = Patience(tries=2, tries_unreachable=1, connect=5.0, answer=8.0)


@dataclass(frozen=True)
class Token:
    """An access token, which no text of this class shows, and where it came from."""

    value: str | None = field(default=None, repr=False)
    source: str = ""


@dataclass(frozen=True)
class Hub:
    """A repository on a hub, seen with one token; use inside `quiet_client`.

    Args:
        repository: `owner/name`.
        token: what to send; nothing where it has no value.
        endpoint: address of the hub; None takes the library's (HF_ENDPOINT).
        patience: how long to wait and how often to try.
    """

    repository: str
    token: Token = Token()
    endpoint: str | None = None
    patience: Patience = Patience()

    @cached_property
    def api(self) -> HfApi:
        """The library's client; a `False` token keeps it from looking for one of its own.

        Raises:
            PageSortError: the endpoint is no address.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self.token.value or False)
        if not re.match(r"https?://[^/\s]", api.endpoint):
            raise PageSortError(
                f"HF_ENDPOINT is '{hub_errors.redacted(api.endpoint)}', which is no address",
                remedy="Write it as https://HOST, or unset it to use huggingface.co",
            )
        return api

    def about(
        self, revision: str = "main", *, writing: bool = False, place: Path | None = None
    ) -> hub_errors.About:
        """Say what requests are about, for messages; `place` is where their files go."""
        return hub_errors.About(
            repository=self.repository,
            endpoint=self.api.endpoint,
            revision=revision,
            token_source=self.token.source,
            writing=writing,
            place=place,
            revisions=self._revision_names,
        )

    def ask(
        self,
        request: Callable[[], Answer],
        about: hub_errors.About,
        has_gained: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Make a request, again after growing pauses where that may help.

        Args:
            request: what to do.
            about: what it is about, for messages.
            has_gained: tells after a failure whether the try brought something that is kept, so
                that the tries are counted anew.

        Raises:
            PageSortError: it cannot be done; the message says what to do.
        """
        failed = 0
        while True:
            try:
                return request()
            except hub_errors.caught() as error:
                failed = 1 if has_gained() else failed + 1
                pause = self.patience.before_next(failed, error)
                if pause is None:
                    raise translated(error, about) from None
                logger.info("%s; trying again in %.3g s", hub_errors.short(error), pause)
                time.sleep(pause)

    def info(self, revision: str, *, files: bool = False) -> ModelInfo:
        """Ask for a revision: its commit (`sha`), and with `files` their sizes and hashes.

        Raises:
            PageSortError: it is not there, or the hub cannot be asked.
        """
        return self.ask(lambda: self._info(revision, files), self.about(revision))

    def revisions(self) -> list[str]:
        """List the branches and tags of the repository.

        Raises:
            PageSortError: the hub cannot be asked.
        """
        return self.ask(self._revision_names, self.about())

    def _info(self, revision: str, files: bool) -> ModelInfo:
        info = self.api.model_info(
            self.repository,
            revision=revision,
            files_metadata=files,
            timeout=self.patience.answer or _library_time_outs()[1],
        )
        if not isinstance(info.sha, str) or not re.fullmatch(r"[0-9a-f]{7,64}", info.sha):
            raise hub_errors.NotAHubError("an answer without a commit")
        return info

    def _revision_names(self) -> list[str]:
        refs = self.api.list_repo_refs(self.repository)
        return [ref.name for ref in [*refs.branches, *refs.tags]]


def translated(error: BaseException, about: hub_errors.About) -> PageSortError:
    """Explain an error; its own words go to the technical log only, without their secrets."""
    logger.debug("%s: %s", type(error).__name__, hub_errors.redacted(str(error)))
    return hub_errors.explain(error, about)


@contextmanager
def quiet_client(patience: Patience) -> Iterator[None]:
    """Give every request of the library a time-out, and keep its own messages and bars back.

    Raises:
        PageSortError: the environment names a proxy or certificates that cannot be used.
    """
    from huggingface_hub import utils
    from huggingface_hub.utils import logging as library

    try:
        _bound_requests(patience)
    except hub_errors.caught(ImportError) as error:
        reason = hub_errors.redacted(str(error))
        raise PageSortError(
            f"the network settings of this machine cannot be used ({reason})",
            remedy="Check HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
        ) from None
    level = library.get_verbosity()
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    had_bars = not utils.are_progress_bars_disabled()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in _NOISY:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            library.set_verbosity(library.CRITICAL)
            utils.disable_progress_bars()
            yield
    finally:
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        library.set_verbosity(level)
        if had_bars:
            utils.enable_progress_bars()


def find_token(configured: str | None) -> Token:
    """Find the token to send: the environment's, else the settings file's, else the stored login.

    Args:
        configured: what `[HF] token` holds; a placeholder counts as nothing.

    Raises:
        PageSortError: the token holds what no token can, or the stored login cannot be read.
    """
    stated = "" if configured is None else configured.strip()
    stated = "" if _PLACEHOLDER.fullmatch(stated) else stated
    if stated:
        logger.warning(
            "the token in %s can be read by everybody who reads the file: set HF_TOKEN or use "
            "'hf auth login' instead, and empty it there",
            CONFIG_TOKEN,
        )
    for name in _VARIABLES:
        value = os.environ.get(name, "").strip()
        if value and not _PLACEHOLDER.fullmatch(value):
            return _checked(value, name)
    if stated:
        return _checked(stated, CONFIG_TOKEN)
    stored = _stored_login()
    return Token() if _PLACEHOLDER.fullmatch(stored) else _checked(stored, _STORED)


def _checked(value: str, source: str) -> Token:
    # Such a token would end up in an error of the HTTP library, in full.
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise PageSortError(
            f"the token from {source} holds a blank, a line break or another strange character",
            remedy="Copy it again, in one piece",
        )
    return Token(value, source)


def _stored_login() -> str:
    import huggingface_hub
    from huggingface_hub import errors

    # Newer versions can also renew a login over the network, and fail at it.
    renewals = [getattr(errors, name, None) for name in ("OIDCError", "DeviceCodeError")]
    try:
        return (huggingface_hub.get_token() or "").strip()
    except (*hub_errors.caught(), *filter(None, renewals)) as error:
        logger.debug("%s: %s", type(error).__name__, hub_errors.redacted(str(error)))
        raise PageSortError(
            "the stored login of the hub cannot be read or renewed",
            remedy="Log in again with 'hf auth login'",
        ) from None


def _library_time_outs() -> tuple[float, float]:
    """Seconds for a connection and for silence, as HF_HUB_..._TIMEOUT set them (10 each)."""
    from huggingface_hub import constants

    return float(constants.HF_HUB_ETAG_TIMEOUT), float(constants.HF_HUB_DOWNLOAD_TIMEOUT)


def _bound_requests(patience: Patience) -> None:
    """Have the library make HTTP clients that wait no longer than this.

    Without it creating a repository or a commit waits for ever on a hub that is silent. The client
    is built from the library's own, whose HTTP library differs between versions.
    """
    import huggingface_hub

    ordinary = huggingface_hub.get_session()
    connect, answer = _library_time_outs()
    time_outs = type(ordinary.timeout)(
        patience.answer or answer, connect=patience.connect or connect
    )
    client, hooks = type(ordinary), ordinary.event_hooks
    huggingface_hub.set_client_factory(
        lambda: client(event_hooks=hooks, follow_redirects=True, timeout=time_outs)
    )


def impatient(hub: Hub) -> Hub:
    """Return the same hub, asked by somebody who can go on without it."""
    return replace(hub, patience=IMPATIENT)
