"""Experiment: what is learned, by whom, how and for how long, as one value that runs itself and says what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from odesim import menu
from odesim.comparison import Comparison, compare
from odesim.complexity import LeapPath
from odesim.network import Network
from odesim.observables import lessons
from odesim.preparation import Preparation
from odesim.resolve import blocked_messages, stable_eta_d
from odesim.runner import check_keeping, early_end, rehearse, run
from odesim.seeds import CHAIN, child
from odesim.simulation import Findings, examine
from odesim.targets.series import Target
from odesim.trajectory import Status, Trajectory


class Part(NamedTuple):
    """One run of an experiment: a dynamics, its data seeds, and whose child of the seed draws their samples."""

    dynamics: Any
    seeds: int = 1
    keys: tuple[int, ...] = ()


@dataclass(frozen=True)
class Experiment(Preparation):
    """A target, a network, its training, a dynamics and a run: what `Config` settles, ready to be run.

    A TOML file holds the same in the tables ``[target]``, ``[network]``, ``[training]``, ``[dynamics]``, ``[run]``
    and ``[plateaus]``; the defaults are the demo. In Python the table ``run`` is the attribute ``runs``.
    """

    def run(self, progress: bool | None = None, ready: Callable[[str, Trajectory], None] | None = None) -> Result:
        """Run SGD, the flow that ``dynamics`` names and, if ``run.chain``, the chain from the same weights; compare.

        The chain has as many runs as SGD, on samples of its own. What one of them refuses is refused before the first
        begins. Where all of SGD's runs end early, the flow need not go on beyond their last step (there a step size
        too large makes the flow's own integration endless).

        Parameters
        ----------
        progress : bool, optional
            Whether to draw bars on stderr; by default on a terminal only.
        ready : callable, optional
            Called with ``"chain"``, ``"sgd"`` or ``"ode"`` and its trajectory as soon as that is done.

        Raises
        ------
        InputError
            If ``dynamics`` names no flow, or one of them refuses the experiment.
        """
        ready = ready or (lambda name, trajectory: None)
        parts, grid, found = self.side_by_side, self._grid, {}
        for name, part in parts.items():
            found[name] = self._simulate(part, progress, **grid)
            ready(name, found[name])
            if name == "sgd":
                alive = np.isfinite(found[name].risk).any(axis=0)
                grid = grid if alive.all() else {"t_eval": found[name].time[: max(2, int(alive.sum()))]}
        ode, sgd, chain = found["ode"], found["sgd"], found.get("chain")
        comparison = compare(ode, sgd, chain, path=self.start.path, rule=self.plateaus)
        return Result(self, *self.start[:3], ode, sgd, comparison)

    def simulate(
        self,
        progress: bool | None = None,
        ready: Callable[[Trajectory], None] | None = None,
        **keep: Any,
    ) -> Simulation:
        """Run the one dynamics that ``dynamics`` names, and say what its risk did.

        Parameters
        ----------
        progress : bool, optional
            Whether to draw a bar on stderr; by default on a terminal only.
        ready : callable, optional
            Called with the trajectory as soon as that is done.
        **keep
            ``checkpoint``, ``checkpoint_every`` and ``resume`` of `odesim.run`.

        Raises
        ------
        InputError
            If the dynamics refuses the experiment or the checkpoint is not one of it.
        """
        trajectory = self._simulate(self.by_itself, progress, **self._grid, **keep)
        if ready is not None:
            ready(trajectory)
        return Simulation(self, examine(trajectory, self.start.path, rule=self.plateaus))

    def check(self, alone: bool = False, checkpoint: Any = None, resume: bool = False) -> None:
        """Refuse now whatever `run`, or where ``alone`` `simulate`, would refuse; nothing is begun.

        Raises
        ------
        InputError
            As they do, of a checkpoint only what needs no look at the file.
        """
        if alone:
            check_keeping(self._dynamics(self.dynamics.name), checkpoint, resume)
        _ = self.by_itself if alone else self.side_by_side

    @cached_property
    def side_by_side(self) -> dict[str, Part]:
        """What `run` runs, by the names of its trajectories, each checked and none begun.

        Raises
        ------
        InputError
            Whatever one of them refuses, or if what they need does not fit into memory.
        """
        names = self.dynamics_of_run
        self.refuse_what_does_not_fit(alone=False)
        return {name: self._checked(kind, (CHAIN,) if name == "chain" else ()) for name, kind in names.items()}

    @cached_property
    def by_itself(self) -> Part:
        """What `simulate` runs, checked and not begun.

        Raises
        ------
        InputError
            As of `side_by_side`.
        """
        self.refuse_what_does_not_fit(alone=True)
        return self._checked(self.dynamics.name)

    def _checked(self, kind: str, keys: tuple[int, ...] = ()) -> Part:
        """Return what one dynamics is to run; what it refuses is refused here."""
        start, starts = self.start, self.starts
        part = Part(self._dynamics(kind), self.runs.seeds if kind in menu.ENSEMBLES else 1, keys)
        rehearse(part.dynamics, start.target, starts, start.training, seeds=part.seeds, **self._grid)
        return part

    def _dynamics(self, kind: str) -> Any:
        return menu.build(kind, dict(self.dynamics.options) if kind == self.dynamics.name else {}, self.runs)

    @property
    def _grid(self) -> dict[str, Any]:
        spec = self.runs
        return {"steps": spec.steps, "points": spec.points, "spacing": spec.spacing}

    def failure(self, *trajectories: Trajectory) -> str | None:
        """One line on what ended early, with a stable step size if that would help; None if nothing did."""
        ends = [end for run in trajectories if (end := early_end(run))]
        if not ends:
            return None
        start = self.start
        unstable = any(end.status not in (Status.INTERRUPTED, Status.DISK_FULL) for end in ends)
        texts = [end.text for end in ends]
        if unstable:
            texts.append(f"try --eta-d {stable_eta_d(start.network, start.target, start.training):g}")
        return "; ".join(texts)

    def _simulate(self, part: Part, progress: bool | None, **options: Any) -> Trajectory:
        start, starts, spec = self.start, self.starts, self.runs
        out = run(
            part.dynamics,
            start.target,
            starts if len(starts) > 1 else start.network,
            start.training,
            seeds=part.seeds,
            rng=child(spec.rng if spec.data_rng is None else spec.data_rng, *part.keys),
            progress=progress,
            **options,
        )
        more: dict[str, Any] = {"experiment": self.as_dict()}
        if self.own_weights is not None:
            more["weights"] = {"file": self.network.weights, "sha256": self.own_weights.sha256}
        return dataclasses.replace(out, settings={**out.settings, **more})


@dataclass(frozen=True)
class Result:
    """What `Experiment.run` gives back."""

    experiment: Experiment
    target: Target
    path: LeapPath
    network: Network
    ode: Trajectory
    sgd: Trajectory
    comparison: Comparison

    @property
    def runs(self) -> dict[str, Trajectory]:
        """What was run, by name: ``ode``, ``sgd`` and, where it was asked for, ``chain``."""
        chain = self.comparison.chain
        return {"ode": self.ode, "sgd": self.sgd} | ({} if chain is None else {"chain": chain})

    @property
    def failure(self) -> str | None:
        """One line on what ended early, with a stable step size if that would help; None if nothing did."""
        return self.experiment.failure(*reversed(self.runs.values()))

    def summary(self) -> dict[str, Any]:
        """Return everything found, as JSON values."""
        start = self.experiment.start
        return {
            "target": str(self.target),
            "data": self.target.data,
            "leap": self.path.leap,
            "predicted_levels": list(self.path.plateau_levels),
            **self.comparison.summary(),
            "learned": {name: lessons(run, self.target) for name, run in self.runs.items()},
            "resolvability": self.experiment.outlook.as_dict(),
            "blocked": blocked_messages(start.blocked),
            "ended_early": self.failure,
            "settings": self.experiment.as_dict(),
            "versions": self.ode.versions,
            "seconds": {name: run.seconds for name, run in self.runs.items()},
        }


@dataclass(frozen=True)
class Simulation:
    """What `Experiment.simulate` gives back."""

    experiment: Experiment
    findings: Findings

    @property
    def trajectory(self) -> Trajectory:
        """The run itself."""
        return self.findings.trajectory

    @property
    def failure(self) -> str | None:
        """One line on what ended early, with a stable step size if that would help; None if nothing did."""
        return self.experiment.failure(self.trajectory)

    def summary(self) -> dict[str, Any]:
        """Return everything found, as JSON values."""
        start, run = self.experiment.start, self.trajectory
        return {
            "target": str(start.target),
            "data": start.target.data,
            "dynamics": self.experiment.dynamics.as_dict(),
            "leap": start.path.leap,
            "predicted_levels": list(start.path.plateau_levels),
            **self.findings.summary(),
            "learned": lessons(run, start.target),
            "resolvability": self.experiment.outlook.as_dict(),
            "blocked": blocked_messages(start.blocked),
            "status": [Status(int(one)).name.lower() for one in np.ravel(run.status)],
            "ended_early": self.failure,
            "settings": self.experiment.as_dict(),
            "versions": run.versions,
            "seconds": run.seconds,
        }
