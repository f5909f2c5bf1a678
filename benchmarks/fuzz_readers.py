"""The long form of the property-based test of the file readers: new random malformed files every time.

    python benchmarks/fuzz_readers.py --times 50      # 50 x 2,000 files

A file that breaks a reader is printed, shrunk to its smallest form, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "data" / "test_malformed_files.py"


def main() -> int:
    """Run the tests of malformed files with `--times` as many examples as in CI."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="multiples of CI's 2,000 files (at least 2)")
    parser.add_argument("--reader", help="only the tests whose name holds this: delimited, json, parquet, series, ts")
    options = parser.parse_args()
    command = [sys.executable, "-m", "pytest", str(TESTS), "--durations=0"]
    if options.reader:
        command += ["-k", options.reader]
    environment = os.environ | {"CROSSOVER_FUZZ": str(max(options.times, 2))}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
