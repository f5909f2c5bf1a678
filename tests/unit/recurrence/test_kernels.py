"""The Triton kernels in Triton's interpreter, in processes of their own: it is asked for before the import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("kernel_cases.py")


@pytest.mark.parametrize(
    "case", ["scan", "scan_of_views", "iteration_of_a_gru", "iteration_of_an_lstm", "whole_newton"]
)
def test_kernels_are_the_definition(case):
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, str(CASES), case], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
