"""Training: by which rule and at which rates the network learns."""

from __future__ import annotations

from dataclasses import dataclass

from odesim import checks

GEOMETRIES = ("free", "sphere")


@dataclass(frozen=True)
class Training:
    """Online SGD on the square loss ½(y − f(x))², one fresh sample a step.

    Parameters
    ----------
    eta : float
        Step size of the first-layer weights w (> 0). Flow time is t = eta * steps.
    eta_a : float, optional
        Step size of the second layer a; default ``eta``; 0 freezes it.
    eta_b : float
        Step size of the biases b; 0 (the default) freezes them.
    noise : float
        Variance of the label noise, y = h(z) + sqrt(noise) xi.
    geometry : {"free", "sphere"}
        Whether the weights move freely or stay on the unit sphere; a dynamics refuses what it does not know.

    Raises
    ------
    InputError
        For a step size or a noise that is negative, NaN or infinite, or ``eta`` = 0.
    """

    eta: float
    eta_a: float | None = None
    eta_b: float = 0.0
    noise: float = 0.0
    geometry: str = "free"

    def __post_init__(self) -> None:
        checks.real(
            "training.eta",
            self.eta,
            low=0.0,
            strict=True,
            remedy="give a positive step size, such as 0.1 / dim",
        )
        if self.eta_a is not None:
            checks.real("training.eta_a", self.eta_a, low=0.0, remedy="0 freezes the second layer")
        checks.real("training.eta_b", self.eta_b, low=0.0, remedy="0 freezes the biases")
        checks.choice("training.geometry", self.geometry, GEOMETRIES)
        checks.real("training.noise", self.noise, low=0.0, remedy="it is a variance")

    @property
    def rate_a(self) -> float:
        """Step size of the second layer, the default resolved."""
        return self.eta if self.eta_a is None else self.eta_a

    def need_free(self, who: str) -> None:
        """Refuse any geometry but the free one.

        Raises
        ------
        InputError
            Naming the dynamics ``who`` that knows no other.
        """
        if self.geometry != "free":
            raise checks.InputError(f"training.geometry={self.geometry!r} is unknown to {who}; use 'free'")
