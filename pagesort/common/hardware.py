"""What this process may use of the machine, container limits included, and which process it is."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
MEMORY_FACTS = Path("/proc/meminfo")
UNKNOWN_MEMORY = 2 << 30
"""Bytes that are taken to be free where no system call tells."""
MOST_THREADS = 32
"""More would wait for the disk, and for the lock of the interpreter."""
# Parameters of `mallopt`, from the GNU C library's malloc.h.
_MALLOC_TRIM_ABOVE, _MALLOC_MAP_ABOVE, _MALLOC_MOST_MAPPED = -1, -3, -4
_NO_LIMIT = 1 << 60  # version 1 writes a number above this where there is no limit


def processors() -> int:
    """Return how many processors this process may use: at least 1.

    The least of what the machine has, what the process is bound to (`taskset`, a batch system),
    and the quota of its containers, rounded up.
    """
    count = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    if hasattr(os, "sched_getaffinity"):
        count = min(count, len(os.sched_getaffinity(0)))
    # `joblib.cpu_count` reads the top group only, and misses a quota of a batch job's own group.
    for folder in _cgroups("cpu"):
        quota, period = _quota(folder)
        if quota > 0 and period > 0:
            count = min(count, math.ceil(quota / period))
    return max(1, count)


def decoding_threads() -> int:
    """Return how many threads decode pages: one a processor, up to `MOST_THREADS`."""
    return min(MOST_THREADS, processors())


def free_memory() -> int:
    """Return how many bytes this process can still take before something is killed or swapped out.

    What the system says is available, or less where a container or `ulimit -v` allows less.
    """
    rooms = [_system_memory(), _address_space(), *map(_room, _cgroups("memory"))]
    return max(0, min(rooms))


@contextmanager
def freed_memory_kept(all_of_it: bool = False) -> Iterator[None]:
    """Let this process keep the memory that it frees, to use it again, for a while.

    The GNU C library gives large blocks back at once, and Linux clears every page of the next one:
    a fifth of an image tower's time, and a third of that of a training, which takes and frees all
    its gradients at every step. Other systems are left as they are. See `mallopt(3)`.

    Only one such block at a time, as its end brings the usual ways back.

    Args:
        all_of_it: however large; else of blocks up to 32 MiB, and 128 MiB a heap of the library.
    """
    library = _gnu_library()
    if library is None:
        yield
        return
    library.mallopt(_MALLOC_MAP_ABOVE, 32 << 20)
    library.mallopt(_MALLOC_TRIM_ABOVE, 128 << 20)
    if all_of_it:
        library.mallopt(_MALLOC_MOST_MAPPED, 0)
        library.mallopt(_MALLOC_TRIM_ABOVE, 2**31 - 1)
    try:
        yield
    finally:
        # What the library comes to by itself once a program has freed a large block.
        library.mallopt(_MALLOC_MOST_MAPPED, 65536)
        library.mallopt(_MALLOC_TRIM_ABOVE, 64 << 20)
        library.malloc_trim(0)


def _gnu_library() -> Any:
    """The C library, if it is GNU's."""
    if sys.platform != "linux":
        return None
    import ctypes

    library = ctypes.CDLL(None)
    known = all(hasattr(library, name) for name in ("gnu_get_libc_version", "mallopt"))
    return library if known else None


def _cgroups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, innermost first; none elsewhere."""
    for line in _text(OWN_CGROUPS).splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = CGROUPS / controller if controllers else CGROUPS
        group = top / path.lstrip("/")
        # A container sees its own group as the top, under whatever name the host gives it.
        for folder in (group, *group.parents):
            if folder.is_dir():
                yield folder
            if folder == top:
                break


def _quota(folder: Path) -> tuple[float, float]:
    """Microseconds of processor time a period, of each version of control groups; 0 is no quota."""
    both = _text(folder / "cpu.max").split()
    if len(both) == 2:
        return _number(both[0]), _number(both[1])
    return _number(_text(folder / "cpu.cfs_quota_us")), _number(_text(folder / "cpu.cfs_period_us"))


def _room(folder: Path) -> int:
    """Bytes below a control group's limit; files that are only cached count as free."""
    for limit_name, used_name, cached_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(_text(folder / limit_name))
        if 0 < limit < _NO_LIMIT:
            used = _number(_text(folder / used_name))
            return int(limit - used + _fact(folder / "memory.stat", cached_name))
    return sys.maxsize


def _system_memory() -> int:
    """Bytes that the system could give to programs."""
    if sys.platform == "win32":
        return _windows_memory()
    available = _fact(MEMORY_FACTS, "MemAvailable:")
    if available:
        return int(available) * 1024
    try:
        # Nothing tells what is free on a Mac: half of what there is.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return UNKNOWN_MEMORY


def _windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("total", "free", "total_page", "free_page")),
            *((name, ctypes.c_uint64) for name in ("total_virtual", "virtual", "extended")),
        )

    status = Status(length=ctypes.sizeof(Status))
    if sys.platform == "win32":  # as type checkers know it: elsewhere there is no WinDLL
        is_known = ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status))
        return min(status.free, status.free_page) if is_known else UNKNOWN_MEMORY
    return UNKNOWN_MEMORY


def _address_space() -> int:
    """Bytes that `ulimit -v` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(Path("/proc/self/statm")).split()
    if limit == resource.RLIM_INFINITY or not pages:
        return sys.maxsize
    return limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _fact(file: Path, name: str) -> float:
    """The number after a name in a file of such lines; 0 where there is none."""
    for line in _text(file).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return _number(words[1])
    return 0.0


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "max", or nothing
        return 0.0
