"""The chain of lone neurons: its draws and its steps against literal twins, its events, its ends, what it refuses."""

import math
from dataclasses import replace

import naive_alone
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odesim import Network, NeuronChain, Phase, Status, Target, Training, TwoRadii
from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.sgd._alone_draws import NEURON, STREAM, block_for, draw_block
from odesim.sgd.handed import seed_of

TARGET = Target.parse("0.3 + z1 - 0.5*z1*z2 + 0.4*He3(z2)")
LANES = 16

TRAININGS = {
    "free": {},
    "everything": {
        "eta_b": 0.02, "noise": 0.4, "decay_w": 0.6, "decay_a": 0.3, "batch": 3,
        "schedule": (Phase(until=3, rate=1.5), Phase(until=11, a=0.5), Phase(w=0.7, b=2.0)),
    },
    "sphere": {"geometry": "sphere", "eta_a": 0.0},
    "sphere in batches": {"geometry": "sphere", "batch": 2, "noise": 0.2},
    "radii": {"geometry": TwoRadii(r=0.45, delta=0.6), "eta_a": 0.0},
    "twice": {"reuse": "twice", "eta_b": 0.03, "decay_w": 0.2},
    "twice on the sphere": {"reuse": "twice", "geometry": "sphere"},
    "twice under radii": {"reuse": "twice", "geometry": TwoRadii(r=0.45, delta=0.6)},
    "extragradient": {"reuse": "extragradient", "rho": 0.05},
    "sam on the sphere": {"reuse": "sam", "geometry": "sphere", "noise": 0.1},
    "extragradient under radii": {"reuse": "extragradient", "geometry": TwoRadii(r=0.45, delta=0.6)},
}  # fmt: skip


def job_of(training, *, steps=(0, 5, 40), width=2, dim=9, seeds=2, name="erf", biases=0.5, events=(), rng=3, **options):
    network = Network.random(TARGET, width=width, dim=dim, activation=name, biases=biases, rng=rng, **options)
    if isinstance(training.geometry, TwoRadii):  # without weights nobody knows that some off the support are beyond r
        network = replace(network, weights=None)
    return Job(TARGET, network, training, np.array(steps), seeds, np.random.SeedSequence(7), events=tuple(events))


def training_of(name, loss="correlation", eta=0.05):
    return Training(eta=eta, loss=loss, **TRAININGS[name])


