"""What `crossover scale` and `crossover audit` write into `study.json`, small but complete."""

from __future__ import annotations

from typing import Any


def around(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def scale_curve(model: str, family: str, base: float, power: float, *, pass_: str = "train") -> dict[str, Any]:
    points = [
        {
            "x": x,
            "step_seconds": around(base * (x / 64) ** power, 0.04 * base * (x / 64) ** power),
            "peak_bytes": round(4e6 * (x / 64) ** (power if family == "attention" else 1.0)),
            "flops_forward": round(2e8 * (x / 64) ** power),
            "flops_backward": round(4e8 * (x / 64) ** power),
            "solver": "scan" if model == "mingru" else "fused",
        }
        for x in (64, 128, 256, 512, 1024, 2048)
    ]
    exponents = {"time": around(power, 0.04), "memory": around(1.0, 0.02), "flops": around(power, 0.0)}
    return {
        "model": model,
        "family": family,
        "axis": "length",
        "pass": pass_,
        "width": {"lstm": 128, "mingru": 152}.get(model, 144),
        "parameters_without_embedding": 528_896 if family == "recurrent" else 529_440,
        "points": points,
        "exponents": exponents,
    }


def scale() -> dict[str, Any]:
    return {
        "axis": "length",
        "pass": "train",
        "curves": [
            scale_curve("lstm", "recurrent", 0.012, 1.0),
            scale_curve("mingru", "recurrent", 0.007, 0.98),
            scale_curve("transformer", "attention", 0.004, 1.55),
        ],
        "crossings": [
            {
                "a": "lstm",
                "b": "transformer",
                "measure": "time",
                "at": {"value": 471.0, "low": 420.0, "high": 540.0},
                "searched": [64, 2048],
            },
            {
                "a": "mingru",
                "b": "transformer",
                "measure": "time",
                "at": {"value": 171.0, "low": 150.0, "high": 196.0},
                "searched": [64, 2048],
            },
            {"a": "lstm", "b": "mingru", "measure": "time", "at": None, "searched": [64, 2048]},
        ],
    }


MACHINE = {
    "device": "cpu",
    "cores": 2,
    "memory_bytes": 16_800_000_000,
    "torch": "2.13.0",
    "platform": "Linux x86_64",
    "steady": True,
    "commit": "66c001c",
}
NUMERICS = {
    "precision": "bf16",
    "matmul": "onednn",
    "allocator": "jemalloc",
    "threads": 2,
    "tolerance": 0.02,
    "candidates": [
        {"precision": "fp32", "matmul": "mkl", "step_seconds": 0.051, "loss_error": 0.0, "gradient_error": 0.0},
        {
            "precision": "fp32",
            "matmul": "onednn",
            "step_seconds": 0.047,
            "loss_error": 1.2e-7,
            "gradient_error": 3e-6,
        },
        {
            "precision": "bf16",
            "matmul": "onednn",
            "step_seconds": 0.032,
            "loss_error": 0.0011,
            "gradient_error": 0.009,
        },
    ],
}


def scale_study() -> dict[str, Any]:
    """What `crossover scale` writes: curves and crossings, no tasks."""
    lists = ("table", "runs", "verdicts", "recommendation", "trials", "details", "samples")
    return {
        "version": 1,
        "kind": "scale",
        "created": "2026-03-14T09:26:53+00:00",
        "command": "crossover scale --models lstm,mingru,transformer --axis length=64..2048",
        "seconds": 48.7,
        "machine": dict(MACHINE),
        "numerics": dict(NUMERICS),
        "settings": {
            "models": ["lstm", "mingru", "transformer"],
            "axis": "length",
            "values": [64, 128, 256, 512, 1024, 2048],
            "passes": ["train"],
            "length": 256,
            "width": 128,
            "batch": 4,
            "layers": 2,
            "vocabulary": 256,
            "finished": True,
            "memory": True,
            "time_limit": 60.0,
        },
        "tasks": {},
        "scale": scale(),
        **{name: [] for name in lists},
    }


def all_passes() -> dict[str, Any]:
    """What `crossover scale --pass all` writes; in decoding the curves do not cross."""
    study = scale_study()
    curves, crossings = [], []
    for pass_, power in (("train", 1.55), ("encode", 1.55), ("decode", 0.9)):
        curves += [
            scale_curve("lstm", "recurrent", 0.012, 1.0, pass_=pass_),
            scale_curve("transformer", "attention", 0.004, power, pass_=pass_),
        ]
        found = study["scale"]["crossings"][0] | {"axis": "length", "pass": pass_}
        crossings.append(found | ({"at": None} if pass_ == "decode" else {}))
    study["settings"]["passes"] = ["train", "encode", "decode"]
    study["scale"] |= {"pass": "train,encode,decode", "curves": curves, "crossings": crossings}
    return study


def audit_study() -> dict[str, Any]:
    """What `crossover audit` writes: three claims, one without a chart."""
    lengths = [64, 128, 256, 512, 1024, 2048]

    def line(name: str, base: float, power: float) -> dict[str, Any]:
        y = [base * (x / 64) ** power for x in lengths]
        return {"name": name, "y": y, "low": [0.95 * v for v in y], "high": [1.06 * v for v in y]}

    figure = {
        "x": lengths,
        "series": [line("lstm", 0.011, 1.0), line("attention", 0.003, 1.7)],
        "x_title": "length",
        "y_title": "step seconds",
        "log_x": True,
        "log_y": True,
    }
    claims = [
        {
            "id": "C4",
            "statement": "An RNN layer costs O(T·H²)",
            "verdict": "holds",
            "where": "length 64 to 2,048",
            "scope": "lstm, width 256, batch 8, CPU",
            "sentence": "It holds for lstm.",
            "figures": ["lstm: its time grows with T to the power 1.00 (0.97 to 1.03)."],
            "figure": figure,
            "how": ["FLOPs are counted on the meta device.", "Times are medians of 20 steps, in turn."],
            "command": "crossover audit C4",
            "level": "quick",
            "card": "out dir/cards/C4.json",
        },
        {
            "id": "C5",
            "statement": "A Transformer layer costs O(T²·H²)",
            "verdict": "does not hold",
            "where": None,
            "scope": "transformer, width 256, batch 8, CPU",
            "sentence": "It does not hold for transformer.",
            "figures": ["transformer: FLOPs are T·H² + T²·H."],
            "figure": figure,
            "how": ["FLOPs are counted on the meta device."],
            "command": "crossover audit C5",
            "level": "quick",
            "card": "out dir/cards/C5.json",
        },
        {
            "id": "C10",
            "statement": "A Transformer needs less memory on long sequences",
            "verdict": "not decided",
            "where": None,
            "scope": "CPU",
            "sentence": "Not decided: no accelerator is present.",
            "figures": [],
            "figure": None,
            "how": [],
            "command": "crossover audit C10",
            "level": "quick",
            "card": "out dir/cards/C10.json",
        },
        {
            "id": "C33",
            "statement": "RNNs lose distant inputs, self-attention keeps them",
            "verdict": "holds where",
            "where": "lag above 128",
            "scope": "copy, 3 seeds",
            "sentence": "It holds where the lag is above 128.",
            "figures": [],
            "figure": None,
            "how": [],
            "command": "crossover audit C33",
            "level": "quick",
            "card": "out dir/cards/C33.json",
        },
    ]
    return scale_study() | {
        "kind": "audit",
        "command": "crossover audit C4 C5 C10 C33",
        "scale": None,
        "claims": claims,
    }
