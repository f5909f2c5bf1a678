"""Published training rows as jobs, layouts and machines of the planner; what cannot be said in these is counted.

A row tells how long a step takes, or how much of a device's memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from published import Row
from published_case import Case
from published_translation import translation

from crossover.models.ports import PerStep, Tokens
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.job import Job, Stored
from crossover.planning.practice import Practice

MEGATRON = ("pipeline", "data", "sequence", "tensor")
"""The order of the axes in Megatron: stages of a pipeline are farthest from one another."""
_FULL, _NONE = {"full"}, {"none", ""}


STEP = ("train_throughput", "step_time")
MEMORY = {
    "weights_optimizer_memory_per_gpu": ("parameters", "gradients", "optimizer"),
    "activation_memory_per_gpu": ("activations", "buffers"),
    "peak_memory_per_gpu": ("parameters", "gradients", "optimizer", "activations", "buffers"),
}
"""Metrics of a step's time, and of memory with the parts that they tell together."""


FLASH_1 = (0.33, 0.33)
"""Of the peak: FlashAttention reached 25 to 40 % on an A100 (Dao 2023, arXiv 2307.08691, section 1)."""
FLASH_1_ON_HOPPER = (0.17, 0.17)
"""The same beside FlashAttention-2 as on an A100, of what that reaches on an H100."""
CUDNN = (0.6, 0.5)
"""Of the peak: cuDNN's attention on an H100 (Shah et al. 2024, arXiv 2407.08608, figures 5 and 6)."""


@dataclass
class Cases:
    """Cases by source, and why other rows of a source are none."""

    found: list[Case] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def cases(rows: Iterable[Row], metrics: Collection[str] = STEP) -> Cases:
    """All rows of training steps that the planner has words for."""
    all_of_them = Cases()
    for row in rows:
        for part, (source, read) in _SOURCES.items():
            if part in row["source"] and row["metric"] in metrics:
                found = read(row)
                if isinstance(found, Case):
                    all_of_them.found.append(found)
                else:
                    all_of_them.left_out[f"{source}: {found}"] += 1
    return all_of_them


def _decoder(row: Row, **settings: object) -> ModelSettings:
    """A decoder of the row's sizes."""
    layers, width, heads = (int(row[name]) for name in ("layers", "hidden", "heads"))
    attention = {"heads": heads, "bias": False, **settings.pop("attention", {})}  # type: ignore[dict-item]
    return ModelSettings(
        name=row["model_family"].split(" (")[0],
        mixers=("attention",),
        layers=layers,
        width=width,
        feed_forward_width=int(row["ffn"]),
        dropout=0.0,
        causal=True,
        max_length=int(row["seq"]) + 1,
        mixer={"attention": attention},
        **settings,  # type: ignore[arg-type]
    )


def _job(row: Row, model: ModelSettings, vocabulary: int, stored: Stored, precision: str) -> Job:
    return Job(
        model=model,
        inputs=Tokens(vocabulary=vocabulary),
        outputs=PerStep(size=vocabulary),
        rows=int(row["global_batch"]),
        time=int(row["seq"]),
        precision=precision,
        stored=stored,
    )


def _measured(row: Row) -> float:
    """Bytes, or the seconds of a step: as they are told, or from tokens a second and device."""
    if row["metric"] in MEMORY:
        return float(row["value"]) * 2**30
    if row["metric"] == "step_time":
        return float(row["value"])
    return int(row["global_batch"]) * int(row["seq"]) / (float(row["value"]) * int(row["n_gpus"]))


_GPUS = {"h100_80gb": "h100-sxm", "a100_80gb": "a100-80", "a100_40gb": "a100-40"}


_FLAT = {2: 4 + 4, 4: 4 + 6 + 8}
"""Bytes for each parameter by those of a gradient that is sent (torch/distributed/fsdp of 2023): gradients are put
into a flat one, cast to what is sent, and divided by a part of the number of replicas."""


