"""Experiment: what is learned, by whom, how and for how long, as one value that a TOML file spells too."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from odesim import files, menu
from odesim.checks import InputError
from odesim.comparison import Comparison, compare
from odesim.complexity import LeapPath, leap_path
from odesim.network import Network
from odesim.observables import lessons
from odesim.outlook import Resolvability, resolvability
from odesim.plateaus import PlateauRule
from odesim.resolve import BlockedTerm, blocked_messages, blocked_terms, stable_eta_d
from odesim.runner import check_target, early_end, run
from odesim.simulation import Findings, examine
from odesim.specs import (
    ATTRIBUTES,
    TABLES,
    DynamicsSpec,
    NetworkSpec,
    RunSpec,
    TargetSpec,
    TrainingSpec,
    dynamics_option,
    find_option,
    unknown,
)
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory


class Start(NamedTuple):
    """What an experiment starts from, and what is known before it runs."""

    target: Target
    path: LeapPath
    network: Network
    training: Training
    blocked: list[BlockedTerm]


@dataclass(frozen=True)
class Experiment:
    """A target, a network, its training, a dynamics and a run: everything that determines the numbers.

    A TOML file holds the same in the tables ``[target]``, ``[network]``, ``[training]``, ``[dynamics]``, ``[run]``
    and ``[plateaus]``; the defaults are the demo. In Python the table ``run`` is the attribute ``runs``.

    Raises
    ------
    InputError
        If a value is out of bounds; the message names it, as in ``training.eta``.
    """

    target: TargetSpec = field(default_factory=TargetSpec)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    dynamics: DynamicsSpec = field(default_factory=DynamicsSpec)
    runs: RunSpec = field(default_factory=RunSpec)
    plateaus: PlateauRule = field(default_factory=PlateauRule)

    @classmethod
    def load(cls, path: files.PathLike) -> Experiment:
        """Read a TOML file; what it leaves out keeps its default.

        Raises
        ------
        InputError
            If the file cannot be read, is not TOML, or holds an unknown table or key.
        """
        name = os.fspath(path)
        try:
            tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"config={name!r} cannot be read ({error.strerror}); check the name") from error
        except ValueError as error:
            raise InputError(f"config={name!r} is not valid TOML ({error}); mend or drop it") from error
        return cls.from_dict(tables)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Experiment:
        """Build from nested dicts, one a table.

        Raises
        ------
        InputError
            For an unknown table or key, by its dotted name with the nearest valid ones, or a bad value.
        """
        parts: dict[str, Any] = {}
        for table, values in tables.items():
            if table not in TABLES:
                raise InputError(unknown(table, list(TABLES)))
            if not isinstance(values, Mapping):
                raise InputError(f"{table}={values!r} is not a table; write [{table}] and its keys below")
            if table == "dynamics":
                parts[table] = DynamicsSpec.read(values)
                continue
            for key in values:
                find_option(f"{table}.{key}")
            parts[ATTRIBUTES.get(table, table)] = TABLES[table](**values)
        return cls(**parts)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return nested dicts, one a table, without the fields that are not set."""
        specs = {table: getattr(self, ATTRIBUTES.get(table, table)) for table in TABLES}
        tables = {table: dataclasses.asdict(spec) for table, spec in specs.items()}
        phases = [_set(one) for one in tables["training"].pop("schedule")]
        tables["training"] |= {"schedule": phases} if phases else {}
        tables["dynamics"] = self.dynamics.as_dict()
        return {table: _set(values) for table, values in tables.items()}

    def save(self, path: files.PathLike) -> None:
        """Write the TOML file that `load` reads back to an equal experiment."""
        import tomli_w

        files.write_text(path, tomli_w.dumps(self.as_dict()))

    def replace(self, changes: Mapping[str, Any]) -> Experiment:
        """Return a copy with dotted names changed, as in ``{"network.dim": 100}``.

        Setting one of ``training.eta`` and ``training.eta_d`` drops the other; another ``dynamics.name`` drops the
        options of the one before.

        Raises
        ------
        InputError
            For an unknown name or a bad value.
        """
        tables = self.as_dict()
        for name, other in (("training.eta", "eta_d"), ("training.eta_d", "eta")):
            if name in changes:
                tables["training"].pop(other, None)
        if changes.get("dynamics.name", self.dynamics.name) != self.dynamics.name:
            tables["dynamics"] = {}
        for name, value in changes.items():
            if not dynamics_option(name):
                find_option(name)
            table, key = name.split(".")
            tables[table][key] = value
        return Experiment.from_dict(tables)

    @cached_property
    def start(self) -> Start:
        """Target, leap path, drawn network, rates, and the terms that this start can never learn.

        For the correlation flow the second layer rests unless ``training.eta_a`` is set; for the mean-field flow
        the network is in mean-field scaling unless ``network.scaling`` is set.

        Raises
        ------
        InputError
            If the expression is no polynomial, is constant, or has more coordinates than ``network.dim``.
        """
        target = Target.parse(self.target.expression, data=self.target.data)
        check_target(target)
        kind, options = self.dynamics.name, dataclasses.asdict(self.network)
        options["scaling"] = options["scaling"] or ("mean_field" if kind == "mean_field" else "plain")
        network = Network.random(target, **options, rng=self.runs.rng)
        training = self.training.rates(self.network.dim, freeze_a=kind == "correlation")
        return Start(target, leap_path(target), network, training, blocked_terms(target, network, training))

    @cached_property
    def outlook(self) -> Resolvability:
        """What can be expected of the run, see `resolvability`; the correlation flow feels no output of the network."""
        start = self.start
        training = start.training
        if self.dynamics.name == "correlation":
            training = dataclasses.replace(training, loss="correlation")
        return resolvability(start.target, start.network, training, path=start.path)

    def run(self, progress: bool | None = None, ready: Callable[[str, Trajectory], None] | None = None) -> Result:
        """Run SGD and the flow that ``dynamics`` names from the same weights, and compare.

        SGD comes first: where all its runs end early, the flow need not go on beyond their last step (there
        a step size too large makes the flow's own integration endless).

        Parameters
        ----------
        progress : bool, optional
            Whether to draw bars on stderr; by default on a terminal only.
        ready : callable, optional
            Called with ``"sgd"`` or ``"ode"`` and its trajectory as soon as that is done.

        Raises
        ------
        InputError
            If ``dynamics`` names no flow, or one of the two refuses the experiment.
        """
        if self.dynamics.name in menu.ENSEMBLES:
            flows = " or ".join(name for name in menu.DYNAMICS if name not in menu.ENSEMBLES)
            raise InputError(f"dynamics.name={self.dynamics.name!r} is no flow to lay over SGD; give {flows}")
        ready = ready or (lambda name, trajectory: None)
        spec = self.runs
        flow = self._dynamics()
        sgd = self._simulate(menu.build("sgd", {}, spec), progress, seeds=spec.seeds, **self._grid)
        ready("sgd", sgd)
        alive = np.isfinite(sgd.risk).any(axis=0)
        grid = self._grid if alive.all() else {"t_eval": sgd.time[: max(2, int(alive.sum()))]}
        ode = self._simulate(flow, progress, **grid)
        ready("ode", ode)
        return Result(self, *self.start[:3], ode, sgd, compare(ode, sgd, self.start.path, rule=self.plateaus))

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
        seeds = {"seeds": self.runs.seeds} if self.dynamics.name in menu.ENSEMBLES else {}
        trajectory = self._simulate(self._dynamics(), progress, **seeds, **self._grid, **keep)
        if ready is not None:
            ready(trajectory)
        return Simulation(self, examine(trajectory, self.start.path, rule=self.plateaus))

    @property
    def _grid(self) -> dict[str, Any]:
        spec = self.runs
        return {"steps": spec.steps, "points": spec.points, "spacing": spec.spacing}

    def _dynamics(self) -> Any:
        return menu.build(self.dynamics.name, dict(self.dynamics.options), self.runs)

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

    def _simulate(self, dynamics: Any, progress: bool | None, **grid: Any) -> Trajectory:
        start = self.start
        out = run(
            dynamics,
            start.target,
            start.network,
            start.training,
            rng=self.runs.rng,
            progress=progress,
            **grid,
        )
        return dataclasses.replace(out, settings={**out.settings, "experiment": self.as_dict()})


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
    def failure(self) -> str | None:
        """One line on what ended early, with a stable step size if that would help; None if nothing did."""
        return self.experiment.failure(self.sgd, self.ode)

    def summary(self) -> dict[str, Any]:
        """Return everything found, as JSON values."""
        start = self.experiment.start
        return {
            "target": str(self.target),
            "data": self.target.data,
            "leap": self.path.leap,
            "predicted_levels": list(self.path.plateau_levels),
            **self.comparison.summary(),
            "learned": {name: lessons(run, self.target) for name, run in (("ode", self.ode), ("sgd", self.sgd))},
            "resolvability": self.experiment.outlook.as_dict(),
            "blocked": blocked_messages(start.blocked),
            "ended_early": self.failure,
            "settings": self.experiment.as_dict(),
            "versions": self.ode.versions,
            "seconds": {"ode": self.ode.seconds, "sgd": self.sgd.seconds},
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


def _set(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not set: TOML knows no null."""
    return {key: value for key, value in values.items() if value is not None}
