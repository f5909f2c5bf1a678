"""How a mixer must behave along time: chunks, padding, resets, the future, views, empty batches, capacities."""

from __future__ import annotations

import torch
from torch import Tensor

from crossover.errors import ConfigError
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.testing.probes import (
    PREFIX,
    ROWS,
    draw_mixer,
    draw_rows,
    draw_state,
    in_chunks,
    need_state,
    one_row,
    poison,
)
from crossover.testing.results import require, require_close, worst

EXACT = 1e-9
"""Admissible relative difference in float64."""


def check_chunks(settings: MixerSettings) -> str:
    """Whole = chunk by chunk = step by step, from the initial state and from another one."""
    mixer, time = draw_mixer(settings), 13
    x_BTD = draw_rows(settings, time)
    differences = []
    for state, offset in ((None, 0), (draw_state(mixer), PREFIX)):
        whole_BTD, last = mixer(x_BTD, state, Span(offset=offset))
        for name, sizes in (("chunk by chunk", [4, 1, 6, 2]), ("step by step", [1] * time)):
            parts = torch.cat(in_chunks(mixer, x_BTD, state, sizes, offset), dim=1)
            differences.append(require_close(f"the output {name}", parts, whole_BTD, EXACT))
        require_state_close(mixer, x_BTD, state, need_state(last), offset)
    return f"whole, chunk by chunk and step by step differ by {worst(differences):.1g}"


def require_state_close(mixer: Mixer, x_BTD: Tensor, state: State | None, last: State, offset: int) -> None:
    """Require that the state after chunks is the state after the whole, part by part."""
    time = x_BTD.shape[1]
    for start, stop in ((0, 4), (4, time)):
        state = need_state(mixer(x_BTD[:, start:stop], state, Span(offset=offset + start))[1])
    for index, (part, expected) in enumerate(zip(state or (), last, strict=True)):
        require_close(f"part {index} of the state after two chunks", part, expected, EXACT)


def check_initial_state(settings: MixerSettings) -> str:
    """The batch is the first dim of every part, and no state means the initial one."""
    mixer = draw_mixer(settings)
    for rows in (1, 3):
        for part in mixer.initial_state(rows, dtype=torch.float64):
            require(part.shape[:1] == (rows,), f"a state for {rows} rows has a part of shape {tuple(part.shape)}")
    x_BTD = draw_rows(settings, 6)
    given = mixer(x_BTD, mixer.initial_state(ROWS, dtype=torch.float64))[0]
    require_close("the output from initial_state()", given, mixer(x_BTD)[0], EXACT)
    return "its state has the batch first, and None stands for the initial state"


def check_state_size(settings: MixerSettings) -> str:
    """`state_grows` says whether the state is larger after more steps."""
    mixer = draw_mixer(settings)
    few, many = (need_state(mixer(draw_rows(settings, time))[1]) for time in (3, 7))
    grows = any(a.shape != b.shape for a, b in zip(few, many, strict=True))
    found = "grows with the steps" if grows else "keeps its size"
    require(grows == settings.state_grows, f"state_grows is {settings.state_grows}, but the state {found}")
    return f"its state {found}, as stated"


def check_refuses_state(settings: MixerSettings) -> str:
    """A mixer that is not causal answers a state with a ConfigError and returns none."""
    mixer = draw_mixer(settings)
    x_BTD = draw_rows(settings, 3)
    require(mixer(x_BTD)[1] is None, "a mixer that is not causal returned a state")
    try:
        mixer(x_BTD, (torch.zeros(ROWS, settings.width, dtype=torch.float64),))
    except ConfigError:
        return "it refuses a state, since it sees whole rows"
    require(False, "a mixer that is not causal took a state without a ConfigError")
    return ""