def _llm_foundry(row: Row) -> Case | str:
    """FSDP: weights gathered in bf16, gradients sent in fp32 or (mode PURE) in bf16; Triton's attention of 2022.

    Composer adds up every micro-batch's gradients over replicas; torch before 2.1 computes blocks again to their end.
    """
    if "offload True" in row["note"]:
        return "weights on the host"
    model = _decoder(row, feed_forward="gelu", positions="learned", tie_embeddings=True)
    stored = Stored(gathered=2, sent=2 if "PURE" in row["note"] else 4)
    precision = "fp8" if "fp8" in row["precision"] else "bf16"
    devices, micro = int(row["n_gpus"]), int(row["micro_batch"])
    layout = Layout(
        data=devices,
        shard_parameters=True,
        accumulate=int(row["global_batch"]) // (devices * micro),
        recompute="blocks" if row["recompute"] in _FULL else "none",
    )
    label = f"{model.name} T={row['seq']} {row['gpu']} x {devices}, {precision}"
    return Case(
        "llm-foundry",
        label,
        _job(row, model, int(row["vocab"]), stored, precision),
        layout,
        _GPUS[row["gpu"]],
        _measured(row),
        row["metric"],
        practice=Practice(
            attention=FLASH_1 if "a100" in row["gpu"] else FLASH_1_ON_HOPPER,
            whole_again=True,
            summed_each=True,
            copied=_FLAT[stored.sent],
        ),
    )


_LLAMA = {
    "LLAMA2-7B": (32, 4096, 11008, 32, 32, 32_000),
    "LLAMA2-13B": (40, 5120, 13824, 40, 40, 32_000),
    "Llama 2 13B": (40, 5120, 13824, 40, 40, 32_000),
    "LLAMA2-70B": (80, 8192, 28672, 64, 8, 32_000),
    "Llama 2 70B": (80, 8192, 28672, 64, 8, 32_000),
    "LLAMA3-8B": (32, 4096, 14336, 32, 8, 128_256),
    "Llama 3 8B": (32, 4096, 14336, 32, 8, 128_256),
    "Llama 3.1 8B": (32, 4096, 14336, 32, 8, 128_256),
    "LLAMA3-70B": (80, 8192, 28672, 64, 8, 128_256),
    "Llama 3 70B": (80, 8192, 28672, 64, 8, 128_256),
    "Llama 3.1 70B": (80, 8192, 28672, 64, 8, 128_256),
    "Llama 3.1 405B": (126, 16384, 53248, 128, 8, 128_256),
}
"""Layers, width, feed-forward, heads, shared heads and vocabulary, from the models' own configurations."""


def _llama(row: Row) -> tuple[ModelSettings, int] | None:
    if row["model_family"] not in _LLAMA:
        return None
    layers, width, hidden, heads, shared, vocabulary = _LLAMA[row["model_family"]]
    sizes = {"layers": str(layers), "hidden": str(width), "ffn": str(hidden), "heads": str(heads)}
    model = _decoder(
        {**row, **sizes},
        attention={"kv_heads": shared},
        feed_forward="swiglu",
        norm="rms",
        positions="rotary",
    )
    return model, vocabulary


_MIXED = Stored(weight=2, gradient=4, optimizer=12, gathered=2, sent=4)
"""Megatron: weights in 16 bits, gradients and the optimiser's own weights in fp32."""


def _megatron(row: Row, source: str, *, machine: str, precision: str, practice: Practice) -> Case | str:
    """NeMo and Megatron-LM: tensor, pipeline and context parallel, stages of a rank as its VP says."""
    said = dict(part.split("=") for part in row["note"].split(";")[0].split() if "=" in part)
    context, interleave = int(said.get("CP", 1)), int(said.get("VP", said.get("interleaving", "1")).strip(","))
    found = _llama(row)
    if found is not None:
        model, vocabulary = found
    elif row["layers"] and row["hidden"] and row["heads"]:
        sizes = {"ffn": row["ffn"] or str(4 * int(row["hidden"]))}
        model, vocabulary = (
            _decoder({**row, **sizes}, feed_forward="gelu", positions="learned", tie_embeddings=True),
            51_200,
        )
    else:
        return "sizes are not said"
    tensor, pipeline, data = (int(row[name]) for name in ("tp", "pp", "dp"))
    if not row["global_batch"] or not row["micro_batch"]:
        return "the batch is not said"
    micro = int(row["global_batch"]) // (int(row["micro_batch"]) * data)
    layout = Layout(
        data=data,
        tensor=tensor,
        pipeline=pipeline,
        sequence=context,
        microbatches=micro if pipeline > 1 else 1,
        accumulate=1 if pipeline > 1 else micro,
        interleave=interleave if pipeline > 1 else 1,
        recompute="blocks" if row["recompute"] in _FULL else "none",
    )
    job = _job(row, model, vocabulary, _MIXED, precision)
    return Case(
        source,
        f"{model.name} tp={tensor} pp={pipeline} dp={data} cp={context}",
        job,
        layout,
        machine,
        _measured(row),
        row["metric"],
        MEGATRON,
        practice,
    )


