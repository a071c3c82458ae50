"""Slow twins: values by Python's own syntax tree, projections by quadrature, leaps by their definition."""

import ast
import functools
import itertools
import math
import operator
import re

import numpy as np

BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def hermite(k, x):
    """He_k(x) by its recurrence."""
    below, here = 0.0 * x, 1.0 + 0.0 * x
    for j in range(k):
        below, here = here, x * here - j * below
    return here


def value(text, z):
    """What Python's grammar makes of the text at points z (..., P)."""
    return np.broadcast_to(_node(ast.parse(text, mode="eval").body, z), z.shape[:-1])


def _node(node, z):
    match node:
        case ast.Constant():
            return float(node.value) if isinstance(node.value, float) else node.value
        case ast.Name():
            return z[..., int(node.id[1:]) - 1]
        case ast.UnaryOp(ast.USub(), inner):
            return -_node(inner, z)
        case ast.UnaryOp(ast.UAdd(), inner):
            return _node(inner, z)
        case ast.BinOp(left, op, right):
            return BINARY[type(op)](_node(left, z), _node(right, z))
        case ast.Call(ast.Name("sqrt"), [inner]):
            return math.sqrt(_node(inner, z))
        case ast.Call(ast.Name(name), [inner]):
            return hermite(int(name[2:]), _node(inner, z))
    raise AssertionError(ast.dump(node))


def projection(values_of, P, degree, data):
    """All coefficients E[h h_S] with S of total degree at most ``degree``."""
    z, weights = points(P, degree, data)
    values = values_of(z)
    top = degree if data == "gaussian" else 1
    out = {}
    for S in itertools.product(range(top + 1), repeat=P):
        if sum(S) <= degree:
            basis = [hermite(k, z[:, i]) / math.sqrt(math.factorial(k)) for i, k in enumerate(S)]
            out[S] = float(np.sum(weights * values * math.prod(basis)))
    return out


def points(P, degree, data):
    """Points and weights exact for products of two polynomials of that degree."""
    if data == "boolean":
        z = np.array(list(itertools.product([-1.0, 1.0], repeat=P))).reshape(2**P, P)
        return z, np.full(2**P, 0.5**P)
    nodes, weights = np.polynomial.hermite_e.hermegauss(degree + 1)
    weights = weights / weights.sum()
    z = np.array(list(itertools.product(nodes, repeat=P))).reshape(-1, P)
    return z, np.array([math.prod(w) for w in itertools.product(weights, repeat=P)])


def new_mass(S, seen):
    return sum(power for i, power in enumerate(S) if i not in seen)


def support(sets):
    return {i for S in sets for i, power in enumerate(S) if power}


def leap(sets):
    """Min over all orderings of the largest new mass."""
    orders = itertools.permutations([S for S in sets if any(S)])
    return min(max([0, *(new_mass(S, support(order[:j])) for j, S in enumerate(order))]) for order in orders)


@functools.cache
def leap_by_subsets(sets):
    """The same by recursion over the last term, for more terms than one can order."""
    if not sets:
        return 0
    return min(max(leap_by_subsets(sets - {S}), new_mass(S, support(sets - {S}))) for S in sets)


def path(terms):
    """Steps (leap, set of terms, coordinates) and levels, from the words of the definition."""
    sets = [S for S in terms if any(S)]
    seen, steps, levels = set(), [], []
    while True:
        left = [S for S in sets if not support([S]) <= seen]
        levels.append(0.5 * sum(terms[S] ** 2 for S in left))
        if not left:
            return steps, levels
        smallest = min(new_mass(S, seen) for S in left)
        entering = [S for S in left if new_mass(S, seen) == smallest]
        grown = seen | support(entering)
        complete = {S for S in left if support([S]) <= grown}
        steps.append((smallest, complete, grown - seen))
        seen = grown


def from_latex(text):
    """The expression that LaTeX as `Target.latex` writes it stands for."""
    for pattern, plain in [
        (r"\\frac\{(.*?)\}\{\\sqrt\{(\d+)\}\}", r"(\1)/sqrt(\2)"),
        (r"\\mathrm\{He\}_\{(\d+)\}", r"He\1"),
        (r"z_\{(\d+)\}", r"z\1"),
        (r" \\cdot 10\^\{(-?\d+)\}", r"e\1"),
        (r"10\^\{(-?\d+)\}", r"1e\1"),
        (r" \\, ", "*"),
    ]:
        text = re.sub(pattern, plain, text)
    return text


def element(S, z):
    """The orthonormal element h_S at points z (..., P), where no power exceeds 1 on Boolean data."""
    factors = [hermite(k, z[..., i]) / math.sqrt(math.factorial(k)) for i, k in enumerate(S)]
    return math.prod(factors, start=np.ones(z.shape[:-1]))


def series_value(terms, z):
    """Σ ĥ_S h_S at points z (..., P)."""
    return sum((c * element(S, z) for S, c in terms.items()), np.zeros(z.shape[:-1]))
