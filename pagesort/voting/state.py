"""A vote that survives a crash: which models take part, and where each one's tables are.

One small JSON file beside the tables says so from the start; how far each model is, its own folder
of tables tells. The file is removed when the vote is complete.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pagesort.common.addresses import resolved
from pagesort.common.checked_json import Kind, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import RESULTS_ELSEWHERE, numbered, translate_unwritable, write_whole
from pagesort.common.tables import FAILED_ENDING
from pagesort.prediction.journal import JOURNAL_SUFFIX
from pagesort.voting.joined_tables import COLUMNS

STATE_SUFFIX = ".partial.json"
VERSION = 1  # of the state file
LOCK_WAIT_S = 0.2
STATE_SHAPE: dict[str, Kind] = {"version": int, "folder": str, "settings": dict, "voters": list}
_START_ANEW = "Leave out --resume to start a new vote"


@dataclass(frozen=True)
class Voter:
    """A model that takes part: where it is, how tables call it, and the hash of what it answers.

    `precision` is that in which it sees pages; earlier versions, which did not name it, knew one.
    """

    model: str
    name: str
    fingerprint: str
    precision: str = "fp32"


@dataclass(frozen=True)
class VoteRun:
    """One vote over one folder; `stem` is what all its files are called after."""

    tables: Path
    stem: str
    voters: tuple[Voter, ...]

    @property
    def state(self) -> Path:
        """The file that says that the vote is not complete."""
        return self.tables / f"{self.stem}{STATE_SUFFIX}"

    @property
    def votes(self) -> Path:
        """The table of votes."""
        return self.tables / f"{self.stem}.csv"

    @property
    def failures(self) -> Path:
        """The table of pages that could not be read."""
        return self.tables / f"{self.stem}{FAILED_ENDING}"

    def folder_of(self, voter: Voter) -> Path:
        """Where one model's own tables are."""
        return self.tables / self.stem / voter.name

    def result_of(self, voter: Voter) -> Path | None:
        """One model's finished result table; None if it is not finished."""
        return next(iter(sorted(self.folder_of(voter).glob("result_*.csv"))), None)

    def failures_of(self, voter: Voter) -> Path | None:
        """The table of pages that one model could not read; None if there is none."""
        return next(iter(sorted(self.folder_of(voter).glob(f"*{FAILED_ENDING}"))), None)

    def is_interrupted(self, voter: Voter) -> bool:
        """Whether one model has a run to be gone on with: a stopped one, or one with failures."""
        journals = list(self.folder_of(voter).glob(f"*{JOURNAL_SUFFIX}"))
        return any(_holds_a_run(path) for path in journals)

    def complete(self) -> None:
        """Forget how to go on: the tables are final."""
        with contextlib.suppress(OSError):
            self.state.unlink()


def start_run(
    tables: Path,
    folder: Path,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    voters: Sequence[Voter],
) -> VoteRun:
    """Reserve the names of a new vote's tables and write down what it needs to go on.

    Args:
        tables: the folder of all tables; it exists.
        folder: the pages.
        settings: JSON values that a resumed vote must repeat.
        options: JSON values that it may take up.
        voters: the models, best first.

    Raises:
        PageSortError: the folder cannot be written.
    """
    minute = datetime.now().strftime("%Y%m%d-%H%M")
    content = {
        "version": VERSION,
        "folder": str(resolved(folder)),
        "settings": dict(settings),
        "options": dict(options),
        "voters": [asdict(voter) for voter in voters],
    }
    with translate_unwritable(tables, "the vote cannot be written down", RESULTS_ELSEWHERE):
        for start in numbered(minute):
            run = VoteRun(tables, f"vote_{start}_{len(voters)}m", tuple(voters))
            # A finished vote leaves its folder, so that its name is not taken twice.
            with contextlib.suppress(FileExistsError):
                (tables / run.stem).mkdir()
                text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
                write_whole(run.state, text.encode("utf-8", "surrogatepass"))
                return run
    raise PageSortError("there is no free table name for this minute", where=tables)


