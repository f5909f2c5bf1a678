"""Studies as `study.json` holds them, small but complete: what the report's tests read."""

from __future__ import annotations

import math
from typing import Any

from unit.report.example_costs import MACHINE, NUMERICS, around, scale


def row(task: str, model: str, family: str, score: float, *, half: float = 0.012, **given: Any) -> dict[str, Any]:
    baseline = family == "baseline"
    values: dict[str, Any] = {
        "task": task,
        "model": model,
        "family": family,
        "mixer": None if baseline else model,
        "parameters": 1_812_480,
        "parameters_without_embedding": None if baseline else 788_480,
        "seeds": 1 if baseline else 3,
        "metric": "accuracy",
        "score": around(score, half),
        "validation": score + 0.004,
        "baseline": 0.342,
        "steps": None if baseline else 1840,
        "train_seconds": 0.42 if baseline else 58.3,
        "tokens_per_second": None if baseline else around(48_312.0, 900.0),
        "step_seconds": None if baseline else around(0.0317, 0.0008),
        "latency": None
        if baseline
        else {"sequence": {"p50": 0.0021, "p99": 0.0034}, "step": {"p50": 0.00031, "p99": 0.00052}},
        "higher_is_better": True,
        "tuning_seconds": 0.0,
        "learning_rate": None if baseline else 0.003,
        "dropout": None if baseline else 0.1,
        "peak_bytes": None if baseline else 182_400_000,
        "state_bytes": None if baseline else 4096,
        "flops_forward": None if baseline else 101_000_000,
        "flops_backward": None if baseline else 202_000_000,
        "utilisation": None if baseline else 0.41,
        "precision": None if baseline else "bf16",
        "layout": "1x1x1x1",
        "run": f"runs/{task}/{model}/seed0",
        "command": f"crossover train {task} {model} --budget 60s --seed 0",
    }
    return values | given


def curve(score: float, seconds: float, seed: int, *, points: int = 10) -> list[dict[str, float]]:
    return [
        {
            "step": 184 * k,
            "seconds": seconds * k / points * (1 + 0.01 * seed),
            "validation": 0.34 + (score - 0.34) * (1 - math.exp(-4 * k / points)) + 0.006 * math.sin(seed + k),
            "loss": 1.1 * math.exp(-3 * k / points) + 0.1,
        }
        for k in range(1, points + 1)
    ]


def runs(task: str, model: str, score: float, *, seconds: float = 58.0, seeds: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "model": model,
            "seed": seed,
            "folder": f"runs/{task}/{model}/seed{seed}",
            "status": "done",
            "error": None,
            "score": score + 0.003 * (seed - 1),
            "validation": score + 0.004,
            "curve": curve(score, seconds, seed),
            "summary": {"accuracy": score, "macro_f1": score - 0.008},
        }
        for seed in range(seeds)
    ]


def verdict(task: str, a: str, b: str, word: str, difference: float, half: float, **given: Any) -> dict[str, Any]:
    return {
        "task": task,
        "a": a,
        "b": b,
        "metric": "accuracy",
        "verdict": word,
        "difference": around(difference, half),
        "margin": 0.015,
        "seeds_needed": None,
        "low_power": True,
    } | given


def task(description: str, rows: tuple[int, int, int], labels: list[str], **given: Any) -> dict[str, Any]:
    return {
        "family": "text-classification",
        "description": description,
        "metric": "accuracy",
        "higher_is_better": True,
        "margin": 0.015,
        "margin_kind": "absolute",
        "objective": "classification",
        "unit": "tokens",
        "rows": dict(zip(("train", "valid", "test"), rows, strict=True)),
        "labels": labels,
        "notes": [],
        "references": [],
        "baselines": [
            {
                "name": "majority",
                "kind": "trivial",
                "score": 0.342,
                "seconds": 0.001,
                "parameters": None,
                "summary": {},
            },
            {
                "name": "linear",
                "kind": "strong",
                "score": 0.874,
                "seconds": 0.42,
                "parameters": 12_400,
                "summary": {},
            },
        ],
    } | given


def expected_best(best: float) -> list[dict[str, float]]:
    return [
        {"trials": n, "value": best - 0.03 / n, "low": best - 0.05 / n, "high": best - 0.01 / n} for n in range(1, 5)
    ]


