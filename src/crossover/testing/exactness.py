"""What a mixer states about itself, held against what it is: parameters, cost, gradients, fast paths, numerics."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from crossover.costs import Execution, Shape
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.sharding import TensorSharding
from crossover.testing.behaviour import EXACT
from crossover.testing.probes import (
    PREFIX,
    Case,
    cases,
    draw_mixer,
    draw_rows,
    draw_state,
    in_chunks,
    poison,
)
from crossover.testing.results import distance, require, require_close, worst

FLOAT32 = 2e-5
"""Admissible relative difference of a fused kernel in float32."""
BFLOAT16 = 5e-2
"""Admissible relative difference under bfloat16 autocast."""


def check_parameters(settings: MixerSettings) -> str:
    """`parameters()` names what `build()` creates."""
    built = {name: tuple(value.shape) for name, value in settings.build().named_parameters()}
    stated = settings.parameters()
    require(stated == built, f"parameters() states {stated}, but build() creates {built}")
    counted = settings.cost(Shape(batch=1, time=1), Execution()).parameters
    require(
        counted == settings.parameter_count, f"its cost counts {counted} parameters of {settings.parameter_count}"
    )
    return f"its {settings.parameter_count} parameters are the stated ones"


def check_initial_weights(settings: MixerSettings) -> str:
    """Every rule names a parameter and fills all of it from the generator alone."""
    mixer = settings.build()
    parameters = dict(mixer.named_parameters())
    for name, rule in mixer.init_rules.items():
        require(name in parameters, f"init_rules has a rule for {name!r}, which is no parameter")
        drawn = []
        for garbage in (torch.nan, 7.0):
            values = torch.full(parameters[name].shape, garbage)
            with torch.no_grad():
                rule(values, torch.Generator().manual_seed(5))
            drawn.append(values)
        filled = bool(drawn[0].isfinite().all()) and torch.equal(drawn[0], drawn[1])
        require(filled, f"the rule for {name!r} does not fill every value from the generator alone")
    return f"its {len(mixer.init_rules)} rules for initial weights are pure"


def check_sharding(settings: MixerSettings) -> str:
    """The sizes to divide are real, and pieces cover what they are pieces of."""
    sharding = settings.sharding()
    sizes = {settings.width, *(size for shape in settings.parameters().values() for size in shape)}
    for name, value in sharding.divisible.items():
        attribute = getattr(settings, name, None)
        real = value == attribute if isinstance(attribute, int) else any(size % value == 0 for size in sizes)
        require(value > 0 and real, f"sharding() divides {name}={value}, which is no size of the mixer")
    shared = "" if sharding.tensor is None else f", {_check_pieces(settings, sharding.tensor)} pieces"
    told = sharding.refusal or sharding.state
    return f"it divides over {', '.join(sharding.divisible) or 'nothing'}{shared}; its state: {told}"


def _check_pieces(settings: MixerSettings, tensor: TensorSharding) -> int:
    """Whether every split is of something that there is, and of all of it; returns the number of split parameters."""
    shapes, modules = settings.parameters(), dict(settings.build().named_modules())
    for name in (*tensor.parameters, *tensor.partial):
        require(name in shapes, f"sharding() speaks of {name!r}, which is no parameter")
    for name in tensor.summed:
        require(isinstance(modules.get(name), nn.Linear), f"sharding() sums {name!r}, which is no linear map")
    for name, split in tensor.parameters.items():
        whole = shapes[name][split.dim]
        require(sum(split.parts) == whole, f"sharding() splits {sum(split.parts)} of the {whole} entries of {name}")
    on_two = 0 if tensor.on_two is None else _check_pieces(settings, tensor.on_two)
    return max(len(tensor.parameters), on_two)


def check_cost(settings: MixerSettings) -> str:
    """FLOPs, forward and backward, are what FlopCounterMode counts for the definition."""
    counted = 0.0
    for batch, time, input_gradient in ((2, 7, True), (3, 1, True), (2, 12, False)):
        counted = _count_flops(settings, Shape(batch=batch, time=time), input_gradient=input_gradient)
    if settings.causal:
        _count_flops(settings, Shape(batch=2, time=6, context=PREFIX), input_gradient=True, from_state=True)
    return f"its FLOPs are exact, such as {counted:g} for 2 rows of 12 steps"


def _count_flops(settings: MixerSettings, shape: Shape, *, input_gradient: bool, from_state: bool = False) -> float:
    device = "cpu" if from_state else "meta"  # a state's counters have no values on meta
    mixer = settings.build().to(device)
    state = draw_state(mixer, shape.batch, gradient=True) if from_state else None
    x_BTD = torch.zeros(shape.batch, shape.time, settings.width, device=device, requires_grad=input_gradient)
    with FlopCounterMode(display=False) as forward:
        y_BTD, _ = mixer.definition(x_BTD, state, Span(offset=shape.context))
    with FlopCounterMode(display=False) as backward:
        y_BTD.sum().backward()
    execution = Execution(fused=False, input_gradient=input_gradient, state_gradient=from_state)
    cost = settings.cost(shape, execution)
    for name, stated, mode in (("forward", cost.flops_forward, forward), ("backward", cost.flops_backward, backward)):
        found = mode.get_total_flops()
        require(stated == found, f"cost() states {stated:g} FLOPs {name} for {shape} {execution}; counted: {found:g}")
    return forward.get_total_flops() + backward.get_total_flops()


def check_activations(settings: MixerSettings) -> str:
    """Activation bytes: exact for the definition, within 5 % for the fast path on a CPU in float32."""
    settings = replace(settings, width=settings.width * 4)
    shape = Shape(batch=8, time=64)
    shares = {}
    for fused, tolerance in ((False, 0.0), (True, 0.05)):
        stated = settings.cost(shape, Execution(fused=fused)).activation_bytes
        found = kept_bytes(draw_mixer(settings, torch.float32), shape, fused=fused)
        shares[fused] = abs(stated / found - 1)
        name = "fast path" if fused else "definition"
        require(shares[fused] <= tolerance, f"cost() states {stated:g} kept bytes for the {name}; it keeps {found:g}")
    return f"the bytes kept for the backward are exact by definition and within {shares[True]:.1%} in the fast path"


def kept_bytes(mixer: Mixer, shape: Shape, *, fused: bool) -> int:
    """Bytes of the distinct storages that autograd keeps, the input counted and the parameters left out."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in mixer.parameters()}
    kept: dict[int, int] = {}
    held = []

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(value)  # a freed address would be counted for two tensors
        return value

    x_BTD = draw_rows(mixer.settings, shape.time, rows=shape.batch).float().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        outputs = (mixer if fused else mixer.definition)(x_BTD)
    del outputs
    return sum(kept.values())


