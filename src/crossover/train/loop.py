"""The training loop: one run of one model on one task, from its settings to its record."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch

from crossover.costs import Cost
from crossover.errors import FolderError, TrainingError, is_out_of_memory
from crossover.inference.origins import find_origin, start_from
from crossover.measure.numerics import Numerics
from crossover.models.model import build_model
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh, make_mesh, told, total
from crossover.tasks.base import Batch, Task
from crossover.tasks.carry import carries
from crossover.train import checkpoint
from crossover.train.batch_costs import BatchCosts
from crossover.train.budget import Budget
from crossover.train.evaluate import evaluate
from crossover.train.feed import Feed
from crossover.train.interrupts import Interrupts, interrupts_deferred
from crossover.train.optimizer import rate_at
from crossover.train.progress import OnProgress, Progress
from crossover.train.rank_figures import RankFigures
from crossover.train.record import MetricsLog, is_finished, metrics_log
from crossover.train.results import RunResult, build_record, read_run, write_run
from crossover.train.settings import TrainSettings, resolve
from crossover.train.solving import Solving, newton_summary
from crossover.train.state import Best, RunState, Stop, Work
from crossover.train.unread import UnreadLosses
from crossover.train.update import Update

_RANK_SEED = 1_000_003
"""Between the seeds of two ranks' generators; the seeds of a study are small numbers."""


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
    layout: Layout | None = None,
) -> RunResult:
    """Train one model on one task until its budget is spent, and score its best weights on the test split, once.

    With a `folder` the run's files are written there (docs/study-format.md). `resume` goes on from its checkpoint,
    bit for bit on the same machine for every budget but seconds, whose time spent is restored; a finished run is
    read back, and a folder without a checkpoint is started. `test=False` leaves the test split unread (searches).
    Validation, test and checkpoints cost no budget. The caller has put `numerics` in force. With a `layout` of
    several devices every rank calls this with the same arguments; the first writes the files.

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
    device, layout = torch.device(numerics.device), layout or Layout()
    mesh = make_mesh(layout, timeout=timedelta(seconds=settings.timeout_seconds))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Ranks that see the same steps of the same rows drop the same units of them.
        torch.manual_seed(settings.seed + _RANK_SEED * mesh.replicas.rank)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            run = _Run(task, model_settings, settings, numerics, folder, layout, mesh)
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
    """A run under way. `fit` is the loop; a step is `_step`, and what it computes is `update`."""

    def __init__(
        self,
        task: Task,
        model: ModelSettings,
        settings: TrainSettings,
        numerics: Numerics,
        folder: Path | None,
        layout: Layout,
        mesh: Mesh,
    ) -> None:
        spec = task.spec
        self.task, self.model_settings, self.settings = task, model, settings
        self.numerics, self.folder, self.layout, self.mesh = numerics, folder, layout, mesh
        self.device = torch.device(numerics.device)
        self.budget = Budget.parse(settings.budget or spec.budget)
        self.carry = carries(spec, model)
        built = build_model(model, spec.inputs, spec.outputs, causal=spec.causal, seed=settings.seed)
        self.start = None
        if model.origin is not None and not model.fresh:
            self.start = start_from(built, find_origin(model.origin))
        self.model = built.to(self.device)
        self.solving = Solving(self.model)
        self.update = Update(task, self.model, settings, numerics, layout, mesh, carry=self.carry)
        self.feed = Feed(task, settings, self.update.shards, by_class=layout.shards == "sorted")
        self.rows_per_epoch = task.size("train")
        written_for = checkpoint.identity(spec.name, model, settings, numerics.precision)
        self.checkpoints = checkpoint.Checkpoints(folder, written_for, mesh, kept=settings.checkpoints)
        self.state = RunState()
        self.best: Best | None = None
        self.log: MetricsLog | None = None
        self.on_progress: OnProgress | None = None
        self.unread = UnreadLosses(self.device)
        self.costs = BatchCosts(spec, model, element_bytes=numerics.element_bytes)
        self.between_steps = True
        self.interrupts = Interrupts()
        self.own = RankFigures(mesh, layout, numerics)
        self.telling = 0.0  # seconds in which the ranks told one another of the step before
        self.began = time.monotonic()
        self.elapsed = 0.0
        """Seconds since then, the same on every rank: whether it is time to save is decided together."""

    def fit(self, on_progress: OnProgress | None) -> None:
        """Take steps until the budget is spent or validation has not improved for `patience` times."""
        self.on_progress = on_progress
        saved = self.elapsed
        with ExitStack() as stack:
            if self.folder is not None and self.mesh.leads:
                self.log = stack.enter_context(metrics_log(self.folder, steps=self.state.step))
            self.interrupts = stack.enter_context(interrupts_deferred())
            self._choose_solvers()
            batches = self.feed.batches(self.state)
            try:
                while True:
                    if self._validations_by_now() > self.state.validations:
                        self._validate()
                    if self._stopped():
                        break
                    self._step(batches)
                    self.interrupts.check(ranks=self.mesh.world.size)
                    if self.elapsed - saved >= self.settings.checkpoint_seconds:
                        self.save()
                        saved = self.elapsed
            except KeyboardInterrupt:
                if self.between_steps:
                    self.save()
                self.checkpoints.wait()
                raise
            except RuntimeError as error:
                error.add_note(f"at step {self.state.step + 1}")
                raise
        self.save()

    def _choose_solvers(self) -> None:
        """Measured once in a run, on rows like its first; what it goes on with was chosen when it began."""
        if not self.state.solvers and (first := self.feed.first(self.state)) is not None:
            self.state.solvers = self.solving.choose(first, self.mesh, self.numerics.device)
        self.solving.use(self.state.solvers)

    def _step(self, batches: Iterator[tuple[Batch, ...]]) -> None:
        """Load one global batch, take one step with it and account for both."""
        self.between_steps = False
        started = time.perf_counter()
        slices = next(batches)
        loaded = time.perf_counter()
        rate = rate_at(self.fraction, self.settings)
        work = self._work(slices)
        with self.own.watching():
            loss = self.update.step(slices, max(work.counted, 1), rate)
        self.state.count_step(work)
        self.unread.add(self.state.step, rate, loss)
        losses = self.unread.due()
        self._account(loaded - started, time.perf_counter() - loaded, losses, tokens=work.tokens)
        self.between_steps = True
        if losses:
            self._report_step(rate)

    def _work(self, slices: tuple[Batch, ...]) -> Work:
        """What the global batch asks for, of which these slices are this rank's."""
        read = [part for part in slices if part.size]
        cost = Cost.sum(self.costs.of(part) for part in read)
        own = Work(
            counted=sum(self.task.count(part) for part in read),
            rows=sum(part.size for part in read),
            tokens=sum(part.tokens for part in read),
            flops_forward=cost.flops_forward,
            flops_backward=cost.flops_backward,
        )
        return Work.of(total(own, self.mesh.data))

    def _account(self, loading: float, computing: float, losses: list[float], *, tokens: int) -> None:
        """Count the step's time, that of the slowest rank, and its losses; if one was interrupted, all of them are.

        The ranks tell one another all of this at once, which is counted with the next step.
        """
        began, computing = time.perf_counter(), computing + self.telling
        self.own.add(loading=loading, computing=computing)
        times = [loading, computing, float(self.interrupts.noted), time.monotonic() - self.began]
        ranks = told([*times, *losses], self.mesh.in_step)
        loading, computing, noted, self.elapsed = (max(own[place] for own in ranks) for place in range(len(times)))
        self.interrupts.agreed = bool(noted)
        if losses:
            # Ranks of the innermost axis, tensor, have the same loss.
            parts = [own[len(times) :] for own in ranks[:: self.mesh.tensor.size]]
            self._note_losses([sum(part) for part in zip(*parts, strict=True)])
        self.telling = time.perf_counter() - began
        self.state.count_time(loading=loading, computing=computing, tokens=tokens, close_window=bool(losses))

    def _validate(self) -> None:
        """Score the validation split and keep the weights if they are the best so far."""
        self._read_losses()
        spec, state, rate = self.task.spec, self.state, rate_at(self.fraction, self.settings)
        self.update.before_validation()
        scored = self.update.kept.model
        result = evaluate(
            scored,
            self.task,
            "valid",
            numerics=self.numerics,
            batch_rows=self._evaluation_rows(),
            samples=0,
            carry=self.carry,
            ranks=self.mesh.world,
        )
        scores = result.scores
        if not math.isfinite(scores["loss"]):
            raise self._diverged("validation loss", scores["loss"], state.step, rate)
        if Best.improves(scores, self.best, metric=spec.metric, higher_is_better=spec.higher_is_better):
            weights = {name: value.detach().clone() for name, value in scored.state_dict().items()}
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

    def _stopped(self) -> Stop | None:
        """What ends training now, if anything does."""
        if self.fraction >= 1:
            return "budget"
        if self.best is not None and self.best.reaches(self.settings.stop_at, self.task.spec):
            return "score"
        return "patience" if 0 < self.settings.patience <= self.state.stale else None

    def _evaluation_rows(self) -> int | None:
        return self.settings.batch if self.settings.batch_by == "rows" else None

    def _read_losses(self) -> None:
        """Note the losses of the steps since the last look."""
        if own := self.unread.all():
            self._note_losses(total(own, self.mesh.contributors))

    def _note_losses(self, losses: list[float]) -> None:
        """Note what was unread; TrainingError for a loss that is not finite."""
        for step, rate, loss in self.unread.settle(losses):
            if not math.isfinite(loss):
                raise self._diverged("loss", loss, step, rate)
            self.state.losses.append([step, loss])

    def _diverged(self, what: str, value: float, step: int, rate: float) -> TrainingError:
        return TrainingError(
            f"{self.model_settings.name} on {self.task.spec.name}: {what} became {value} at step {step} with "
            f"learning rate {rate:.3g}: lower --lr (its peak is {self.settings.learning_rate:.3g})"
        )

    def _report_step(self, rate: float) -> None:
        state, fared = self.state, self.solving.fared()
        state.newton.add(fared)
        if self.log is not None:
            newton = newton_summary(fared)
            told_of = {} if newton is None else {"newton": newton}
            loss = state.losses[-1][1]
            self.log.write(
                step=state.step, seconds=state.seconds, tokens=state.tokens, loss=loss, rate=rate, **told_of
            )
        self._tell(rate, validated=False)

    def _tell(self, rate: float, *, validated: bool) -> None:
        if self.on_progress is None:
            return
        self.on_progress(
            Progress.of(
                self.state,
                self.best,
                self.task.spec,
                model=self.model_settings.name,
                seed=self.settings.seed,
                fraction=self.fraction,
                rate=rate,
                validated=validated,
            )
        )

    def save(self) -> None:
        """Begin to write a checkpoint, if the run has a folder."""
        if self.folder is None:
            return
        self._read_losses()
        best, tensors = None, self.update.tensors()
        if self.best is not None:
            best = {"step": self.best.step, "scores": self.best.scores}
            tensors |= {f"best/{name}": weight for name, weight in self.best.weights.items()}
        state = {**self.update.state(), "run": self.state.to_json(), "best": best}
        self.checkpoints.save(self.state.step, state, tensors)

    def restore(self) -> None:
        """Stand where the checkpoint in the run's folder stood; nothing where there is none."""
        if (loaded := self.checkpoints.load(device=self.device)) is None:
            return
        state = loaded.state
        self.update.restore(state, loaded.tensors)
        self.state = RunState.from_json(state["run"])
        if state["best"]:
            self.best = Best(**state["best"], weights=checkpoint.under(loaded.tensors, "best"))

    def finish(self, *, test: bool) -> RunResult:
        """Score the best weights on the test split and write the run's files."""
        if self.best is None:
            raise TrainingError(f"{self.model_settings.name} on {self.task.spec.name} ended without a validation")
        self.state.newton.add(self.solving.fared())
        self.model.load_state_dict(self.best.weights)
        self.model.eval()
        rows = self._evaluation_rows()
        scoring = partial(evaluate, numerics=self.numerics, batch_rows=rows, carry=self.carry, ranks=self.mesh.world)
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
            stopped=self._stopped() or "budget",
            folder=self.folder,
            layout=self.layout,
            ranks=self.own.together(),
            shapes=self.costs.shapes,
        )
        result = RunResult(record, self.model, tested.items if tested else {}, self.folder)
        self.checkpoints.wait()
        if self.folder is not None and self.mesh.leads:
            write_run(self.folder, result, self.task, self.model_settings, self.settings, self.numerics)
        return result
