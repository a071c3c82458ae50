"""Traps of the mean-field flow against exact conditioning on {±1}^P, theory's table, and the flow itself."""

import time

import naive_symmetry as naive
import numpy as np
import pytest

from odesim.checks import InputError
from odesim.staircase import merged_staircase
from odesim.symmetry import stuck
from odesim.targets.series import Target

TABLE = [
    ("z1 + z2 + z1*z3 + z2*z4", "stuck", 0.5, ((1, 2), (3, 4)), ()),
    ("z1 + z1*z2 + z3 + z3*z4", "stuck", 0.5, ((1, 3), (2, 4)), ()),
    ("z1 + z2 + z3 + z1*z2*z3", "undecided", 0.0, ((1, 2, 3),), ()),
    ("z1 + .99*z2 + 1.01*z3 + z1*z2*z3", "free", 0.0, (), ()),
    ("z1 + z2", "undecided", 0.0, ((1, 2),), ()),
    ("z1 + z2 + z1*z2", "undecided", 0.0, ((1, 2),), ()),
    ("z2 + z3 + z1*z2 - z1*z3", "stuck", 1.0, ((2, 3),), (1,)),
    # Opposite overlaps; coordinates that are never reached; one in no term at all.
    ("z1 - z2 + z1*z3 + z2*z4", "stuck", 0.5, ((1, -2), (3, -4)), ()),
    ("z1 + z1*z2*z3", "stuck", 0.5, (), (2, 3)),
    ("z1*z2", "stuck", 0.5, (), (1, 2)),
    ("z1 + z3*z1", "free", 0.0, (), ()),
    ("z1 + z1*z2 + z1*z2*z3", "free", 0.0, (), ()),
    ("4 + z1 - z1", "free", 0.0, (), ()),
    # The zero cell's sets do not tell coordinates outside it apart.
    ("z1 + z2 + z1*z3*z4 + z1*z5 - z2*z5", "stuck", 1.5, ((1, 2),), (3, 4, 5)),
    # Sums, not multisets: .1 + .2 + .3, three times .2, and .3 + .2 + .1.
    ("z1 + z2 + z3 + 2*(z4 + z5 + z6) + .1*z1*z4 + .2*z1*z5 + .3*z1*z6 + .2*z2*z4 + .2*z2*z5 + .2*z2*z6 + .3*z3*z4"
     " + .2*z3*z5 + .1*z3*z6", "stuck", 0.02, ((1, 2, 3), (4, 5, 6)), ()),
]  # fmt: skip


def exact(target):
    """Verdict, projector and floor by the twin."""
    basis = naive.trap(target.terms, target.P)
    floor = naive.floor(target.terms, basis, target.P)
    mentioned = {i for S in target.terms for i, power in enumerate(S) if power}
    verdict = "stuck" if floor > 1e-12 else "undecided" if len(basis) < len(mentioned) else "free"
    return verdict, basis.T @ basis, floor


def build(terms, P):
    """A Boolean target, constant where no term is left."""
    return Target.from_terms(terms or {(0,) * P: 0.0}, "boolean")


def agrees(target):
    """Check a target against the twin and return what was found."""
    found = stuck(target)
    verdict, projector, floor = exact(target)
    assert found.verdict == verdict, str(target)
    assert found.subspace.T @ found.subspace == pytest.approx(projector, abs=1e-9), str(target)
    assert found.floor == pytest.approx(floor, abs=1e-12), str(target)
    return found


@pytest.mark.parametrize(("text", "verdict", "floor", "classes", "zero"), TABLE)
def test_the_table(text, verdict, floor, classes, zero):
    found = agrees(Target.parse(text, "boolean"))
    if verdict:
        assert (found.verdict, found.classes, found.zero) == (verdict, classes, zero)
        assert found.floor == pytest.approx(floor, abs=1e-14)


def random_terms(rng, P, coefficients, count):
    terms = {}
    for _ in range(count):
        size = rng.choice([1, 1, 2, 2, 3, 4])
        S = np.zeros(P, dtype=int)
        S[rng.choice(P, min(size, P), replace=False)] = 1
        terms[tuple(S.tolist())] = float(rng.choice(coefficients))
    return terms


