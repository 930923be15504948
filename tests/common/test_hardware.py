"""What may be used of the machine, told from files as the systems write them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pagesort.common import hardware

MIB = 1 << 20


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 processors and 8 GiB, 6 of them free, without control groups."""
    monkeypatch.setattr(hardware, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(hardware, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(hardware, "MEMORY_FACTS", tmp_path / "meminfo")
    monkeypatch.setattr(hardware, "_address_space", lambda: sys.maxsize)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    kib = 6 * 1024 * 1024
    _write(tmp_path / "meminfo", f"MemTotal: 8388608 kB\nMemAvailable:    {kib} kB\n")
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_bare_machine_is_used_as_a_whole(system: Path) -> None:
    assert hardware.processors() == 16
    assert hardware.free_memory() == 6 << 30


def test_a_process_bound_to_three_processors_uses_three(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert hardware.processors() == 3


def test_a_container_of_version_2_has_its_limits(system: Path) -> None:
    own = system / "cgroup/batch.slice/job7"
    _write(system / "own", "0::/batch.slice/job7\n")
    _write(own / "cpu.max", "max 100000\n")
    _write(own.parent / "cpu.max", "250000 100000\n")
    _write(own / "memory.max", f"{900 * MIB}\n")
    _write(own / "memory.current", f"{700 * MIB}\n")
    _write(own / "memory.stat", f"anon 5\ninactive_file {300 * MIB}\n")
    _write(own.parent / "memory.max", "max\n")
    assert hardware.processors() == 3
    assert hardware.free_memory() == 500 * MIB


def test_a_container_of_version_1_has_its_limits(system: Path) -> None:
    _write(system / "own", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n")
    # The container sees its own group at the top, not under the name that the host gives it.
    _write(system / "cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    _write(system / "cgroup/cpu/cpu.cfs_quota_us", "50000\n")
    _write(system / "cgroup/cpu/cpu.cfs_period_us", "100000\n")
    _write(system / "cgroup/memory/memory.limit_in_bytes", f"{1024 * MIB}\n")
    _write(system / "cgroup/memory/memory.usage_in_bytes", f"{1000 * MIB}\n")
    _write(system / "cgroup/memory/memory.stat", f"total_inactive_file {76 * MIB}\n")
    assert hardware.processors() == 1
    assert hardware.free_memory() == 100 * MIB


@pytest.mark.parametrize("limit", ["9223372036854771712", "max", "rubbish", ""])
def test_no_limit_is_no_limit(system: Path, limit: str) -> None:
    _write(system / "own", "4:memory:/\n0::/\nrubbish\n")
    for name in ("memory/memory.limit_in_bytes", "memory.max", "cpu.max"):
        _write(system / "cgroup" / name, limit)
    assert hardware.processors() == 16
    assert hardware.free_memory() == 6 << 30


def test_used_up_memory_is_none(system: Path) -> None:
    _write(system / "own", "0::/\n")
    _write(system / "cgroup/memory.max", f"{MIB}\n")
    _write(system / "cgroup/memory.current", f"{2 * MIB}\n")
    assert hardware.free_memory() == 0


def test_this_machine_has_something_to_offer() -> None:
    assert 1 <= hardware.decoding_threads() <= hardware.processors()
    assert hardware.free_memory() > MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ulimit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    statm = int(Path("/proc/self/statm").read_text().split()[0])
    used = statm * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 100 * MIB, resource.RLIM_INFINITY))
    assert 80 * MIB < hardware.free_memory() < 120 * MIB
