from __future__ import annotations

import os
import subprocess
import sys

from crossover.measure import allocator

STEPS = """
from crossover.measure import allocator
policy = allocator.apply({policy!r})
import torch
torch.set_num_threads(1)
def step():
    (torch.ones(12_000_000) * 2).sum()  # 48 MB each, more than what the default policy ever keeps (32 MB)
faults = []
for _ in range(15):
    before = allocator.page_faults()
    step()
    faults.append(allocator.page_faults() - before)
print(policy, sorted(faults)[7])
"""


def faults_per_step(policy, **environment):
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", STEPS.format(policy=policy)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return output[0], float(output[1])


def test_retaining_memory_by_mallopt_does_what_the_environment_does():
    policy, by_default = faults_per_step("default")
    assert policy == "default"
    if not allocator.supported():
        assert faults_per_step("retain")[0] == "default"
        return
    policy, retained = faults_per_step("retain")
    assert policy == "retain"
    policy, by_environment = faults_per_step("default", MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="-1")
    assert policy == "retain"
    assert by_default > 300
    assert retained < 0.1 * by_default
    assert by_environment < 0.1 * by_default


HOLES = """
from crossover.measure import allocator, resident
import torch
{policy}
del (freed := [torch.ones(1 << 20)])[:]  # 4 MB: by default glibc keeps blocks of that size from now on
tensors = [torch.ones(1 << 20) for _ in range(20)]
before = resident.resident_bytes()
del tensors[::2]
print(before - resident.resident_bytes())
"""


def test_what_is_given_back_leaves_no_holes():
    def freed(policy):
        command = [sys.executable, "-c", HOLES.format(policy=policy)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    if not allocator.supported():
        assert freed("allocator.give_back()") >= 0
        return
    half = 10 * 4 * (1 << 20)
    assert freed("") < 0.1 * half
    assert freed("allocator.give_back()") > 0.9 * half
    assert freed("allocator.apply('retain'); allocator.give_back()") > 0.9 * half


def test_another_c_library_keeps_its_policy(monkeypatch):
    monkeypatch.setattr(allocator, "supported", lambda: False)
    assert allocator.apply("retain") == "default"