def check_future(settings: MixerSettings) -> str:
    """A step's input moves the output of that step and, in a causal mixer, none before it."""
    mixer, time, at = draw_mixer(settings), 11, 6
    x_BTD = draw_rows(settings, time)
    moved_BTD = x_BTD.clone()
    moved_BTD[:, at] += 1
    change_BT = (mixer(moved_BTD)[0] - mixer(x_BTD)[0]).detach().abs().amax(-1)
    require(bool((change_BT[:, at] > 1e-9).all()), f"the output at step {at} does not depend on the input at it")
    before = float(change_BT[:, :at].max())
    if settings.causal:
        require(before <= 1e-12, f"a change at step {at} moved an earlier output by {before:.2g}: it sees the future")
        return "no output depends on a later input"
    require(bool((change_BT[:, at - 1] > 1e-12).all()), "it is not causal, but no output depends on the next input")
    return "outputs depend on later inputs, as they may"


def check_padding(settings: MixerSettings) -> str:
    """A ragged batch with NaN after the rows' ends gives what each row alone gives, gradients included."""
    mixer, lengths_B = draw_mixer(settings), torch.tensor([9, 1, 0, 6])
    x_BTD = draw_rows(settings, 9)
    padded = poison(x_BTD, lengths_B).requires_grad_()
    y_BTD, _ = mixer(padded, None, Span(lengths_B=lengths_B, carry=False))
    together = _gradients(mixer, y_BTD, padded)
    alone = [torch.zeros_like(gradient) for gradient in together]
    for row, length in enumerate(lengths_B.tolist()):
        require(not bool(y_BTD[row, length:].any()), f"the output of row {row} after its end at {length} is not zero")
        if length:
            single = x_BTD[row : row + 1, :length].clone().requires_grad_()
            single_BTD, _ = mixer(single)
            require_close(f"the output of row {row}", y_BTD[row : row + 1, :length], single_BTD, EXACT)
            *weights, into_x = _gradients(mixer, single_BTD, single)
            alone[-1][row, :length] = into_x[0]
            for total, gradient in zip(alone, weights, strict=False):
                total += gradient
    scale = float(torch.cat([gradient.flatten() for gradient in alone]).norm())
    for found, expected in zip(together, alone, strict=True):
        require_close("a gradient of a ragged batch", found, expected, EXACT, scale)
    return "padding, even NaN, changes neither outputs nor gradients"


def _gradients(mixer: Mixer, y_BTD: Tensor, x_BTD: Tensor) -> list[Tensor]:
    sources = [*mixer.parameters(), x_BTD]
    found = torch.autograd.grad(y_BTD.square().sum(), sources, allow_unused=True)
    return [torch.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True)]


def check_ragged_chunks(settings: MixerSettings) -> str:
    """The state after a ragged chunk is the state at each row's own end."""
    mixer = draw_mixer(settings)
    first_B, second_B = torch.tensor([6, 2, 0, 5]), torch.tensor([3, 0, 4, 5])
    x_BTD, z_BTD = draw_rows(settings, 6), draw_rows(settings, 5, seed=3)
    state = draw_state(mixer)
    y_BTD, after = mixer(poison(x_BTD, first_B), state, Span(lengths_B=first_B, offset=PREFIX))
    w_BTD, _ = mixer(poison(z_BTD, second_B), need_state(after), Span(lengths_B=second_B, offset=PREFIX + first_B))
    for row, (first, second) in enumerate(zip(first_B.tolist(), second_B.tolist(), strict=True)):
        joined = torch.cat([x_BTD[row, :first], z_BTD[row, :second]])[None]
        expected, _ = mixer(joined, one_row(state, row), Span(offset=PREFIX))
        found = torch.cat([y_BTD[row, :first], w_BTD[row, :second]])[None]
        require_close(f"row {row} over two ragged chunks", found, expected, EXACT)
        rest = torch.cat([y_BTD[row, first:], w_BTD[row, second:]])
        require(not bool(rest.any()), f"the output of row {row} after its end is not zero")
    return "the state after a ragged chunk is the one at each row's end"


