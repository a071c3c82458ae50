"""odesim: how SGD learns sparse targets, plateau by plateau; reduced-dynamics ODEs beside full-network SGD.

Public names load on first use, so importing the package costs neither numba nor scipy nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odesim.activations.activation import Activation as Activation
    from odesim.activations.catalogue import activation_named as activation_named
    from odesim.alignment import aligned_share as aligned_share
    from odesim.alignment import principal_cosines as principal_cosines
    from odesim.alignment import recovery_steps as recovery_steps
    from odesim.alignment import subspace_overlap as subspace_overlap
    from odesim.checks import InputError as InputError
    from odesim.checks import RunError as RunError
    from odesim.comparison import Comparison as Comparison
    from odesim.comparison import compare as compare
    from odesim.complexity import information_exponent as information_exponent
    from odesim.complexity import leap as leap
    from odesim.complexity import leap_path as leap_path
    from odesim.dossier import describe as describe
    from odesim.events import Event as Event
    from odesim.events import overlap_above as overlap_above
    from odesim.events import overlap_below as overlap_below
    from odesim.events import risk_above as risk_above
    from odesim.events import risk_below as risk_below
    from odesim.experiment import Experiment as Experiment
    from odesim.flows.correlation import CorrelationFlow as CorrelationFlow
    from odesim.flows.mean_field import MeanFieldFlow as MeanFieldFlow
    from odesim.flows.overlap import OverlapFlow as OverlapFlow
    from odesim.forecast import resolvability as resolvability
    from odesim.generative import generative_leap as generative_leap
    from odesim.generative import sq_leap as sq_leap
    from odesim.isotropy import isoleap as isoleap
    from odesim.isotropy import isoleap_path as isoleap_path
    from odesim.isotropy import relevant_directions as relevant_directions
    from odesim.network import Network as Network
    from odesim.network_series import coefficients as coefficients
    from odesim.observables import Learned as Learned
    from odesim.observables import learned as learned
    from odesim.outlook import Resolvability as Resolvability
    from odesim.plateaus import Plateau as Plateau
    from odesim.plateaus import PlateauRule as PlateauRule
    from odesim.plateaus import find_plateaus as find_plateaus
    from odesim.plotting.comparison import plot_comparison as plot_comparison
    from odesim.plotting.overlaps import plot_overlaps as plot_overlaps
    from odesim.plotting.plateaus import plot_plateaus as plot_plateaus
    from odesim.plotting.simulation import plot_simulation as plot_simulation
    from odesim.plotting.terms import plot_coefficients as plot_coefficients
    from odesim.predictions import exponents as exponents
    from odesim.resolve import BlockedTerm as BlockedTerm
    from odesim.resolve import blocked_terms as blocked_terms
    from odesim.resolve import stable_step as stable_step
    from odesim.ridge_fit import RidgeFit as RidgeFit
    from odesim.ridge_fit import ridge as ridge
    from odesim.runner import run as run
    from odesim.schedules import group_schedule as group_schedule
    from odesim.searching import EscapeTimes as EscapeTimes
    from odesim.searching import search_phase as search_phase
    from odesim.sgd.alone import NeuronChain as NeuronChain
    from odesim.sgd.chain import Chain as Chain
    from odesim.sgd.full import SGD as SGD
    from odesim.sgd.layerwise import Layerwise as Layerwise
    from odesim.staircase import merged_staircase as merged_staircase
    from odesim.stationary import Saddle as Saddle
    from odesim.stationary import saddle as saddle
    from odesim.survival import EscapeSteps as EscapeSteps
    from odesim.survival import escape_steps as escape_steps
    from odesim.symmetry import stuck as stuck
    from odesim.targets.series import Target as Target
    from odesim.training import Phase as Phase
    from odesim.training import Training as Training
    from odesim.training import TwoRadii as TwoRadii
    from odesim.trajectory import Status as Status
    from odesim.trajectory import Trajectory as Trajectory

__version__ = "0.1.0"

_ROOMS = {
    "activations.activation": ("Activation",),
    "activations.catalogue": ("activation_named",),
    "alignment": ("aligned_share", "principal_cosines", "recovery_steps", "subspace_overlap"),
    "checks": ("InputError", "RunError"),
    "comparison": ("Comparison", "compare"),
    "complexity": ("information_exponent", "leap", "leap_path"),
    "dossier": ("describe",),
    "events": ("Event", "overlap_above", "overlap_below", "risk_above", "risk_below"),
    "experiment": ("Experiment",),
    "forecast": ("resolvability",),
    "flows.correlation": ("CorrelationFlow",),
    "flows.mean_field": ("MeanFieldFlow",),
    "flows.overlap": ("OverlapFlow",),
    "generative": ("generative_leap", "sq_leap"),
    "isotropy": ("isoleap", "isoleap_path", "relevant_directions"),
    "network": ("Network",),
    "network_series": ("coefficients",),
    "observables": ("Learned", "learned"),
    "outlook": ("Resolvability",),
    "plateaus": ("Plateau", "PlateauRule", "find_plateaus"),
    "plotting.comparison": ("plot_comparison",),
    "plotting.terms": ("plot_coefficients",),
    "plotting.overlaps": ("plot_overlaps",),
    "plotting.plateaus": ("plot_plateaus",),
    "plotting.simulation": ("plot_simulation",),
    "predictions": ("exponents",),
    "resolve": ("BlockedTerm", "blocked_terms", "stable_step"),
    "ridge_fit": ("RidgeFit", "ridge"),
    "runner": ("run",),
    "schedules": ("group_schedule",),
    "searching": ("EscapeTimes", "search_phase"),
    "sgd.alone": ("NeuronChain",),
    "sgd.chain": ("Chain",),
    "sgd.full": ("SGD",),
    "sgd.layerwise": ("Layerwise",),
    "staircase": ("merged_staircase",),
    "stationary": ("Saddle", "saddle"),
    "survival": ("EscapeSteps", "escape_steps"),
    "symmetry": ("stuck",),
    "targets.series": ("Target",),
    "training": ("Phase", "Training", "TwoRadii"),
    "trajectory": ("Status", "Trajectory"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Load a public name from its room, once."""
    if name not in _HOME:
        raise AttributeError(f"module 'odesim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"odesim.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
