"""Predicted exponents: how steps, samples and times grow with the dimension d, each with status and source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

from odesim import laws
from odesim.checks import InputError
from odesim.complexity import LeapPath, leap_path
from odesim.generative import GenerativeLeap, generative_leap, sq_leap
from odesim.isotropy import IsoLeapPath, isoleap_path
from odesim.targets.series import Target

MSP, LEAP, SQ = "arXiv 2202.08658", "arXiv 2302.11055", "arXiv 2407.05622"
GENERATIVE, REUSE = "arXiv 2506.05500", "arXiv 2406.01581"
REFERENCES = {
    MSP: "Abbe, Boix-Adserà, Misiakiewicz, The merged-staircase property, COLT 2022",
    LEAP: "Abbe, Boix-Adserà, Misiakiewicz, Leap complexity and saddle-to-saddle, COLT 2023",
    REUSE: "Lee, Oko, Suzuki, Wu, Networks learn low-dimensional polynomials with SGD, 2024",
    SQ: "Joshi, Misiakiewicz, Srebro, Sparse functions with gradient queries, NeurIPS 2024",
    GENERATIVE: "Damian, Lee, Bruna, The generative leap, 2025",
}
QUICK = 40_000
"""Products of terms that the powers of a target may cost here: a tenth of a second."""
PROVED, CONJECTURED = "proved", "conjectured"
MIXED = "leaps do not increase: neurons' phases may mix; only the largest need show a plateau"


@dataclass(frozen=True)
class Prediction:
    """One predicted growth with the dimension d.

    Attributes
    ----------
    quantity : str
        What grows.
    value : str
        How, such as ``d^2``, ``d^(3/2)``, ``log d`` or ``1``; other polylogarithms are suppressed.
    status : {"proved", "conjectured"}
        Whether a theorem covers this very target. What carries over by the same argument is conjectured.
    source : str
        Where it is stated; `REFERENCES` has the titles.
    exponent : float
        The power of d.
    note : str
        Conditions and caveats, or empty.
    group : int or None
        The step of the path it speaks of, from 1.
    """

    quantity: str
    value: str
    status: str
    source: str
    exponent: float
    note: str = ""
    group: int | None = None


@dataclass(frozen=True)
class Leaps:
    """What is known of a target's leaps; what is beyond a bound is None, with the reason in ``warnings``."""

    target: Target
    path: LeapPath
    isotropic: IsoLeapPath | None
    generative: GenerativeLeap | None
    sq: int | None
    warnings: tuple[str, ...]

    @property
    def effective(self) -> int:
        """The leap that governs SGD: isoLeap on Gaussian data where it is known, else the leap."""
        return self.path.leap if self.isotropic is None else self.isotropic.isoleap

    @property
    def degree(self) -> int:
        """Largest degree of a term that counts."""
        return max((laws.degree(key) for step in self.path.steps for key in step.keys), default=0)

    @cached_property
    def rotated(self) -> bool:
        """Whether the isotropic recursion takes other steps than the path along the axes."""
        if self.isotropic is None:
            return False
        mine = [(step.leap, len(step.coordinates)) for step in self.path.steps]
        return mine != [(step.leap, len(step.axes)) for step in self.isotropic.steps]

    @cached_property
    def groups(self) -> list[tuple[int, str]]:
        """Leap and name of each group that SGD enters, in order."""
        if self.isotropic is None or not self.rotated:
            return [(step.leap, coordinates_text(i + 1 for i in step.coordinates)) for step in self.path.steps]
        return [(step.leap, _joined(map(direction_text, step.directions))) for step in self.isotropic.steps]

    @cached_property
    def covered(self) -> bool:
        """Whether the theorems cover the target: Gaussian, nested products of He_k, one a step, increasing leaps."""
        steps = self.path.steps
        if self.target.data != "gaussian" or self.isotropic is None or self.rotated:
            return False
        if any(len(step.keys) > 1 for step in steps):
            return False
        keys = [set(step.keys[0]) for step in steps]
        nested = all(first < second for first, second in itertools.pairwise(keys))
        return nested and self.increasing

    @cached_property
    def increasing(self) -> bool:
        """Whether every group's leap is above that of the one before."""
        return all(first[0] < second[0] for first, second in itertools.pairwise(self.groups))


def exponents(target: Target) -> list[Prediction]:
    """List the predicted growth of steps, times, samples and queries with d, for a target of fixed support.

    Parameters
    ----------
    target : Target

    Returns
    -------
    list of Prediction
        Empty for a constant.
    """
    return predictions(leaps(target))


