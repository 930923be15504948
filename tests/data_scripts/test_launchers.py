"""The launchers, copied into data folders and run there: by sh, and by wine's cmd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_scripts import prepare
from tests.helpers.paths import ROOT
from tests.helpers.pdfs import Sheet, write_pdf

UNIX = ROOT / "data_scripts" / "unix"
WINDOWS = ROOT / "data_scripts" / "windows"
JOBS = ("move_single", "pdf2png", "sort")
PYTHON = Path(sys.executable)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an odd name, with two PDFs."""
    folder = tmp_path / "my (ř) & data"
    write_pdf(folder / "one.pdf", [Sheet((90, 90))])
    write_pdf(folder / "Příloha 2.pdf", [Sheet((90, 90)), Sheet((90, 90))])
    return folder


def clean_environment(**more: str) -> dict[str, str]:
    """An environment that does not tell where the toolkit is."""
    names = ("PAGESORT_HOME", "PAGESORT_PYTHON", "VIRTUAL_ENV", "OLDPWD")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"PATH": f"{PYTHON.parent}{os.pathsep}{kept['PATH']}"} | more


def test_every_job_has_a_launcher_for_both_systems() -> None:
    assert sorted(path.name for path in UNIX.iterdir()) == [f"{job}.sh" for job in JOBS]
    assert sorted(path.name for path in WINDOWS.iterdir()) == [f"{job}.bat" for job in JOBS]
    for folder, first in ((UNIX, 5), (WINDOWS, 5)):
        texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
        # They differ in their heads only.
        assert len({text.split("\n", first)[first] for text in texts}) == 1
    for path in WINDOWS.iterdir():
        assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") > 20
    for path in UNIX.iterdir():
        assert b"\r" not in path.read_bytes() and os.access(path, os.X_OK)


