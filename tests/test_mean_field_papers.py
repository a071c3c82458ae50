"""The mean-field flow in the settings of Abbe, Boix-Adserà & Misiakiewicz (2022): shifted sigmoids, Boolean data.

Values were found by an independent integration in NumPy (LSODA, trapezoid rule over G); MSE = 2 · risk.
"""

import numpy as np
import pytest

from odesim import InputError, MeanFieldFlow, Network, Target, Training, run
from odesim.activations.catalogue import activation_named
from odesim.symmetry import stuck

QUICK = {"rtol": 1e-6, "atol": 1e-8}
ETA = 0.05


def errors(expression, name, times, *, flow=None, width=2, eta_w=1.0):
    """MSE at the times of the flow from zero overlaps, a ~ Unif[−1, 1], or from the network's own."""
    try:
        activation = activation_named(name)
    except InputError:
        pytest.skip(f"no activation {name} yet")
    target = Target.parse(expression, data="boolean") if isinstance(expression, str) else expression
    network = Network.random(
        target, width=width, dim=100, activation=activation, scaling="mean_field", second_layer=1.0,
        second_layer_law="uniform", rng=0,
    )  # fmt: skip
    # time is that of the second layer
    training = Training(eta=ETA * eta_w, eta_a=ETA)
    flow = flow or MeanFieldFlow("zero", particles=8, hold=True, **QUICK)
    out = run(flow, target, network, training, t_eval=np.array(times) * eta_w)
    assert out.time / eta_w == pytest.approx([0, *times])
    return 2 * out.risk[1:]


@pytest.mark.parametrize(
    ("expression", "name", "found"),
    [
        ("z1 + z2 + z1*z3 + z2*z4", "sigmoid:1", [1.468, 1.3375, 1.3164]),
        ("z1 + z2 + z3 + z1*z2*z3", "sigmoid:1", [1.187, 1.0477, 1.0272]),
        ("z1 + z2 + z3 + z1*z2*z3", "sigmoid:0.5", [1.2101, 1.0568, 1.0324]),
    ],
)
def test_stuck_targets_stay_in_the_trapped_subspace(expression, name, found):
    """Coordinates that the symmetry ties together are never told apart, up to t = 3000."""
    mse = errors(expression, name, [100, 1000, 3000])
    assert mse == pytest.approx(found, abs=2e-3)
    assert mse[-1] > 2 * stuck(Target.parse(expression, data="boolean")).floor


@pytest.mark.parametrize(
    ("expression", "found"),
    [("z1 + z2 + z1*z3 + z2*z4", 0.1), ("z1 + z2 + z3 + z1*z2*z3", 0.01)],
)
def test_their_perturbations_leave(expression, found):
    freed = stuck(Target.parse(expression, data="boolean")).freed_by
    assert errors(freed, "sigmoid:1", [3000])[-1] < found


@pytest.mark.parametrize(("expression", "rest"), [("z1 + z1*z2*z3 + z1*z2*z3*z4", 2.0), ("z1*z2*z3*z4", 1.0)])
def test_the_flow_from_zero_overlaps_does_not_leap(expression, rest):
    """Fig. 4: MSE 2 and 1 for ever."""
    mse = errors(expression, "sigmoid:0.5", [300, 3000])
    assert mse == pytest.approx(rest, abs=0.02)
    assert (mse > rest - 1e-6).all()


@pytest.mark.slow
def test_the_staircase_of_figure_one_from_random_overlaps():
    """eta_w = eta_a/10 at d = N = 100: within 0.02 over draws (0.08 at t = 1000), and where batches of 150 have SGD.

    SGD, ten seeds: 3.02, 2.16, 1.67 and 1.52 (t = 200 and 400), 0.51, 0.06.
    """
    expression = "z1 + z1*z2 + z1*z2*z3 + z1*z2*z3*z4"
    flow = MeanFieldFlow(**QUICK)
    mse = errors(expression, "sigmoid:0.5", [50, 100, 200, 400, 1000, 2000], flow=flow, width=100, eta_w=0.1)
    assert mse == pytest.approx([3.00, 2.12, 1.63, 1.44, 0.46, 0.02], abs=0.02)
