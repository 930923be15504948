"""One training's folder: its last complete checkpoint, the weights of its best epoch, its facts."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import flush, locked, write_json

_FACTS_FILE = "training.json"
_PARTIAL = "unfinished"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_BEST = re.compile(r"best-(\d+)")
_LOCK_FILE = "training.lock"
_FINGERPRINT_DIGITS = 8
# What torch's writer of zip files says when the disk is full.
_WRITER_WORDS = ("PytorchStreamWriter", "inline_container", "unexpected pos", "file write failed")
_NEXT_TO_NOTHING = 1 << 20
_DISK_REMEDY = (
    "Free some space, or name another folder with [OUTPUT] FOLDER_CPOINTS, and give the same "
    "command again"
)


@dataclass(frozen=True)
class Best:
    """The best epoch so far: the step at its end, and its figures."""

    step: int
    folder: Path
    figures: Mapping[str, float]

    @property
    def quality(self) -> tuple[float, float]:
        """What epochs are compared by: accuracy, then likelihood of the labels."""
        return quality(self.figures)


def quality(figures: Mapping[str, float]) -> tuple[float, float]:
    """Order figures of validation: greater is better; without pages all are alike.

    The loss is the one after calibration, which the exported model has.
    """
    return figures.get("accuracy", 0.0), -figures.get("calibrated_loss", 0.0)


class RunFolder:
    """Everything that a training keeps on disk, each piece complete or not there.

    Args:
        parent: the folder of all trainings.
        base: what the starting model is called in file names.
        facts: all that decides the weights; the same facts find the same folder.
        figures_of: reads the figures of validation that a model's folder tells; None if it is none.
    """

    def __init__(
        self,
        parent: Path,
        base: str,
        facts: Mapping[str, Any],
        figures_of: Callable[[Path], Mapping[str, float] | None] | None = None,
    ) -> None:
        text = json.dumps(facts, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.folder = parent / f"{base}_{self.fingerprint[:_FINGERPRINT_DIGITS]}"
        self._facts = dict(facts)
        self._figures_of = figures_of or _figures_of_classifier
        self._held = ExitStack()
        self._is_held = False

    @property
    def partial(self) -> Path:
        """Where a checkpoint lies while it is being written."""
        return self.folder / _PARTIAL

    @property
    def made_model(self) -> str | None:
        """The name of the model that this training has made; None while it is not finished."""
        try:
            name = read_json(self.folder / _FACTS_FILE).get("model")
        except (FileNotFoundError, PageSortError):
            return None
        return name if isinstance(name, str) else None

    def open(self) -> None:
        """Make the folder, or clear what a killed training left half-written in it.

        From now on it is held against other processes, until `close` or the end of this one.

        Raises:
            PageSortError: it cannot be written, or another process holds it.
        """
        with translate_unwritable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            shutil.rmtree(self.partial, ignore_errors=True)
            if not (self.folder / _FACTS_FILE).exists():
                self._write_facts({})

    def clear(self) -> None:
        """Remove all state, so that the training begins at the first step."""
        with translate_unwritable(self.folder):
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != _LOCK_FILE:
                    path.unlink()
        self.open()

    def close(self) -> None:
        """Let other processes have the folder."""
        self._held.close()
        self._is_held = False

    def finish(self, model: str) -> None:
        """Note down that the training is done, and what it has made."""
        with translate_unwritable(self.folder):
            self._write_facts({"model": model})

    def last_checkpoint(self) -> tuple[int, Path] | None:
        """Step and folder of the latest complete checkpoint."""
        return max(self._numbered(_CHECKPOINT), default=None)

    def adopt_checkpoint(self, step: int) -> None:
        """Give a completely written checkpoint its name, and remove the older ones."""
        name = f"checkpoint-{step}"
        with translate_unwritable(self.folder):
            if not (self.folder / name).exists():
                flush(self.partial / name)
                (self.partial / name).replace(self.folder / name)
            for other, path in self._numbered(_CHECKPOINT):
                if other < step:
                    shutil.rmtree(path, ignore_errors=True)

    def best(self) -> Best | None:
        """The best epoch that is on disk; of equal ones the earliest, without figures the last."""
        found = []
        for step, path in sorted(self._numbered(_BEST)):
            with translate_damaged(self.folder):
                figures = self._figures_of(path)
                if figures is not None:
                    found.append(Best(step, path, figures))
        return max(
            found,
            key=lambda best: (best.quality, -best.step if best.figures else best.step),
            default=None,
        )

    def kept_best(self) -> Best:
        """The best epoch of a training that has ended.

        Raises:
            PageSortError: somebody has removed it.
        """
        best = self.best()
        if best is None:
            raise PageSortError(
                "the best epoch's weights are gone",
                where=self.folder,
                remedy="Remove this folder and train anew",
            )
        return best

    def save_best(self, step: int, write: Callable[[Path], None]) -> None:
        """Keep the best epoch's model beside the checkpoints, and remove the earlier best ones.

        Args:
            step: at the end of that epoch.
            write: makes a model folder of the path that it is given, complete or not at all.
        """
        write(self.folder / f"best-{step}")
        for other, path in self._numbered(_BEST):
            if other != step:
                shutil.rmtree(path, ignore_errors=True)

    def _numbered(self, pattern: re.Pattern[str]) -> list[tuple[int, Path]]:
        try:
            entries = list(self.folder.iterdir())
        except OSError:
            return []
        matches = [(pattern.fullmatch(path.name), path) for path in entries]
        return [(int(match.group(1)), path) for match, path in matches if match]

    def _hold(self) -> None:
        if not self._is_held:
            busy = "this training is running already"
            self._held.enter_context(locked(self.folder / _LOCK_FILE, self.folder, busy))
            self._is_held = True

    def _write_facts(self, more: Mapping[str, Any]) -> None:
        write_json(self.folder / _FACTS_FILE, {**self._facts, **more})


def _figures_of_classifier(folder: Path) -> Mapping[str, float] | None:
    from pagesort.models.metadata import read_metadata

    metadata = read_metadata(folder)
    return None if metadata is None else metadata.training["figures"]


@contextmanager
def translate_unwritable(folder: Path) -> Iterator[None]:
    """Turn a full disk and its like, however a library reports it, into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        # Want of memory or of file handles, as when processes are started, is another matter.
        if getattr(error, "errno", None) in (errno.ENOMEM, errno.EMFILE, errno.ENFILE):
            raise
        raise _unwritable(folder, getattr(error, "strerror", None) or str(error)) from error
    except RuntimeError as error:
        said = str(error)
        if not (any(words in said for words in _WRITER_WORDS) or _explained_by_disk(folder, said)):
            raise
        reason = said.splitlines()[0][:200] if said else type(error).__name__
        raise _unwritable(folder, reason) from error


@contextmanager
def translate_damaged(folder: Path) -> Iterator[None]:
    """Turn whatever reading a torn file of a training's state raises into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (
        PageSortError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, EOFError,
        FileNotFoundError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        if isinstance(error, RuntimeError) and "memory" in str(error).lower():
            raise
        raise PageSortError(
            "the kept state of the interrupted training is damaged",
            where=folder,
            remedy="Remove this folder and give the same command again: it then begins anew",
        ) from error


def _explained_by_disk(folder: Path, said: str) -> bool:
    """Whether the disk is as good as full, and nothing else is named as the cause."""
    if "memory" in said.lower():
        return False
    try:
        return shutil.disk_usage(folder).free < _NEXT_TO_NOTHING
    except OSError:
        return False


def _unwritable(folder: Path, reason: str) -> PageSortError:
    return PageSortError(
        f"the state of the training cannot be written ({reason})", where=folder, remedy=_DISK_REMEDY
    )
