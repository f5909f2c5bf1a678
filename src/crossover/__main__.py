"""``python -m crossover``: the command line."""

from __future__ import annotations

from crossover.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
