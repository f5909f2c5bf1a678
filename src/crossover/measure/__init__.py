"""Measuring: clocks, memory, numerics policy, latency, and the statistics that turn samples into statements."""
