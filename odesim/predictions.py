"""Predicted exponents: how steps, samples and times grow with the dimension d, each with status and source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from odesim.isotropy import IsoLeapPath
from odesim.leaps import Leaps, leaps
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
