from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask, tiny_model

from crossover.errors import CheckpointError, FolderError
from crossover.measure.numerics import Numerics
from crossover.parallel.mesh import alone
from crossover.train.checkpoint import Checkpoints, check_finished, has_checkpoint
from crossover.train.loop import train
from crossover.train.progress import Progress
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings
from full_disk import files_up_to

NUMERICS = Numerics.default()
CPU = torch.device("cpu")
SETTINGS = TrainSettings(budget="30steps", checkpoint_seconds=3600.0, evaluations=4, learning_rate=0.01, seed=5)


class Stop:
    """Interrupts the run from its progress report, after a step."""

    def __init__(self, step: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.step, self.error = step, error

    def __call__(self, progress: Progress) -> None:
        if progress.step == self.step and not progress.validated:
            raise self.error


def _last(folder: Path) -> Path:
    """The newest checkpoint of a run."""
    return sorted((folder / "checkpoint").iterdir())[-1]


def _state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(_last(folder) / "state.pt", weights_only=True)["state"]
    return state


def _same(a: RunResult, b: RunResult) -> None:
    assert a.record.losses == b.record.losses
    assert [p["validation"] for p in a.record.curve] == [p["validation"] for p in b.record.curve]
    for name, value in a.model.state_dict().items():
        assert torch.equal(value, b.model.state_dict()[name]), name
    assert a.record.best_step == b.record.best_step and a.record.tokens == b.record.tokens


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"budget": "3epochs", "accumulate": 2},
        {"budget": "2500tokens", "batch": 60, "batch_by": "tokens"},
        {"budget": "100Mflops", "optimizer": "sgd"},
        {"average": 0.9},
        {"average": 3, "evaluations": 3},
    ],
)
@pytest.mark.parametrize("stop", [1, 7, 12])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, changes: dict[str, Any], stop: int) -> None:
    task, model, settings = TinyTask(), tiny_model(dropout=0.3), replace(SETTINGS, **changes)
    whole = train(task, model, settings, numerics=NUMERICS)
    assert whole.record.steps > stop
    with pytest.raises(KeyboardInterrupt):
        train(task, model, settings, numerics=NUMERICS, folder=tmp_path, on_progress=Stop(stop))
    torch.manual_seed(99)
    resumed = train(task, model, settings, numerics=NUMERICS, folder=tmp_path, resume=True)
    _same(resumed, whole)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [e["step"] for e in events if "loss" in e] == list(range(1, whole.record.steps + 1))
    assert not has_checkpoint(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from dataclasses import replace
from test_checkpoint import NUMERICS, SETTINGS, TinyTask, tiny_model, train

def kill(progress):
    if progress.step == 17:
        os.kill(os.getpid(), {signal})

train(TinyTask(), tiny_model("transformer", dropout=0.3), replace(SETTINGS, checkpoint_seconds={every}),
      numerics=NUMERICS, folder=Path({folder!r}), on_progress=kill)
"""


def _run_killed(folder: Path, number: int, *, every: float) -> subprocess.CompletedProcess[str]:
    script = KILLED.format(
        path=[str(Path(__file__).parents[level]) for level in (0, 2)], folder=str(folder), signal=number, every=every
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120
    )


def test_a_killed_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    killed = _run_killed(tmp_path, signal.SIGKILL, every=0.0)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert has_checkpoint(tmp_path)
    task, model = TinyTask(), tiny_model("transformer", dropout=0.3)
    whole = train(task, model, SETTINGS, numerics=NUMERICS)
    _same(train(task, model, SETTINGS, numerics=NUMERICS, folder=tmp_path, resume=True), whole)


def test_ctrl_c_stops_between_steps_with_the_state_saved(tmp_path: Path) -> None:
    stopped = _run_killed(tmp_path, signal.SIGINT, every=3600.0)
    assert stopped.returncode != 0 and "KeyboardInterrupt" in stopped.stderr
    task, model = TinyTask(), tiny_model("transformer", dropout=0.3)
    assert _last(tmp_path).name == "00000017"
    assert _state(tmp_path)["run"]["step"] == 17
    whole = train(task, model, SETTINGS, numerics=NUMERICS)
    _same(train(task, model, SETTINGS, numerics=NUMERICS, folder=tmp_path, resume=True), whole)


def test_time_spent_is_restored_under_a_budget_in_seconds(tmp_path: Path) -> None:
    settings = replace(SETTINGS, budget="2s")
    with pytest.raises(KeyboardInterrupt):
        train(TinyTask(), tiny_model(), settings, numerics=NUMERICS, folder=tmp_path, on_progress=Stop(2))
    spent = _state(tmp_path)["run"]["seconds"]
    first: list[Progress] = []
    resumed = train(
        TinyTask(), tiny_model(), settings, numerics=NUMERICS, folder=tmp_path, resume=True, on_progress=first.append
    )
    assert first[0].step == 3 and first[0].seconds > spent > 0
    assert resumed.record.train_seconds >= 2
    assert resumed.record.losses[-1][0] == resumed.record.steps


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(TinyTask(), tiny_model(), SETTINGS, numerics=NUMERICS, folder=tmp_path, on_progress=Stop(3))
    other = replace(SETTINGS, learning_rate=0.5)
    with pytest.raises(CheckpointError, match=r"learning_rate='0.01', not '0.5'"):
        train(TinyTask(), tiny_model(), other, numerics=NUMERICS, folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match=r"model\.(mixers|name)="):
        train(TinyTask(), tiny_model("gru"), SETTINGS, numerics=NUMERICS, folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="holds a run already"):
        train(TinyTask(), tiny_model(), SETTINGS, numerics=NUMERICS, folder=tmp_path)


def test_a_finished_run_is_held_to_the_settings_that_both_sides_know(tmp_path: Path) -> None:
    check_finished(tmp_path, {"train": {"budget": "9steps"}})
    (tmp_path / "config.toml").write_text('task = "t"\n[train]\nbudget = "3steps"\nbetas = [0.9, 0.99]\nold = 1\n')
    check_finished(tmp_path, {"task": "t", "train": {"budget": "3steps", "betas": (0.9, 0.99), "new": 2}})
    with pytest.raises(FolderError, match=r"train\.budget='3steps', not '9steps'"):
        check_finished(tmp_path, {"task": "t", "train": {"budget": "9steps"}})


def _some(folder: Path, *steps: int, kept: int = 2) -> Checkpoints:
    """Checkpoints of a run of nothing."""
    checkpoints = Checkpoints(folder, {"task": "t"}, alone(), kept=kept)
    for step in steps:
        checkpoints.save(step, {"step": step}, {"weights/w": torch.full((1000,), float(step))})
    checkpoints.wait()
    return checkpoints


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "state cut": lambda folder: _cut(folder / "state.pt"),
    "state text": lambda folder: (folder / "state.pt").write_text("hello"),
    "state empty": lambda folder: (folder / "state.pt").write_bytes(b""),
    "state pickle": lambda folder: torch.save({"version": 1, "run": Path("/"), "state": {}}, folder / "state.pt"),
    "state foreign": lambda folder: torch.save({"weights": torch.zeros(3)}, folder / "state.pt"),
    "shards cut": lambda folder: _cut(next(folder.glob("*.distcp"))),
    "shards gone": lambda folder: next(folder.glob("*.distcp")).unlink(),
    "index cut": lambda folder: _cut(folder / ".metadata"),
    "index gone": lambda folder: (folder / ".metadata").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_the_only_one_is_refused(
    tmp_path: Path, damage: str
) -> None:
    checkpoints = _some(tmp_path, 3, 7)
    DAMAGES[damage](tmp_path / "checkpoint" / "00000007")
    loaded = checkpoints.load(device=CPU)
    assert loaded is not None and loaded.state == {"step": 3}
    assert torch.equal(loaded.tensors["weights/w"], torch.full((1000,), 3.0))
    DAMAGES[damage](tmp_path / "checkpoint" / "00000003")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint of Crossover") as caught:
        checkpoints.load(device=CPU)
    assert "\n" not in str(caught.value)


def test_the_last_checkpoints_are_kept_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / "checkpoint" / ".00000002.1"
    left.mkdir(parents=True)
    _some(tmp_path, 1, 2, 3, 4, 5, kept=3)
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == ["00000003", "00000004", "00000005"]


def test_what_is_saved_is_what_stood_when_saving_began(tmp_path: Path) -> None:
    checkpoints, weight = Checkpoints(tmp_path, {}, alone(), kept=1), torch.ones(300_000)
    checkpoints.save(1, {}, {"w": weight})
    weight.zero_()
    checkpoints.wait()
    loaded = checkpoints.load(device=CPU)
    assert loaded is not None and bool((loaded.tensors["w"] == 1).all())


def test_no_checkpoint_is_no_error_and_a_later_version_is_refused(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, {}, alone(), kept=2).load(device=CPU) is None
    checkpoints = _some(tmp_path, 1)
    torch.save({"version": 99, "run": {}, "state": {}}, _last(tmp_path) / "state.pt")
    with pytest.raises(CheckpointError, match="version 99"):
        checkpoints.load(device=CPU)


def test_a_disk_that_takes_no_more_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    task, model, settings = TinyTask(), tiny_model(dropout=0.3), SETTINGS
    with pytest.raises(KeyboardInterrupt):
        train(task, model, settings, numerics=NUMERICS, folder=tmp_path, on_progress=Stop(9))

    def held() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (tmp_path / "checkpoint").rglob("*") if path.is_file()}

    before = held()
    with files_up_to(8192), pytest.raises(CheckpointError, match=r"cannot write .*checkpoint.*: .*--resume"):
        train(task, model, settings, numerics=NUMERICS, folder=tmp_path, resume=True)
    assert held() == before
    whole = train(task, model, settings, numerics=NUMERICS)
    _same(train(task, model, settings, numerics=NUMERICS, folder=tmp_path, resume=True), whole)


def test_shards_that_find_no_room_are_one_sentence(tmp_path: Path) -> None:
    checkpoints = _some(tmp_path, 1)
    with (
        files_up_to(8192),
        pytest.raises(CheckpointError, match=r"cannot write .*00000002: File too large; .*--resume"),
    ):
        checkpoints.save(2, {}, {"w": torch.zeros(10_000)})
        checkpoints.wait()
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["00000001"]
