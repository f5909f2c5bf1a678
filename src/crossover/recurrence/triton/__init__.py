"""Triton kernels for recurrences on a GPU; imported only where they are used (`crossover.recurrence.backends`)."""
