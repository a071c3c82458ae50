"""Preparation: what follows from the settings of an experiment before any run: its start, its needs, what to expect."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from odesim import memory, menu
from odesim.checks import InputError
from odesim.complexity import LeapPath, leap_path
from odesim.config import Config
from odesim.forecast import resolvability
from odesim.integrate.grids import step_grid
from odesim.memory import Memory
from odesim.needs import needs, one_after_the_other
from odesim.network import DRAWN, Network
from odesim.outlook import Resolvability
from odesim.own_weights import OwnWeights, own_network, read_weights
from odesim.resolve import BlockedTerm, blocked_terms
from odesim.runner import check_target
from odesim.targets.series import Target
from odesim.training import Training

REMEDIES = {
    "weights of the runs": "lower network.width, network.dim or run.seeds, or take run.dtype='float32'",
    "replicas": "lower network.width, training.batch or dynamics.threads",
    "recorded rows": "lower run.points, run.seeds or network.width",
    "rows run by run": "lower run.points, run.seeds or network.width",
    "rows of the runs before": "lower run.points, run.seeds or network.width",
}
"""What to lower, by the largest part of what is needed."""


class Start(NamedTuple):
    """What an experiment starts from, and what is known before it runs."""

    target: Target
    path: LeapPath
    network: Network
    training: Training
    blocked: list[BlockedTerm]


@dataclass(frozen=True)
class Preparation(Config):
    """The settings, and what follows from them before anything is run."""

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
    def starts(self) -> list[Network]:
        """The start networks of a flow, ``run.starts`` of them, the first that of `start`.

        Raises
        ------
        InputError
            If there are several and the dynamics is no flow, or the file ``network.weights`` gives one.
        """
        count = self.runs.starts
        if count == 1:
            return [self.start.network]
        if self.dynamics.name in menu.ENSEMBLES:
            raise InputError(f"run.starts={count} needs a flow by itself; leave it out, or simulate a flow")
        if self.network.weights is not None:
            raise InputError(f"run.starts={count} needs starts to draw, but network.weights gives one; drop either")
        drawn = {**self._drawing, "weights": self.draws_weights}
        return Network.ensemble(self.start.target, count, **drawn, rng=self.runs.rng)

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

    @property
    def draws_weights(self) -> bool:
        """Whether starts are drawn W: SGD needs one, the others take overlaps alone where all would not fit."""
        most = memory.SHARE * (memory.physical_memory() or math.inf)
        trains = self.dynamics.name in menu.TRAIN_WEIGHTS
        return trains or max(DRAWN, 8 * self.runs.starts) * self.network.width * self.network.dim <= most

    @property
    def dynamics_of_run(self) -> dict[str, str]:
        """What `Experiment.run` runs, in this order: ``chain`` if asked for, ``sgd``, and ``ode``, a flow.

        Raises
        ------
        InputError
            If ``dynamics`` names no flow, or it is to run from several starts.
        """
        name = self.dynamics.name
        if self.runs.starts > 1:
            raise InputError(f"run.starts={self.runs.starts} needs a flow by itself; leave it out, or simulate a flow")
        if name in menu.ENSEMBLES:
            flows = " or ".join(one for one in menu.DYNAMICS if one not in menu.ENSEMBLES)
            raise InputError(f"dynamics.name={name!r} is no flow to lay over SGD; give {flows}")
        return {**({"chain": "chain"} if self.runs.chain else {}), "sgd": "sgd", "ode": name}

    def memory(self, checkpoint: bool = False, alone: bool | None = None) -> Memory:
        """Return what the runs of this experiment will need at the worst moment, before anything is drawn.

        Parameters
        ----------
        checkpoint : bool
            Whether they keep one.
        alone : bool, optional
            Whether the dynamics that is named runs by itself, as in `Experiment.simulate`, and not beside SGD, and
            the chain where it is asked for, as in `Experiment.run`; by default where it is no flow.
        """
        from odesim.sgd.limits import Sizes

        target, spec, own = Target.parse(self.target.expression, data=self.target.data), self.runs, self.dynamics
        points = step_grid(spec.steps, spec.points, spec.spacing).size
        sizes = Sizes(self.network.width, self.network.dim, target.P, spec.seeds, points)
        training = self.training.rates(sizes.dim, path=leap_path(target))
        if own.name in menu.ENSEMBLES if alone is None else alone:
            names = [own.name]
        else:
            names = list(self.dynamics_of_run.values())
        drawn = "sgd" in names or self.draws_weights or self.network.weights is not None
        found = [
            needs(
                name,
                sizes,
                target.data,
                training,
                dict(own.options) if name == own.name else {},
                dtype=spec.dtype,
                checkpoint=checkpoint,
                weights=drawn,
                starts=spec.starts,
            )
            for name in names
        ]
        return one_after_the_other(found)

    def refuse_what_does_not_fit(self, checkpoint: bool = False, alone: bool | None = None) -> Memory:
        """Return `memory` of these arguments.

        Raises
        ------
        InputError
            If that is more than there is.
        """
        need, spec, network = self.memory(checkpoint, alone), self.runs, self.network
        batch = f", training.batch={self.training.batch}" if need.largest == "replicas" else ""
        sizes = f"network.width={network.width} with network.dim={network.dim}{batch}"
        what = f"{sizes}, run.seeds={spec.seeds} and run.points={spec.points}"
        memory.refuse(what, need.total, REMEDIES.get(need.largest, "lower network.width or network.dim"))
        return need

    @cached_property
    def outlook(self) -> Resolvability:
        """What can be expected of the run, see `resolvability`; the correlation flow feels no output of the network."""
        start = self.start
        training = start.training
        if self.dynamics.name == "correlation":
            training = dataclasses.replace(training, loss="correlation")
        return resolvability(start.target, start.network, training, path=start.path)

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