def moved(terms, order, signs):
    """The terms of h(g z), (g z)_i = signs[i] z_order[i]."""
    out = {}
    for S, c in terms.items():
        image = [0] * len(S)
        for i, k in enumerate(S):
            if k:
                image[order[i]] = 1
                c *= signs[i]
        out[tuple(image)] = c
    return out


def symmetrised(terms, order, signs, most=12):
    """Sum of the images under the powers of a signed permutation: it maps the result to itself."""
    total, image = dict(terms), terms
    for _ in range(most):
        image = moved(image, order, signs)
        if image == terms:
            return build(total, len(order))
        for S, c in image.items():
            total[S] = total.get(S, 0.0) + c
    return None


def signed_permutation(rng, P):
    order = np.arange(P)
    some = rng.choice(P, rng.integers(2, min(P, 5) + 1), replace=False)
    order[some] = order[np.roll(some, 1)]
    return order.tolist(), rng.choice([-1.0, 1.0, 1.0], P).tolist()


def few_values(rng):
    """Few different coefficients: equal sums, equal profiles and cancellations come about by themselves."""
    P = int(rng.integers(2, 8))
    return Target.from_terms(random_terms(rng, P, [-1, 1, 1, 2, 0.5, -0.5], int(rng.integers(2, 3 * P))), "boolean")


def planted(rng):
    """A signed permutation leaves the target as it is."""
    while True:
        P = int(rng.integers(3, 9))
        terms = random_terms(rng, P, [-1, 1, 0.25, 0.75, 2], int(rng.integers(2, 8)))
        target = symmetrised(terms, *signed_permutation(rng, P))
        if target is not None:
            return target


def equal_sums(rng):
    """Two cells tied by a block of equal row and column sums, sums of permutation matrices, signs then turned."""
    terms = {S: 1.0 + (sum(S[:3]) == 0) for S in map(tuple, np.eye(6, dtype=int).tolist())}
    for weight in rng.choice([1.0, 0.5, 0.25, -0.75], 4):
        for i, j in enumerate(rng.permutation(3)):
            S = tuple(int(r in (i, 3 + j)) for r in range(6))
            terms[S] = terms.get(S, 0.0) + float(weight)
    signs = rng.choice([-1.0, 1.0], 6).tolist()
    return Target.from_terms(moved(terms, rng.permutation(6).tolist(), signs), "boolean")


def dense(rng):
    """All 2^P sets, a coefficient for each vector of counts in random cells, and a few sets of their own."""
    P = int(rng.integers(2, 6))
    cells = rng.integers(0, 3, P)
    by_counts, terms = {}, {}
    for S in map(tuple, (naive.cube(P) > 0).astype(int).tolist()):
        counts = tuple(np.bincount(cells, S, 3))
        terms[S] = by_counts.setdefault(counts, float(rng.choice([1, -1, 0.5, 0, 0])))
        terms[S] += float(rng.choice([0] * 15 + [1, -0.5]))
    return build(moved(terms, list(range(P)), rng.choice([-1.0, 1.0], P).tolist()), P)


def generic(rng):
    P = int(rng.integers(1, 9))
    terms = random_terms(rng, P, [1], int(rng.integers(1, 3 * P)))
    return Target.from_terms({S: float(rng.normal()) for S in terms}, "boolean")


@pytest.mark.parametrize("make", [few_values, planted, equal_sums, dense, generic])
def test_equals_exact_conditioning(make):
    rng = np.random.default_rng(5)
    verdicts = {agrees(make(rng)).verdict for _ in range(1000)}
    # The five together must meet all verdicts, and most of them each.
    expected = {"few_values": 3, "planted": 3, "equal_sums": 2, "dense": 3, "generic": 2}
    assert len(verdicts) >= expected[make.__name__]


