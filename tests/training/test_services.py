"""Figures that go to services, and curves for TensorBoard."""

from __future__ import annotations

import logging
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pagesort.common.errors import PageSortError
from pagesort.training import services
from pagesort.training.state import RunFolder
from pagesort.training.tensorboard import TensorBoard

SETTINGS = {"epochs": 2, "weight_decay": 0.1}
REPORTS = [{"step": 3, "loss": 0.5}, {"step": 3, "eval_accuracy": 0.75}]


class StandIn(types.ModuleType):
    """A module that notes down every call."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **more: Any) -> Any:
            if self.broken:
                raise ConnectionError("no network\nmore lines")
            self.calls.append((name, args, more))
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="run 7"))

        return call


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    folder = RunFolder(tmp_path, "tiny", {"a": 1})
    folder.open()
    yield folder
    folder.close()


@pytest.fixture(params=services.SERVICES)
def module(request, monkeypatch) -> StandIn:
    stand_in = StandIn(request.param)
    monkeypatch.setitem(sys.modules, request.param, stand_in)
    return stand_in


def show(watcher: Any) -> None:
    watcher.begin(0, 6)
    for report in REPORTS:
        watcher.report(report)
    watcher.end()


def test_a_service_gets_settings_and_figures_in_one_run(module: StandIn, run: RunFolder) -> None:
    (watcher,) = services.services([module.__name__], run, SETTINGS)
    show(watcher)
    (again,) = services.services([module.__name__], run, SETTINGS)
    show(again)
    called = [name for name, _, _ in module.calls]
    sent = [(args[0], more["step"]) for name, args, more in module.calls if "log" in name and more]
    assert sent == 2 * [({"train/loss": 0.5}, 3), ({"eval/accuracy": 0.75}, 3)]
    if module.__name__ == "wandb":
        begun = [more for name, _, more in module.calls if name == "init"]
        assert begun[0] == begun[1]
        assert begun[0]["config"] == SETTINGS
        assert (begun[0]["resume"], begun[0]["id"]) == ("allow", run.fingerprint[:16])
        assert called[-1] == "finish"
    else:
        assert [more for name, _, more in module.calls if name == "start_run"] == [
            {"run_name": run.folder.name}, {"run_id": "run 7"},
        ]  # fmt: skip
        assert [args for name, args, _ in module.calls if name == "log_params"] == [(SETTINGS,)]
        assert called[-1] == "end_run"


def test_a_service_that_fails_stops_no_training(
    module: StandIn, run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    (watcher,) = services.services([module.__name__], run, SETTINGS)
    watcher.begin(0, 6)
    module.broken = True
    with caplog.at_level(logging.WARNING):
        for report in REPORTS:
            watcher.report(report)
        watcher.end()
    assert caplog.messages == [
        f"{module.__name__} gets no more figures of this training: no network"
    ]


def test_a_package_that_cannot_be_imported_stops_no_training(
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "wandb.py").write_text("import a_package_that_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    show(services.services(["wandb"], run, SETTINGS)[0])
    (line,) = caplog.messages
    assert line.startswith(
        "wandb gets no more figures of this training: No module named 'a_package"
    )


def test_a_package_that_is_missing_is_told(monkeypatch) -> None:
    monkeypatch.setattr(services.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PageSortError, match="python3 -m pip install wandb mlflow"):
        services.check_services(["wandb", "mlflow"])
    services.check_services([])


def tags_in(folder: Path) -> set[str]:
    """The curves in the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    tags: set[str] = set()
    for path in folder.iterdir():
        content = path.read_bytes()
        while content:  # records of length, checksum, content, checksum
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            tags |= {value.tag for value in event.summary.value}
            content = content[16 + length :]
    return tags


def test_tensorboard_sees_an_evaluation_at_once_and_one_run(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "runs", SETTINGS)
    board.begin(0, 6)
    for report in REPORTS:
        board.report(report)
    deadline = time.monotonic() + 60
    while "eval/accuracy" not in tags_in(tmp_path / "runs"):  # before the writer is closed
        assert time.monotonic() < deadline
        time.sleep(0.2)
    board.end()
    again = TensorBoard(tmp_path / "runs", SETTINGS)
    again.begin(3, 6)
    again.end()
    assert all(path.is_file() for path in (tmp_path / "runs").iterdir())