def leaps(target: Target, powers: int = 4) -> Leaps:
    """Compute every leap that is within its bounds; ``powers`` goes down where the expansion would explode."""
    warnings: list[str] = []
    isotropic: IsoLeapPath | None = None
    generative: GenerativeLeap | None = None
    sq: int | None = None
    if target.data == "gaussian":
        isotropic = _attempt(lambda: isoleap_path(target), "isoLeap", warnings)
        generative = _generative(target, powers, warnings) if isotropic is not None else None
        warnings.extend(getattr(isotropic, "warnings", ()))
    else:
        sq = _attempt(lambda: sq_leap(target), "SQ-leap", warnings)
    return Leaps(target, leap_path(target), isotropic, generative, sq, tuple(warnings))


def predictions(known: Leaps) -> list[Prediction]:
    """As `exponents`, from leaps already computed."""
    if not known.path.steps:
        return []
    return [*_online(known), *_groups(known), *_batches(known), *_queries(known), *_reuse(known)]


def power_text(exponent: float) -> str:
    """Text of d to an exponent with denominator 1 or 2."""
    fraction = Fraction(exponent).limit_denominator(2)
    if fraction == 0:
        return "1"
    if fraction == 1:
        return "d"
    return f"d^{fraction}" if fraction.denominator == 1 else f"d^({fraction})"


def direction_text(direction: Iterable[float]) -> str:
    """Text of a unit vector, ``z2`` for an axis, else such as ``0.707*z1 - 0.707*z2``."""
    entries = [(i, float(x)) for i, x in enumerate(direction) if abs(x) > 5e-7]
    if len(entries) == 1:
        return f"z{entries[0][0] + 1}"
    if entries and entries[0][1] < 0:
        entries = [(i, -x) for i, x in entries]
    text = " + ".join(f"{x:.3g}*z{i + 1}" for i, x in entries)
    return text.replace("+ -", "- ")


Result = TypeVar("Result")


def _attempt(compute: Callable[[], Result], name: str, warnings: list[str]) -> Result | None:
    """Return the result, or None with the reason noted."""
    try:
        return compute()
    except InputError as error:
        warnings.append(f"{name} not computed: {error}")
        return None


def _generative(target: Target, powers: int, warnings: list[str]) -> GenerativeLeap | None:
    """Bound with as many powers as are affordable."""
    for p in range(powers, 0, -1):
        try:
            return generative_leap(target, p, products=QUICK)
        except InputError as error:
            reason = str(error)
    warnings.append(f"generative leap not computed: {reason}")
    return None


def _prediction(
    quantity: str, exponent: float, status: str, source: str, note: str = "", group: int | None = None
) -> Prediction:
    return Prediction(quantity, power_text(exponent), status, source, float(exponent), note, group)


def _online(known: Leaps) -> Iterator[Prediction]:
    """Conjecture 2 of Abbe, Boix-Adserà and Misiakiewicz 2023."""
    D = known.effective
    source = f"{LEAP}, conj. 2"
    note = "rotation-invariant start; all but a null set of coefficients"
    if known.isotropic is not None:
        note = "rotation-invariant start; with isoLeap"
    elif known.target.data == "gaussian":
        note = "with Leap, a lower bound on isoLeap"
    yield _prediction("online SGD: steps = samples", max(D - 1, 1), CONJECTURED, source, note)
    yield _prediction("online SGD: time (steps x d)", max(D, 2), CONJECTURED, source, note)


def _groups(known: Leaps) -> Iterator[Prediction]:
    """Flow time and steps of every group, from escapes m' ~ m^{k−1} at m ~ d^{−1/2} and the noise limit of a step.

    A group of leap k takes flow time d^{(k−2)/2}, log d at k = 2 and O(1) at k = 1, which is d^{k̄/2−1} with
    k̄ = max(k, 2). Noise limits the step to d^{−D̄/2}, D̄ = max(D, 2): at leap 1 because a step adds η²a²d to the
    squared norm of a weight, whatever the leap. Steps are flow time over step.
    """
    D = max(known.effective, 2)
    flow: list[Prediction] = []
    constant: list[Prediction] = []
    schedule: list[Prediction] = []
    for number, (k, name) in enumerate(known.groups, 1):
        exponent = max(k, 2) / 2 - 1
        status, note = _standing(known, k)
        value = "log d" if k == 2 else power_text(exponent)
        quantity = f"flow time, group {number} ({name})"
        flow.append(Prediction(quantity, value, status, f"{LEAP}, thm 10", exponent, note, number))
        for rows, text, step, theorem in (
            (constant, "one constant step size", D, 10),
            (schedule, "a step-size schedule", max(k, 2), 19),
        ):
            quantity = f"steps at {text}, group {number} ({name})"
            why = "; ".join(filter(None, [f"step size {power_text(-step / 2)}", note]))
            rows.append(_prediction(quantity, exponent + step / 2, status, f"{LEAP}, thm {theorem}", why, number))
    yield from (*flow, *constant, *schedule)


