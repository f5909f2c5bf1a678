"""The numerics policy: precision, matrix-product path, allocator and threads; one value per study, measured once.

On a CPU the same product runs at very different rates: fp32 through MKL (``matmul="highest"``) or oneDNN
(``"medium"``), or bf16 under autocast. Which is fastest, and whether ``"medium"`` still computes in fp32, depends on
the processor, so the candidates are timed and their errors are measured against plain fp32: the error is checked,
not the name.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal

import torch

from crossover.config import build
from crossover.data.catalogue import cache_folder
from crossover.errors import CheckpointError, ConfigError, MeasurementError, listing, unknown
from crossover.files import write_json
from crossover.measure import allocator
from crossover.measure.allocator import Allocator
from crossover.measure.probe import Probe, computable, errors_against

Precision = Literal["fp32", "bf16"]
Matmul = Literal["highest", "high", "medium"]

_CACHE_VERSION = 1
_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest errors against plain fp32 that a candidate may have: of the loss, and of the gradient's norm.

    Both are relative. The gradient's is the norm of the difference over the whole gradient's norm, since single
    entries can be zero by construction (the bias of attention's keys).
    """

    loss: float
    gradient: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(loss=1e-5, gradient=1e-3),
    "bf16": Tolerance(loss=1e-2, gradient=5e-2),
}
"""bf16 keeps 8 significant bits: a rounding is 4e-3, which a layer's gradient accumulates to one or two per cent."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One measured policy: seconds of the probe's training step and its errors against plain fp32."""

    precision: Precision
    matmul: Matmul
    step_seconds: float
    loss_error: float
    gradient_error: float

    def within(self, tolerance: Tolerance) -> bool:
        """Whether both errors are finite and within `tolerance`."""
        return self.loss_error <= tolerance.loss and self.gradient_error <= tolerance.gradient


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How numbers are computed in a study; the default is what PyTorch does by itself: fp32 throughout."""

    precision: Precision = "fp32"
    matmul: Matmul = "highest"
    allocator: Allocator = "default"
    threads: int = 1
    device: str = "cpu"
    tolerance: Tolerance = TOLERANCES["fp32"]
    candidates: tuple[Candidate, ...] = ()

    @classmethod
    def default(cls, device: str = "cpu") -> Numerics:
        """Plain fp32 on `device`, with the platform's allocator and torch's number of threads."""
        return cls(device=check_device(device), threads=torch.get_num_threads())

    def apply(self) -> Numerics:
        """Set the process-wide part (matrix products, threads, allocator); returns the policy as it is in force."""
        torch.set_float32_matmul_precision(self.matmul)
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        return replace(self, allocator=allocator.apply(self.allocator))

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a model's forward and its loss are computed."""
        kind = torch.device(self.device).type
        return torch.autocast(device_type=kind, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def element_bytes(self) -> int:
        """Bytes of an activation."""
        return 2 if self.precision == "bf16" else 4

    def describe(self) -> str:
        """One line for people: the choice and, where it was measured, what it gained and what it cost."""
        text = (
            f"numerics: {self.precision}, matmul {self.matmul}, allocator {self.allocator}, "
            f"{self.threads} threads on {self.device}"
        )
        chosen = next((c for c in self.candidates if (c.precision, c.matmul) == (self.precision, self.matmul)), None)
        if chosen is None:
            return text
        gain = self.candidates[0].step_seconds / chosen.step_seconds
        return (
            f"{text}; {gain:.2f} times plain fp32 on the probe, error {chosen.loss_error:.0e} of the loss and "
            f"{chosen.gradient_error:.0e} of the gradient (allowed {self.tolerance.loss:.0e}, "
            f"{self.tolerance.gradient:.0e})"
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form; see docs/study-format.md."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Numerics:
        """The policy that `to_json` wrote; a field that is missing or malformed is a ConfigError."""
        return build(cls, dict(value), path="numerics")

    @classmethod
    def restore(cls, value: Mapping[str, Any]) -> Numerics:
        """The policy that a study was begun under, in force again; MeasurementError where this machine lacks it."""
        policy = cls.from_json(value)
        if not computable(policy.autocast, policy.device):
            raise MeasurementError(
                f"this study computes in {policy.precision}, for which this {policy.device} has no LSTM kernel: go "
                "on with it on a machine like the one it was begun on, or start a new study with another --out"
            )
        return policy.apply()


def available_devices() -> list[str]:
    """The kinds of device that this installation of torch can compute on."""
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def check_device(device: str) -> str:
    """`device` itself if it can be used here, else a ConfigError; ``"auto"`` takes the best one."""
    available = available_devices()
    if device == "auto":
        return available[-1]
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps"):
        raise ConfigError(unknown("device", device, ["auto", "cpu", "cuda", "mps"]))
    if kind not in available:
        raise ConfigError(f"device {device!r} is not available here: use {listing(available)}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if index and not (index.isdigit() and int(index) < count):
        raise ConfigError(f"device {device!r} is not available here: {kind} has devices 0 to {count - 1}")
    return device


def choose(precision: Literal["auto", "fp32", "bf16"] = "auto", device: str = "cpu") -> Numerics:
    """The fastest policy for `precision` on `device` whose errors are within `TOLERANCES`, allocator included.

    Measured once per machine (about a second) and kept in the user's cache folder under the processor, torch's
    version, the threads and the device. The policy is in force when this returns. A precision that cannot be computed
    here or does not stay within its tolerance is a MeasurementError, an unknown one a ConfigError.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(unknown("precision", precision, ["auto", "fp32", "bf16"]))
    base = replace(Numerics.default(device), allocator="retain").apply()
    candidates = _remembered(base) or _remember(base, _measure(base))
    allowed = [c for c in candidates if precision in ("auto", c.precision) and c.within(TOLERANCES[c.precision])]
    if not allowed:
        tried = [c for c in candidates if precision in ("auto", c.precision)]
        if not tried:
            raise MeasurementError(
                f"precision {precision!r} cannot be computed on this {base.device}: PyTorch has no LSTM kernel for "
                "it here, choose precision 'auto' or 'fp32'"
            )
        errors = ", ".join(f"{c.matmul}: loss {c.loss_error:.1e}, gradient {c.gradient_error:.1e}" for c in tried)
        raise MeasurementError(
            f"precision {precision!r} is not accurate enough on this {base.device} ({errors}): "
            "choose precision 'auto' or 'fp32'"
        )
    best = min(allowed, key=lambda c: c.step_seconds)
    return replace(
        base,
        precision=best.precision,
        matmul=best.matmul,
        tolerance=TOLERANCES[best.precision],
        candidates=tuple(candidates),
    ).apply()


def _measure(base: Numerics) -> list[Candidate]:
    """Time the candidates in turn on the probe, and measure their errors against plain fp32, which comes first."""
    paths: list[Matmul] = ["highest", "high"] if base.device.startswith("cuda") else ["highest", "medium"]
    policies = [replace(base, precision=p, matmul=m) for p in ("fp32", "bf16") for m in paths]
    policies = [policy for policy in policies if computable(policy.autocast, policy.device)]
    probe = Probe(base.device)
    seconds: list[list[float]] = [[] for _ in policies]
    results = []
    for round_index in range(_ROUNDS + 1):
        for policy, taken in zip(policies, seconds, strict=True):
            torch.set_float32_matmul_precision(policy.matmul)
            start = perf_counter()
            result = probe.step(policy.autocast)
            probe.wait()
            if round_index == 0:
                results.append(result)
            else:
                taken.append(perf_counter() - start)
    torch.set_float32_matmul_precision(base.matmul)
    candidates = []
    for policy, taken, result in zip(policies, seconds, results, strict=True):
        loss_error, gradient_error = errors_against(results[0], result)
        candidates.append(
            Candidate(
                precision=policy.precision,
                matmul=policy.matmul,
                step_seconds=median(taken),
                loss_error=loss_error,
                gradient_error=gradient_error,
            )
        )
    return candidates


def processor() -> str:
    """The processor's model name, as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cache_key(base: Numerics) -> str:
    kind = torch.device(base.device).type
    name = torch.cuda.get_device_name(base.device) if kind == "cuda" else processor()
    tiles = torch.backends.cpu.get_cpu_capability()
    return f"{name} | {tiles} | {kind} | torch {torch.__version__} | {base.threads} threads | {base.allocator}"


def _cache_file() -> Path:
    return cache_folder() / f"numerics-{_CACHE_VERSION}.json"


def _remembered(base: Numerics) -> list[Candidate] | None:
    """What an earlier process measured on this machine; None if it did not, or the file cannot be read."""
    try:
        return [Candidate(**c) for c in json.loads(_cache_file().read_text())[_cache_key(base)]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(base: Numerics, candidates: list[Candidate]) -> list[Candidate]:
    """Keep `candidates` for later processes; a cache that cannot be written costs a second next time, no more."""
    file = _cache_file()
    try:
        known = dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        known = {}
    known[_cache_key(base)] = [asdict(candidate) for candidate in candidates]
    with suppress(CheckpointError):
        write_json(file, known)
    return candidates
