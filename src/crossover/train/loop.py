"""The training loop: one run of one model on one task, from its settings to its record."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Shape
from crossover.errors import DataError, FolderError, TrainingError, is_out_of_memory
from crossover.inference.forward import Stream
from crossover.inference.origins import find_origin, start_from
from crossover.measure.numerics import Numerics
from crossover.models.backbones import ModelState
from crossover.models.counting import model_cost
from crossover.models.model import build_model
from crossover.models.settings import ModelSettings
from crossover.tasks.base import Batch, Task
from crossover.tasks.carry import carries
from crossover.train import checkpoint
from crossover.train.average import kept_weights
from crossover.train.budget import Budget
from crossover.train.evaluate import evaluate
from crossover.train.interrupts import interrupts_deferred
from crossover.train.optimizer import build_optimizer, rate_at, set_rate
from crossover.train.progress import OnProgress, Progress
from crossover.train.record import MetricsLog, is_finished, metrics_log
from crossover.train.results import RunResult, build_record, read_run, write_run
from crossover.train.settings import TrainSettings, resolve
from crossover.train.state import Best, RunState

_DEVICE_STRIDE = 10
"""Steps between two looks at the loss on an accelerator: looking waits for it, so it is not done at every step."""


def train(
    task: Task,
    model_settings: ModelSettings,
    settings: TrainSettings,
    *,
    numerics: Numerics,
    folder: Path | None = None,
    resume: bool = False,
    test: bool = True,
    on_progress: OnProgress | None = None,
) -> RunResult:
    """Train one model on one task until its budget is spent, and score its best weights on the test split, once.

    With a `folder` the run's files are written there (docs/study-format.md). `resume` goes on from its checkpoint,
    bit for bit on the same machine for every budget but seconds, whose time spent is restored; a finished run is
    read back, and a folder without a checkpoint is started. `test=False` leaves the test split unread (searches).
    Validation, test and checkpoints cost no budget. The caller has put `numerics` in force.

    Raises ConfigError for settings that cannot be, CheckpointError for a folder that holds another run or cannot be
    written, TrainingError when the loss is no longer finite or memory runs out. Ctrl-C stops between two steps with
    the state saved.
    """
    settings = resolve(settings, task.spec, model_settings)
    if folder is not None:
        if resume and is_finished(folder):
            return read_run(folder, device=numerics.device)
        if not resume and (is_finished(folder) or checkpoint.has_checkpoint(folder)):
            raise FolderError(f"{folder} holds a run already: go on with it by --resume, or choose another folder")
    device = torch.device(numerics.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            run = _Run(task, model_settings, settings, numerics, folder)
            if resume:
                run.restore()
            run.fit(on_progress)
            return run.finish(test=test)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"{model_settings.name} on {task.spec.name} ran out of memory with batches of {settings.batch} "
                f"{settings.batch_by}: give a smaller --batch or model, or --set train.accumulate=2"
            ) from error


class _Run:
    """A run under way. `fit` is the loop; a step is `_step`, and what it computes is `_update`."""

    def __init__(
        self, task: Task, model: ModelSettings, settings: TrainSettings, numerics: Numerics, folder: Path | None
    ) -> None:
        spec = task.spec
        self.task, self.model_settings, self.settings = task, model, settings
        self.numerics, self.folder = numerics, folder
        self.device = torch.device(numerics.device)
        self.budget = Budget.parse(settings.budget or spec.budget)
        self.carry = carries(spec, model)
        self.streams = [Stream(carry=self.carry) for _ in range(settings.accumulate)]
        built = build_model(model, spec.inputs, spec.outputs, causal=spec.causal, seed=settings.seed)
        self.start = None
        if model.origin is not None and not model.fresh:
            self.start = start_from(built, find_origin(model.origin))
        self.model = built.to(self.device)
        self.compute: nn.Module = torch.compile(self.model) if settings.compile else self.model  # type: ignore[assignment]
        self.optimizer = build_optimizer(self.model, settings)
        self.kept = kept_weights(self.model, settings.average)
        self.rows_per_epoch = task.size("train")
        self.state = RunState()
        self.best: Best | None = None
        self.log: MetricsLog | None = None
        self.on_progress: OnProgress | None = None
        self.stride = 1 if self.device.type == "cpu" else _DEVICE_STRIDE
        self.unread: list[tuple[int, float, Tensor]] = []
        self.costs: dict[tuple[int, int, int, int | None], Cost] = {}
        self.between_steps = True

    def fit(self, on_progress: OnProgress | None) -> None:
        """Take steps until the budget is spent or validation has not improved for `patience` times."""
        self.on_progress = on_progress
        saved = time.monotonic()
        with ExitStack() as stack:
            if self.folder is not None:
                self.log = stack.enter_context(metrics_log(self.folder, steps=self.state.step))
            check_interrupt = stack.enter_context(interrupts_deferred())
            batches = self._batches()
            try:
                while True:
                    if self._validations_by_now() > self.state.validations:
                        self._validate()
                    if self.fraction >= 1 or self._out_of_patience():
                        break
                    self._step(batches)
                    check_interrupt()
                    if time.monotonic() - saved >= self.settings.checkpoint_seconds:
                        self.save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                if self.between_steps:
                    self.save()
                raise
        self.save()

    def _step(self, batches: Iterator[tuple[Batch, ...]]) -> None:
        """Load one global batch, take one step with it and account for both."""
        self.between_steps = False
        started = time.perf_counter()
        read = [(stream, part) for stream, part in zip(self.streams, next(batches), strict=True) if part.size]
        slices = [part for _, part in read]
        loaded = time.perf_counter()
        rate = rate_at(self.fraction, self.settings)
        loss = self._update(read, rate)
        tokens = sum(part.tokens for part in slices)
        cost = Cost.sum(self._cost(part) for part in slices)
        self.state.count_step(rows=sum(part.size for part in slices), tokens=tokens, cost=cost)
        self.unread.append((self.state.step, rate, loss))
        looked = len(self.unread) >= self.stride
        if looked:
            self._read_losses()
        computing = time.perf_counter() - loaded
        self.state.count_time(loading=loaded - started, computing=computing, tokens=tokens, close_window=looked)
        self.between_steps = True
        if looked:
            self._report_step(rate)

    def _update(self, read: list[tuple[Stream, Batch]], rate: float) -> Tensor:
        """Forward, backward, clip, step; returns the mean loss per counted unit before the update, not yet read.

        `read` are the slices of the global batch, each with the stream that it is the next of.
        """
        count = max(sum(self.task.count(part) for _, part in read), 1)
        losses = []
        for stream, part in read:
            outputs, batch = stream.outputs(self.compute, part, self.numerics, scored_only=True)
            loss = self.task.loss(outputs, batch, label_smoothing=self.settings.label_smoothing) / count
            loss.backward()
            losses.append(loss.detach())
        if self.settings.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip, foreach=True)
        set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.kept.after_step()
        return torch.stack(losses).sum()

    def _validate(self) -> None:
        """Score the validation split and keep the weights if they are the best so far."""
        self._read_losses()
        spec, state, rate = self.task.spec, self.state, rate_at(self.fraction, self.settings)
        rows = self._evaluation_rows()
        self.kept.before_validation()
        result = evaluate(
            self.kept.model, self.task, "valid", numerics=self.numerics, batch_rows=rows, samples=0, carry=self.carry
        )
        scores = result.scores
        if not math.isfinite(scores["loss"]):
            raise self._diverged("validation loss", scores["loss"], state.step, rate)
        if Best.improves(scores, self.best, metric=spec.metric, higher_is_better=spec.higher_is_better):
            weights = {name: value.detach().clone() for name, value in self.kept.model.state_dict().items()}
            self.best, state.stale = Best(state.step, scores, weights), 0
        else:
            state.stale += 1
        state.validations = self._validations_by_now()
        state.validation_seconds += result.seconds
        point = {"step": state.step, "seconds": state.seconds}
        state.curve.append({**point, "validation": scores[spec.metric], "loss": scores["loss"]})
        if self.log is not None:
            self.log.write(**point, valid=scores)
        self._tell(rate, validated=True)

    @property
    def fraction(self) -> float:
        """The share of the budget that is spent."""
        return self.budget.fraction(self.state.spent(self.rows_per_epoch))

    def _validations_by_now(self) -> int:
        """How many of the validations are due by the share spent, the rounding of that share forgiven."""
        return int(self.fraction * self.settings.evaluations + 1e-9)

    def _out_of_patience(self) -> bool:
        return 0 < self.settings.patience <= self.state.stale

    def _batches(self) -> Iterator[tuple[Batch, ...]]:
        """Global batches without end, each cut into `accumulate` row slices, from where the state stands."""
        parts, spec = self.settings.accumulate, self.task.spec
        while True:
            begun = self.state.position
            shards = [
                self.task.batches(
                    "train",
                    seed=self.settings.seed,
                    epoch=self.state.epoch,
                    batch=self.settings.batch or spec.batch_rows,
                    shard=(index, parts),
                    start=begun,
                    by=self.settings.batch_by or "rows",
                )
                for index in range(parts)
            ]
            yield from zip(*shards, strict=True)
            if self.state.position == 0:
                raise DataError(f"the train split of {spec.name} is empty: give more rows or another split")
            self.state.next_epoch()

    def _cost(self, batch: Batch) -> Cost:
        scored = int(batch.scored_BT.sum()) if batch.scored_BT is not None else None
        shape = (batch.size, batch.inputs.shape[1], batch.source_steps, scored)
        if shape not in self.costs:
            spec = self.task.spec
            self.costs[shape] = model_cost(
                self.model_settings,
                spec.inputs,
                spec.outputs,
                Shape(batch=shape[0], time=shape[1], source=shape[2], scored=shape[3]),
                causal=spec.causal,
                execution=Execution(element_bytes=self.numerics.element_bytes),
            )
        return self.costs[shape]

    def _evaluation_rows(self) -> int | None:
        return self.settings.batch if self.settings.batch_by == "rows" else None

    def _read_losses(self) -> None:
        """Note the losses of the steps since the last look, which waits for the device.

        Raises TrainingError for one that is not finite.
        """
        if not self.unread:
            return
        losses = torch.stack([loss for _, _, loss in self.unread]).tolist()
        for (step, rate, _), loss in zip(self.unread, losses, strict=True):
            if not math.isfinite(loss):
                raise self._diverged("loss", loss, step, rate)
            self.state.losses.append([step, loss])
        self.unread.clear()

    def _diverged(self, what: str, value: float, step: int, rate: float) -> TrainingError:
        return TrainingError(
            f"{self.model_settings.name} on {self.task.spec.name}: {what} became {value} at step {step} with "
            f"learning rate {rate:.3g}: lower --lr (its peak is {self.settings.learning_rate:.3g})"
        )

    def _report_step(self, rate: float) -> None:
        state = self.state
        if self.log is not None:
            loss = state.losses[-1][1]
            self.log.write(step=state.step, seconds=state.seconds, tokens=state.tokens, loss=loss, rate=rate)
        self._tell(rate, validated=False)

    def _tell(self, rate: float, *, validated: bool) -> None:
        if self.on_progress is None:
            return
        spec, state = self.task.spec, self.state
        self.on_progress(
            Progress(
                task=spec.name,
                model=self.model_settings.name,
                seed=self.settings.seed,
                step=state.step,
                fraction=self.fraction,
                loss=state.losses[-1][1] if state.losses else None,
                rate=rate,
                tokens_per_second=state.tokens / state.seconds if state.seconds else 0.0,
                seconds=state.seconds,
                metric=spec.metric,
                validation=self.best.scores[spec.metric] if self.best else None,
                validated=validated,
            )
        )

    def _identity(self) -> dict[str, Any]:
        """The settings that make this run this one, as a checkpoint records them."""
        own = {key: repr(value) for key, value in self.settings.to_json().items() if key != "checkpoint_seconds"}
        model = {f"model.{key}": repr(value) for key, value in asdict(self.model_settings).items()}
        return {"task": self.task.spec.name, **own, **model, "precision": self.numerics.precision}

    def save(self) -> None:
        """Write a checkpoint, if the run has a folder."""
        if self.folder is None:
            return
        self._read_losses()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.kept.state(),
            "random": checkpoint.random_state(self.device),
            "run": self.state.to_json(),
            "best": self.best.to_json() if self.best else None,
            "streams": [vars(stream.state) if stream.state else None for stream in self.streams],
        }
        checkpoint.save_checkpoint(self.folder, self._identity(), state)

    def restore(self) -> None:
        """Stand where the checkpoint in the run's folder stood; nothing where there is none."""
        if self.folder is None or not checkpoint.has_checkpoint(self.folder):
            return
        state = checkpoint.load_checkpoint(self.folder, self._identity(), device=self.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.kept.restore(state["average"])
        checkpoint.restore_random_state(state["random"], self.device)
        self.state = RunState(**state["run"])
        self.best = Best(**state["best"]) if state["best"] else None
        for stream, carried in zip(self.streams, state["streams"], strict=True):
            stream.state = ModelState(**carried) if carried else None

    def finish(self, *, test: bool) -> RunResult:
        """Score the best weights on the test split and write the run's files."""
        if self.best is None:
            raise TrainingError(f"{self.model_settings.name} on {self.task.spec.name} ended without a validation")
        self.model.load_state_dict(self.best.weights)
        self.model.eval()
        rows = self._evaluation_rows()
        scoring = partial(evaluate, numerics=self.numerics, batch_rows=rows, carry=self.carry)
        tested = scoring(self.model, self.task, "test") if test else None
        record = build_record(
            self.task,
            self.model_settings,
            self.settings,
            self.numerics,
            state=self.state,
            best=self.best,
            tested=tested,
            start=self.start,
            stopped="patience" if self.fraction < 1 else "budget",
            folder=self.folder,
        )
        result = RunResult(record, self.model, tested.items if tested else {}, self.folder)
        if self.folder is not None:
            write_run(self.folder, result, self.task, self.model_settings, self.settings, self.numerics)
        return result