IN_PRODUCTS = 0.0
"""Bytes by which kernels of their own add up gradients: products of Megatron and Transformer Engine do so themselves
(LinearWithGradAccumulationAndAsyncCommunication, and fuse_wgrad_accumulation)."""


def _nemo(row: Row) -> Case | str:
    """Transformer Engine: messages along tensor go while products are computed, cuDNN's attention, fused kernels."""
    practice = Practice(overlapped=True, scattered=True, attention=CUDNN, accumulated=IN_PRODUCTS)
    return _megatron(row, "NeMo", machine="h100-sxm", precision="fp8", practice=practice)


_FUSED = {"scores": 10 / 17, "dropout": 3 / 5}
"""Of Megatron's kernels for scale, mask and softmax, and for bias, dropout and sum (Narayanan et al. 2021, arXiv
2104.04473, section 4.2): passes over scores with their dropout, and over what is dropped, that are left of those
counted."""


def _korthikanti(row: Row) -> Case | str:
    said = {**row, "note": row["note"].replace(",", " ")}
    # Their selective recomputation is that of the scores; messages are as many bytes with their sequence parallelism.
    again = ("scores",) if row["recompute"].startswith("selective") else ()
    # On the way back a divided layer's sum goes while the gradients of its weights are computed (section 6 of the
    # paper); with sequence parallelism the half of it that gathers what leaves the other layers does not.
    spread = "sequence" in row["recompute"]
    practice = Practice(
        scattered=True,
        again=again,
        spread=spread,
        standing=True,
        streamed=_FUSED,
        whole_again=True,
        accumulated=IN_PRODUCTS,
        behind_weights=0.5 if spread else 1.0,
    )
    found = _megatron(said, "Korthikanti", machine="a100-80", precision="fp16", practice=practice)
    if not isinstance(found, Case):
        return found
    # Of 2022: scores are written out, and dropped like all else (section 4.1 of the paper).
    dropped = replace(found.job.model, dropout=0.1)
    return replace(found, job=replace(found.job, model=dropped, fused=False, dropped_scores=True))


_EAGER = Practice(
    streamed={"norm": (2 * (36 + 92) + 24) / 44},
    copied=4 + 4 + 6,
    spread=True,
)
"""Of torchtitan in 2024. RMSNorm out of PyTorch's functions in fp32 (torchtitan/models/norms.py, by default) moves 36
bytes of a number forward and 92 backward, twice a block, beside 24 for residuals: 44 in all with one kernel each way.
FSDP2 copies gathered weights to where they are used, forward and backward, and gradients into fp32 messages. Between
divided layers rows are shared out (its SequenceParallel)."""


def _torchtitan(row: Row) -> Case | str:
    if row["recompute"] not in _FULL | _NONE:
        return "selective recompute"
    # What a compiler fuses leaves less behind, which is gone in any case where blocks are computed again.
    alike = row["metric"] in MEMORY and row["recompute"] in _FULL
    if ("compile" in row["note"] or "loat8" in row["precision"]) and not alike:
        return "compiled"
    if not (row["global_batch"] or alike) or not row["seq"]:
        return "the batch is not said"
    found = _llama(row)
    if found is None:
        return "sizes are not said"
    model, vocabulary = found
    slice_rows = int(row["dp"]) * int(row["micro_batch"])
    rows = row["global_batch"] or str(slice_rows)
    context = re.search(r"CP (\d+)", row["note"])
    layout = Layout(
        data=int(row["dp"]),
        tensor=int(row["tp"]),
        sequence=int(context[1]) if context else 1,
        shard_parameters=True,
        accumulate=max(1, int(rows) // slice_rows),
        recompute="blocks" if row["recompute"] in _FULL else "none",
    )
    machine = "a100-80" if "A100" in row["gpu"] else "h100-hbm2e"
    job = _job({**row, "global_batch": rows}, model, vocabulary, Stored(gathered=2, sent=4), "bf16")
    label = f"{model.name} {row['gpu'][:12]} x {row['n_gpus']}"
    return Case("torchtitan", label, job, layout, machine, _measured(row), row["metric"], practice=_EAGER)


_SOURCES: dict[str, tuple[str, Callable[[Row], Case | str]]] = {
    "mosaicml/llm-foundry": ("llm-foundry", _llm_foundry),
    "NVIDIA/NeMo": ("NeMo", _nemo),
    "calculon": ("Korthikanti", _korthikanti),
    "pytorch/torchtitan": ("torchtitan", _torchtitan),
    "NVIDIA/DeepLearningExamples": ("DeepLearningExamples", translation),
}
