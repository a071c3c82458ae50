"""``python -m benchmarks``: settle BLAS before NumPy loads, one thread and its best kernels, then measure."""

import os
import sys

if __name__ == "__main__":
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    for choice in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(choice, None)  # peers and limits take what BLAS has for this very processor

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