def interrupted_votes(tables: Path, folder: Path) -> list[dict[str, Any]]:
    """What the files of the interrupted votes over a folder tell, newest first."""
    found = []
    for path in _states(tables):
        # Taking the vote up says what is wrong.
        with contextlib.suppress(FileNotFoundError, PageSortError):
            content = read_json(path, shape=STATE_SHAPE)
            if Path(content["folder"]) == resolved(folder):
                found.append(content)
    return found


def find_run(tables: Path, folder: Path, settings: Mapping[str, Any]) -> VoteRun:
    """Take up the newest interrupted vote over a folder.

    Raises:
        PageSortError: there is none, it had other settings, or its file is damaged.
    """
    refusal: PageSortError | None = None
    for path in _states(tables):
        try:
            content = read_json(path, shape=STATE_SHAPE)
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']}")
            if Path(content["folder"]) != resolved(folder):
                continue
            voters = tuple(_voter(facts) for facts in content["voters"])
            saved = dict(content["settings"])
        except (FileNotFoundError, PageSortError, ValueError, TypeError) as error:
            reason = error.what if isinstance(error, PageSortError) else error
            what = f"the file of an interrupted vote cannot be read ({reason})"
            refusal = refusal or PageSortError(what, where=path, remedy=_START_ANEW)
            continue
        wanted = json.loads(json.dumps(dict(settings)))
        differing = [
            f"{key}: then {saved.get(key)}, now {wanted[key]}"
            for key in sorted(wanted)
            if (saved.get(key) or False) != wanted[key]  # earlier versions knew fewer switches
        ]
        if differing:
            raise PageSortError(
                f"the interrupted vote had other settings ({'; '.join(differing)})",
                where=path,
                remedy=f"Give the same settings again, or: {_START_ANEW}",
            )
        return VoteRun(tables, path.name.removesuffix(STATE_SUFFIX), voters)
    raise refusal or PageSortError(
        f"there is no interrupted vote over {folder}", where=tables, remedy=_START_ANEW
    )


def _voter(facts: object) -> Voter:
    """A voter as a state file has it.

    Raises:
        ValueError, TypeError: it has it in another form.
    """
    if not isinstance(facts, dict) or not all(isinstance(fact, str) for fact in facts.values()):
        raise ValueError("a voter is no object of texts")
    return Voter(**facts)


def distinct_names(models: Sequence[Path]) -> list[str]:
    """Name models after their folders, so that each can head a column and name a folder."""
    taken = {column.lower() for column in (*COLUMNS, "PATH")}
    names = []
    for model in models:
        stem = model.stem if model.is_file() else model.name
        safe = re.sub(r"[^\w.+@-]+", "-", stem).strip("-.") or "model"
        name, number = safe, 2
        # Case does not tell folders apart on every system.
        while name.lower() in taken:
            name, number = f"{safe}-{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def renamed(voters: Sequence[Voter]) -> list[Voter]:
    """Give voters names of their own, after their folders."""
    names = distinct_names([Path(voter.model) for voter in voters])
    return [replace(voter, name=name) for voter, name in zip(voters, names, strict=True)]


def _states(tables: Path) -> list[Path]:
    """The files of interrupted votes, the newest first."""
    if not tables.is_dir():
        return []
    ages: list[tuple[int, Path]] = []
    for path in tables.glob(f"vote_*{STATE_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another vote has just finished
            ages.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(ages, reverse=True)]


def _holds_a_run(journal: Path) -> bool:
    """Whether a journal holds a run; one that was killed while it was begun is removed.

    What else may be wrong with it, the run itself will tell.
    """
    connection = sqlite3.connect(journal, timeout=LOCK_WAIT_S)
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return True
    finally:
        connection.close()
    if not tables:
        with contextlib.suppress(OSError):
            journal.unlink()
    return bool(tables)