def _standing(known: Leaps, k: int) -> tuple[str, str]:
    """Status and caveat of a group's rows."""
    if not known.increasing and known.effective > 1:
        return CONJECTURED, MIXED
    if not known.covered or k == 1:
        return CONJECTURED, "by the same scaling argument"
    return PROVED, "layerwise algorithm"


def _batches(known: Leaps) -> Iterator[Prediction]:
    """Batch B divides the noise by B, so that the step may grow by B until it is of order 1."""
    D = max(known.effective, 2)
    limit = power_text(D / 2)
    source = f"{LEAP}, thm 10"
    value = f"{power_text(D - 1)}/B"
    note = f"its noise limit with the variance 1/B; for 1 <= B <= {limit}: B times fewer steps, as many samples"
    yield Prediction("batch-time trade-off: steps at batch B", value, CONJECTURED, source, D - 1.0, note)
    yield _prediction(
        "batch-time trade-off: largest useful batch", D / 2, CONJECTURED, source, "beyond it the flow time limits"
    )


def _queries(known: Leaps) -> Iterator[Prediction]:
    """Linear methods, correlational and statistical queries, low-degree methods."""
    yield _prediction("linear methods: samples", known.degree, PROVED, MSP, "at least; degree of the target")
    if known.target.data == "boolean":
        yield _prediction(
            "correlational queries / tolerance^2", known.path.leap, PROVED, f"{LEAP}; {SQ}", "at least; Leap"
        )
        if known.sq is not None:
            yield _prediction(
                "statistical queries / tolerance^2", known.sq, PROVED, f"{SQ}, thm 5.1", "needed and enough; SQ-leap"
            )
        return
    note = "at least; isoLeap/2" if known.isotropic is not None else "at least; Leap/2, a lower bound on isoLeap/2"
    yield _prediction("correlational queries / tolerance^2", known.effective / 2, PROVED, LEAP, note)
    if known.generative is not None:
        k = known.generative
        note = f"max(k/2, 1), generative leap k {k}; enough, and needed where that bound is sharp"
        yield _prediction("statistical queries, low degree: samples", max(k.value / 2, 1), PROVED, GENERATIVE, note)


def _reuse(known: Leaps) -> Iterator[Prediction]:
    """Samples when they may be used more than once."""
    D = known.effective
    note = ""
    if known.generative is not None and max(known.generative.value, 2) < D:
        note = f"enough but not needed: transformed labels do with fewer ({GENERATIVE})"
    yield _prediction("sample re-use (ERM): samples", max(D / 2, 1), CONJECTURED, LEAP, note)
    k = known.generative
    if k is not None and known.isotropic is not None and _one_direction(known.isotropic):
        note = "single-index target: max(k - 1, 1) with the generative exponent"
        yield _prediction("sample re-use (each batch twice): samples", max(k.exponent - 1, 1), PROVED, REUSE, note)


def _one_direction(path: IsoLeapPath) -> bool:
    return sum(len(step.directions) for step in path.steps) == 1


def coordinates_text(coordinates: Iterable[int], limit: int = 5) -> str:
    """Coordinates counted from 1 as text, three or more in a row as a range: ``z1, z3..z7``."""
    runs: list[list[int]] = []
    for i in coordinates:
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    parts = [f"z{run[0]}..z{run[-1]}" if len(run) > 2 else ", ".join(f"z{i}" for i in run) for run in runs]
    return _joined(parts, limit)


def _joined(names: Iterable[str], limit: int = 5) -> str:
    """Names joined by commas, those beyond the limit counted."""
    words = list(names)
    if len(words) > limit:
        words = [*words[: limit - 1], f"... {len(words) - limit + 1} more"]
    return ", ".join(words)