def test_no_smaller_signed_partition_traps():
    rng = np.random.default_rng(8)
    for _ in range(20):
        P = 4
        target = Target.from_terms(random_terms(rng, P, [-1, 1, 1, 0.5], int(rng.integers(2, 9))), "boolean")
        projector = stuck(target).subspace.T @ stuck(target).subspace
        for basis in naive.signed_partitions(P):
            if naive.is_trap(target.terms, basis, P):
                assert projector @ basis.T @ basis == pytest.approx(projector, abs=1e-9)  # F* lies inside


@pytest.mark.parametrize("make", [few_values, planted])
def test_relabelling_and_sign_flips_move_the_trap_along(make):
    rng = np.random.default_rng(11)
    for _ in range(200):
        target = make(rng)
        order, signs = rng.permutation(target.P).tolist(), rng.choice([-1.0, 1.0], target.P).tolist()
        first = stuck(target)
        second = stuck(build(moved(target.terms, order, signs), target.P))
        assert second.verdict == first.verdict
        assert second.floor == pytest.approx(first.floor, abs=1e-13)
        image = np.zeros_like(first.subspace)
        image[:, order] = first.subspace * np.array(signs)
        assert second.subspace.T @ second.subspace == pytest.approx(image.T @ image)
        assert sorted(map(len, second.cells)) == sorted(map(len, first.cells))
        assert {order[i - 1] + 1 for i in first.zero} == set(second.zero)
        assert (first.freed_by is None) == (second.freed_by is None)


@pytest.mark.parametrize("scale", [1e-170, 1e-20, 1e20, 1e140])
def test_verdicts_do_not_depend_on_the_scale(scale):
    for text, verdict, floor, classes, _ in TABLE:
        if verdict:
            terms = {S: scale * c for S, c in Target.parse(text, "boolean").terms.items()}
            found = stuck(build(terms, 1))
            assert (found.verdict, found.classes) == (verdict, classes)
            assert found.floor == pytest.approx(floor * scale**2)


def test_coefficients_known_to_one_part_in_1e12_give_the_same_verdict():
    rng = np.random.default_rng(3)
    for text, verdict, floor, classes, _ in TABLE:
        if verdict:
            terms = Target.parse(text, "boolean").terms
            noisy = {S: c * (1 + 1e-12 * rng.normal()) for S, c in terms.items()}
            found = stuck(build(noisy, 1))
            assert (found.verdict, found.classes) == (verdict, classes)
            assert found.floor == pytest.approx(floor, abs=1e-11)
    # A difference above the tolerance counts, and so does a small floor.
    assert stuck(Target.parse("z1 + (1 + 1e-9)*z2", "boolean")).verdict == "free"
    assert stuck(Target.parse("z1 + (1 + 1e-9)*z2", "boolean"), tol=1e-8).verdict == "undecided"
    small = stuck(Target.parse("z1 + z2 + 1e-6*z1*z3 + 1e-6*z2*z4", "boolean"))
    assert (small.verdict, small.floor) == ("stuck", pytest.approx(5e-13, rel=1e-6, abs=0))


def test_the_perturbation_frees():
    for text, *_ in TABLE:
        target = Target.parse(text, "boolean")
        found = stuck(target)
        if found.verdict == "free":
            assert found.freed_by is None
        elif found.freed_by is not None:
            assert exact(found.freed_by)[0] == "free"
            assert found.freed_by.terms.keys() == target.terms.keys()
            ratio = [found.freed_by.terms[S] / c for S, c in target.terms.items()]
            linear = [sum(S) == 1 for S in target.terms]
            assert all(r == 1 for r, one in zip(ratio, linear, strict=True) if not one)
            changed = [r for r, one in zip(ratio, linear, strict=True) if one]
            assert len(set(np.round(changed, 9))) == len(changed)
            assert max(abs(r - 1) for r in changed) <= 0.1 + 1e-12
    assert str(stuck(Target.parse("z1 + z2 + z3 + z1*z2*z3", "boolean")).freed_by) == (
        "0.99*z1 + z2 + 1.01*z3 + z1*z2*z3"
    )
    # Sizes that differ already must not be moved onto one another.
    assert stuck(Target.parse("z1/.99 + z2 + z3", "boolean")).freed_by is not None
    # Symmetry in other than linear terms, and leaps, cannot be lifted so.
    assert stuck(Target.parse("z1 + z1*z2 + z1*z3", "boolean")).freed_by is None
    assert stuck(Target.parse("z1 + z2 + z3*z4", "boolean")).freed_by is None