def check_gradients(settings: MixerSettings) -> str:
    """float64 gradcheck of the definition: input, parameters and state."""
    mixer = draw_mixer(settings)
    x_BTD = draw_rows(settings, 3, rows=2).requires_grad_()
    state = draw_state(mixer, 2, gradient=True) if settings.causal else None
    leaves = [part for part in state or () if part.requires_grad]

    def outputs(x_BTD: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        y_BTD, after = mixer.definition(x_BTD, state, Span(offset=PREFIX if state else 0))
        return (y_BTD, *(part for part in after or () if part.requires_grad))

    torch.autograd.gradcheck(outputs, (x_BTD, *leaves, *mixer.parameters()), fast_mode=True)
    return "the definition's gradients agree with finite differences"


def check_fast_path(settings: MixerSettings) -> str:
    """The fast path equals the definition in outputs, state and every gradient, in float64 and float32."""
    found = {}
    for dtype, tolerance in ((torch.float64, EXACT), (torch.float32, FLOAT32)):
        mixer = draw_mixer(settings, dtype)
        found[dtype] = worst(_compare_paths(mixer, case, tolerance) for case in cases(settings.causal))
    in_float64, in_float32 = found[torch.float64], found[torch.float32]
    return f"outputs and gradients differ by {in_float64:.1g} in float64, {in_float32:.1g} in float32"


def _compare_paths(mixer: Mixer, case: Case, tolerance: float) -> float:
    fast, by_definition = _trace(mixer, case, definition=False), _trace(mixer, case, definition=True)
    scale = float(torch.cat([gradient.flatten().double() for gradient in by_definition[1].values()]).norm())
    differences = [
        require_close(f"{case.name}: {name} of the fast path", fast[0][name], expected, tolerance)
        for name, expected in by_definition[0].items()
    ]
    differences += [
        require_close(f"{case.name}: the gradient of {name}", fast[1][name], expected, tolerance, scale)
        for name, expected in by_definition[1].items()
    ]
    return worst(differences)


def _trace(mixer: Mixer, case: Case, *, definition: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Outputs and gradients by name, of the sum of squares of all that depends on the input."""
    dtype = next(mixer.parameters()).dtype
    x_BTD = draw_rows(mixer.settings, case.time).to(dtype)
    if case.span.lengths_B is not None:
        x_BTD = poison(x_BTD, case.span.lengths_B)
    x_BTD.requires_grad_()
    state = draw_state(mixer, gradient=True) if case.from_state else None
    y_BTD, after = (mixer.definition if definition else mixer)(x_BTD, state, case.span)
    outputs = {"the output": y_BTD, **_named(after)}
    total = sum((value.double().square().sum() for value in outputs.values()), torch.zeros((), dtype=torch.float64))
    sources = {"the input": x_BTD, **_named(state, only_leaves=True), **dict(mixer.named_parameters())}
    gradients = torch.autograd.grad(total, list(sources.values()), allow_unused=True)
    filled = [torch.zeros_like(s) if g is None else g for s, g in zip(sources.values(), gradients, strict=True)]
    return outputs, dict(zip(sources, filled, strict=True))


def _named(state: State | None, *, only_leaves: bool = False) -> dict[str, Tensor]:
    parts = enumerate(state or ())
    return {f"state part {i}": part for i, part in parts if part.requires_grad or not only_leaves}


def check_autocast(settings: MixerSettings) -> str:
    """Under bfloat16 autocast outputs stay near float32, the state is carried and every gradient flows.

    Where oneDNN has no kernel for this processor (LSTM on a CPU without AVX-512) the definition is held to it.
    """
    settings = replace(settings, width=settings.width * 4)  # a norm over two features would magnify the rounding
    mixer, x_BTD = draw_mixer(settings, torch.float32), draw_rows(settings, 12).float().requires_grad_()
    expected_BTD = mixer(x_BTD)[0]
    with torch.autocast("cpu", torch.bfloat16):
        path = ""
        if _lacks_kernel(mixer, x_BTD):
            mixer.forward = mixer.definition  # type: ignore[method-assign]
            path = " of the definition; this processor has no fused kernel in it"
        y_BTD, _ = mixer(x_BTD)
        difference = require_close("the output under autocast", y_BTD.float(), expected_BTD, BFLOAT16)
        if settings.causal:
            parts = torch.cat([part.float() for part in in_chunks(mixer, x_BTD, None, [5, 1, 6])], dim=1)
            require_close("the output in chunks under autocast", parts, expected_BTD, BFLOAT16)
    expected = torch.autograd.grad(expected_BTD.square().sum(), [x_BTD, *mixer.parameters()], allow_unused=True)
    found = torch.autograd.grad(y_BTD.float().square().sum(), [x_BTD, *mixer.parameters()], allow_unused=True)
    scale = float(torch.cat([g.flatten() for g in expected if g is not None]).norm())
    for ours, theirs in zip(found, expected, strict=True):
        require((ours is None) == (theirs is None), "under autocast a gradient is missing that float32 has")
        if ours is not None and theirs is not None:
            off = distance(ours, theirs, scale)
            require(off <= 2 * BFLOAT16, f"under autocast a gradient differs by {off:.2g} of the whole gradient")
    return f"bfloat16 autocast moves the output by {difference:.1g}{path}"


def _lacks_kernel(mixer: Mixer, x_BTD: Tensor) -> bool:
    try:
        mixer(x_BTD)
    except RuntimeError as error:
        if "could not create a primitive" not in str(error):
            raise
        return True
    return False