def run_sh(
    script: Path, *arguments: str, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(script), *arguments]
    environment = clean_environment(**more)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_copies_do_all_three_jobs_where_they_lie(data: Path) -> None:
    for job in JOBS:
        shutil.copy(UNIX / f"{job}.sh", data)
    home = {"PAGESORT_HOME": str(ROOT)}
    done = run_sh(data / "pdf2png.sh", cwd=Path("/"), **home)  # as started by a click
    assert done.returncode == 0, done.stderr
    assert (data / "Příloha 2" / "Příloha 2-2.png").exists()
    done = run_sh(Path("./move_single.sh"), cwd=data, **home)
    assert done.returncode == 0, done.stderr
    assert (data / "onepagers" / "one-1.png").exists()
    (data / "my table.csv").write_text("FILE;PAGE;CLASS\none;1;A\nPříloha 2;02;B\nx;1;A\n")
    done = run_sh(data / "sort.sh", "my table.csv", "--out", "by class", cwd=data, **home)
    assert done.returncode == 3, done.stderr
    assert (data / "by class" / "A" / "one-1.png").exists()
    assert (data / "by class" / "B" / "Příloha 2-2.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_a_copy_with_options_leaves_the_working_folder_alone(data: Path, tmp_path: Path) -> None:
    for job in JOBS:
        shutil.copy(UNIX / f"{job}.sh", data)
    elsewhere = tmp_path / "home"
    kept = write_pdf(elsewhere / "kept.pdf", [Sheet((90, 90))])
    home = {"PAGESORT_HOME": str(ROOT), "PAGESORT_HERE": "/"}
    done = run_sh(data / "pdf2png.sh", "--remove", cwd=elsewhere, **home)
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.iterdir()) == [kept] and not list(data.glob("*.pdf"))
    (elsewhere / "t.csv").write_text("FILE,PAGE,CLASS\none,1,A\n")
    (data / "u.csv").write_text("FILE,PAGE,CLASS\none,1,A\n")
    for table in ("t.csv", "u.csv"):  # the caller's, and one beside the launcher
        done = run_sh(data / "sort.sh", table, cwd=elsewhere, **home)
        assert done.returncode == 0, done.stderr
    assert (data / "sorted" / "A" / "one-1.png").exists()
    done = run_sh(UNIX / "pdf2png.sh", "--dry_run", cwd=elsewhere, **home)
    assert done.stdout.startswith("kept.pdf\t")
    done = run_sh(data / "pdf2png.sh", "--dry_run", ".", cwd=elsewhere, **home)
    assert done.stdout.startswith("kept.pdf\t")


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_a_copy_finds_the_toolkit_or_says_how(data: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"  # says what it is to run
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    named = {"PAGESORT_PYTHON": str(python)}
    copy = Path(shutil.copy(UNIX / "pdf2png.sh", data))
    done = run_sh(copy, "--dry_run", cwd=data)
    assert done.returncode == 1 and "PAGESORT_HOME=/its/folder" in done.stderr
    toolkit = tmp_path / "tool & kit"
    toolkit.mkdir()
    for name in ("pagesort", "data_scripts", "utils.py"):
        (toolkit / name).symlink_to(ROOT / name)
    (toolkit / ".venv").mkdir()
    found = [
        run_sh(copy, "--dry_run", cwd=data, VIRTUAL_ENV=str(toolkit / ".venv"), **named),
        run_sh(copy, "--dry_run", cwd=toolkit, **named),
    ]
    (toolkit / "scans").mkdir()
    inside = Path(shutil.copy(copy, toolkit / "scans"))
    found.append(run_sh(inside, "--dry_run", cwd=data, **named))
    link = data / "link.sh"
    link.symlink_to(UNIX / "pdf2png.sh")
    found.append(run_sh(link, "--dry_run", cwd=tmp_path, **named))
    for done, home in zip(found, (toolkit, toolkit, toolkit, ROOT), strict=True):
        program, *words = done.stdout.splitlines()
        assert (done.returncode, words) == (0, ["pdf2png", "--dry_run"]), done.stderr
        assert Path(program) == home / "data_scripts" / "prepare.py"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_launchers_that_were_put_there_know_the_toolkit(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert prepare.main(["launchers", str(data)]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.split("\n")[:3]] == [
        f"{job}.sh" for job in JOBS
    ]
    done = run_sh(data / "pdf2png.sh", cwd=data)
    assert done.returncode == 0, done.stderr
    (data / "sort.sh").write_text("mine")
    assert prepare.main(["launchers", str(data)]) == 1
    assert (data / "sort.sh").read_text() == "mine"


def test_batch_files_bear_any_name_of_the_toolkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolkit = tmp_path / "100% R & D"
    monkeypatch.setattr(prepare, "TOOLKIT", toolkit)
    for job in JOBS:
        text = (WINDOWS / f"{job}.bat").read_bytes().decode("utf-8")
        text = prepare._filled_in(text, windows=True)
        assert f'set "PLACE={tmp_path}{os.sep}100%% R & D"\r\n' in text
        assert text.count("\n") == text.count("\r\n")
        assignments = re.findall(r"set (\S+=.*[%].*)\r", text)
        assert assignments and all(each.startswith('"') for each in assignments)


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which wine's cmd finds a `python` that is the real one in disguise."""
    compiler = shutil.which("x86_64-w64-mingw32-gcc")
    if shutil.which("wine") is None or compiler is None:
        pytest.skip("needs wine and gcc-mingw-w64")
    place = tmp_path_factory.mktemp("windows")
    (place / "bin").mkdir()
    source = str(ROOT / "tests" / "helpers" / "stand_in_python.c")
    subprocess.run(
        [compiler, "-municode", "-o", str(place / "bin" / "python.exe"), source], check=True
    )
    program = place / "program"
    program.write_text(
        f"#!{PYTHON}\n"
        "import os, subprocess, sys\n"
        "job = os.environ['STAND_IN_JOB'].removeprefix('Z:').replace(chr(92), '/')\n"
        "unix = lambda text: text[2:].replace(chr(92), '/') if text.startswith('Z:') else text\n"
        "folder, *arguments = map(unix, open(job, encoding='utf-8').read().splitlines())\n"
        "here = unix(os.environ.get('PAGESORT_HERE', ''))\n"
        "os.environ['PAGESORT_HERE'] = here\n"
        "done = subprocess.run([sys.executable, *arguments], cwd=folder)\n"
        "open(job + '.part', 'w').write(str(done.returncode))\n"
        "os.rename(job + '.part', job + '.status')\n"
    )
    program.chmod(0o755)
    environment = clean_environment(
        WINEPREFIX=str(place / "prefix"),
        WINEDEBUG="-all",
        DISPLAY="",
        STAND_IN_JOB=as_windows(place / "job"),
        STAND_IN_PROGRAM=as_windows(program),
        WINEPATH=as_windows(place / "bin"),
    )
    yield environment
    subprocess.run(["wineserver", "-k"], env=environment, check=False)


def as_windows(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def run_bat(
    line: str, cwd: Path, windows: dict[str, str], **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a line of a batch file in a folder, as cmd would after it was typed there."""
    job = Path(windows["STAND_IN_JOB"][2:].replace("\\", "/"))
    job.with_name("job.status").unlink(missing_ok=True)
    job.unlink(missing_ok=True)
    caller = job.with_name("typed.bat")
    # Without `call`, of which wine's cmd tells no other statuses than 0 and 1.
    caller.write_bytes(f"@echo off\r\n{line}\r\n".encode())
    return subprocess.run(
        ["wine", "cmd", "/c", as_windows(caller)],
        cwd=cwd,
        env=windows | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_batch_files_do_all_three_jobs(data: Path, windows: dict[str, str]) -> None:
    home = {"PAGESORT_HOME": as_windows(ROOT)}
    for job in JOBS:
        shutil.copy(WINDOWS / f"{job}.bat", data)
    done = run_bat("pdf2png.bat", data, windows, **home)
    assert done.returncode == 0, done.stderr
    assert (data / "Příloha 2" / "Příloha 2-2.png").exists()
    # Quoted, or wine takes it for its own `move` with the argument `_single.bat`.
    done = run_bat('"move_single.bat"', data, windows, **home)
    assert done.returncode == 0, done.stderr
    assert (data / "onepagers" / "one-1.png").exists()
    (data / "my table.csv").write_text("FILE;PAGE;CLASS\none;1;A\nPříloha 2;02;B\nx;1;A\n")
    done = run_bat('sort.bat "my table.csv" --out "by class"', data, windows, **home)
    assert done.returncode == 3, done.stderr
    assert (data / "by class" / "A" / "one-1.png").exists()
    assert (data / "by class" / "B" / "Příloha 2-2.png").exists()
    assert run_bat("pdf2png.bat --nonsense", data, windows, **home).returncode == 2


@pytest.mark.slow
def test_a_batch_file_finds_the_toolkit_or_says_how(
    data: Path, tmp_path: Path, windows: dict[str, str]
) -> None:
    shutil.copy(WINDOWS / "pdf2png.bat", data)
    done = run_bat("pdf2png.bat --dry_run", data, windows)
    assert done.returncode == 1 and "PAGESORT_HOME" in done.stderr
    toolkit = tmp_path / "tool & kit"
    toolkit.mkdir()
    for name in ("pagesort", "data_scripts", "utils.py"):
        (toolkit / name).symlink_to(ROOT / name)
    (toolkit / ".venv").mkdir()
    (toolkit / "scans" / "deep").mkdir(parents=True)
    shutil.copy(data / "one.pdf", toolkit / "scans" / "deep")
    shutil.copy(WINDOWS / "pdf2png.bat", toolkit / "scans" / "deep")
    environment = {"VIRTUAL_ENV": as_windows(toolkit / ".venv")}
    for folder, more in ((toolkit / "scans" / "deep", {}), (data, environment)):
        done = run_bat("pdf2png.bat --dry_run", folder, windows, **more)
        assert done.returncode == 0, done.stderr
        assert "one.pdf" in done.stdout
    text = (WINDOWS / "pdf2png.bat").read_text(encoding="utf-8")
    filled = text.replace("set PLACE=", f'set "PLACE={as_windows(toolkit)}"', 1)
    (data / "pdf2png.bat").write_text(filled, encoding="utf-8")
    assert run_bat("pdf2png.bat --dry_run", data, windows).returncode == 0
