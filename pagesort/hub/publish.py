"""Publishing a model: told before what will be sent, then one commit, then looked at again."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import hash_into, translate_unwritable
from pagesort.common.text import size_text
from pagesort.common.transfer import Transfer
from pagesort.hub import download, errors, model_card
from pagesort.hub.client import Hub, Patience, Token, find_token, quiet_client
from pagesort.models import catalogue
from pagesort.models import folder as model_files
from pagesort.models.metadata import read_metadata
from pagesort.models.training_pages import TRAINING_PAGES_FILE

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

    from pagesort.hub.download import RemoteFile

logger = logging.getLogger(__name__)

_MAIN = "main"
_ATTRIBUTES = ".gitattributes"  # all that the hub itself puts into a new repository
# Left over from an older state of a branch, these would be taken for parts of the new model.
_STALE = re.compile(
    r"[^/]+\.(safetensors|bin|pt|pth|h5|msgpack|index\.json)|plots/[^/]+\.png"
    rf"|{re.escape(TRAINING_PAGES_FILE)}"
)
_TEXTS = (".json", ".md", ".txt", ".yaml")
_ANY_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b")


@dataclass(frozen=True)
class PushRequest:
    """What to publish, and as what.

    Args:
        folder: a model folder in this program's format.
        repository: `owner/name` ([HF] repo_name).
        revision: the branch; made if missing.
        public: whether a repository that has to be made is visible to everybody.
        results: the folder of results, where evaluations of the model are looked for.
        licence: the hub's short name of the licence; None lets the model's origin decide.
        token: what `[HF] token` holds.
        endpoint: address of the hub; None takes the library's (HF_ENDPOINT).
        patience: how long to wait and how often to try.
    """

    folder: Path
    repository: str
    revision: str
    public: bool = False
    results: Path | None = None
    licence: str | None = None
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    patience: Patience = Patience(answer=60.0)


@dataclass(frozen=True)
class PushPlan:
    """What a push will do.

    Args:
        is_new: whether the repository has to be made.
        is_private: whether only those whom its owner lets in see it.
        has_branch: whether the branch is there.
        parent: the commit that the new one follows; empty if there is none yet.
        sent: name in the repository to content: a file, or the text of the card.
        same: names whose content is there already.
        replaced: names that are there with other content.
        removed: names that the branch has and the model has not.
        left_out: what lies in the folder and is not sent.
        fills_main: whether nothing was ever published there, so that the commit is made on main,
            the branch that the repository's page shows, and the revision starts from it.
        leaves_main_empty: whether main holds no model, and what else it holds stays alone.
    """

    repository: str
    revision: str
    host: str
    is_new: bool
    is_private: bool
    has_branch: bool
    parent: str
    sent: Mapping[str, Path | bytes]
    same: frozenset[str]
    replaced: frozenset[str]
    removed: tuple[str, ...]
    left_out: tuple[str, ...]
    fills_main: bool
    leaves_main_empty: bool

    @property
    def committed(self) -> str:
        """The branch that the commit is made on."""
        return _MAIN if self.fills_main else self.revision

    @property
    def is_idle(self) -> bool:
        """Whether the branch holds exactly this already."""
        return self.has_branch and not self.removed and len(self.same) == len(self.sent)

    def lines(self) -> list[str]:
        """Say what will happen, for people."""
        seen_by = "private" if self.is_private else "PUBLIC: everybody can see it"
        made = "will be made" if self.is_new else "is there"
        branch = "is there" if self.has_branch else "will be made"
        lines = [
            f"repository {self.repository} on {self.host}: {made}, {seen_by}",
            f"branch {self.revision}: {branch}",
        ]
        if self.fills_main:
            lines.append(f"branch {_MAIN}: filled, too, so that the repository's page shows it")
        for name, content in self.sent.items():
            state = "sent, replaces the one there" if name in self.replaced else "sent"
            state = "unchanged, not sent again" if name in self.same else state
            lines.append(f"  {name}, {size_text(_size(content))}: {state}")
        lines += [f"  {name}: removed from the branch" for name in self.removed]
        lines += [f"  {name}: stays here, not part of the model" for name in self.left_out]
        total = sum(_size(self.sent[name]) for name in self.sent if name not in self.same)
        return [*lines, f"{size_text(total)} will be sent"]


@dataclass(frozen=True)
class PushOutcome:
    """What was published.

    Args:
        commit: the branch's newest commit.
        url: address of the branch for a browser.
        is_new: whether a commit was made; not if the branch held exactly this.
    """

    commit: str
    url: str
    is_new: bool


def push(request: PushRequest, confirm: Callable[[str], bool] | None) -> PushOutcome:
    """Publish a model as a new commit of a branch.

    Args:
        request: what, and as what.
        confirm: is asked one question after the plan was told, and answers whether to go on;
            None if nobody can be asked.

    Raises:
        UsageError: nobody can be asked, the branch is for models of another base, or the name of
            the repository is none.
        PageSortError: it cannot be published, or the question was answered with no.
    """
    if confirm is None:
        raise UsageError(
            "publishing asks before it sends, and there is no terminal to ask on",
            remedy="Add --yes to send without a question",
        )
    model_files.check_complete(request.folder)
    _check_base(request)
    token = find_token(request.token)
    if token.value is None:
        raise PageSortError(
            "publishing needs an access token, and there is none",
            remedy="Log in with 'hf auth login', or set HF_TOKEN to a token that may write",
        )
    _check_no_token(request.folder, token)
    with quiet_client(request.patience):
        hub = Hub(request.repository, token, request.endpoint, request.patience)
        plan = plan_push(request, hub)
        for line in plan.lines():
            logger.info("%s", line)
        if request.public and plan.is_private:
            logger.warning("it stays private; its settings page on the hub can change that")
        url = f"{hub.about().web_page}/tree/{request.revision}"
        if plan.is_idle:
            logger.info("the branch holds exactly this already; nothing is sent")
            return PushOutcome(plan.parent, url, is_new=False)
        if not confirm(f"Publish this as {request.repository}, branch {request.revision}?"):
            raise PageSortError("nothing was sent, because the question was answered with no")
        commit = _carry_out(plan, hub)
        logger.info("published as commit %s of %s", commit[:8], url)
        if plan.leaves_main_empty:
            logger.warning(
                "main holds no model, so the repository's page shows nothing: give the same "
                "command with -rev main to fill it, too"
            )
        return PushOutcome(commit, url, is_new=True)


def plan_push(request: PushRequest, hub: Hub) -> PushPlan:
    """Find out what is there and what has to be sent; changes nothing.

    Raises:
        PageSortError: the hub cannot be asked, or the revision is a tag.
    """
    about = hub.about(request.revision, writing=True)
    evaluations = []
    if request.results is not None:
        evaluations = model_card.evaluations_of(request.folder, request.results)
    card = model_card.write_card(
        request.folder,
        repository=request.repository,
        revision=request.revision,
        evaluations=evaluations,
        licence=request.licence,
    )
    sent: dict[str, Path | bytes] = dict(model_files.model_files(request.folder))
    sent |= model_card.plot_names(evaluations)
    sent[model_files.CARD_FILE] = card.encode("utf-8")
    there = _existing(hub, about)
    branches, parent, remote = _branch(hub, request.revision, about) if there else ([], "", [])
    known = {file.name: file for file in remote}
    same = {
        name
        for name, content in sent.items()
        if name in known and _digest(content, known[name]) == known[name].digest
    }
    fills_main = request.revision != _MAIN and {*branches} <= {_MAIN} and {*known} <= {_ATTRIBUTES}
    removed = sorted(name for name in known if name not in sent and _STALE.fullmatch(name))
    return PushPlan(
        repository=request.repository,
        revision=request.revision,
        host=about.host,
        is_new=there is None,
        is_private=bool(there.private) if there is not None else not request.public,
        has_branch=request.revision in branches,
        parent=parent,
        sent=dict(sorted(sent.items())),
        same=frozenset(same),
        replaced=frozenset({*sent} & {*known} - same),
        removed=tuple(removed),
        left_out=tuple(model_files.other_files(request.folder)),
        fills_main=fills_main,
        leaves_main_empty=not fills_main
        and request.revision != _MAIN
        and not _main_has_model(hub, branches),
    )


def _existing(hub: Hub, about: errors.About) -> Any:
    """Ask for the repository; None if there is none that the token may see."""

    def request() -> Any:
        try:
            return hub.api.model_info(hub.repository, timeout=hub.patience.answer)
        except errors.caught() as error:
            if errors.is_missing(error):
                return None
            raise

    return hub.ask(request, about)


def _branch(
    hub: Hub, revision: str, about: errors.About
) -> tuple[list[str], str, list[RemoteFile]]:
    """Return the branches, and commit and files of the one that is written to or started from."""
    refs = hub.ask(lambda: hub.api.list_repo_refs(hub.repository), about)
    branches = [ref.name for ref in refs.branches]
    if revision not in branches and revision in [ref.name for ref in refs.tags]:
        raise PageSortError(
            f"{revision} is a tag of {hub.repository}, which no commit can change",
            remedy="Name a branch with -rev",
        )
    start = revision if revision in branches else _MAIN
    if start not in branches:
        return branches, "", []
    info = hub.info(start, files=True)
    return branches, str(info.sha), hub.ask(lambda: download.listed(info), about)


def _main_has_model(hub: Hub, branches: Sequence[str]) -> bool:
    """Whether the branch that the repository's page shows holds weights."""
    if _MAIN not in branches:
        return False
    about = hub.about(_MAIN)
    info = hub.info(_MAIN, files=True)
    names = [file.name for file in hub.ask(lambda: download.listed(info), about)]
    return any(name.endswith((".safetensors", ".bin", ".pt", ".pth")) for name in names)


