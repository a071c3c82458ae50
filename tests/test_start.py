"""What a start of the command line must not pay for, and that nothing is lost by it."""

import gc
import math
import subprocess
import sys

import numba
import numpy as np
import pytest
import scipy.special
from conftest import ROOT, act

from odesim import _jit, cli
from odesim.activations import functions
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import full
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import quantile_of_runs

LEAN = """
    import sys
    from odesim import cli
    assert cli.main([*"compare z1 --dim 9 --width 2 --steps 20 --points 5 --seeds 2 --quiet --out".split(), OUT]) == 0
    assert {"numba", "matplotlib.figure"} <= set(sys.modules)
    heavy = ["scipy.linalg", "scipy.special", "scipy.stats", "scipy.integrate", "matplotlib.pyplot", "tqdm"]
    print(*(name for name in heavy if name in sys.modules))
"""


def test_comparing_loads_neither_scipy_nor_pyplot(tmp_path):
    code = "\n".join(line[4:] for line in LEAN.splitlines()).replace("OUT", repr(str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert (tmp_path / "compare.png").read_bytes()[1:4] == b"PNG"


def test_a_users_kernel_still_has_its_blas():
    """numba asks for a BLAS when such a kernel is compiled, as it did before."""
    linalg, arraymath = numba.np.linalg, numba.np.arraymath
    assert arraymath.ensure_blas is linalg.ensure_blas
    assert linalg.ensure_blas.__name__ == "ensure_blas"
    A = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(numba.njit(lambda x, y: np.dot(x, y))(A, A.T.copy()), A @ A.T)


def test_types_of_the_last_tuples_are_remembered():
    asked = []
    known = _jit._KnownTypes(lambda value: asked.append(value) or type(value).__name__)
    tuples = [act(name) for name in ("erf", "relu", "erf", "relu")]
    for _ in range(3):
        assert [known(one) for one in tuples] == ["Act"] * 4
    assert len(asked) == 4
    known(act("erf"))  # a fifth drives out the oldest
    known(tuples[-1])
    assert len(asked) == 5
    known(tuples[0])
    assert len(asked) == 6
    assert [known(one) for one in (1, 2.0, (1,))] == ["int", "float", "tuple"]


def test_runs_of_sgd_share_what_numba_types_slowly(monkeypatch):
    """The same objects go into every call of every run; a new tuple a call would cost more than the steps."""
    seen = []

    def see(state, count, network, constants):
        seen.append(constants)
        return full.Status.DIVERGED

    monkeypatch.setattr(full, "_advance", see)
    target = Target.parse("z1")
    job = Job(target, Network.random(target, width=3, dim=9), Training(eta=0.1), np.array([0, 40]), seeds=3)
    full.SGD(threads=1).simulate(job)
    assert len({constants[0] for constants in seen}) == 3
    for one in seen[1:]:
        assert all(x is y for x, y in zip(one[1:], seen[0][1:], strict=True))


def test_collections_are_rare_only_while_a_command_runs(monkeypatch):
    before, inside = gc.get_threshold(), []
    monkeypatch.setitem(cli.COMMANDS, "leap", lambda words: inside.append(gc.get_threshold()) or 0)
    assert cli.main(["leap", "z1"]) == 0
    assert inside == [(100 * before[0], *before[1:])]
    assert gc.get_threshold() == before


def test_matplotlibs_tables_are_put_back():
    from matplotlib import artist
    from matplotlib.lines import Line2D

    cli._load_matplotlib()
    assert "agg_filter" in artist.kwdoc(Line2D)


@pytest.mark.parametrize("x", [np.linspace(-9, 9, 181).reshape(1, 181), np.zeros(0), np.array(0.3)])
def test_erf_and_the_normal_distribution_are_scipys(x):
    np.testing.assert_allclose(functions.erf(x), scipy.special.erf(x / math.sqrt(2)), rtol=1e-14)
    np.testing.assert_allclose(functions.normal_distribution(x), scipy.special.ndtr(x), rtol=1e-13)
    assert functions.erf(x).shape == x.shape


def test_quantiles_do_not_depend_on_a_run_that_ended_elsewhere():
    values = np.random.default_rng(1).normal(size=(7, 20, 3))
    broken = values.copy()
    broken[2, 15:] = np.nan
    q = [0.1, 0.25, 0.5, 0.9]
    assert np.array_equal(quantile_of_runs(values, q)[:, :15], quantile_of_runs(broken, q)[:, :15])
    others = np.delete(values, 2, axis=0)
    np.testing.assert_allclose(quantile_of_runs(broken, q)[:, 15:], np.quantile(others, q, axis=0)[:, 15:])
    assert np.isnan(quantile_of_runs(np.full((2, 3), np.nan), 0.5)).all()
