"""Jobs for processes that are killed: ``python jobs.py NAME FILE OUT`` goes on from the checkpoint FILE to the end."""

import resource
import sys

import odesim

EVERY = 0.05
NAMES = ("gaussian", "boolean", "layerwise")


def run(name, **keep):
    """Two seeds in float32, a few seconds long."""
    if name == "layerwise":
        return run_layerwise(**keep)
    target = odesim.Target.parse("z1 + z1*z2", data=name)
    network = odesim.Network.random(target, width=8, dim=60, biases=0.5, rng=1)
    training = odesim.Training(eta=1e-3, eta_b=1e-3, noise=0.1, decay_w=0.1)
    return odesim.run(
        odesim.SGD(dtype="float32"), target, network, training, steps=STEPS[name], points=40, seeds=2, rng=3, **keep
    )


def run_layerwise(**keep):
    """Both phases, with releases at any moment of the first."""
    target = odesim.Target.parse("z1 + z1*z2")
    network = odesim.Network.random(target, width=8, dim=60, biases=0.5, second_layer=0.05, first_layer="signs", rng=1)
    training = odesim.Training.layerwise(eta1=2e-3, eta2=1e-3, steps1=500_001, r=0.3, delta=0.8, decay=0.1, noise=0.1)
    dynamics = odesim.Layerwise(dtype="float32")
    return odesim.run(dynamics, target, network, training, steps=STEPS["layerwise"], points=40, seeds=2, rng=3, **keep)


STEPS = {"gaussian": 1_500_003, "boolean": 3_000_003, "layerwise": 1_500_003}

if __name__ == "__main__":
    name, path, out, *limit = sys.argv[1:]
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    print("ready", flush=True)
    trajectory = run(name, checkpoint=path, checkpoint_every=EVERY, resume=True)
    print(*trajectory.message, sep="\n", flush=True)
    trajectory.save(out)