def _carry_out(plan: PushPlan, hub: Hub) -> str:
    """Make what is missing, send the files, commit, and compare; returns the commit."""
    about = hub.about(plan.revision, writing=True)
    if plan.is_new:
        hub.ask(lambda: _create_repository(hub, private=plan.is_private), about)
    if not plan.fills_main:
        _create_branch(plan, hub, about)
    parent = plan.parent or str(hub.info(plan.committed).sha)
    changed = {name: plan.sent[name] for name in plan.sent if name not in plan.same}
    if not changed and not plan.removed:  # a branch that starts from the same
        return parent
    commit = _send(plan, hub, changed, parent, about)
    if plan.fills_main:
        _create_branch(plan, hub, about)
    return commit


def _create_branch(plan: PushPlan, hub: Hub, about: errors.About) -> None:
    """Make the branch, from what main holds, unless it is there."""
    if plan.has_branch or plan.revision == _MAIN:
        return
    hub.ask(
        lambda: hub.api.create_branch(hub.repository, branch=plan.revision, exist_ok=True), about
    )


def _send(
    plan: PushPlan,
    hub: Hub,
    changed: Mapping[str, Path | bytes],
    parent: str,
    about: errors.About,
) -> str:
    """Send the files that have changed, and commit; returns the commit."""
    total = sum(_size(content) for content in changed.values())
    with Transfer(total, "sent") as transfer, _operations(changed, transfer) as additions:
        # The library makes each of these requests six times by itself.
        sender = replace(hub, patience=replace(hub.patience, tries=2))
        sender.ask(
            lambda: sender.api.preupload_lfs_files(
                hub.repository,
                additions=additions,
                revision=plan.committed,
                num_threads=1,
                free_memory=False,
            ),
            about,
        )
        return _commit(plan, hub, additions, parent, about)


