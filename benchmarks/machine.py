"""Where the numbers come from: the machine, the versions, and BLAS held at one thread."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from odesim import runner

PEERS = ("torch", "jax", "diffrax", "threadpoolctl")


def machine() -> dict[str, Any]:
    """Return processor, cores, platform, load average (1, 5, 15 minutes) and BLAS libraries; None where unknown."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "platform": platform.platform(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "blas": _blas(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part; peers only where they are installed."""
    found = runner.versions()
    for name in PEERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def line(about: dict[str, Any], found: dict[str, str]) -> str:
    """Machine and versions for a reader."""
    load = "" if about["load_average"] is None else f", load {about['load_average'][0]:.2f}"
    blas = "" if about["blas"] is None else f", BLAS {' and '.join(dict.fromkeys(about['blas'])) or 'unknown'}"
    names = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"{about['cpu']}, {about['cores']} cores{load}{blas}\n{names}"


def load() -> str:
    """Return the load average of the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def children() -> float:
    """CPU seconds of all processes started and ended so far."""
    times = os.times()
    return times.children_user + times.children_system


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; without threadpoolctl the environment of ``__main__`` has to do."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    import scipy.linalg  # noqa: F401  (brings its own BLAS, which must be loaded to be held)

    with threadpool_limits(limits=1):
        yield


def _cpu() -> str:
    """Return the processor's name, by /proc where it exists."""
    with contextlib.suppress(OSError):
        for entry in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas() -> list[str] | None:
    """Return the BLAS libraries that NumPy and SciPy brought, with the processor they are tuned for."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    import scipy.linalg  # noqa: F401

    return [
        " ".join(str(one[key]) for key in ("internal_api", "version", "architecture") if one.get(key))
        for one in threadpool_info()
        if one.get("user_api") == "blas"
    ]