def trials(task_name: str, model: str, best: float) -> dict[str, Any]:
    tried = [
        {"learning_rate": rate, "dropout": 0.1, "layers": 2, "width": 128, "batch": 32, "validation": best - loss}
        for rate, loss in ((1e-3, 0.02), (3e-3, 0.0), (1e-2, 0.05), (5e-4, 0.03))
    ]
    return {"task": task_name, "model": model, "trials": tried, "expected_best": expected_best(best)}


def details(task_name: str, model: str, labels: list[str], right: float) -> dict[str, Any]:
    kept = round(200 * right)
    wrong = (200 - kept) // 2
    return {
        "task": task_name,
        "model": model,
        "labels": labels,
        "confusion": [[kept if i == j else wrong for j in range(len(labels))] for i in range(len(labels))],
        "per_class": [
            {"label": label, "precision": right, "recall": right - 0.01, "f1": right - 0.005, "support": 200}
            for label in labels
        ],
        "by_length": [
            {"from": low, "to": low + 7, "count": 150, "score": right - 0.004 * low / 8} for low in (1, 8, 16, 24)
        ],
    }


LABELS = ["negative", "neutral", "positive"]
HEADLINES, DIGITS, RECALL, PARITY, FORECAST = (
    "sentiment/headlines",
    "classification/digits",
    "recall",
    "parity",
    "forecasting/etth1",
)


