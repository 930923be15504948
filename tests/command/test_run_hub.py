"""Fetching, publishing, packing and installing models through the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import run
from tests.helpers.command import Run, error_line, workplace
from tests.helpers.hub_fixtures import (
    PUBLISHED,
    alone,
    assert_equal_weights,
    assert_no_secret,
    base_folder,
    hub,
    published,
)
from tests.helpers.hub_server import READER, WRITER, HubServer
from tests.helpers.paths import ROOT

__all__ = ["alone", "base_folder", "hub", "published", "workplace"]  # fixtures

CONFIG = "[OUTPUT]\nFOLDER_RESULTS = result\nFOLDER_MODELS = models\n"


@pytest.fixture(autouse=True)
def settings(workplace: Path) -> None:
    """A page, and models that stay in the working folder."""
    (workplace / "config.txt").write_text(CONFIG)
    Image.new("L", (60, 90), 200).save(workplace / "page.png")


@pytest.fixture
def command(
    workplace: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:  # fmt: skip
    """Run a command line against the local hub: (exit status, stdout, stderr)."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        status = run.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert_no_secret(out, err)
        return status, out, err

    return call


def test_a_model_is_fetched_once_and_answers_without_the_hub(
    command: Run, hub: HubServer, workplace: Path
) -> None:
    status, out, err = command("--hf", "-f", "page.png")
    assert status == 0, err
    folder = workplace / "models" / "ViT-B16_rev_v11"
    assert out.splitlines()[:2] == [str(folder), "page.png"]
    assert f"model {folder} on" in err
    hub.requests().clear()
    asked = len(hub.requests())
    status, out, err = command("-f", "page.png")
    assert status == 0, err
    assert f"model {folder} on" in err
    assert len(hub.requests()) == asked
    status, _, err = command("--hf", "pull")
    assert status == 0
    assert "up to date" in err


def test_an_unknown_revision_lists_those_there_are(command: Run, workplace: Path) -> None:
    line = error_line(command("--hf", "-rev", "v7"))
    assert "v1.1" in line
    assert "main" in line
    assert "v1.2" in error_line(command("--hf", "-rev", "v1.2.3"))
    assert not (workplace / "models" / "ViT-B32_rev_v123").exists()


def test_a_hub_that_is_away_stops_no_prediction_that_only_the_settings_file_sends_there(
    command: Run, hub: HubServer, workplace: Path
) -> None:
    (workplace / "config.txt").write_text(CONFIG + "[HF]\nuse_hf = True\nrepo_name = ufal/none\n")
    status, out, err = command("-f", "page.png")
    assert status == 0, err
    assert "ufal/none" in err
    assert "the bundled model answers" in err


def test_what_is_published_comes_back(
    command: Run, hub: HubServer, workplace: Path, tiny_model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = CONFIG + "[HF]\nrepo_name = archive/pages\nrevision = v1.1.9\n"
    (workplace / "config.txt").write_text(config)
    push = ("--hf", "push", "--model_path", tiny_model_folder)
    assert "--yes" in error_line(command(*push), 2)
    monkeypatch.setenv("HF_TOKEN", READER)
    error_line(command(*push, "--yes"))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    status, out, err = command(*push, "--yes")
    assert status == 0, err
    assert "archive/pages" in out
    assert "model.safetensors" in err
    status, out, err = command("--hf")
    assert status == 0, err
    pulled = workplace / "models" / "tiny_rev_v119_of_archive--pages"
    assert out.strip() == str(pulled)
    assert_equal_weights(pulled, tiny_model_folder)
    status, _, err = command("-f", "page.png")
    assert (status, f"model {pulled} on" in err) == (0, True)
    # Whatever its branch is called, it is no ViT-B/16.
    assert "archive/pages, which is tiny" in error_line(
        command("-f", "page.png", "-m", "ViT-B/16", "-rev", "v1.1.9"), 2
    )
    assert "is not on this machine" in error_line(command("-f", "page.png", "-m", "ViT-B/16"))


@pytest.mark.parametrize("branch", ["tryout", "feature/x"])
def test_every_branch_that_can_be_pushed_can_be_pulled_and_answers(
    command: Run, workplace: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch,
    branch: str,
) -> None:  # fmt: skip
    (workplace / "config.txt").write_text(CONFIG + "[HF]\nrepo_name = archive/pages\n")
    assert "--hf -rev" in error_line(command("-f", "page.png", "-rev", branch), 2)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    push = ("--hf", "push", "--model_path", tiny_model_folder, "-rev", branch, "--yes")
    assert command(*push)[0] == 0
    status, out, err = command("--hf", "-rev", branch)
    assert status == 0, err
    status, _, err = command("-f", "page.png", "-rev", branch)
    assert (status, f"model {out.strip()} on" in err) == (0, True)


def test_a_model_travels_in_a_file(command: Run, workplace: Path, tiny_model_folder: Path) -> None:
    assert "--model_path" in error_line(command("--hf", "export", "model.zip"))
    status, out, err = command("--hf", "export", "model.zip", "--model_path", tiny_model_folder)
    assert status == 0, err
    assert out.strip().endswith("model.zip")
    status, out, err = command("--hf", "import", "model.zip", "-f", "page.png")
    assert status == 0, err
    folder = Path(out.splitlines()[0])
    assert folder.parent == workplace / "models"
    assert f"model {folder} on" in err
    assert_equal_weights(folder, tiny_model_folder)
    (workplace / "model.zip").write_bytes(b"no archive")
    error_line(command("--hf", "import", "model.zip"))
    error_line(command("--hf", "import", "none.zip"))


@pytest.mark.slow
def test_the_program_itself_speaks_to_the_hub_of_the_environment(
    hub: HubServer, workplace: Path, tmp_path: Path
) -> None:
    words = [sys.executable, str(ROOT / "run.py"), "--hf", "-rev", "v1.1"]
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": READER,
        "NO_PROXY": "127.0.0.1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(words, cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_no_secret(done.stdout, done.stderr)
    assert PUBLISHED in done.stderr
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    words[2:] = ["-f", "page.png"]
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    done = subprocess.run(words, cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
