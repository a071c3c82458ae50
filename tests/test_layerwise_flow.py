"""Algorithm 1 with small steps against the two-radii flow, and what the paper proves of it."""

import itertools

import numpy as np
import pytest
from test_layerwise import to, walk

from odesim import CorrelationFlow, Layerwise, Network, Target, Training, TwoRadii, run
from odesim.job import Job
from odesim.seeds import seed_sequence

R, DELTA = 0.2, 0.6


def both(target, network, eta, times, seeds, r=R):
    """The flow with its finite-step term, and an ensemble of the algorithm's first phase."""
    training = Training(eta=eta, eta_a=0.0, loss="correlation", geometry=TwoRadii(r, DELTA))
    flow = run(CorrelationFlow(finite_step=True, rtol=1e-8), target, network, training, t_eval=times)
    return flow, run(Layerwise(dtype="float32"), target, network, training, t_eval=times, seeds=seeds)


def agree(flow, runs, bias, errors=4.5):
    """Means of the support coordinates within so many standard errors and the steps' own bias."""
    return (abs(runs.mean("m") - flow.m) <= errors * runs.stderr("m") + bias).all()


def staircase(law):
    """z1 + z1z2 from 1/√100, a neuron of each sign of a: one grows along z1, the other against it."""
    target = Target.parse("z1 + z1*z2", data=law)
    return target, Network.from_weights(target, np.full((2, 100), 0.1), [1.0, -1.0], [0.5, 0.5])


def check_staircase(law, eta, seeds):
    target, network = staircase(law)
    times = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.5])
    flow, runs = both(target, network, eta, times, seeds)
    assert agree(_rows(flow, 6), _rows(runs, 6), 2 * eta)
    release = runs.events["release"][:, 0, 0]
    wanted = flow.events["release"][0, 0]
    assert abs(release.mean() - wanted) < 4.5 * release.std() / np.sqrt(seeds) + 5 * eta
    # at delta the algorithm hovers below what holds the flow
    assert flow.m[-1, 0, 0] == DELTA
    assert -1e-7 < DELTA - runs.mean("m")[-1, 0, 0] < eta
    assert runs.strays[:, -1].mean() < 0.1
    return flow, runs


def _rows(trajectory, count):
    """The first rows alone."""
    cut = (slice(None), slice(count)) if trajectory.ensemble else slice(count)
    fields = {name: getattr(trajectory, name)[cut] for name in ("risk", "m", "a")}
    return type(trajectory)(trajectory.steps[:count], trajectory.time[:count], **fields)


@pytest.mark.parametrize("law", ["gaussian", "boolean"])
def test_small_steps_follow_the_flow(law):
    """256 runs at η = 1e-3, means to some 2e-3."""
    check_staircase(law, 1e-3, 256)


def leap_three(dim):
    """z1z2z3 from ±1/√d, one neuron a sign pattern of the support: half of them grow."""
    target = Target.parse("z1*z2*z3")
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    W = np.concatenate([signs, np.ones((8, dim - 3))], axis=1) / np.sqrt(dim)
    grows = np.prod(signs, axis=1) < 0  # c_3 < 0 for erf
    return target, Network.from_weights(target, W, np.ones(8), np.full(8, 0.2)), grows


def test_early_stopping_before_the_escape_nothing_has_moved():
    """Until a sixth of the flow's release time no coordinate has moved by 1/√(d log d), and none is released."""
    dim, eta = 100, 5e-5
    target, network, grows = leap_three(dim)
    training = Training(eta=eta, eta_a=0.0, loss="correlation", geometry=TwoRadii(R, DELTA))
    flow = run(CorrelationFlow(), target, network, training, t_eval=np.array([0.0, 40.0]))
    release = flow.events["release"]
    assert np.isfinite(release[grows]).all()
    assert np.isnan(release[~grows]).all()
    one = walk(Job(target, network, training, np.array([0]), 1, seed_sequence(2)))
    to(one, int(release[grows].min() / 6 / eta))
    assert not one.state.released.number.any()
    moved = abs(one.state.weights[:, :dim] - network.weights).max()
    assert 0.01 < moved < 1 / np.sqrt(dim * np.log(dim))


@pytest.mark.slow
@pytest.mark.parametrize("law", ["gaussian", "boolean"])
def test_small_steps_follow_the_flow_in_full(law):
    """4096 runs at η = 2.5e-4."""
    flow, runs = check_staircase(law, 2.5e-4, 4096)
    print(f"\n{law}: mean", runs.mean("m")[3:6, 0], "±", runs.stderr("m")[3:6, 0], "flow", flow.m[3:6, 0])


@pytest.mark.slow
def test_a_leap_of_three_releases_its_support_and_nothing_else():
    """d = 100, η = 2.5e-5, T = 60: every neuron of the right sign ends at ±Δ on the support, no other moves off."""
    target, network, grows = leap_three(100)
    times = np.array([0.0, 8.0, 16.0, 24.0, 60.0])
    flow, runs = both(target, network, 2.5e-5, times, 32)
    assert np.isfinite(runs.events["release"][:, grows]).all()
    release, wanted = runs.events["release"][:, grows], flow.events["release"][grows].min()
    print(f"\nrelease {release.mean():.3f} ± {release.mean(axis=(1, 2)).std() / np.sqrt(32):.3f}, flow {wanted:.3f}")
    print("z1 at t = 16", abs(runs.m[:, 2, grows, 0]).mean(), "flow", abs(flow.m[2, grows, 0]).mean())
    assert abs(release.mean() / wanted - 1) < 0.1
    assert not runs.strays.any()
    ends = abs(runs.m[:, -1, grows])
    assert 0.999 * DELTA < ends.mean() <= DELTA
    assert abs(runs.m[:, -1, ~grows]).max() < 2 * R
