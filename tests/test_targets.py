"""Target: its coefficients, values, printing and checks."""

import copy
import json
import math
import pickle
import time

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from naive_targets import from_latex, projection, value

from odesim.checks import InputError
from odesim.complexity import leap
from odesim.targets.series import Target

CASES = [
    ("z1 + z1*z2*z3", 3, 3),
    ("z1**2 + He3(z1)*z2/7 - 2", 2, 4),
    ("(z1 - 2*z2)**4 + sqrt(3)*He2(z1 + z2)", 2, 4),
    ("He4(z1)*He2(z2) + z2", 2, 6),
]


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
@pytest.mark.parametrize(("text", "P", "degree"), CASES)
def test_terms_are_the_projection_on_the_orthonormal_basis(text, P, degree, data):
    target = Target.parse(text, data)
    expected = projection(lambda z: value(text, z), P, degree, data)
    for S, coefficient in expected.items():
        assert target.terms.get(S, 0.0) == pytest.approx(coefficient, rel=1e-11, abs=1e-10)
    assert set(target.terms) <= set(expected)


def test_a_square_in_both_bases():
    assert Target.parse("z1**2").terms == {(0,): 1.0, (2,): math.sqrt(2)}
    assert Target.parse("z1**2", "boolean").terms == {(0,): 1.0}
    assert Target.parse("He2(z1)/sqrt(2)").terms == {(2,): 1.0}
    assert Target.parse(f"He40(z1)/sqrt({math.factorial(40)})").terms == {(40,): 1.0}


def test_views():
    target = Target.parse("3 + z1 + 2*z1*z2*z3 - He2(z2)")
    assert (target.P, target.degree, target.constant) == (3, 3, 3.0)
    assert target.energy == pytest.approx(1 + 4 + 2)
    assert target.terms[(0, 0, 0)] == 3.0
    assert target.label((0, 2, 1)) == "He2(z2)*z3"
    assert target.label((1, 1, 1)) == "z1*z2*z3"
    assert target.label((0, 0, 0)) == "1"
    assert repr(target) == "Target.parse('3 + z1 - He2(z2) + 2*z1*z2*z3', data='gaussian')"


def test_arrays_hold_unnormalised_coefficients():
    terms = Target.parse("3 + z2 + 5*He2(z1)*z3").arrays()
    assert terms.offsets.tolist() == [0, 0, 1, 3]
    assert terms.coordinates.tolist() == [1, 0, 2]
    assert terms.powers.tolist() == [1, 2, 1]
    np.testing.assert_allclose(terms.coefficients, [3, 1, 5], rtol=1e-15)
    assert [array.dtype.name for array in terms] == ["int64", "int64", "int64", "float64"]
    assert all(array.flags.c_contiguous and array.flags.writeable for array in terms)


def test_arrays_of_a_zero_target():
    terms = Target.parse("z1 - z1").arrays()
    assert terms.offsets.tolist() == [0]
    assert terms.coordinates.shape == terms.powers.shape == terms.coefficients.shape == (0,)


def test_constants():
    for text, P, constant in [("z1 - z1", 1, 0.0), ("7/2", 0, 3.5), ("0", 0, 0.0)]:
        target = Target.parse(text)
        assert (target.P, target.constant, target.energy, target.degree) == (P, constant, 0.0, 0)
        np.testing.assert_array_equal(target.evaluate(np.ones((4, P))), np.full(4, constant))
        assert Target.parse(str(target)) == target


def test_evaluate_shapes():
    target = Target.parse("z1*z2 + He3(z2)")
    z = np.random.default_rng(0).normal(size=(2, 5, 2))
    x, y = z[..., 0], z[..., 1]
    np.testing.assert_allclose(target.evaluate(z), x * y + y**3 - 3 * y, rtol=1e-12)
    assert target.evaluate([1.0, 2.0]).shape == ()
    for bad in (np.ones((4, 3)), np.ones((2, 4)).T[:, :1], 1.0):
        with pytest.raises(InputError, match=r"give shape \(\.\.\., 2\)"):
            target.evaluate(bad)