def _create_repository(hub: Hub, *, private: bool) -> None:
    """Make a repository; that an earlier try did it, whose answer was lost, is no error."""
    try:
        hub.api.create_repo(hub.repository, private=private)
    except errors.caught() as error:
        if errors.status_of(error) != 409:
            raise


def _commit(
    plan: PushPlan,
    hub: Hub,
    additions: Sequence[CommitOperationAdd],
    parent: str,
    about: errors.About,
) -> str:
    """Make the commit; where its answer was lost, find out whether it was made."""
    from huggingface_hub import CommitOperationDelete

    removals = [CommitOperationDelete(name) for name in plan.removed]
    is_again = False

    def request() -> str:
        nonlocal is_again
        if is_again and (found := _made(plan, hub, parent)):
            return found
        is_again = True
        done = hub.api.create_commit(
            hub.repository,
            [*additions, *removals],
            commit_message=f"Publish {plan.repository.rpartition('/')[2]} {plan.revision}",
            revision=plan.committed,
            parent_commit=parent,
            num_threads=1,
        )
        return str(done.oid)

    commit = hub.ask(request, about)
    if _made(plan, hub, parent) is None:
        raise PageSortError(
            f"the commit {commit[:8]} does not hold what was sent",
            where=plan.repository,
            remedy="Run the command again",
        )
    return commit


