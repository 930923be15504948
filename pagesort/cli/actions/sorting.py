"""Taking a sorting back."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit


def undo_sorting(folder: Path, dry_run: bool) -> int:
    """Take the last sorting into a folder back; prints how many pages that were."""
    from pagesort.common.text import counted
    from pagesort.sorting import manifests

    done = manifests.undo(folder, dry_run)
    what = "would be taken back" if dry_run else "taken back"
    emit(f"{counted(done.taken_back)} {what} out of {folder}")
    return UNREADABLE_PAGES_STATUS if done.kept else 0
