"""One run: budget, optimiser, loop, checkpoints, evaluation, and the search for its settings."""
