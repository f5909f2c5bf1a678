"""From a run's state to its record, and the files of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossover.config import to_toml
from crossover.costs import Execution, Shape
from crossover.errors import FolderError
from crossover.files import write_file, write_json
from crossover.inference.origins import Start
from crossover.inference.saved import SavedModel, load_model, save_model
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval, percentiles, score_interval
from crossover.models.counting import count_parameters, model_cost
from crossover.models.model import SequenceModel
from crossover.models.presets import family_of
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.tasks.base import Sums, Task, TaskSpec
from crossover.train.batch_costs import BatchShape
from crossover.train.checkpoint import discard_checkpoint
from crossover.train.evaluate import Evaluation
from crossover.train.foresight import foresee
from crossover.train.rank_figures import peak_bytes
from crossover.train.record import (
    RunRecord,
    environment,
    is_finished,
    is_started,
    load_items,
    load_record,
    save_items,
    save_record,
)
from crossover.train.settings import TrainSettings
from crossover.train.solving import newton_summary
from crossover.train.state import Best, RunState, Stop

_RESAMPLES = 1000
_WARM_UP_WINDOWS = 10


@dataclass(frozen=True)
class RunResult:
    """A finished run: its record, the best model by validation, and the test split's per-item statistics."""

    record: RunRecord
    model: SequenceModel
    items: Sums
    folder: Path | None = None


def build_record(
    task: Task,
    model: ModelSettings,
    settings: TrainSettings,
    numerics: Numerics,
    *,
    state: RunState,
    best: Best,
    tested: Evaluation | None,
    stopped: Stop,
    start: Start | None,
    folder: Path | None,
    layout: Layout | None = None,
    ranks: list[dict[str, Any]] | None = None,
    shapes: Mapping[BatchShape, int] | None = None,
) -> RunRecord:
    """The record of a run that ended in `state`; `settings` resolved, `tested` None where the test was not read.

    `shapes` are those of the batches that it saw, with their numbers.
    """
    spec, steps = task.spec, max(state.step, 1)
    counts = count_parameters(model, spec.inputs, spec.outputs, causal=spec.causal)
    step_seconds, tokens_per_second = step_intervals(state.windows)
    return RunRecord(
        task=spec.name,
        model=model.name,
        family=family_of(model),
        mixer="+".join(model.mixers),
        parameters=counts.total,
        parameters_without_embedding=counts.without_embedding,
        seed=settings.seed,
        metric=spec.metric,
        higher_is_better=spec.higher_is_better,
        score=scored_interval(task, tested.items) if tested else None,
        validation=best.scores[spec.metric],
        steps=state.step,
        tokens=state.tokens,
        epochs=state.spent(task.size("train")).epochs,
        train_seconds=state.seconds,
        data_seconds=state.data_seconds,
        validation_seconds=state.validation_seconds,
        test_seconds=tested.seconds if tested else None,
        tokens_per_second=tokens_per_second,
        step_seconds=step_seconds,
        learning_rate=settings.learning_rate or model.learning_rate,
        dropout=model.dropout,
        width=model.width,
        layers=model.layers,
        batch=settings.batch or spec.batch_rows,
        budget=settings.budget or spec.budget,
        flops_forward=state.flops_forward / steps,
        flops_backward=state.flops_backward / steps,
        state_bytes=_state_bytes(model, spec, numerics),
        peak_bytes=peak_bytes(numerics),
        precision=numerics.precision,
        stopped=stopped,
        best_step=best.step,
        prediction=foresee(spec, model, settings, numerics, layout or Layout(), shapes or {}),
        solvers=dict(state.solvers),
        newton=newton_summary(state.newton),
        start={"origin": model.origin, **asdict(start)} if start is not None else None,
        layout=str(layout or Layout()),
        ranks=ranks or [],
        run=str(folder) if folder is not None else None,
        validation_summary=best.scores,
        summary=tested.scores if tested else {},
        details=task.details(tested.items) if tested else {},
        samples=tested.samples if tested else [],
        curve=state.curve,
        losses=state.losses,
        environment=environment(numerics),
    )


def step_intervals(windows: list[list[float]]) -> tuple[Interval, Interval]:
    """Seconds a step and tokens a second: the median over windows, p10 and p90 as its low and high.

    The first ten windows, or a quarter of them where they are few, are warm-up.
    """
    timed = [window for window in windows if window[0] and window[1] > 0]
    timed = timed[min(_WARM_UP_WINDOWS, len(timed) // 4) :]
    return (
        _median([seconds / steps for steps, seconds, _ in timed]),
        _median([tokens / seconds for _, seconds, tokens in timed]),
    )


def scored_interval(task: Task, items: Sums) -> Interval:
    """The test score with its 95 % bootstrap interval over items."""
    spec = task.spec
    return score_interval([items], task.summarise, spec.metric, block=spec.item_block, resamples=_RESAMPLES)


def write_run(
    folder: Path, result: RunResult, task: Task, model: ModelSettings, settings: TrainSettings, numerics: Numerics
) -> None:
    """Write the files of a finished run, the record last; then its checkpoint has nothing left to resume."""
    saved = SavedModel.of(task.spec, model, task.artifacts())
    save_model(folder, result.model.state_dict(), saved)
    save_items(folder, result.items)
    config = {
        "task": task.spec.name,
        "model": asdict(model),
        "train": settings.to_json(),
        "numerics": {"precision": numerics.precision, "matmul": numerics.matmul, "device": numerics.device},
    }
    write_file(folder / "config.toml", to_toml(config))
    if result.record.prediction is not None:
        write_json(folder / "prediction.json", result.record.prediction)
    save_record(folder, result.record)
    discard_checkpoint(folder)


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse, as a FolderError, a folder that a run cannot start in, or one that has no run to `resume`."""
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file: give a folder for the run")
    if resume and not is_started(folder):
        raise FolderError(f"{folder} holds no run to go on with: give the folder of one, or start one with --out")
    if not resume and is_finished(folder):
        raise FolderError(f"{folder} holds a run already: go on with it by --resume, or choose another folder")
    if not resume and folder.is_dir() and any(folder.iterdir()) and not is_started(folder):
        raise FolderError(f"{folder} is not empty and holds no run: give another --out")


def read_run(folder: Path, *, device: str = "cpu") -> RunResult:
    """A finished run as `write_run` left it; CheckpointError when it cannot be read."""
    record = load_record(folder)
    model, _ = load_model(folder, device=device)
    return RunResult(record, model, load_items(folder), folder)


def _median(samples: list[float]) -> Interval:
    low, middle, high = percentiles(samples, (10, 50, 90))
    return Interval(middle, low, high)


def _state_bytes(model: ModelSettings, spec: TaskSpec, numerics: Numerics) -> float | None:
    """Bytes of the state of one row at the task's full length; None for an encoder, which carries none."""
    if not (spec.causal if model.causal is None else model.causal):
        return None
    shape = Shape(batch=1, time=spec.max_length, source=spec.max_length)
    execution = Execution(element_bytes=numerics.element_bytes)
    return model_cost(model, spec.inputs, spec.outputs, shape, causal=spec.causal, execution=execution).state_bytes
