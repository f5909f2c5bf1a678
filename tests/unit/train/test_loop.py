from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_task import TinyTask, tiny_model

from crossover.errors import CheckpointError, DataError, TrainingError
from crossover.inference.saved import load_model
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.train.evaluate import evaluate
from crossover.train.loop import train
from crossover.train.progress import Progress
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()
LEARNS = TrainSettings(budget="120steps", learning_rate=0.02, batch=32)


def test_a_model_learns_the_task_and_leaves_a_whole_record() -> None:
    result = train(TinyTask(train=256), tiny_model(dropout=0.0), LEARNS, numerics=NUMERICS)
    record = result.record
    assert record.score is not None
    assert record.score.value >= 0.9 and record.validation >= 0.9
    assert record.score.low <= record.score.value <= record.score.high
    assert record.steps == 120 and record.stopped == "budget"
    assert [step for step, _ in record.losses] == list(range(1, 121))
    assert record.losses[0][1] > record.losses[-1][1]
    assert len(record.curve) == 10 and record.curve[-1]["step"] == 120
    assert record.parameters == sum(p.numel() for p in result.model.parameters())
    assert record.step_seconds.low <= record.step_seconds.value <= record.step_seconds.high
    assert record.tokens_per_second.value > 0 and record.flops_backward > record.flops_forward > 0
    assert len(record.samples) == 5 and record.details["labels"] == ["absent", "present"]
    assert json.loads(json.dumps(record.to_json()))["step_seconds"]["value"] > 0


def test_the_first_loss_is_the_mean_over_the_global_batch_before_the_update() -> None:
    task, model = TinyTask(), tiny_model(dropout=0.0)
    settings = TrainSettings(budget="1steps", seed=3)
    first = train(task, model, settings, numerics=NUMERICS).record.losses[0][1]
    fresh = build_model(model, task.spec.inputs, task.spec.outputs, causal=False, seed=3)
    batch = next(task.batches("train", seed=3, epoch=0, batch=16))
    from crossover.inference.forward import batch_outputs

    outputs, batch = batch_outputs(fresh, batch, NUMERICS)
    assert first == pytest.approx(float(task.loss(outputs, batch).detach()) / 16, rel=1e-6)


def test_slices_of_a_batch_change_memory_and_not_the_result() -> None:
    task, model = TinyTask(), tiny_model(dropout=0.0)
    settings = TrainSettings(budget="6steps", optimizer="sgd", learning_rate=0.1)
    whole = train(task, model, settings, numerics=NUMERICS)
    for parts in (2, 3, 32):
        cut = train(task, model, replace(settings, accumulate=parts), numerics=NUMERICS)
        assert [loss for _, loss in cut.record.losses] == pytest.approx(
            [loss for _, loss in whole.record.losses], rel=1e-5
        )
        assert cut.record.tokens == whole.record.tokens


@pytest.mark.parametrize(
    ("budget", "check"),
    [
        ("3epochs", lambda r: r.steps == 18 and r.epochs == 3),
        ("0.5epochs", lambda r: r.steps == 3),
        ("500tokens", lambda r: 500 <= r.tokens < 700),
        ("40Mflops", lambda r: 4e7 <= r.steps * (r.flops_forward + r.flops_backward) < 6e7),
        ("0.2s", lambda r: r.train_seconds >= 0.2 and r.stopped == "budget"),
    ],
)
def test_every_kind_of_budget_ends_a_run(budget: str, check) -> None:  # type: ignore[no-untyped-def]
    record = train(TinyTask(), tiny_model(), TrainSettings(budget=budget), numerics=NUMERICS).record
    assert check(record), record
    assert record.curve[-1]["step"] == record.steps


def test_batches_by_tokens_see_every_row_once_an_epoch() -> None:
    settings = TrainSettings(budget="2epochs", batch=60, batch_by="tokens")
    task = TinyTask()
    record = train(task, tiny_model(), settings, numerics=NUMERICS).record
    assert record.tokens == 2 * int(task.splits["train"].lengths_N.sum())


def test_the_best_weights_by_validation_are_kept_and_early_stopping_stops() -> None:
    settings = TrainSettings(budget="400steps", learning_rate=0.05, evaluations=40, patience=3)
    task = TinyTask()
    result = train(task, tiny_model(dropout=0.0), settings, numerics=NUMERICS)
    record = result.record
    assert record.stopped == "patience" and record.steps < 400
    assert record.validation == max(point["validation"] for point in record.curve)
    assert record.best_step == record.curve[-4]["step"]
    again = evaluate(result.model, task, "valid", numerics=NUMERICS)
    assert again.scores["accuracy"] == record.validation


