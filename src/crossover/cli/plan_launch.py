"""The lines that start a planned layout, on its hosts, with torchrun or Slurm."""

from __future__ import annotations

from typing import Literal

from crossover.planning.plan import CONFIG_SUFFIX, Plan
from crossover.planning.predict import Prediction

Launcher = Literal["torchrun", "slurm"]
_PRECISIONS = ("fp32", "bf16")
"""Those that ``crossover train`` computes in."""
_PORT = 29500


def starting_lines(found: Plan, best: Prediction, launcher: Launcher) -> list[str]:
    """What is typed on every host, or stands in a batch script; one sentence where nothing here can train that."""
    job = found.job
    reasons = list(best.plan_only)
    if job.model.name.endswith(CONFIG_SUFFIX):
        reasons.append(f"a training starts from a preset, not from {job.model.name}")
    if job.precision not in _PRECISIONS:
        reasons.append(f"a training computes in {' or '.join(_PRECISIONS)}, not in {job.precision}")
    links = found.planner.machine.links
    here = min(found.devices, (links[0].devices if links else 0) or found.devices)
    if found.devices % here:
        reasons.append(f"{found.devices} devices do not fill hosts of {here}: say --devices HOSTSxDEVICES")
    if reasons:
        return ["this is for planning only: " + "; ".join(reasons)]
    hosts = found.devices // here
    order = (
        f"crossover train TASK '{job.model.name}' --batch {job.rows} --precision {job.precision} "
        f"--optimizer {job.optimizer} --layout {best.layout} --out FOLDER"
    )
    return _with_torchrun(order, hosts, here) if launcher == "torchrun" else _with_slurm(order, hosts, here)


def _with_torchrun(order: str, hosts: int, here: int) -> list[str]:
    if hosts == 1:
        return [f"torchrun --nproc-per-node {here} -m {order}"]
    meeting = f"--rdzv-backend c10d --rdzv-endpoint HOST0:{_PORT} --rdzv-id run"
    return [
        "on every host, of which HOST0 is one:",
        f"torchrun --nnodes {hosts} --nproc-per-node {here} --max-restarts 3 {meeting} -m {order}",
    ]


def _with_slurm(order: str, hosts: int, here: int) -> list[str]:
    first = '$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)'
    return [
        f"export MASTER_ADDR={first} MASTER_PORT={_PORT}",
        f"srun --nodes {hosts} --ntasks-per-node {here} --gpus-per-node {here} {order}",
    ]
