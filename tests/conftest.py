"""Test processes run side by side, one per core: each computes on one thread, set before torch is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
