from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch

from crossover.errors import ConfigError, MeasurementError
from crossover.measure import numerics as room
from crossover.measure.numerics import TOLERANCES, Candidate, Numerics, Tolerance, check_device, choose
from crossover.measure.probe import Probe, computable, errors_against


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = torch.get_float32_matmul_precision()
    yield tmp_path / "crossover"
    torch.set_float32_matmul_precision(before)


def test_default_is_plain_fp32():
    policy = Numerics.default()
    assert (policy.precision, policy.matmul, policy.allocator, policy.element_bytes) == (
        "fp32",
        "highest",
        "default",
        4,
    )
    with policy.autocast():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


def test_bf16_policy_computes_products_in_bf16_and_apply_sets_the_process():
    policy = replace(Numerics.default(), precision="bf16", matmul="medium")
    assert policy.apply() == policy
    assert torch.get_float32_matmul_precision() == "medium"
    with policy.autocast():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16


def test_choice_is_measured_once_and_within_its_tolerance(cache, monkeypatch):
    chosen = choose("auto")
    own = next(c for c in chosen.candidates if (c.precision, c.matmul) == (chosen.precision, chosen.matmul))
    assert own.within(TOLERANCES[chosen.precision])
    assert own.step_seconds == min(c.step_seconds for c in chosen.candidates if c.within(TOLERANCES[c.precision]))
    assert chosen.candidates[0].loss_error == 0
    bf16 = replace(Numerics.default(), precision="bf16")
    expected = ["fp32", "fp32"] + ["bf16", "bf16"] * computable(bf16.autocast, "cpu")
    assert [c.precision for c in chosen.candidates] == expected
    assert torch.get_float32_matmul_precision() == chosen.matmul
    assert chosen.precision in chosen.describe() and "times plain fp32" in chosen.describe()

    def never(base):
        raise RuntimeError("measured twice")

    monkeypatch.setattr(room, "_measure", never)
    assert choose("auto") == chosen
    assert choose("fp32").precision == "fp32"
    assert Numerics.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_a_broken_cache_is_measured_again(cache, monkeypatch):
    monkeypatch.setattr(room, "_measure", lambda base: [candidate("fp32", 1.0)])
    cache.mkdir()
    (cache / "numerics-1.json").write_text("{broken")
    assert choose("auto").precision == "fp32"
    monkeypatch.setattr(room, "_measure", lambda base: [candidate("fp32", 2.0)])
    assert choose("auto").candidates[0].step_seconds == 1.0


def candidate(precision, seconds, loss_error=0.0, gradient_error=0.0, matmul="highest"):
    return Candidate(
        precision=precision, matmul=matmul, step_seconds=seconds, loss_error=loss_error, gradient_error=gradient_error
    )


def test_the_fastest_is_refused_when_its_error_is_too_large(monkeypatch):
    inaccurate = candidate("bf16", 0.1, gradient_error=0.2)
    mislabelled = candidate("fp32", 0.2, gradient_error=0.01, matmul="medium")
    monkeypatch.setattr(room, "_measure", lambda base: [candidate("fp32", 1.0), mislabelled, inaccurate])
    chosen = choose("auto")
    assert (chosen.precision, chosen.matmul) == ("fp32", "highest")
    with pytest.raises(MeasurementError, match=r"precision 'bf16' is not accurate enough .* gradient 2.0e-01"):
        choose("bf16")


def test_a_precision_without_kernels_is_no_candidate_and_is_refused_in_a_sentence(monkeypatch):
    def only_fp32(autocast, device):
        with autocast():
            return torch.nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype == torch.float32

    begun = replace(Numerics.default(), precision="bf16").to_json()
    monkeypatch.setattr(room, "computable", only_fp32)
    assert [c.precision for c in choose("auto").candidates] == ["fp32", "fp32"]
    with pytest.raises(MeasurementError, match="precision 'bf16' cannot be computed on this cpu"):
        choose("bf16")
    with pytest.raises(MeasurementError, match="this study computes in bf16"):
        Numerics.restore(begun)


def test_a_kernel_that_does_not_exist_is_seen():
    class Broken(AbstractContextManager):
        def __exit__(self, *error):
            raise RuntimeError("could not create a primitive")

    assert computable(Numerics.default().autocast, "cpu")
    assert not computable(Broken, "cpu")


def test_not_a_number_is_no_small_error():
    probe = Probe("cpu")
    plain = probe.step(Numerics.default().autocast)
    assert errors_against(plain, plain) == (0.0, 0.0)
    broken = [(loss * float("nan"), gradients) for loss, gradients in plain]
    assert not candidate("bf16", 1.0, *errors_against(plain, broken)).within(Tolerance(loss=1.0, gradient=1.0))


def test_the_probe_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Probe("cpu")
    assert torch.equal(torch.rand(3), expected)


def test_devices_are_checked_with_a_sentence():
    assert check_device("cpu") == "cpu"
    assert check_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="unknown device 'gpu': "):
        check_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"device 'cuda' is not available here: use cpu"):
            check_device("cuda")


def test_unknown_precision_and_malformed_policy_are_refused():
    with pytest.raises(ConfigError, match="unknown precision 'bf61': did you mean 'bf16'"):
        choose("bf61")
    with pytest.raises(ConfigError, match="numerics"):
        Numerics.from_json({"precision": "fp64"})