def test_high_degree_keeps_its_digits():
    target = Target.parse("He40(z1)")
    assert target.terms == {(40,): pytest.approx(math.sqrt(math.factorial(40)), rel=1e-15)}
    # He_40(0) = 39!!
    assert float(target.evaluate([0.0])) == pytest.approx(math.prod(range(1, 40, 2)), rel=1e-12)


def test_equality_and_hash_do_not_see_order():
    first = Target.from_terms({(1, 0): 1.0, (1, 1): 2.0, (0, 1): 0.0})
    second = Target.parse("2*z2*z1 + z1")
    assert first == second
    assert len({first, second, Target.parse("2*z2*z1 + z1", "boolean")}) == 2
    assert first != Target.parse("2*z2*z1 + z1 + 0*z3")


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda target: pickle.loads(pickle.dumps(target))])
def test_clones(clone):
    target = Target.parse("z1 + He2(z2)")
    assert target.terms  # a cached view must not get in the way
    assert clone(target) == target


def test_terms_cannot_be_changed():
    with pytest.raises(TypeError):
        Target.parse("z1").terms[(1,)] = 2.0


REFUSALS = [
    ({(1,): 1.0}, "normal", "data='normal' is unknown; choose one of gaussian, boolean"),
    ({}, "gaussian", "holds no terms"),
    ([1], "gaussian", "holds no terms"),
    ({(1,): math.nan}, "gaussian", "terms[(1,)]=nan is not finite"),
    ({(1,): math.inf}, "gaussian", "is not finite"),
    ({(1,): "2"}, "gaussian", "is not a number"),
    ({(1,): 1e200}, "gaussian", "(bound 1e+150)"),
    ({(1, -1): 1.0}, "gaussian", "the exponent -1 in (1, -1); give non-negative integers"),
    ({(1, 0.5): 1.0}, "gaussian", "the exponent 0.5"),
    ({(1, True): 1.0}, "gaussian", "the exponent True"),
    ({"11": 1.0}, "gaussian", "the key '11'"),
    ({1: 1.0}, "gaussian", "the key 1; give a tuple"),
    ({(1,): 1.0, (1, 1): 1.0}, "gaussian", "(1,) and (1, 1) of different length"),
    ({(2, 0): 1.0}, "boolean", "(2, 0) on boolean data; give exponents 0 and 1"),
    ({(60, 60): 1.0}, "gaussian", "of degree above 100"),
    ({(300, 0): 1.0}, "gaussian", "of degree above 100"),
    ({(1, 1): 1.0, (1,): 1.0}, "gaussian", "(1, 1) and (1,) of different length"),
    ({(): 1.0, (0, 0): 1.0}, "gaussian", "terms has 1 twice"),
    ({(1,): 10**400}, "gaussian", "terms[(1,)] is an integer beyond floating point"),
    ({(1,): True}, "gaussian", "is not a number"),
    ({frozenset({1}): 1.0}, "gaussian", "give a tuple of exponents"),
    ({(1,) * 10_001: 1.0}, "gaussian", "10001 coordinates; give at most 10000"),
    ({((0, 1), 2): 1.0}, "gaussian", "2 in ((0, 1), 2); give (coordinate, power) pairs or exponents only"),
    ({((0, 1),): 1.0, (1, 0): 2.0}, "gaussian", "give (coordinate, power) pairs or exponents only"),
    ({(1, (0, 1)): 1.0}, "gaussian", "use one form of key"),
    ({((0, 1, 2),): 1.0}, "gaussian", "(0, 1, 2) in ((0, 1, 2),); give (coordinate, power) pairs"),
    ({((0, -1),): 1.0}, "gaussian", "(0, -1) in ((0, -1),); give integers 0 ... 100 there"),
    ({((-1, 1),): 1.0}, "gaussian", "give integers 0 ... 9999 there"),
    ({((10_000, 1),): 1.0}, "gaussian", "give integers 0 ... 9999 there"),
    ({((0, 1.5),): 1.0}, "gaussian", "(0, 1.5)"),
    ({((0, 10**30),): 1.0}, "gaussian", "give integers 0 ... 100 there"),
    ({((True, 1),): 1.0}, "gaussian", "(True, 1)"),
    ({((0, 2),): 1.0}, "boolean", "give integers 0 ... 1 there"),
    ({((0, 60), (1, 60)): 1.0}, "gaussian", "of degree above 100"),
    ({((0, 1), (0, 2)): 1.0}, "gaussian", "term 0 has two powers on coordinate 0"),
    ({((0, 1), (1, 1)): 1.0, ((1, 1), (0, 1)): 2.0}, "gaussian", "terms has z1*z2 twice"),
]


