"""Processes that are started to be killed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import odesim

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(odesim.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def started(*words):
    """A process of Python, killed at the end whatever happens."""
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=HERE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(*words, code=0):
    """Run a process to its end; return what it says."""
    with started(*words) as process:
        out, error = process.communicate(timeout=120)
        assert process.returncode == code, error
        return out + error


def writings(path):
    """What changes whenever the file is written."""
    return os.stat(path).st_mtime_ns if path.exists() else None


def wait_for_writing(process, path, times=1):
    """Wait until the file has been written so often; whether the process still runs."""
    for _ in range(times):
        before = writings(path)
        while writings(path) == before and process.poll() is None:
            time.sleep(0.001)
    return process.poll() is None


def kill(process):
    """SIGKILL, which no process can catch."""
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
