"""Shared settings, strategies and small starts."""

from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings

from odesim.activations.catalogue import activation_named
from odesim.activations.handed import act_of
from odesim.job import Job
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

settings.register_profile("odesim", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("odesim")

ROOT = Path(__file__).resolve().parent.parent


def act(name):
    """An activation as kernels see it."""
    return act_of(activation_named(name))


@st.composite
def targets(draw, max_coordinates=3, max_power=3):
    """Gaussian targets of a few terms, at least one of them not constant."""
    P = draw(st.integers(1, max_coordinates))
    exponents = st.tuples(*[st.integers(0, max_power)] * P)
    coefficients = st.floats(0.1, 3.0) | st.floats(-3.0, -0.1)
    terms = draw(st.dictionaries(exponents.filter(any), coefficients, min_size=1, max_size=4))
    return Target.from_terms(terms)


@st.composite
def networks(draw, target, activation=None, biased=None):
    """Small networks that fit the target."""
    return Network.random(
        target,
        width=draw(st.integers(1, 6)),
        dim=target.P + draw(st.integers(0, 20)),
        activation=activation or draw(st.sampled_from(["erf", "relu"])),
        second_layer=draw(st.floats(0.1, 2.0)),
        biases=1.0 if (draw(st.booleans()) if biased is None else biased) else 0.0,
        rng=draw(st.integers(0, 100)),
    )


@dataclass(frozen=True)
class Decay:
    """A dynamics that costs nothing: the risk decays from ½Σĥ² at ``rate``; it can be told to end early."""

    rate: float = 1e-3
    status: Status = Status.DONE
    ensemble: bool = False

    def simulate(self, job: Job) -> Trajectory:
        if isinstance(self.status, BaseException):
            raise self.status
        lead = (job.seeds,) if self.ensemble else ()
        T, (N, P) = job.steps.size, job.network.m.shape
        risk = np.broadcast_to(job.target.energy / 2 * np.exp(-self.rate * job.steps), (*lead, T)).copy()
        if self.status:
            risk[..., T // 2 :] = np.nan
        for share in (0.25, 0.5, 0.4, 1.0):
            job.progress(share)
        m = np.broadcast_to(job.network.m, (*lead, T, N, P))
        a = np.broadcast_to(job.network.a, (*lead, T, N))
        status = np.full(lead, int(self.status))
        rate = None if self.ensemble else np.zeros((T, N))
        kind = "SGD" if self.ensemble else "overlap flow"
        return Trajectory(
            steps=job.steps, time=job.time, risk=risk, m=m, a=a, status=status, message=self.status.text,
            noise_rate=rate, kind=kind,
        )  # fmt: skip


@pytest.fixture
def start():
    """A small target, network and training."""
    target = Target.parse("z1 + z1*z2*z3")
    return target, Network.random(target, width=4, dim=20), Training(eta=0.005)


def pytest_collection_modifyitems(items):
    """Put style and types first: they fail soonest."""
    items.sort(key=lambda item: item.path.name != "test_lint.py")
