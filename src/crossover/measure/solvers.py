"""Which solver is the fastest for a recurrence of given sizes on this machine: measured once, and remembered.

No rule by length alone is right: what a step costs depends on the processor, the batch and the width, and the number
of Newton's iterations on the numbers that come in. So each solver's forward and backward pass are timed, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, replace
from functools import partial
from typing import cast

import torch

from crossover.measure.clock import timings_in_turn
from crossover.measure.workload import Workload
from crossover.models.backbones import mixer_settings
from crossover.models.encoder import encoder_mixers
from crossover.models.initialise import initialise
from crossover.models.mixers.base import Mixer, MixerSettings, Span
from crossover.models.mixers.solved import SHORTEST, SolvedSettings
from crossover.recurrence.checks import Solver

_ROUNDS = 5
_LIMIT_SECONDS = 1.0
"""After so long no further round is begun."""
_LONGEST = 2048
"""Steps that are measured on a CPU: there every solver's time grows with them alike."""
_CLEARLY = 0.8
"""The share of the usual solver's time that another may take to be preferred."""
_MEASURED: dict[tuple[object, ...], dict[Solver, float]] = {}


def solver_seconds(
    settings: SolvedSettings, *, batch: int, time: int, device: str = "cpu", gradients: bool = True
) -> dict[Solver, float]:
    """Seconds of a mixer's forward pass, and with `gradients` its backward, by each of its solvers.

    `batch` and `time` are taken up to the next power of two; what was measured for them in this process is not
    measured again. Nothing is drawn from the generators of the process.
    """
    batch, time = _rounded(batch), _rounded(time)
    if device == "cpu":
        time = min(time, _LONGEST)
    key = (settings.name, astuple(settings), batch, time, device, gradients, torch.get_num_threads())
    if key not in _MEASURED:
        passes: dict[str, Callable[[], None]] = {
            solver: _pass(replace(settings, solver=solver), batch, time, device, gradients=gradients)
            for solver in ("sequential", settings.at_once)
        }
        timings = timings_in_turn(
            passes, rounds=_ROUNDS, minimum=1, warmup=1, device=device, time_limit=_LIMIT_SECONDS
        )
        _MEASURED[key] = {cast(Solver, solver): timing.median for solver, timing in timings.items()}
    return _MEASURED[key]


def fastest_solvers(
    mixers: Iterable[MixerSettings], *, batch: int, time: int, device: str = "cpu", gradients: bool = True
) -> dict[str, Solver]:
    """The fastest solver by the name of a mixer, of those that leave it to be chosen.

    Another than the usual one must be clearly faster: two that take about as long would be chosen by chance, and the
    same run would round differently on another day.
    """
    chosen: dict[str, Solver] = {}
    for name, settings in left_open(mixers).items() if time >= SHORTEST else ():
        found = solver_seconds(settings, batch=batch, time=time, device=device, gradients=gradients)
        best = min(found, key=found.__getitem__)
        chosen[name] = best if found[best] <= _CLEARLY * found[settings.usually] else settings.usually
    return chosen


def left_open(mixers: Iterable[MixerSettings]) -> dict[str, SolvedSettings]:
    """The mixers that leave their solver to be chosen, by name."""
    return {
        settings.name: settings
        for settings in mixers
        if isinstance(settings, SolvedSettings) and settings.solver == "auto"
    }


def with_fastest_solvers(workload: Workload) -> Workload:
    """`workload` with the fastest solver of each mixer that leaves it open."""
    if workload.kind == "decode":
        return workload
    mixers = mixer_settings(workload.model, causal=workload.causal)
    if workload.read:
        mixers += encoder_mixers(workload.model)
    found = fastest_solvers(
        mixers,
        batch=workload.batch,
        time=workload.time,
        device=workload.numerics.device,
        gradients=workload.kind == "train",
    )
    return replace(workload, solvers=found)


def solver_of(workload: Workload) -> str:
    """How a workload's recurrences are solved: ``default`` where its mixers know one way only."""
    time = 1 if workload.kind == "decode" else workload.time
    names = [
        settings.solver_for(time, workload.solvers.get(settings.name))
        for settings in mixer_settings(workload.model, causal=workload.causal)
        if isinstance(settings, SolvedSettings)
    ]
    return ", ".join(dict.fromkeys(names)) or "default"


def _rounded(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def _pass(settings: SolvedSettings, batch: int, time: int, device: str, *, gradients: bool) -> Callable[[], None]:
    """One pass of a mixer on rows drawn from a normal, with weights as at the start of a training."""
    with torch.random.fork_rng(devices=[]):  # building draws weights, and whoever asks goes on drawing
        mixer = settings.build().to(device)
    initialise(mixer, seed=0)
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(batch, time, settings.width, generator=generator).to(device).requires_grad_(gradients)
    return partial(_run, mixer, x_BTD, gradients)


def _run(mixer: Mixer, x_BTD: torch.Tensor, gradients: bool) -> None:
    with torch.set_grad_enabled(gradients):
        y_BTD, _ = mixer(x_BTD, None, Span(carry=False))
        if gradients:
            torch.autograd.grad(y_BTD.sum(), [x_BTD, *mixer.parameters()])