def compare_study() -> dict[str, Any]:
    """Five tasks with every outcome: a winner, neither, two sides of a coin, undecided; one metric a loss."""
    mse = {"metric": "mse", "higher_is_better": False, "baseline": 1.294}
    tasks = {
        HEADLINES: task(
            "News-like headlines in English and Chinese, three classes",
            (4000, 500, 1000),
            LABELS,
            notes=[
                "12 of 5,500 rows were longer than 64 tokens and were truncated.",
                "3 exact duplicates of training rows were removed from the test split.",
            ],
            references=[
                {
                    "name": "FinBERT",
                    "metric": "accuracy",
                    "score": 0.957,
                    "source": "Araci 2019, arXiv:1908.10063",
                    "note": "pre-trained, another split",
                }
            ],
        ),
        DIGITS: task(
            "Handwritten digits read row by row",
            (1257, 180, 360),
            [str(d) for d in range(10)],
            family="classification",
        ),
        RECALL: task(
            "Multi-query associative recall", (8000, 500, 1000), [], family="recall", objective="language-modeling"
        ),
        PARITY: task(
            "Parity of a bit string, tested at up to eight times the trained length",
            (8000, 500, 1000),
            ["0", "1"],
            family="parity",
        ),
        FORECAST: task(
            "Electricity transformer temperature",
            (8449, 2785, 2785),
            [],
            family="forecasting",
            objective="forecasting",
            metric="mse",
            higher_is_better=False,
            margin=0.03,
            margin_kind="relative",
        ),
    }
    table = [
        row(HEADLINES, "lstm", "recurrent", 0.912),
        row(
            HEADLINES,
            "transformer",
            "attention",
            0.887,
            parameters=1_820_672,
            parameters_without_embedding=796_672,
            train_seconds=57.9,
            state_bytes=524_288,
            peak_bytes=241_000_000,
            latency={"sequence": {"p50": 0.0016, "p99": 0.0029}, "step": {"p50": 0.00045, "p99": 0.00081}},
        ),
        row(HEADLINES, "linear", "baseline", 0.874, parameters=12_400),
        row(HEADLINES, "majority", "baseline", 0.342, parameters=None),
        row(DIGITS, "lstm", "recurrent", 0.969),
        row(DIGITS, "transformer", "attention", 0.964, state_bytes=65_536, peak_bytes=201_000_000),
        row(DIGITS, "linear", "baseline", 0.972, parameters=3200),
        row(RECALL, "lstm", "recurrent", 0.431, half=0.09),
        row(
            RECALL,
            "transformer",
            "attention",
            0.996,
            half=0.003,
            state_bytes=131_072,
            latency={"sequence": {"p50": 0.0012, "p99": 0.002}, "step": None},
        ),
        row(RECALL, "last-value", "baseline", 0.126, parameters=None),
        row(PARITY, "lstm", "recurrent", 0.999, half=0.001),
        row(PARITY, "transformer", "attention", 0.514, half=0.02),
        row(PARITY, "majority", "baseline", 0.503, parameters=None),
        row(FORECAST, "lstm", "recurrent", 0.3764, half=0.006, **mse),
        row(FORECAST, "transformer", "attention", 0.3791, half=0.008, **mse),
        row(FORECAST, "ridge", "baseline", 0.388, half=0.005, **mse),
    ]
    failed = {
        "task": FORECAST,
        "model": "transformer",
        "seed": 2,
        "folder": "runs/forecasting/etth1/transformer/seed2",
        "status": "failed",
        "error": "the loss was nan at step 212 with learning rate 0.01: take a lower rate",
        "score": None,
        "validation": None,
        "curve": [],
        "summary": {},
    }
    return {
        "version": 1,
        "kind": "compare",
        "created": "2026-03-14T09:26:53+00:00",
        "command": "crossover compare sentiment/headlines classification/digits recall parity "
        "forecasting/etth1 --seeds 3 --budget 60s --max-latency 10ms",
        "seconds": 1834.2,
        "machine": dict(MACHINE),
        "numerics": dict(NUMERICS),
        "settings": {
            "models": ["lstm", "transformer"],
            "seeds": 3,
            "trials": 4,
            "budget": "60s",
            "match": "params",
            "max_latency": "10ms",
            "max_memory": None,
        },
        "tasks": tasks,
        "table": table,
        "runs": [
            *runs(HEADLINES, "lstm", 0.912),
            *runs(HEADLINES, "transformer", 0.887),
            *runs(DIGITS, "lstm", 0.969),
            *runs(DIGITS, "transformer", 0.964),
            *runs(RECALL, "lstm", 0.431),
            *runs(RECALL, "transformer", 0.996),
            *runs(PARITY, "lstm", 0.999),
            *runs(PARITY, "transformer", 0.514),
            *runs(FORECAST, "lstm", 0.3764),
            *runs(FORECAST, "transformer", 0.3791, seeds=2),
            failed,
        ],
        "verdicts": [
            verdict(HEADLINES, "lstm", "transformer", "a", 0.025, 0.011),
            verdict(HEADLINES, "lstm", "linear", "a", 0.038, 0.012),
            verdict(HEADLINES, "transformer", "linear", "undecided", 0.013, 0.016, seeds_needed=7),
            verdict(DIGITS, "lstm", "transformer", "equal", 0.005, 0.009),
            verdict(DIGITS, "lstm", "linear", "equal", -0.003, 0.01),
            verdict(DIGITS, "transformer", "linear", "equal", -0.006, 0.008),
            verdict(RECALL, "lstm", "transformer", "b", -0.565, 0.09),
            verdict(RECALL, "transformer", "last-value", "a", 0.87, 0.01),
            verdict(PARITY, "lstm", "transformer", "a", 0.485, 0.02),
            verdict(PARITY, "lstm", "majority", "a", 0.496, 0.02),
            verdict(
                FORECAST,
                "lstm",
                "transformer",
                "undecided",
                -0.0027,
                0.0061,
                metric="mse",
                margin=0.0113,
                seeds_needed=9,
            ),
            verdict(FORECAST, "lstm", "ridge", "a", -0.0116, 0.004, metric="mse", margin=0.0113),
            verdict(FORECAST, "transformer", "ridge", "a", -0.0089, 0.005, metric="mse", margin=0.0113),
        ],
        "recommendation": [
            {
                "task": HEADLINES,
                "model": "lstm",
                "run": f"runs/{HEADLINES}/lstm/seed0",
                "reason": "best validation score of the models that meet the limits",
                "meets": {"latency": True, "memory": None},
            },
            {
                "task": DIGITS,
                "model": "linear",
                "run": None,
                "reason": "best validation score",
                "meets": {"latency": True, "memory": None},
            },
        ],
        "trials": [trials(HEADLINES, "lstm", 0.916), trials(HEADLINES, "transformer", 0.891)],
        "details": [details(HEADLINES, "lstm", LABELS, 0.91), details(HEADLINES, "transformer", LABELS, 0.885)],
        "samples": [
            {
                "task": HEADLINES,
                "model": "lstm",
                "items": [
                    {
                        "input": "Profit of Northwind did not fall below 12 million",
                        "target": "positive",
                        "prediction": "positive",
                        "influence": {
                            "read": ["Profit", "of", "Northwind", "did", "not", "fall", "below", "12", "million"],
                            "written": [],
                            "shares": [[0.1, 0.02, 0.04, 0.06, 0.36, 0.3, 0.08, 0.03, 0.01]],
                        },
                    },
                    {"input": "南风集团营收未能超过去年的 3.2 亿元", "target": "negative", "prediction": "neutral"},
                ],
            },
        ],
        "scale": scale(),
    }