@pytest.mark.parametrize(("metric", "higher_is_better", "score"), [("accuracy", True, 0.9), ("loss", False, 0.3)])
def test_training_ends_where_validation_is_good_enough(metric: str, higher_is_better: bool, score: float) -> None:
    settings = TrainSettings(budget="400steps", learning_rate=0.05, evaluations=40, stop_at=score)
    task = TinyTask(metric=metric, higher_is_better=higher_is_better)
    record = train(task, tiny_model(dropout=0.0), settings, numerics=NUMERICS).record
    good = [(point["validation"] >= score) == higher_is_better for point in record.curve]
    assert record.stopped == "score" and record.steps < 400
    assert good[-1] and not any(good[:-1])


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_rate() -> None:
    settings = TrainSettings(budget="200steps", optimizer="sgd", learning_rate=1e30, clip=0.0)
    with pytest.raises(TrainingError, match=r"became (nan|inf) at step \d+ with learning rate .*: lower --lr"):
        train(TinyTask(), tiny_model(), settings, numerics=NUMERICS)


def test_memory_that_runs_out_is_one_sentence() -> None:
    def allocate(progress: Progress) -> None:
        torch.empty(1 << 60)

    with pytest.raises(TrainingError, match=r"ran out of memory with batches of 32 rows: give a smaller --batch"):
        train(TinyTask(), tiny_model(), LEARNS, numerics=NUMERICS, on_progress=allocate)


def test_the_test_split_stays_unread_when_asked() -> None:
    task = TinyTask(budget="4steps")
    del task.splits["test"]  # type: ignore[attr-defined]
    result = train(task, tiny_model(), TrainSettings(), numerics=NUMERICS, test=False)
    assert result.record.score is None and result.items == {} and result.record.test_seconds is None


def test_a_run_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(TinyTask(), tiny_model(), TrainSettings(budget="3steps"), numerics=NUMERICS)
    assert torch.equal(torch.rand(3), expected)


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    runs = [
        train(TinyTask(), tiny_model(), TrainSettings(budget="5steps", seed=seed), numerics=NUMERICS).record.losses
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_progress_is_told_at_every_step_and_validation() -> None:
    told: list[Progress] = []
    train(TinyTask(), tiny_model(), TrainSettings(budget="20steps"), numerics=NUMERICS, on_progress=told.append)
    assert [p.step for p in told if not p.validated] == list(range(1, 21))
    assert sum(p.validated for p in told) == 10
    assert told[-1].fraction == 1 and told[-1].seconds_left == 0


def test_a_folder_holds_what_the_format_says(tmp_path: Path) -> None:
    task, folder = TinyTask(), tmp_path / "run"
    result = train(task, tiny_model(), TrainSettings(budget="12steps"), numerics=NUMERICS, folder=folder)
    assert {path.name for path in folder.iterdir()} == {
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "record.json",
        "items.npz",
        "model.safetensors",
        "artifacts.json",
    }
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if "loss" in e] == list(range(1, 13))
    assert sum("valid" in e for e in events) == len(result.record.curve)
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["train"]["budget"] == "12steps" and config["model"]["width"] == 16
    assert set(json.loads((folder / "environment.json").read_text())) == {
        "crossover", "commit", "python", "torch", "platform", "device", "cores", "threads", "numerics"
    }  # fmt: skip
    model, saved = load_model(folder)
    assert saved.task == "tiny/sign" and saved.artifacts["labels"] == ["absent", "present"]
    for name, value in result.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_a_finished_run_is_read_back_and_not_trained_again(tmp_path: Path) -> None:
    task, settings = TinyTask(), TrainSettings(budget="8steps")
    first = train(task, tiny_model(), settings, numerics=NUMERICS, folder=tmp_path)
    again = train(task, tiny_model(), settings, numerics=NUMERICS, folder=tmp_path, resume=True)
    assert again.record.to_json() == first.record.to_json()
    assert all((again.items[name] == values).all() for name, values in first.items.items())
    with pytest.raises(CheckpointError, match="holds a run already"):
        train(task, tiny_model(), settings, numerics=NUMERICS, folder=tmp_path)


def test_an_empty_train_split_is_refused() -> None:
    with pytest.raises(DataError, match="train split of tiny/sign is empty"):
        train(TinyTask(train=0), tiny_model(), TrainSettings(), numerics=NUMERICS)


def test_bf16_trains_too_with_a_finite_loss() -> None:
    numerics = replace(NUMERICS, precision="bf16")
    record = train(TinyTask(), tiny_model("transformer"), TrainSettings(budget="5steps"), numerics=numerics).record
    assert record.precision == "bf16" and all(math.isfinite(loss) for _, loss in record.losses)
