"""The recommendation: the best validation score among the rows that meet the limits, baselines included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossover.study.outcome import Outcome
from crossover.study.request import CompareRequest


@dataclass(frozen=True)
class _Candidate:
    name: str
    validation: float
    run: str | None
    meets: dict[str, bool | None]


def recommend(outcome: Outcome, request: CompareRequest) -> dict[str, Any]:
    """The entry of one task: the model, its best run by validation, the reason and which limits it meets.

    A limit that was not given, or a figure that was not measured (a baseline's), is None in `meets`; `unmeasured`
    tells the second from the first. Only a measured figure that breaks a limit rules a row out: `ruled_out`. Where
    nothing is left, `model` is None.
    """
    spec = outcome.contest.spec
    sign = 1 if spec.higher_is_better else -1
    candidates = _candidates(outcome, request)
    fitting = [c for c in candidates if False not in c.meets.values()]
    best = max(fitting, key=lambda c: sign * c.validation, default=None)
    limits = {"latency": request.max_latency, "memory": request.max_memory}
    given = [name for name, limit in limits.items() if limit is not None]
    return {
        "task": spec.name,
        "model": best and best.name,
        "run": best and best.run,
        "reason": _reason(best, spec.metric, len(fitting), len(candidates)),
        "meets": best.meets if best else {},
        "unmeasured": [name for name in given if best and best.meets[name] is None],
        "ruled_out": [c.name for c in candidates if c not in fitting],
    }


def _candidates(outcome: Outcome, request: CompareRequest) -> list[_Candidate]:
    spec = outcome.contest.spec
    sign = 1 if spec.higher_is_better else -1
    found = []
    for settings in outcome.contest.models:
        attempts = outcome.latest(settings.name)
        validation = outcome.validation(settings.name)
        if validation is None:
            continue
        best = max(attempts, key=lambda attempt: sign * attempt.record.validation if attempt.record else -sign)
        found.append(
            _Candidate(
                settings.name, validation, str(best.folder), _meets(outcome.measured.get(settings.name), request)
            )
        )
    for name in outcome.baselines:
        validation = outcome.validation(name)
        if validation is not None:
            found.append(_Candidate(name, validation, None, _meets(None, request)))
    return found


def _meets(measured: dict[str, Any] | None, request: CompareRequest) -> dict[str, bool | None]:
    latency = ((measured or {}).get("latency") or {}).get("sequence") or {}
    memory = (measured or {}).get("inference_bytes")
    return {
        "latency": _within(latency.get("p99"), request.max_latency),
        "memory": _within(memory, request.max_memory),
    }


def _within(value: float | None, limit: float | None) -> bool | None:
    return None if value is None or limit is None else value <= limit


def _reason(best: _Candidate | None, metric: str, fitting: int, considered: int) -> str:
    if best is None:
        return "no row meets the limits" if considered else "no run finished"
    limits = [name for name, met in best.meets.items() if met]
    if limits:
        among = f"{fitting} of {considered} rows that meet the {' and '.join(limits)} limit"
    elif fitting < considered:
        among = f"{fitting} of {considered} rows that no limit rules out"
    else:
        among = f"{fitting} rows"
    return f"best validation {metric} ({best.validation:.4g}) of the {among}, baselines included"
