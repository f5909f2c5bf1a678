"""Mixers with drawn weights and rows to try them on: all drawn from fixed seeds, so that a failure comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.testing.results import CheckFailedError

ROWS = 4
PREFIX = 5
"""Steps that lead to the state from which the checks go on."""


def draw_mixer(settings: MixerSettings, dtype: torch.dtype = torch.float64) -> Mixer:
    """The mixer with every parameter drawn from a normal, so that no zero hides a missing term.

    The standard deviation is that of a matrix which about keeps the size of what it is given, at any width.
    """
    mixer = settings.build().to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(mixer.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(values * settings.width**-0.5)
    return mixer


def draw_rows(settings: MixerSettings, time: int, *, rows: int = ROWS, seed: int = 1) -> Tensor:
    """Input [rows, time, width] in float64."""
    generator = torch.Generator().manual_seed(seed * 1000 + time)
    return torch.randn(rows, time, settings.width, generator=generator, dtype=torch.float64)


def poison(x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """`x_BTD` with NaN after each row's end."""
    after_BT = torch.arange(x_BTD.shape[1]) >= lengths_B[:, None]
    return x_BTD.masked_fill(after_BT[..., None], torch.nan)


def draw_state(mixer: Mixer, rows: int = ROWS, *, gradient: bool = False) -> State:
    """The state after `PREFIX` drawn steps, cut off from them."""
    dtype = next(mixer.parameters()).dtype
    x_BTD = draw_rows(mixer.settings, PREFIX, rows=rows, seed=2).to(dtype)
    with torch.no_grad():
        state = need_state(mixer(x_BTD)[1])
    return tuple(part.detach().clone().requires_grad_(gradient and part.is_floating_point()) for part in state)


def need_state(state: State | None) -> State:
    """The state of a causal mixer whose chunk is carried on."""
    if state is None:
        raise CheckFailedError("a causal mixer returned None for the state after a chunk that is carried on")
    return state


def one_row(state: State, row: int) -> State:
    """The state of a single row."""
    return tuple(part[row : row + 1] for part in state)


def in_chunks(mixer: Mixer, x_BTD: Tensor, state: State | None, sizes: list[int], offset: int = 0) -> list[Tensor]:
    """Outputs of consecutive chunks, the state carried from one to the next."""
    outputs = []
    for chunk_BTD in x_BTD.split(sizes, dim=1):
        y_BTD, state = mixer(chunk_BTD, state, Span(offset=offset))
        state = need_state(state)
        outputs.append(y_BTD)
        offset += chunk_BTD.shape[1]
    return outputs


@dataclass(frozen=True)
class Case:
    """A way of calling a mixer: a length, a span, and from which state."""

    name: str
    time: int
    span: Span
    from_state: bool = False


def cases(causal: bool) -> list[Case]:
    """One step, odd and long rows, ragged rows, resets; from a state too where it is carried."""
    resets_BT = torch.zeros(ROWS, 9, dtype=torch.bool)
    resets_BT[0, 3] = resets_BT[1, 0] = resets_BT[1, 6] = resets_BT[2, 8] = True
    ragged_B = torch.tensor([9, 4, 0, 7])
    plain = [
        Case("one step", 1, Span()),
        Case("seven steps", 7, Span()),
        Case("67 steps", 67, Span()),
        Case("ragged rows", 9, Span(lengths_B=ragged_B)),
        Case("resets", 9, Span(resets_BT=resets_BT)),
        Case("ragged rows with resets", 9, Span(lengths_B=ragged_B, resets_BT=resets_BT)),
    ]
    if not causal:
        return plain
    going_on = [
        Case(f"{case.name} from a state", case.time, replace(case.span, offset=PREFIX), True) for case in plain
    ]
    return plain + going_on
