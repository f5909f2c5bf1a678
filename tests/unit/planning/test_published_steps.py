"""Some published training steps beside their predictions; `benchmarks/predict_training.py` has all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from crossover.models.ports import PerStep, Tokens
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.job import Job, Stored
from crossover.planning.machine import load_machine
from crossover.planning.practice import Practice
from crossover.planning.predict import Planner

MEGATRON = ("pipeline", "data", "sequence", "tensor")
MIXED = Stored(weight=2, gradient=4, optimizer=12, gathered=2, sent=4)
SHARDED = Stored(gathered=2, sent=4)
FSDP_OF_2023 = Practice(attention=(0.33, 0.33), whole_again=True, summed_each=True, copied=18)
FSDP_2 = Practice(streamed={"norm": 6.4}, copied=14)
FUSED = Practice(overlapped=True, scattered=True, attention=(0.6, 0.5), accumulated=0.0)


@dataclass(frozen=True)
class Published:
    """A decoder's step: `sizes` are layers, width, feed-forward, heads, shared heads and vocabulary."""

    name: str
    sizes: tuple[int, int, int, int, int, int]
    rows: int
    time: int
    layout: str
    machine: str
    seconds: float
    precision: str = "bf16"
    stored: Stored = SHARDED
    practice: Practice = FSDP_OF_2023
    order: tuple[str, ...] = ("data", "pipeline", "sequence", "tensor")

    def __str__(self) -> str:
        return self.name

    def predicted(self):
        layers, width, hidden, heads, shared, vocabulary = self.sizes
        like_llama = hidden != 4 * width
        model = ModelSettings(
            name=self.name,
            mixers=("attention",),
            layers=layers,
            width=width,
            feed_forward="swiglu" if like_llama else "gelu",
            feed_forward_width=hidden,
            norm="rms" if like_llama else "layer",
            positions="rotary" if like_llama else "learned",
            dropout=0.0,
            causal=True,
            tie_embeddings=not like_llama,
            max_length=self.time + 1,
            mixer={"attention": {"heads": heads, "kv_heads": shared, "bias": False}},
        )
        job = Job(
            model=model,
            inputs=Tokens(vocabulary=vocabulary),
            outputs=PerStep(size=vocabulary),
            rows=self.rows,
            time=self.time,
            precision=self.precision,
            stored=self.stored,
        )
        planner = Planner(job, load_machine(self.machine), order=self.order, practice=self.practice)
        return planner.predict(Layout.parse(self.layout))


def tokens(rows: int, time: int, per_device: float, devices: int) -> float:
    """Seconds of a step from tokens a second and device."""
    return rows * time / (per_device * devices)


MPT = {
    "125m": (12, 768, 3072, 12, 12, 50368),
    "1b": (24, 2048, 8192, 16, 16, 50368),
    "7b": (32, 4096, 16384, 32, 32, 50368),
    "30b": (48, 7168, 28672, 56, 56, 50368),
}
LLAMA_2_7B, LLAMA_2_13B = (32, 4096, 11008, 32, 32, 32000), (40, 5120, 13824, 40, 40, 32000)
LLAMA_2_70B = (80, 8192, 28672, 64, 8, 32000)
SHARDS = "shard_parameters=true"
STEPS = [
    # llm-foundry, scripts/train/benchmarking/README.md: A100, FSDP
    Published(
        "MPT-125m", MPT["125m"], 640, 2048, f"data=8,{SHARDS},accumulate=2", "a100-80", tokens(640, 2048, 142830, 8)
    ),
    Published(
        "MPT-1b", MPT["1b"], 448, 2048, f"data=8,{SHARDS},accumulate=4", "a100-80", tokens(448, 2048, 20513, 8)
    ),
    Published("MPT-7b", MPT["7b"], 96, 2048, f"data=8,{SHARDS},accumulate=2", "a100-80", tokens(96, 2048, 4641, 8)),
    Published(
        "MPT-30b",
        MPT["30b"],
        768,
        2048,
        f"data=128,{SHARDS},recompute=blocks",
        "a100-40",
        tokens(768, 2048, 865, 128),
        stored=Stored(gathered=2, sent=2),
        practice=replace(FSDP_OF_2023, copied=8),
    ),
    # torchtitan, docs/performance.md: A100, FSDP2, nothing compiled
    Published(
        "Llama-2-13B",
        LLAMA_2_13B,
        128,
        4096,
        f"data=64,{SHARDS}",
        "a100-80",
        tokens(128, 4096, 2162, 64),
        practice=FSDP_2,
    ),
    # NeMo's pages of performance, release 24.07: H100, Transformer Engine in fp8
    Published(
        "Llama-2-7B",
        LLAMA_2_7B,
        128,
        4096,
        "data=8,accumulate=16",
        "h100-sxm",
        tokens(128, 4096, 16847, 8),
        "fp8",
        MIXED,
        FUSED,
        MEGATRON,
    ),
    Published(
        "Llama-2-70B",
        LLAMA_2_70B,
        128,
        4096,
        "data=4,pipeline=4,tensor=4,microbatches=32,interleave=20",
        "h100-sxm",
        tokens(128, 4096, 1707, 64),
        "fp8",
        MIXED,
        FUSED,
        MEGATRON,
    ),
]


@pytest.mark.parametrize("published", STEPS, ids=str)
def test_a_published_step_is_predicted_within_ten_per_cent(published: Published) -> None:
    found = published.predicted()
    assert found.step_seconds == pytest.approx(published.seconds, rel=0.1)


@pytest.mark.parametrize(
    ("sizes", "layout", "rows", "gibibytes"),
    [
        # Korthikanti et al. 2022, as calculon gives them: weights, gradients and optimiser of a device
        ((96, 12288, 49152, 96, 96, 51200), "pipeline=8,tensor=8,microbatches=64,interleave=3", 64, 45.56),
        ((128, 25600, 102400, 160, 160, 51200), "pipeline=64,tensor=8,microbatches=512", 512, 32.96),
    ],
)
def test_what_parameters_take_is_that_of_published_models(
    sizes: tuple[int, int, int, int, int, int], layout: str, rows: int, gibibytes: float
) -> None:
    published = Published("", sizes, rows, 2048, layout, "a100-80", 1.0, "fp16", MIXED, Practice(), MEGATRON)
    memory = published.predicted().memory
    held = memory.parameters + memory.gradients + memory.optimizer
    assert held / 2**30 == pytest.approx(gibibytes, rel=0.12)