def numbers_of(job, run, neuron):
    """What the kernel draws for one neuron, as `naive_alone.chain` asks for it."""
    P, B, room = TARGET.P, job.training.batch, job.network.dim - TARGET.P
    rows = P + (room > 0) + (job.training.noise > 0)
    count = B * rows + (room >= 2)
    key = int(seed_of(job, run))
    keys = np.repeat(np.array([[key & 0xFFFFFFFF], [key >> 32]], np.uint32), LANES, axis=1)
    stream = np.full(LANES, STREAM + NEURON * neuron, np.uint32)
    block = block_for(count, B)
    calls = block.words.shape[1]

    def draw(step):
        group = step // 4 // calls * calls
        draw_block(keys, stream, np.full(LANES, group), room, count, block)
        one = block.normals[:, step % 4, step // 4 - group, 0].astype(float)
        each = one[: B * rows].reshape(B, rows)
        g = each[:, P] if room > 0 else np.zeros(B)
        xi = each[:, -1] if job.training.noise > 0 else np.zeros(B)
        return each[:, :P], g, xi, float(block.square[step % 4, step // 4 - group, 0])

    return draw


@given(
    key=st.integers(0, 2**64 - 1),
    neuron=st.integers(0, 2**20),
    block=st.sampled_from([0, 1, 2**28 - 1, 2**28, 2**40]),
    freedom=st.sampled_from([1, 2, 3, 4, 9, 200]),
)
def test_draws_are_those_of_the_counters(key, neuron, block, freedom):
    keys = np.repeat(np.array([[key & 0xFFFFFFFF], [key >> 32]], np.uint32), LANES, axis=1)
    keys[0] ^= np.arange(LANES, dtype=np.uint32)
    stream = np.full(LANES, STREAM + NEURON * neuron, np.uint32)
    found = block_for(3, 1)
    group = np.full(LANES, 16 * block) + 16 * np.arange(LANES)
    draw_block(keys, stream, group, freedom + 1, 3, found)
    for step, lane, call in [(0, 0, 0), (1, 3, 7), (2, 9, 15), (3, 15, 1), (2, 5, 4)]:
        own, now = int(keys[0, lane]) + 2**32 * int(keys[1, lane]), 4 * (int(group[lane]) + call) + step
        normals = [naive_alone.normal(own, int(stream[0]), now, i) for i in range(3)]
        assert found.normals[:, step, call, lane] == pytest.approx(normals, abs=3e-6)
        x = float(found.normals[2, step, call, lane])
        square = naive_alone.chi_square(own, int(stream[0]), now, 3, freedom, x)
        assert found.square[step, call, lane] == pytest.approx(square, rel=2e-6)


def test_rejected_candidates_are_drawn_again():
    keys, stream = np.zeros((2, LANES), np.uint32), np.full(LANES, STREAM, np.uint32)
    found, plain = block_for(3, 1), 0
    for block in range(20):
        draw_block(keys, stream, np.full(LANES, 16 * block), 3, 3, found)
        for step, call in np.ndindex(4, 16):
            x = float(found.normals[2, step, call, 0])
            now = 4 * (16 * block + call) + step
            square = naive_alone.chi_square(0, STREAM, now, 3, 2, x)
            plain += abs(square - 4 / 3 * (1 + x / math.sqrt(6)) ** 3) > 1e-3
            assert found.square[step, call, 0] == pytest.approx(square, rel=3e-6)
    assert plain > 20


@pytest.mark.parametrize("name", TRAININGS)
def test_every_step_is_that_of_the_twin(name):
    job = job_of(training_of(name), steps=range(91), dim=9)
    found = NeuronChain().simulate(job)
    assert (found.status == Status.DONE).all()
    released = False
    for run, j in np.ndindex(2, 2):
        m, v, a, b, kept = naive_alone.chain(TARGET, job.training, job.network, j, numbers_of(job, run, j), 90)
        released = released or not kept[-1].all()
        assert np.allclose(found.m[run, :, j], m, rtol=1e-10, atol=1e-12)
        assert np.allclose(found.q[run, :, j], (m * m).sum(axis=1) + v, rtol=1e-10, atol=1e-12)
        assert np.allclose(found.a[run, :, j], a, rtol=1e-10, atol=1e-12)
        assert np.allclose(found.b[run, :, j], b, rtol=1e-10, atol=1e-12)
    assert released or "radii" not in name


@pytest.mark.parametrize("name", ["relu", "hermite:3", "tanh"])
@pytest.mark.parametrize("dim", [2, 3, 4, 5, 40])
def test_other_activations_and_as_few_coordinates_as_there_are(name, dim):
    job = job_of(training_of("sphere" if name == "hermite:3" else "free"), steps=range(31), dim=dim, name=name)
    found = NeuronChain().simulate(job)
    m, v, a, *_ = naive_alone.chain(TARGET, job.training, job.network, 1, numbers_of(job, 0, 1), 30)
    assert np.allclose(found.m[0, :, 1], m, rtol=1e-9, atol=1e-11)
    assert np.allclose(found.q[0, :, 1], (m * m).sum(axis=1) + v, rtol=1e-9, atol=1e-11)
    assert np.allclose(found.a[0, :, 1], a, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
@pytest.mark.parametrize("name", ["free", "everything", "extragradient", "twice"])
def test_one_neuron_knows_the_square_loss(name, scaling):
    job = job_of(training_of(name, "square"), steps=range(31), width=1, scaling=scaling)
    found = NeuronChain().simulate(job)
    m, v, a, b, _ = naive_alone.chain(TARGET, job.training, job.network, 0, numbers_of(job, 1, 0), 30)
    assert np.allclose(found.m[1, :, 0], m, rtol=1e-10, atol=1e-12)
    assert np.allclose(found.a[1, :, 0] * job.network.unit, a, rtol=1e-10, atol=1e-12)
    assert np.allclose(found.b[1, :, 0], b, rtol=1e-10, atol=1e-12)
    state = (found.m, found.q[..., None], job.network.unit * found.a, found.b if found.b is not None else 0 * found.a)
    assert np.allclose(found.risk, risk_of(TARGET, job.network.activation, *state), rtol=1e-12)
    assert found.q[1, -1, 0] == pytest.approx((m[-1] ** 2).sum() + v[-1], rel=1e-10)
