"""Memory: what this process may have, what a run will ask for, and the refusal where the two do not fit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from odesim.checks import InputError

SHARE = 0.5
"""Share of the memory there is that a run may ask for."""

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Memory:
    """What a run needs, in bytes, at the moment when it needs most.

    Attributes
    ----------
    parts : dict of str to int
        What is held while the run goes on, by name.
    start : int
        What drawing the start weights takes at its peak, before the run.
    """

    parts: Mapping[str, int]
    start: int = 0

    @property
    def total(self) -> int:
        """The larger of the two."""
        return max(self.start, sum(self.parts.values()))

    @property
    def largest(self) -> str:
        """The name of the largest part; empty where drawing the start takes more than all of them."""
        return "" if self.start > sum(self.parts.values()) else max(self.parts, key=lambda name: self.parts[name])

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return one line: the total, and what it is made of, the largest first."""
        if not self.largest:
            return f"memory: {size(self.start)}, to draw the start weights"
        ordered = sorted(self.parts.items(), key=lambda part: -part[1])
        return f"memory: {size(self.total)} ({', '.join(f'{name} {size(held)}' for name, held in ordered if held)})"


def size(count: float) -> str:
    """Bytes as text, ``3.2 GB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} B"


def refuse(what: str, need: int, remedy: str, memory: int | None = None) -> None:
    """Refuse what may not fit, before anything is allocated.

    Parameters
    ----------
    what : str
        The arguments that ask for it, with their values.
    need : int
        Bytes.
    remedy : str
        What to lower.
    memory : int, optional
        Bytes that there are; default `physical_memory`.

    Raises
    ------
    InputError
        Above ``SHARE`` of the memory, where the system says how much there is.
    """
    there = physical_memory() if memory is None else memory
    if there and need > SHARE * there:
        raise InputError(f"{what} needs {size(need)}, above {SHARE:.0%} of this machine's {size(there)}; {remedy}")


@contextlib.contextmanager
def named(what: str, remedy: str) -> Iterator[None]:
    """Turn a MemoryError into an error that names what asked for the memory.

    Raises
    ------
    InputError
        Instead of MemoryError.
    """
    try:
        yield
    except MemoryError as error:
        raise InputError(f"{what} does not fit into memory ({str(error) or 'no reason given'}); {remedy}") from error


def physical_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or a container's where that is less; 0: unknown."""
    return min((limit for limit in (_of_machine(), *_of_groups()) if limit), default=0)


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _of_groups() -> Iterator[int]:
    """Limits of the control groups that this process is in, of version 2 and 1, each with the groups around it."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return
    for line in lines:
        _, kinds, path = (line + "::").split(":")[:3]
        if kinds == "":
            root, name = CGROUPS, "memory.max"
        elif "memory" in kinds.split(","):
            root, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                yield int(root.joinpath(*parts[:depth], name).read_text(encoding="utf-8"))