@pytest.mark.parametrize(("terms", "data", "message"), REFUSALS)
def test_from_terms_refuses(terms, data, message):
    with pytest.raises(InputError) as caught:
        Target.from_terms(terms, data)
    assert message in str(caught.value)


def test_the_two_forms_of_keys_agree():
    dense = Target.from_terms({(0, 0, 0): 3.0, (1, 0, 2): 0.5, (0, 1, 0): -1.0})
    pairs = Target.from_terms({(): 3.0, ((2, 2), (0, 1)): 0.5, ((1, 1), (0, 0)): -1})
    assert dense == pairs == Target.from_terms(dict(dense.series)) == Target.from_terms(dict(dense.terms))
    assert Target.from_terms({(): 3.0, (1, 0, 2): 0.5, (0, 1, 0): -1.0}) == dense
    assert Target.from_terms({(np.int64(1), 0): np.float32(0.5)}) == Target.parse("0.5*z1 + 0*z2")
    assert Target.from_terms({((np.int64(0), 1),): 0.5}, P=2) == Target.parse("0.5*z1 + 0*z2")
    assert Target.from_terms({(): 2.0}) == Target.parse("2")
    assert Target.from_terms({((4, 0),): 2.0}).P == 5
    assert Target.from_terms({(1, 0): 2.0}, P=4).P == 4
    with pytest.raises(InputError, match="P=1 must be at least 2"):
        Target.from_terms({((1, 1),): 2.0}, P=1)


def test_arrays_in_any_order_give_the_target():
    made = Target.from_arrays([2, 0, 2, 3], [0, 1, 2, 4], [1, 2, 3, 0], [5.0, 7.0, 0.5, 2.0])
    assert made == Target.from_terms({(0, 2, 0, 0, 0): 5.0, (): 9.0, (1, 0, 3, 0, 0): 0.5})
    twice = Target.from_arrays([0, 0, 1, 1, 2], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 2, -4], data="boolean")
    assert twice == Target.parse("3*z1*z2 - 4*z1", "boolean")
    assert Target.from_arrays([0, 1], [0, 0], [1, 1], [1.0, -1.0]) == Target.parse("z1 - z1")
    assert Target.from_arrays([], [], [], [], P=2) == Target.parse("0*z2")
    assert Target.from_arrays([], [], [], [4.0]) == Target.parse("4")


ARRAYS = [
    (([0], [0], [1, 1], [1.0]), {}, "rows, coordinates and powers have 1, 1, 2 entries"),
    (([0.0], [0], [1], [1.0]), {}, "rows is not an array of integers"),
    (([0], [[0]], [1], [1.0]), {}, "coordinates is not an array of integers"),
    (([0], [0], [True], [1.0]), {}, "powers is not an array of integers"),
    (([1], [0], [1], [1.0]), {}, "rows[0]=1 must lie in 0 ... 0"),
    (([0, 0], [0, -1], [1, 1], [1.0]), {}, "coordinates[1]=-1 must lie in 0 ... 9999"),
    (([0], [0], [101], [1.0]), {}, "powers[0]=101 must lie in 0 ... 100"),
    (([0], [0], [2], [1.0]), {"data": "boolean"}, "powers[0]=2 must lie in 0 ... 1"),
    (([0, 0], [0, 1], [60, 60], [1.0]), {}, "row 0 has degree 120 (bound 100)"),
    (([0, 0], [1, 1], [1, 1], [1.0]), {}, "term 0 has two powers on coordinate 1"),
    (([0], [0], [1], [math.nan]), {}, "coefficients holds NaN"),
    (([0], [0], [1], [1e200]), {}, "coefficient 1e+200 at z1 (bound 1e+150)"),
    (([0], [0], [1], [[1.0]]), {}, "coefficients has shape (1, 1)"),
    (([0], [0], [1], ["1"]), {}, "coefficients has shape (1,) of <U1"),
    (([0], [3], [1], [1.0]), {"P": 3}, "P=3 must be at least 4"),
    (([0], [0], [1], [1.0]), {"data": "normal"}, "data='normal' is unknown"),
]