def test_perturbing_frees_as_often_as_any_other_choice_of_distinct_factors():
    rng = np.random.default_rng(21)
    freed = 0
    for _ in range(150):
        target = planted(rng)
        found = stuck(target)
        if found.verdict == "free":
            continue
        changed = {S: c * (1 + 0.3 * rng.random() if sum(S) == 1 else 1.0) for S, c in target.terms.items()}
        other = exact(build(changed, target.P))[0] == "free"
        assert (found.freed_by is not None) == other, str(target)
        freed += other
    assert freed > 5


def test_it_contains_the_theorem_on_merged_staircases():
    rng = np.random.default_rng(2)
    for _ in range(200):
        target = generic(rng)
        found, part = stuck(target), merged_staircase(target)
        assert found.floor == pytest.approx(part.rest_energy)
        inside = {i + 1 for S in part.subset for i, k in enumerate(S) if k}
        mentioned = {i + 1 for S in target.terms for i, k in enumerate(S) if k}
        assert set(found.zero) == mentioned - inside
        assert (found.verdict == "free") == part.holds


@pytest.mark.parametrize("make", [few_values, planted])
def test_the_flow_stays_in_the_trap_and_above_the_floor(make):
    rng = np.random.default_rng(31)
    for _ in range(20):
        target = make(rng)
        found = stuck(target)
        F, z = found.subspace, naive.cube(target.P)
        h = naive.values(target.terms, z)
        u, a = rng.normal(size=(6, len(F))) @ F, rng.normal(size=6)
        for _ in range(3):
            fields = z @ u.T + rng.normal(size=6)  # any biases
            f = np.tanh(fields) @ a
            assert 0.5 * np.mean((h - f) ** 2) >= found.floor - 1e-12
            velocity = a[:, None] * ((((h - f)[:, None] / np.cosh(fields) ** 2).T @ z) / len(z))
            assert velocity @ F.T @ F == pytest.approx(velocity, abs=1e-12)
            u = u + 0.5 * velocity


def test_gaussian_targets_are_refused():
    with pytest.raises(InputError, match="gaussian"):
        stuck(Target.parse("z1 + z2"))
    with pytest.raises(InputError, match="tol=-1"):
        stuck(Target.parse("z1", "boolean"), tol=-1.0)


def sparse(P, sets, data="boolean"):
    series = sorted(((len(S), tuple((i, 1) for i in sorted(S))), c) for S, c in sets.items())
    return Target(data, P, tuple((key, c) for (_, key), c in series))


def test_long_chains_are_quick():
    chain = {frozenset([0]): 1.0, **{frozenset([i, i + 1]): 1.0 for i in range(2999)}}
    start = time.process_time()
    found = stuck(sparse(3000, chain))
    assert (found.verdict, len(found.cells)) == ("free", 3000)
    assert time.process_time() - start < 2.0


def test_twin_chains_are_quick_and_stuck():
    # Two equal chains are 1000 cells of two; of the four sets across two cells the target holds two.
    chain = {frozenset([i]): 1.0 for i in (0, 1)} | {frozenset([i, i + 2]): 1.0 for i in range(1998)}
    start = time.process_time()
    found = stuck(sparse(2000, chain))
    assert found.verdict == "stuck"
    assert found.classes == tuple((i, i + 1) for i in range(1, 2001, 2))
    assert found.floor == pytest.approx(0.5 * (2000 - 2 - 999))
    assert found.freed_by is not None
    assert time.process_time() - start < 3.0


def test_many_terms_are_quick():
    rng = np.random.default_rng(1)
    sets = {frozenset(rng.integers(0, 1000, 4).tolist()): float(rng.choice([1.0, -1.0])) for _ in range(30_000)}
    sets |= {frozenset([i]): 1.0 for i in range(1000)}
    target = sparse(1000, sets)
    start = time.process_time()
    found = stuck(target)
    assert found.verdict in ("stuck", "free")
    assert time.process_time() - start < 4.0
