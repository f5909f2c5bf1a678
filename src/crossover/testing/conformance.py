"""The conformance suite: what every mixer must do, run over the registry and over a user's own mixer.

A new mixer is checked without a new test. Each check is a function of the mixer's settings that returns a sentence
or raises `CheckFailedError`; `check_mixer` runs those that apply, for causal=True and causal=False.
"""

from __future__ import annotations

from collections.abc import Callable

from crossover.errors import ConfigError
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import MixerSettings
from crossover.testing import behaviour, exactness
from crossover.testing.results import Check, CheckResult, run_check

SettingsFactory = Callable[..., MixerSettings]
"""Settings from the keywords `width` and `causal`: a settings class, or a partial of one."""

COMMON: tuple[Check[MixerSettings], ...] = (
    Check("parameters", exactness.check_parameters),
    Check("initial weights", exactness.check_initial_weights),
    Check("sharding", exactness.check_sharding),
    Check("cost", exactness.check_cost),
    Check("activations", exactness.check_activations),
    Check("gradients", exactness.check_gradients),
    Check("fast path", exactness.check_fast_path),
    Check("autocast", exactness.check_autocast),
    Check("future", behaviour.check_future),
    Check("padding", behaviour.check_padding),
    Check("resets", behaviour.check_resets),
    Check("strides", behaviour.check_strides),
    Check("empty batch", behaviour.check_empty_batch),
)
CAUSAL: tuple[Check[MixerSettings], ...] = (
    Check("chunks", behaviour.check_chunks),
    Check("initial state", behaviour.check_initial_state),
    Check("state size", behaviour.check_state_size),
    Check("ragged chunks", behaviour.check_ragged_chunks),
    Check("capacity", behaviour.check_capacity),
)
NOT_CAUSAL: tuple[Check[MixerSettings], ...] = (Check("refuses a state", behaviour.check_refuses_state),)


def checks_for(settings: MixerSettings) -> tuple[Check[MixerSettings], ...]:
    """The checks that apply to a mixer with these settings."""
    return COMMON + (CAUSAL if settings.causal else NOT_CAUSAL)


def variants(factory: SettingsFactory, *, width: int = 8) -> list[MixerSettings | ConfigError]:
    """Settings for causal=True and causal=False, or the ConfigError with which the mixer refuses them."""
    found: list[MixerSettings | ConfigError] = []
    for causal in (True, False):
        try:
            found.append(factory(width=width, causal=causal))
        except ConfigError as refusal:
            found.append(refusal)
    return found


def check_mixer(mixer: str | SettingsFactory, *, width: int = 8) -> list[CheckResult]:
    """Run the suite on a registered mixer or on a settings factory; an unknown name is a ConfigError.

    A direction that the mixer refuses with a ConfigError passes with that sentence; refusing both does not.
    """
    factory: SettingsFactory = MIXERS.get(mixer) if isinstance(mixer, str) else mixer
    results = []
    found = variants(factory, width=width)
    for settings, label in zip(found, ("causal", "not causal"), strict=True):
        if isinstance(settings, ConfigError):
            admitted = any(not isinstance(other, ConfigError) for other in found)
            results.append(CheckResult(f"admissible ({label})", admitted, f"it refuses this: {settings}"))
        else:
            results += [run_check(check, settings, label=label) for check in checks_for(settings)]
    return results
