"""Full SGD as a run: stopping, progress, and what is refused."""

import dataclasses
import os
import signal
import threading
import time

import numpy as np
import pytest
from test_sgd import make_job

from odesim.checks import InputError
from odesim.network import Network
from odesim.sgd import limits
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Training, TwoRadii
from odesim.trajectory import Status


def test_stop_ends_a_long_run_quickly_between_far_output_steps():
    job = make_job([0, 4, 10**9], width=16, dim=200, seeds=3)
    SGD().simulate(make_job([0, 4], width=16, dim=200))  # compiled
    threading.Timer(0.3, job.stop.set).start()
    started = time.perf_counter()
    got = SGD(threads=2).simulate(job)
    assert time.perf_counter() - started < 2.0
    assert (got.status == Status.INTERRUPTED).all()
    assert np.isfinite(got.risk[:2, :2]).all()
    assert np.isnan(got.risk[:, 2]).all()


def test_ctrl_c_keeps_what_was_recorded():
    job = make_job([0, 4, 10**9], width=16, dim=200, seeds=2)
    pressed = threading.Event()

    def press(share):
        if share > 1e-4 and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    got = SGD().simulate(dataclasses.replace(job, progress=press))
    assert job.stop.is_set()
    assert (got.status == Status.INTERRUPTED).all()
    assert np.isfinite(got.risk[:, :2]).all()
    assert "at step" in got.message[0]


def test_an_error_in_one_run_stops_the_others_and_is_raised():
    job = make_job([0, 4, 10**9], seeds=2)

    def fail(share):
        if share > 1e-7:
            raise RuntimeError("no bar")

    with pytest.raises(RuntimeError, match="no bar"):
        SGD().simulate(dataclasses.replace(job, progress=fail))


def test_progress_moves_between_output_steps_and_ends_at_one():
    shares = []
    job = dataclasses.replace(make_job([0, 400_000], seeds=2), progress=shares.append)
    SGD(threads=1).simulate(job)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert len(shares) > 6


def test_a_single_output_step():
    got = SGD().simulate(make_job([0]))
    assert got.status[0] == Status.DONE
    assert got.risk.shape == (1, 1)


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"threads": 0}, {"threads": 1.5}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        SGD(**options)


def test_what_it_cannot_run_is_refused(monkeypatch):
    job = make_job([0, 10])
    with pytest.raises(InputError, match=r"network\.weights=None"):
        SGD().simulate(dataclasses.replace(job, network=dataclasses.replace(job.network, weights=None)))
    with pytest.raises(InputError, match="the target 2;"):
        SGD().simulate(dataclasses.replace(job, target=Target.parse("z1*z2")))
    monkeypatch.setattr(limits, "physical_memory", lambda: 2000)
    with pytest.raises(InputError, match=r"needs 0\.0 GB, above 50%"):
        SGD().simulate(job)


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ({"geometry": TwoRadii(0.5, 2.0)}, "use 'free' or 'sphere'"),
    ],
)
def test_training_that_it_does_not_know_is_refused_with_what_it_knows(option, remedy):
    with pytest.raises(InputError, match=f"training.{next(iter(option))}=.* is unknown to SGD; {remedy}"):
        SGD().simulate(make_job([0, 10], training=Training(eta=0.1, **option)))


def test_what_has_no_place_on_the_sphere_is_refused():
    sphere = Training(eta=0.1, geometry="sphere")
    job = make_job([0, 10], training=sphere)
    with pytest.raises(InputError, match=r"training\.decay_w=0\.5 does nothing on the sphere; give 0"):
        SGD().simulate(dataclasses.replace(job, training=dataclasses.replace(sphere, decay_w=0.5)))
    weights = job.network.weights.copy()
    weights[2] = 0.0
    lost = Network.from_weights(job.target, weights, job.network.a)
    with pytest.raises(InputError, match="neuron 2 have length 0 and no place on the sphere"):
        SGD().simulate(dataclasses.replace(job, network=lost))


def test_memory_counts_the_samples_beside_one_neuron(monkeypatch):
    job = make_job([0, 10], width=1, dim=10_000)
    monkeypatch.setattr(limits, "physical_memory", lambda: 2_000_000)
    with pytest.raises(InputError, match="above 50%"):
        SGD().simulate(job)
    monkeypatch.setattr(limits, "physical_memory", lambda: 4_000_000)
    assert SGD().simulate(job).status[0] == Status.DONE
