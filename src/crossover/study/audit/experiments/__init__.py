"""What the audit measures: each experiment gives curves, which any verdict rule can read."""

from __future__ import annotations

from crossover.registry import Registry
from crossover.study.audit.evidence import Experiment

EXPERIMENTS: Registry[Experiment] = Registry("experiment", group="crossover.experiments")

_HERE = "crossover.study.audit.experiments"
EXPERIMENTS.add("parameters", f"{_HERE}.arithmetic:PARAMETERS", "parameters counted at several lengths")
EXPERIMENTS.add("flops", f"{_HERE}.arithmetic:FLOPS", "FLOPs of one layer at several lengths and widths")
EXPERIMENTS.add("time", f"{_HERE}.growth:TIME", "time of one layer against length and width")
EXPERIMENTS.add("passes", f"{_HERE}.passes:PASS_SECONDS", "seconds of whole models against length, by pass")
EXPERIMENTS.add("loss-seconds", f"{_HERE}.loss_seconds:LOSS_SECONDS", "seconds until both models reach a loss")
EXPERIMENTS.add("sizes", f"{_HERE}.sizes:SIZES", "validation loss by parameters and by depth")
EXPERIMENTS.add("devices", f"{_HERE}.devices:DEVICES", "a GPU against a CPU, measured or predicted")
EXPERIMENTS.add("dates", f"{_HERE}.documents:DATES", "what was published when")
EXPERIMENTS.add("messages", f"{_HERE}.documents:MESSAGES", "what share of its link an all-reduce of others reached")
EXPERIMENTS.add("code", f"{_HERE}.documents:CODE", "what each axis of a layout takes in code")
EXPERIMENTS.add("memory", f"{_HERE}.growth:MEMORY", "peak memory and state against length, by pass")
EXPERIMENTS.add("gradients", f"{_HERE}.gradients:GRADIENTS", "gradient of the last loss at earlier inputs")
EXPERIMENTS.add("quality", f"{_HERE}.quality:QUALITY", "test scores of models on tasks under one budget")
EXPERIMENTS.add(
    "pretraining", f"{_HERE}.pretraining:PRETRAINING", "test scores from pre-training and from new weights"
)
EXPERIMENTS.add("retention", f"{_HERE}.retention:RETENTION", "delayed copy by lag, recall and parity")
EXPERIMENTS.add("masking", f"{_HERE}.masking:MASKING", "a language model with the causal mask and without")
EXPERIMENTS.add("carrying", f"{_HERE}.carrying:CARRYING", "a state carried from segment to segment, or not")
EXPERIMENTS.add("exchange", f"{_HERE}.ranks:EXCHANGE", "what ranks send in a step, and what of it is exposed")
EXPERIMENTS.add("slow-rank", f"{_HERE}.ranks:SLOW_RANK", "how ranks wait where one of them is slow")
EXPERIMENTS.add("speed-up", f"{_HERE}.ranks_speed:SPEED_UP", "how much faster several ranks are than one")
EXPERIMENTS.add("solving", f"{_HERE}.solving:SOLVING", "a recurrence all steps at once against step by step")
EXPERIMENTS.add("sending", f"{_HERE}.sending:SENDING", "how long two replicas take to send gradients, by the way")
EXPERIMENTS.add(
    "device-seconds", f"{_HERE}.device_seconds:DEVICE_SECONDS", "what several ranks cost until a loss is reached"
)
EXPERIMENTS.add("writing", f"{_HERE}.writing:WRITING", "what language models write, beside real text")
