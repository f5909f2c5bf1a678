"""Two hosts train together; one is lost, the other waits for it, and both go on from the last checkpoint."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import two_hosts

from crossover.train.checkpoint import has_checkpoint

STEPS = 200
REFUSAL = two_hosts.refusal()
TRAIN = ["train", "recall", "lstm[width=16,layers=2]", "--precision", "fp32", "--batch", "8", "--layout", "data=2"]


@pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))
def test_a_host_that_is_lost_and_comes_back_costs_what_was_not_saved(tmp_path):
    folder, logs = tmp_path / "run", [tmp_path / "host0.log", tmp_path / "host1.log"]
    often = ["--set", "train.checkpoint_seconds=0.2", "--set", "train.timeout_seconds=5"]
    tokens = [*TRAIN, "--budget", f"{STEPS}steps", *often, "--out", str(folder), "--json"]
    with two_hosts.TwoHosts() as hosts:
        first, second = (hosts.run(host, tokens, log=logs[host], restarts=3) for host in (0, 1))
        _wait_for_checkpoint(folder, logs[0])
        two_hosts.kill(second)
        assert first.poll() is None, logs[0].read_text()
        hosts.run(1, tokens, log=logs[1], restarts=3)
        printed, _ = first.communicate(timeout=180)
        assert first.returncode == 0, logs[0].read_text()
    document = json.loads(printed)
    assert [step for step, _ in document["losses"]] == list(range(1, STEPS + 1))
    assert "rank" in logs[0].read_text(), "what happened is told"


def _wait_for_checkpoint(folder: Path, log: Path, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not has_checkpoint(folder):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
