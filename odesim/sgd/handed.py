"""What the kernels of SGD are handed: seeds, rates, the law of samples and labels, the bound of a forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from odesim import seeds
from odesim.activations.handed import act_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd._full import Rule
from odesim.sgd._labels import Source
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget

BLOW_UP = 1e8
"""A forward pass beyond this many times the start's own scale ends the run as diverged."""


def constants_of(job: Job, index: int) -> tuple[Any, ...]:
    """Return the kernel's arguments that stay the same through one run."""
    return seed_of(job, index), *shared_of(job)


def seed_of(job: Job, index: int) -> np.uint64:
    """Return the key of one run's samples."""
    return seeds.child(job.rng, seeds.DATA, job.first + index).generate_state(1, np.uint64)[0]


def shared_of(job: Job) -> tuple[Any, ...]:
    """Return those constants that all runs share; the same objects in every call, numba types them but once."""
    bound = BLOW_UP * size_of(job.network, job.target)
    return act_of(job.network.activation), rule_of(job), bound, source_of(job)


def rule_of(job: Job) -> Rule:
    """Lay out the rates of the plain network and the loss."""
    rows = job.training.rates(job.network)
    return Rule(
        stops=np.array([row.stop for row in rows], dtype=np.int64),
        rates=np.array(
            [(row.w, row.a, row.b, 1 - row.w * row.decay_w, 1 - row.a * row.decay_a, row.inner) for row in rows]
        ),
        feedback=1.0 if job.training.loss == "square" else 0.0,
        sphere=int(job.training.geometry == "sphere"),
        twice=int(job.training.reuse == "twice"),
        normalised=int(job.training.normalised),
    )


def source_of(job: Job) -> Source:
    """Lay out the law of the samples and the target."""
    target, none = job.target, np.zeros(0, dtype=np.int64)
    terms: Any = (none, none, none, np.zeros(0))
    teacher: Any = (np.zeros((0, 0)), np.zeros(0), act_of(job.network.activation))
    if isinstance(target, TeacherTarget):
        teacher = (target.weights, target.second_layer, act_of(target.activation))
    else:
        terms = target.arrays()
    return Source(int(target.data == "boolean"), float(job.training.noise), *terms, *teacher)


def size_of(network: Network, target: Target | TeacherTarget) -> float:
    """Bound the size of a usual forward pass at the start, Σ|λ_j| + |f|, and that of the target.

    Under the correlation loss nothing feeds back through f, yet weights may grow for ever where σ is not bounded;
    a run so far from its start has nothing more to tell, and ends by the same bound.
    """
    spread = np.sqrt(np.einsum("jr,jr->j", network.m, network.m) + network.residual_norms) + np.abs(network.b)
    outputs = np.abs(network.plain_a) @ np.maximum(spread, 1.0)
    return float(1.0 + spread.sum() + outputs + np.sqrt(target.energy + target.constant**2))
