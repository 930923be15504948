"""The loop that trains any learner: views in order, reports, checkpoints and going on from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pagesort.common.errors import PageSortError
from pagesort.training.loop import Schedule, Watcher, fit
from pagesort.training.state import RunFolder
from pagesort.training.weight_averaging import moving_average


class Numbers(torch.utils.data.Dataset):
    """Numbers from 0 to 1; which were asked for is remembered."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> float:
        self.asked.append(index)
        return index * 7 % 100 / 100


class Line(nn.Module):
    """Learns a number's double, with a dropout that asks for random numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.layers(numbers) - 2 * numbers).square().mean()}


class Stop(Watcher):
    """Breaks a training off after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, step: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def collate(views: list[float]) -> dict[str, torch.Tensor]:
    return {"numbers": torch.tensor(views)[:, None]}


def trained(schedule: Schedule, folder: Path | None = None, stop: int = 0, **more):
    """A learner, its average, its views and the reports of its training."""
    learner, views = Line(), Numbers()
    average = moving_average(learner, 0.9)
    run = None
    if folder is not None:
        run = RunFolder(folder, "line", {"seed": schedule.seed})
        run.open()
    try:
        history = fit(
            learner,
            views,
            collate,
            torch.optim.AdamW(learner.parameters(), lr=0.01),
            schedule,
            average=average,
            run=run,
            watchers=[Stop(stop)] if stop else [],
            **more,
        )
    finally:
        if run is not None:
            run.close()
    return learner, average, views, history


SCHEDULE = Schedule(
    steps=12, batch_size=4, accumulation=2, warmup_steps=2, seed=1, save_seconds=0.0, log_every=5
)


def test_views_are_taken_in_order_without_a_checkpoint() -> None:
    learner, _, views, history = trained(SCHEDULE)
    assert views.asked == list(range(12 * 2 * 4))
    assert [entry["step"] for entry in history] == [5, 10, 12]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[0]["learning_rate"] > history[-1]["learning_rate"] > 0
    assert all(parameter.isfinite().all() for parameter in learner.parameters())


def test_processes_take_batches_in_turn() -> None:
    first, second = (SCHEDULE.batches(3, process, 2) for process in (0, 1))
    assert first[0] == range(48, 52)
    assert second[0] == range(52, 56)
    assert len(first) == len(second) == (12 - 3) * 2
    numbers = sorted(number for batch in (*first, *second) for number in batch)
    assert numbers == list(range(48, 12 * 2 * 2 * 4))


def test_a_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    """Dropout included: the random numbers go on as well."""
    undisturbed, its_average, _, _ = trained(SCHEDULE)
    for stop in (4, 7):
        with pytest.raises(KeyboardInterrupt):
            trained(SCHEDULE, tmp_path, stop)
    learner, average, views, _ = trained(SCHEDULE, tmp_path)
    assert views.asked[0] == 6 * 2 * 4
    for one, other in ((undisturbed, learner), (its_average.module, average.module)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_a_finished_training_returns_its_weights_and_reports(tmp_path: Path) -> None:
    learner, _, _, history = trained(SCHEDULE, tmp_path)
    again, _, views, reports = trained(SCHEDULE, tmp_path)
    assert (views.asked, reports) == ([], history)
    assert torch.equal(again.layers[0].weight, learner.layers[0].weight)


def test_epochs_end_with_validation_and_a_checkpoint(tmp_path: Path) -> None:
    seen = []
    schedule = Schedule(steps=6, batch_size=2, seed=1, steps_per_epoch=3)
    _, _, _, history = trained(
        schedule, tmp_path, validate=lambda step: seen.append(step) or {"accuracy": step / 10}
    )
    assert seen == [3, 6]
    told = [entry for entry in history if "eval_accuracy" in entry]
    assert told == [{"step": 3, "eval_accuracy": 0.3}, {"step": 6, "eval_accuracy": 0.6}]
    assert [path.name for path in tmp_path.glob("*/checkpoint-*")] == ["checkpoint-6"]


@pytest.mark.parametrize("precision", ["bf16", "no"])
def test_gradients_are_clipped_to_their_length(precision) -> None:
    schedule = Schedule(
        steps=1, batch_size=8, seed=1, gradient_clip=1e-3, log_every=1, precision=precision
    )
    learner = Line()
    before = learner.layers[0].weight.detach().clone()
    optimiser = torch.optim.SGD(learner.parameters(), lr=1.0)
    (report,) = fit(learner, Numbers(), collate, optimiser, schedule)
    assert report["grad_norm"] > 1e-3
    assert 0 < (learner.layers[0].weight - before).norm() <= 1e-3


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(PageSortError, match="diverged: its loss is no number any more at step 3"):
        fit(
            learner := Line(),
            Numbers(),
            lambda views: {"numbers": torch.full((len(views), 1), float("nan"))},
            torch.optim.SGD(learner.parameters(), lr=1.0),
            Schedule(steps=9, batch_size=2, seed=1, log_every=3),
        )