def check_resets(settings: MixerSettings) -> str:
    """After a reset a row goes on as a new row would, and the state is that new row's."""
    mixer, time = draw_mixer(settings), 9
    x_BTD, next_BTD = draw_rows(settings, time), draw_rows(settings, 3, seed=3)
    starts = {0: [0, 3], 1: [0, 2, 6], 2: [0, 8], 3: [0]}
    resets_BT = torch.zeros(ROWS, time, dtype=torch.bool)
    for row, steps in starts.items():
        resets_BT[row, steps[1:]] = True
    resets_BT[1, 0] = True
    state = draw_state(mixer) if settings.causal else None
    span = Span(resets_BT=resets_BT, offset=PREFIX if settings.causal else 0)
    y_BTD, after = mixer(x_BTD, state, span)
    for row, steps in starts.items():
        before = one_row(state, row) if state is not None and row != 1 else None
        for start, stop in zip(steps, [*steps[1:], time], strict=True):
            piece_BTD, last = mixer(x_BTD[row : row + 1, start:stop], before, Span(offset=PREFIX + start))
            require_close(f"row {row} from {start} to {stop}", y_BTD[row : row + 1, start:stop], piece_BTD, EXACT)
            before = None
        if settings.causal:
            going_on = Span(offset=PREFIX + time)
            found, _ = mixer(next_BTD[row : row + 1], one_row(need_state(after), row), going_on)
            expected, _ = mixer(next_BTD[row : row + 1], last, going_on)
            require_close(f"row {row} after the chunk with resets", found, expected, EXACT)
    return "after a reset a row goes on as a new row"


def check_strides(settings: MixerSettings) -> str:
    """Views and expanded gradients give what contiguous tensors give."""
    mixer, x_BTD = draw_mixer(settings), draw_rows(settings, 7)
    expected_BTD, _ = mixer(x_BTD)
    views = {
        "time-major": x_BTD.transpose(0, 1).contiguous().transpose(0, 1),
        "every other feature": torch.stack([x_BTD, x_BTD], dim=-1).flatten(2)[..., ::2],
        "every other step": torch.stack([x_BTD, x_BTD], dim=2).flatten(1, 2)[:, ::2],
    }
    for name, view in views.items():
        require_close(f"the output for a view ({name})", mixer(view)[0], expected_BTD, EXACT)
    gradients = []
    for gradient in (torch.ones(()).double().expand(expected_BTD.shape), torch.ones_like(expected_BTD)):
        source = x_BTD.clone().requires_grad_()
        gradients.append(torch.autograd.grad(mixer(source)[0], source, gradient)[0])
    require_close("the gradient from an expanded tensor", gradients[0], gradients[1], EXACT)
    return "views and expanded gradients change nothing"


def check_empty_batch(settings: MixerSettings) -> str:
    """No rows give no rows."""
    mixer = draw_mixer(settings)
    y_BTD, _ = mixer(draw_rows(settings, 5, rows=0), None, Span(lengths_B=torch.zeros(0, dtype=torch.int64)))
    require(y_BTD.shape == (0, 5, settings.width), f"an empty batch gave an output of shape {tuple(y_BTD.shape)}")
    return "an empty batch gives an empty batch"


def check_capacity(settings: MixerSettings) -> str:
    """Decoding in a pre-allocated state gives the same, and nothing of what lay in its unused part."""
    mixer, time = draw_mixer(settings), 8
    x_BTD = draw_rows(settings, time)
    state, larger = (mixer.initial_state(ROWS, capacity=n, dtype=torch.float64) for n in (time, time + 8))
    state = tuple(
        torch.full_like(part, torch.nan) if part.is_floating_point() and part.shape != other.shape else part
        for part, other in zip(state, larger, strict=True)
    )
    with torch.no_grad():
        parts = torch.cat(in_chunks(mixer, x_BTD, state, [3] + [1] * (time - 3)), dim=1)
        require_close("the output from a pre-allocated state", parts, mixer(x_BTD)[0], EXACT)
    return "a pre-allocated state gives the same, whatever lies in its unused part"