@pytest.mark.parametrize(("arrays", "options", "message"), ARRAYS, ids=[message for *_, message in ARRAYS])
def test_from_arrays_refuses(arrays, options, message):
    with pytest.raises(InputError) as caught:
        Target.from_arrays(*arrays, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hundred_thousand_terms():
    rng = np.random.default_rng(0)
    chosen = [rng.choice(1000, rng.integers(2, 6), replace=False) for _ in range(100_000)]
    rows, coordinates = np.repeat(np.arange(100_000), [len(one) for one in chosen]), np.concatenate(chosen)
    sizes = rng.normal(size=100_000)
    arrays = (rows, coordinates, np.ones_like(rows), sizes)
    pairs = {tuple((int(i), 1) for i in sorted(one)): c for one, c in zip(chosen, sizes.tolist(), strict=True)}
    assert _quickest(lambda: leap(Target.from_arrays(*arrays))) < 1.0
    assert _quickest(lambda: leap(Target.from_terms(pairs))) < 2.5


def _quickest(work):
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def test_a_long_dictionary_of_exponents_is_read_quickly():
    keys = [tuple(int(i in (a, b)) for i in range(1000)) for a in range(60) for b in range(a)]
    start = time.process_time()
    target = Target.from_terms(dict.fromkeys(keys, 1.0))
    assert time.process_time() - start < 0.5
    assert len(target.series) == len(keys)
    assert leap(target) == 2


def test_parse_refuses_an_unknown_law_and_huge_coefficients():
    with pytest.raises(InputError, match="data='normal'"):
        Target.parse("z1", "normal")
    with pytest.raises(InputError, match=r"coefficient 1e\+160 at z1"):
        Target.parse("1e160*z1")
    with pytest.raises(InputError, match=r"coefficient inf at He100\(z1\)"):
        Target.parse("1e300*He100(z1)")


def test_printing_is_short_where_it_can_be():
    texts = ["z1 + z1*z2*z3", "-z1 + 0.5*He3(z2)", "He2(z1)/sqrt(2)", "3*z1*He2(z2)", "z1 + 0*z3"]
    for text in [*texts, "0.1 - 1e-05*z2", "0", "7"]:
        assert str(Target.parse(text)) == text


@st.composite
def term_dicts(draw):
    P = draw(st.integers(1, 4))
    data = draw(st.sampled_from(["gaussian", "boolean"]))
    key = st.tuples(*[st.integers(0, 1 if data == "boolean" else 9)] * P)
    size = st.floats(-1e150, 1e150, allow_subnormal=True)
    return draw(st.dictionaries(key, size, min_size=1, max_size=6)), data


@settings(deadline=None, max_examples=300, phases=[Phase.explicit, Phase.generate])
@example(({(5, 8): 2.916335428641305e16}, "gaussian"))
@given(term_dicts())
def test_printing_parses_back_to_the_bit(case):
    terms, data = case
    target = Target.from_terms(terms, data)
    assert target.terms == {S: c for S, c in terms.items() if c}
    assert Target.parse(str(target), data) == target
    assert Target.parse(from_latex(target.latex()), data).series == target.series
    assert Target.from_json(json.dumps(target.to_json())) == target
    assert Target.from_terms(dict(target.series) or {(): 0.0}, data, P=target.P) == target
    order = [(sum(p for _, p in key), key) for key, _ in target.series]
    assert order == sorted(order)


def test_latex():
    shown = {
        "z1 + z1*z2*z3": r"z_{1} + z_{1} \, z_{2} \, z_{3}",
        "-z1 + 0.5*He3(z12)": r"-z_{1} + 0.5 \, \mathrm{He}_{3}(z_{12})",
        "z1**2": r"1 + \mathrm{He}_{2}(z_{1})",
        "He2(z1)/sqrt(2) - 3": r"-3 + \frac{1}{\sqrt{2}} \, \mathrm{He}_{2}(z_{1})",
        "1e-5*z1 - 2.5e+20*z2": r"10^{-5} \, z_{1} - 2.5 \cdot 10^{20} \, z_{2}",
        "z1 - z1": "0",
    }
    for text, expected in shown.items():
        assert Target.parse(text).latex() == expected


def test_json_is_readable():
    record = Target.parse("3 + He2(z1)/sqrt(2) + 0*z4").to_json()
    assert record == {
        "format": "odesim target 1",
        "data": "gaussian",
        "basis": "normalised Hermite",
        "P": 4,
        "terms": [{"powers": {}, "coefficient": 3.0}, {"powers": {"z1": 2}, "coefficient": 1.0}],
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert Target.from_json(Target.parse("0*z2").to_json()) == Target.parse("0*z2")


def _changed(**changes):
    return {**Target.parse("z1 + z2*z3").to_json(), **changes}


def _term(powers, coefficient=1.0):
    return _changed(terms=[{"powers": powers, "coefficient": coefficient}])


CORRUPT = [
    ("{", "is not valid JSON"),
    ("[" * 100_000, "is not valid JSON"),
    ("[1, 2]", "is no object"),
    (None, "json=None is no object"),
    ('{"P": NaN}', "json holds NaN"),
    ('{"P": 1, "P": 2}', "holds the key 'P' twice"),
    ({}, "lacks or adds P, basis, data, format, terms"),
    (_changed(extra=1), "lacks or adds extra"),
    (_changed(format="odesim target 2"), "json.format='odesim target 2' is not 'odesim target 1'"),
    (_changed(data="normal"), "json.data='normal' is unknown"),
    (_changed(data=["gaussian"]), "json.data=['gaussian'] is not text"),
    (_changed(basis="parity"), "json.basis='parity' is not 'normalised Hermite'"),
    (_changed(P=2), "P=2 must be at least 3"),
    (_changed(P=True), "json.P=True is no integer"),
    (_changed(P=3.0), "json.P=3.0 is no integer"),
    (_changed(terms={}), "json.terms={} is no list"),
    (_changed(terms=[3]), "json.terms[0]=3 is no term"),
    (_changed(terms=[{"powers": {}}]), "is no term; give powers and coefficient"),
    (_term([1]), "json.terms[0].powers=[1] is no object"),
    (_term({"x1": 1}), "the coordinate 'x1'"),
    (_term({"z0": 1}), "the coordinate 'z0'"),
    (_term({"z01": 1}), "the coordinate 'z01'"),
    (_term({"z": 1}), "the coordinate 'z'"),
    (_term({"z10001": 1}), "the coordinate 'z10001'"),
    (_term({"z1": 0}), "the power 0"),
    (_term({"z1": 1.0}), "the power 1.0"),
    (_term({"z1": 101}), "the power 101"),
    (_term({"z1": 1}, "1"), "coefficient='1' is not a number"),
    (_term({"z1": 1}, math.nan), "=nan is not finite"),
    (_term({"z1": 1}, 10**400), "beyond floating point"),
    (_term({"z1": 1}, 1e160), "(bound 1e+150)"),
    (_changed(terms=[{"powers": {"z1": 1}, "coefficient": 1.0}] * 2), "json.terms[1] repeats the element z1"),
]


@pytest.mark.parametrize(("source", "message"), CORRUPT, ids=[message for _, message in CORRUPT])
def test_corrupt_json_is_refused(source, message):
    with pytest.raises(InputError) as caught:
        Target.from_json(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
