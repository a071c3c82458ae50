"""run: one verb for every dynamics; checks, output grid, progress and provenance. rehearse: its refusals alone."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, memory
from odesim import seeds as streams
from odesim.bar import Bar
from odesim.checkpoints import Checkpoint, checkpoint_at, fingerprint
from odesim.ensemble import simulate_all, starts_of
from odesim.events import Event, checked
from odesim.files import PathLike
from odesim.integrate.grids import step_grid, steps_at
from odesim.job import Dynamics, Job
from odesim.network import Network
from odesim.provenance import settings_of, versions
from odesim.reduction import simulate_reduced
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training
from odesim.trajectory import Status, Trajectory


def run(
    dynamics: Dynamics,
    target: Target | TeacherTarget,
    network: Network | Sequence[Network],
    training: Training,
    *,
    steps: int | None = None,
    points: int = 300,
    spacing: str = "log",
    t_eval: ArrayLike | None = None,
    events: Iterable[Event] = (),
    seeds: int = 1,
    rng: Any = 0,
    progress: bool | None = None,
    checkpoint: PathLike | None = None,
    checkpoint_every: float = 2.0,
    resume: bool = False,
    reduce: bool = False,
) -> Trajectory:
    """Run a dynamics from the network's start, or a flow from several, and record it on an output grid.

    Parameters
    ----------
    dynamics : Dynamics
        ``OverlapFlow(...)``, ``SGD(...)`` or anything else with a ``simulate(job)``.
    target, network, training
        What is learned, by whom, at which rates. A list of networks, as of `Network.ensemble`, alike in width, dim,
        activation and scaling, makes a flow integrate each from its own start, on its own step sizes and with its own
        status, all cores sharing them; no bit of a member depends on the others.
    steps : int
        The horizon in SGD steps; ``points`` of them, ``"log"`` or ``"linear"`` in ``spacing``, are recorded.
    t_eval : array, optional
        Flow times t = eta * step to record, in place of ``steps``; each moves to its nearest step.
    events : list of Event, optional
        Levels to look for between the outputs: ``[odesim.risk_below(0.3), odesim.overlap_above(0, 2, 0.5)]``. The
        flow time at which each is first met, to the accuracy of the integration, stands in ``Trajectory.events``
        under its name (NaN: never), the state then in ``Trajectory.at_events``. A terminal one ends the run. Each step
        is looked at in four places; `CorrelationFlow`, whose neurons have steps of their own and then go one by one,
        looks at the risk a thousand times, spaced as the outputs.
    seeds : int
        Number of independent data streams (a flow has none; give it a list of networks).
    rng : int, SeedSequence or Generator
        Parent of the data streams; the same one gives the same numbers again.
    progress : bool, optional
        Whether to draw a bar on stderr; by default on a terminal only.
    checkpoint : path, optional
        A file that is kept up to date with the whole run, atomically and under a checksum, so that the run can be
        resumed from it after whatever ended it; of a dynamics that trains weights, as flows are quick to run again.
    checkpoint_every : float
        Wall time in seconds from one checkpoint to the next; longer where writing would take more than a twentieth
        of a processor's time, as it does above some 50 MB of weights and rows.
    resume : bool
        Whether to go on from ``checkpoint`` if there is one; the numbers are then, bit for bit, those of a run
        that was never stopped (on the same kind of processor, with the same software). Without it a file that is
        there is overwritten.
    reduce : bool
        Whether to keep of each of many runs only its first and its last row and when its ``events`` happened, so that
        memory does not grow with ``points``. The rows of 256 runs at a time are looked at and dropped: events of a
        dynamics that finds none itself are looked for in them, the quantity being linear in ln(step) from one to the
        next. ``events["early_end"]`` is the time of the last row of a run that ended early. A checkpoint then holds
        the parts that are complete.

    Returns
    -------
    Trajectory
        With ``settings``, ``versions`` and ``seconds`` (wall time) filled in; for a list of networks an ensemble of as
        many runs, in their order, also where it holds one. A run that ended early is returned too: its ``status``
        says why, and its later rows are NaN.

    Raises
    ------
    InputError
        If an argument is out of bounds or two of them do not fit each other, if the run does not fit into memory, or
        if the checkpoint to resume from is truncated, altered or that of another experiment; the message says what
        differs.
    RunError
        If not even a first checkpoint can be written.
    """
    started = time.perf_counter()
    networks = starts_of(network)
    grid = _grid(steps, points, spacing, t_eval, training)
    job = _job(dynamics, target, networks[0], training, grid, events, seeds, rng, reduce)
    settings = settings_of(dynamics, job, networks, "times" if steps is None else spacing)
    settings["run"] |= {"reduce": True} if reduce else {}
    kept = _checkpoint(dynamics, job, settings, checkpoint, checkpoint_every, resume)
    with Bar(type(dynamics).__name__, progress) as bar:
        job = dataclasses.replace(job, progress=bar, checkpoint=kept)
        single = isinstance(network, Network)
        with memory.named("the run", "lower network.width, network.dim, run.points or run.seeds"):
            if reduce:
                trajectory = simulate_reduced(dynamics, job)
            elif single:
                trajectory = dynamics.simulate(job)
            else:
                trajectory = simulate_all(dynamics, job, networks)
    return dataclasses.replace(
        trajectory,
        settings=settings,
        versions=versions(),
        seconds=time.perf_counter() - started,
    )


def rehearse(
    dynamics: Dynamics,
    target: Target | TeacherTarget,
    network: Network | Sequence[Network],
    training: Training,
    *,
    steps: int,
    points: int = 300,
    spacing: str = "log",
    seeds: int = 1,
    rng: Any = 0,
) -> None:
    """Refuse now what `run` would refuse of these arguments, without taking a step; of a list, from the first start.

    A dynamics that has a ``check(job)`` is asked by it. Another one is run with its stop flag set, of one data seed:
    it then checks and lays out all that it would, and returns before its first step. One that says neither
    ``many_starts`` nor ``keeps_checkpoints`` need not know that flag and is not asked at all.

    Raises
    ------
    InputError
        As `run` does.
    """
    grid = _grid(steps, points, spacing, None, training)
    job = _job(dynamics, target, starts_of(network)[0], training, grid, (), seeds, rng, False)
    own = getattr(dynamics, "check", None)
    if own is not None:
        own(job)
    elif getattr(dynamics, "many_starts", False) or getattr(dynamics, "keeps_checkpoints", False):
        job.stop.set()
        with warnings.catch_warnings():  # which the run itself will give
            warnings.simplefilter("ignore")
            dynamics.simulate(dataclasses.replace(job, seeds=1))


class EarlyEnd(NamedTuple):
    """How a trajectory failed to reach its horizon."""

    status: Status
    text: str


def early_end(trajectory: Trajectory) -> EarlyEnd | None:
    """Say how many runs ended early, after which recorded step, and why; None if all arrived."""
    status = np.ravel(trajectory.status)
    ended = np.flatnonzero(status != Status.DONE)
    if ended.size == 0:
        return None
    recorded = np.isfinite(np.atleast_2d(trajectory.risk)[ended]).sum(axis=1)
    first = int(np.argmin(recorded))
    last = trajectory.steps[max(int(recorded[first]) - 1, 0)]
    why = Status(int(status[ended[first]]))
    who = f"{ended.size} of {status.size} runs" if trajectory.ensemble else "the run"
    return EarlyEnd(why, f"{trajectory.kind}: {who} ended early, after step {last}: {why.text}")


def _job(
    dynamics: Dynamics,
    target: Target | TeacherTarget,
    network: Network,
    training: Training,
    grid: NDArray[np.int64],
    events: Iterable[Event],
    seeds: int,
    rng: Any,
    reduce: bool,
) -> Job:
    """Settle a run, and refuse what no dynamics can run or this one cannot be asked for."""
    count = checks.integer("run.seeds", seeds, low=1, remedy="give the number of data streams")
    _check_fit(target, network)
    if not isinstance(events, Event | Iterable):
        raise checks.InputError(
            f"run.events={events!r} is no list of events; give events=[risk_below(0.3)] or the like"
        )
    watched = checked(events)
    if watched and not (reduce or getattr(dynamics, "finds_events", False)):
        raise checks.InputError(
            f"{type(dynamics).__name__} finds no events between its outputs; leave run.events out and look for the "
            "level in the recorded rows, give reduce=True, which looks in rows that it then drops, or take a flow"
        )
    return Job(target, network, training, grid, count, streams.seed_sequence(rng), events=watched)


def _grid(
    steps: int | None, points: int, spacing: str, t_eval: ArrayLike | None, training: Training
) -> NDArray[np.int64]:
    if (steps is None) == (t_eval is None):
        raise checks.InputError("run.steps and run.t_eval say the same thing; give exactly one of them")
    return steps_at(t_eval, training) if t_eval is not None else step_grid(steps, points, spacing)


def _check_fit(target: Target | TeacherTarget, network: Network) -> None:
    """Refuse what no dynamics can run; which data laws it knows, each dynamics checks itself."""
    check_target(target)
    if network.m.shape[1] != target.P:
        raise checks.InputError(
            f"network.m has {network.m.shape[1]} support coordinates, the target {target.P}; "
            "draw the network for this target"
        )


def check_target(target: Any) -> None:
    """Refuse a target, a series or a teacher network, without anything to learn.

    Raises
    ------
    InputError
        If the target is constant.
    """
    if not target.energy > 0:
        raise checks.InputError(f"target={str(target)!r} is constant; give a target with a term in some coordinate")


def check_keeping(dynamics: Dynamics, path: PathLike | None, resume: bool) -> None:
    """Refuse a checkpoint that this dynamics does not keep, or to go on from none.

    Raises
    ------
    InputError
        Saying which.
    """
    if path is None and resume:
        raise checks.InputError("run.resume needs the file to go on from; give run.checkpoint (--checkpoint FILE)")
    if path is not None and not getattr(dynamics, "keeps_checkpoints", False):
        raise checks.InputError(
            f"{type(dynamics).__name__} keeps no checkpoints, being quick to run again; leave run.checkpoint "
            "(--checkpoint) out, or take a dynamics that trains weights, such as SGD"
        )


def _checkpoint(
    dynamics: Dynamics, job: Job, settings: dict[str, Any], path: PathLike | None, every: float, resume: bool
) -> Checkpoint | None:
    """Settle where the runs are kept, and by what the file knows them again."""
    check_keeping(dynamics, path, resume)
    if path is None:
        return None
    watched = (*job.events, *(("reduce",) if settings["run"].get("reduce") else ()))
    parts = fingerprint(dynamics, job.target, job.network, job.training, job.steps, job.seeds, job.rng, watched)
    return checkpoint_at(path, every, resume, parts, {**settings, "versions": {"odesim": versions()["odesim"]}})
