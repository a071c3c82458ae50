"""``python -m benchmarks``: hold BLAS at one thread before NumPy loads, then measure."""

import os
import sys

if __name__ == "__main__":
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
