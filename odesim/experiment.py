"""Experiment: what is learned, by whom, how and for how long, as one value that runs itself and says what came out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from odesim import memory, menu
from odesim.checks import InputError
from odesim.comparison import Comparison, compare
from odesim.complexity import LeapPath, leap_path
from odesim.config import Config
from odesim.forecast import resolvability
from odesim.memory import Memory
from odesim.network import DRAWN, Network
from odesim.observables import lessons
from odesim.outlook import Resolvability
from odesim.own_weights import OwnWeights, own_network, read_weights
from odesim.resolve import BlockedTerm, blocked_messages, blocked_terms, stable_eta_d
from odesim.runner import check_target, early_end, run
from odesim.seeds import CHAIN, child
from odesim.simulation import Findings, examine
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
class Experiment(Config):
    """A target, a network, its training, a dynamics and a run: what `Config` settles, ready to be run.

    A TOML file holds the same in the tables ``[target]``, ``[network]``, ``[training]``, ``[dynamics]``, ``[run]``
    and ``[plateaus]``; the defaults are the demo. In Python the table ``run`` is the attribute ``runs``.
    """

    @cached_property
    def start(self) -> Start:
        """Target, leap path, start network, rates, and the terms that this start can never learn.

        For the correlation flow the second layer rests unless ``training.eta_a`` is set; for the mean-field flow
        the network is in mean-field scaling unless ``network.scaling`` is set; for the layerwise algorithm the first
        layer starts at ±1/√d unless ``network.first_layer`` is set.

        Raises
        ------
        InputError
            If the expression is no polynomial, is constant, or has more coordinates than ``network.dim``, or if the
            file ``network.weights`` does not fit.
        """
        target = Target.parse(self.target.expression, data=self.target.data)
        check_target(target)
        path, own, rng = leap_path(target), self.own_weights, self.runs.rng
        drawn = self._drawing
        if own is None:
            network = Network.random(target, **drawn, weights=self.draws_weights, rng=rng)
        else:
            network = own_network(own, target, drawn, rng)
        training = self.training.rates(self.network.dim, path=path, freeze_a=self.dynamics.name == "correlation")
        return Start(target, path, network, training, blocked_terms(target, network, training))

    @cached_property
    def own_weights(self) -> OwnWeights | None:
        """What the file ``network.weights`` holds; None where all is drawn.

        Raises
        ------
        InputError
            If it cannot be read or does not fit.
        """
        spec = self.network
        return None if spec.weights is None else read_weights(spec.weights, spec.width, spec.dim)

    def memory(self, checkpoint: bool = False) -> Memory:
        """Return what the SGD runs of this experiment will need, before anything is drawn; see `SGD.memory`."""
        from odesim.sgd.limits import Sizes, needed

        target, spec = Target.parse(self.target.expression, data=self.target.data), self.runs
        sizes = Sizes(self.network.width, self.network.dim, target.P, spec.seeds, spec.points)
        own = dict(self.dynamics.options) if self.dynamics.name in menu.TRAIN_WEIGHTS else {}
        training = self.training.rates(sizes.dim, path=leap_path(target))
        options = (spec.dtype, own.get("threads"), own.get("test_samples"))
        return needed(sizes, target.data, training, checkpoint, *options)

    @property
    def draws_weights(self) -> bool:
        """Whether the start is a drawn W: SGD needs one, the others take overlaps alone where it would not fit."""
        most = memory.SHARE * (memory.physical_memory() or math.inf)
        trains = self.dynamics.name in menu.TRAIN_WEIGHTS
        return trains or DRAWN * self.network.width * self.network.dim <= most

    @cached_property
    def outlook(self) -> Resolvability:
        """What can be expected of the run, see `resolvability`; the correlation flow feels no output of the network."""
        start = self.start
        training = start.training
        if self.dynamics.name == "correlation":
            training = dataclasses.replace(training, loss="correlation")
        return resolvability(start.target, start.network, training, path=start.path)

    def run(self, progress: bool | None = None, ready: Callable[[str, Trajectory], None] | None = None) -> Result:
        """Run SGD, the flow that ``dynamics`` names and, if ``run.chain``, the chain from the same weights; compare.

        The chain comes first, as it refuses more than SGD does; it has as many runs, on samples of its own. Where all
        of SGD's runs end early, the flow need not go on beyond their last step (there a step size too large makes the
        flow's own integration endless).

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
        if self.dynamics.name in menu.ENSEMBLES:
            flows = " or ".join(name for name in menu.DYNAMICS if name not in menu.ENSEMBLES)
            raise InputError(f"dynamics.name={self.dynamics.name!r} is no flow to lay over SGD; give {flows}")
        ready = ready or (lambda name, trajectory: None)
        spec = self.runs
        flow, chain = self._dynamics(), None
        if spec.chain:
            chain = self._simulate(
                menu.build("chain", {}, spec), progress, seeds=spec.seeds, keys=(CHAIN,), **self._grid
            )
            ready("chain", chain)
        sgd = self._simulate(menu.build("sgd", {}, spec), progress, seeds=spec.seeds, **self._grid)
        ready("sgd", sgd)
        alive = np.isfinite(sgd.risk).any(axis=0)
        grid = self._grid if alive.all() else {"t_eval": sgd.time[: max(2, int(alive.sum()))]}
        ode = self._simulate(flow, progress, **grid)
        ready("ode", ode)
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
        seeds: dict[str, Any] = {"seeds": self.runs.seeds} if self.dynamics.name in menu.ENSEMBLES else {}
        trajectory = self._simulate(self._dynamics(), progress, **seeds, **self._grid, **keep)
        if ready is not None:
            ready(trajectory)
        return Simulation(self, examine(trajectory, self.start.path, rule=self.plateaus))

    @property
    def _drawing(self) -> dict[str, Any]:
        """How networks are drawn, with the defaults that depend on the dynamics."""
        kind, options = self.dynamics.name, dataclasses.asdict(self.network)
        if options.pop("weights") is not None and options["first_layer"] is not None:
            raise InputError(
                f"network.first_layer={options['first_layer']!r}, but network.weights holds W; drop either"
            )
        options["scaling"] = options["scaling"] or ("mean_field" if kind == "mean_field" else "plain")
        options["first_layer"] = options["first_layer"] or ("signs" if kind == "layerwise" else "gaussian")
        return options

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

    def _simulate(self, dynamics: Any, progress: bool | None, keys: tuple[int, ...] = (), **grid: Any) -> Trajectory:
        start, spec = self.start, self.runs
        count, data_rng = spec.starts, spec.rng if spec.data_rng is None else spec.data_rng
        network: Network | list[Network] = start.network
        if count > 1:
            if not getattr(dynamics, "many_starts", False):
                raise InputError(f"run.starts={count} needs a flow by itself; leave it out, or simulate a flow")
            if self.network.weights is not None:
                raise InputError(f"run.starts={count} needs starts to draw, but network.weights gives one; drop either")
            network = Network.ensemble(start.target, count, **self._drawing, rng=spec.rng)
        out = run(
            dynamics,
            start.target,
            network,
            start.training,
            rng=child(data_rng, *keys),
            progress=progress,
            **grid,
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