def _made(plan: PushPlan, hub: Hub, parent: str) -> str | None:
    """Return the newest commit that was made if it holds exactly what the plan says."""
    info = hub.info(plan.committed, files=True)
    known = {file.name: file for file in download.listed(info)}
    is_there = all(
        name in known and _digest(content, known[name]) == known[name].digest
        for name, content in plan.sent.items()
    )
    is_gone = not any(name in known for name in plan.removed)
    return str(info.sha) if info.sha != parent and is_there and is_gone else None


class _CountedFile(io.BufferedReader):
    """A file that tells how far it was read, once counting has begun.

    That it is no path keeps the library on plain LFS: Xet, its other way, cannot be bounded,
    tried again or shown.
    """

    def __init__(self, path: Path, name: str, transfer: Transfer) -> None:
        super().__init__(io.FileIO(path))
        self._transfer = transfer
        self._name = name
        self._counted = 0
        self.is_counting = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count what was not read before."""
        content = super().read(size)
        if self.is_counting and self.tell() > self._counted:
            if not self._counted:
                self._transfer.begin(self._name, os.fstat(self.fileno()).st_size)
            self._transfer.advance(self.tell() - self._counted)
            self._counted = self.tell()
        return content


@contextlib.contextmanager
def _operations(
    contents: Mapping[str, Path | bytes], transfer: Transfer
) -> Iterator[list[CommitOperationAdd]]:
    """Open the files; each is hashed here, before its reading counts as sending."""
    from huggingface_hub import CommitOperationAdd

    with contextlib.ExitStack() as stack:
        additions = []
        for name, content in contents.items():
            if isinstance(content, bytes):
                additions.append(CommitOperationAdd(name, content))
                continue
            with translate_unwritable(content):
                file = stack.enter_context(_CountedFile(content, name, transfer))
                additions.append(CommitOperationAdd(name, file))
            file.is_counting = True
        yield additions


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _digest(content: Path | bytes, remote: RemoteFile) -> str:
    """Hash what would be sent in the way the file that is there was hashed."""
    size = _size(content)
    if size != remote.size:
        return ""
    hasher = remote.hasher()
    if isinstance(content, bytes):
        hasher.update(content)
    else:
        with content.open("rb") as file:
            hash_into(hasher, file)
    return str(hasher.hexdigest())


def _check_base(request: PushRequest) -> None:
    """Keep a model off the branch of another base, where it would replace a model of that one.

    Raises:
        UsageError: the branch is that of another base.
    """
    metadata = read_metadata(request.folder)
    try:
        of_model = catalogue.base_of_code(metadata.base if metadata else "")
        of_branch = catalogue.base_of_revision(request.revision)
    except UsageError:  # a model or a branch of the person's own
        return
    if of_model != of_branch:
        raise UsageError(
            f"branch {request.revision} is for models of {of_branch.code}, and this is one of "
            f"{of_model.code}",
            where=request.folder,
            remedy=f"Name its branch with -rev, such as {of_model.revision}",
        )


def _check_no_token(folder: Path, token: Token) -> None:
    """Keep a token that somebody pasted into a text of the model from being published."""
    for name, path in model_files.model_files(folder).items():
        if path.suffix not in _TEXTS:
            continue
        content = path.read_bytes()
        if (token.value or "").encode() in content or _ANY_TOKEN.search(content):
            raise PageSortError(
                "the file holds an access token, and was not sent",
                where=folder / name,
                remedy="Remove it there",
            )
