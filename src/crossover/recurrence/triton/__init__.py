"""Triton kernels for recurrences on a GPU; imported only where `crossover.recurrence.scan.has_kernels`."""
