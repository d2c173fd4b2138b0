"""What a translator answers: a mean image, and what it knows of its own error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.core.wording import count


@dataclass(frozen=True, kw_only=True)
class IntervalFacts:
    """What a translator promises of its interval, mean ± half width.

    Parameters
    ----------
    voxel_share
        Share of a patient's body voxels that the interval promises to hold, in (0, 1).
    level
        Probability that a further patient reaches that share, in (0, 1).
    patients
        Number of calibration patients behind the promise. Of n patients, the widest split
        conformal interval attains the level n / (n + 1) and no more (Angelopoulos and
        Bates 2023, Found Trends Mach Learn 16:494).

    Raises
    ------
    InputError
        If a share lies outside its range, or n patients cannot carry the level.
    """

    voxel_share: float
    level: float
    patients: int

    def __post_init__(self) -> None:
        for name in ("voxel_share", "level"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(
                    f"The interval's {name} must lie between 0 and 1, got {getattr(self, name)}."
                )
        if self.patients < 1:
            raise InputError(f"The interval's patients must be at least 1, got {self.patients}.")
        attainable = self.patients / (self.patients + 1)
        if self.level > attainable + 1e-9:
            raise InputError(
                f"An interval calibrated on {count(self.patients, 'patient')} attains the level "
                f"{attainable:.3f} at most, not {self.level:g}; state that level, or calibrate on "
                f"{math.ceil(self.level / (1 - self.level) - 1e-9)} patients."
            )


COST_UNITS = {"network_evaluations": "1", "steps": "1"}
"""What a translator may say of its own cost; time and memory the examiner measures itself.

``network_evaluations``: passes through a network for this volume, each window or slice,
flip, member, sample and step counted singly. ``steps``: of the sampler for one sample.
"""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a translator says of one patient, on the grid of the source image.

    Parameters
    ----------
    mean
        The synthetic image.
    std
        Its predicted standard deviation in the same unit, or None.
    samples
        Draws from the predictive distribution, possibly none.
    half_width
        Half width of an interval about the mean in the same unit, such as a conformal one,
        or None.
    interval
        What is promised of that interval; given with ``half_width``, and only with it.
    cost
        What the translator says of its cost, by a name of :data:`COST_UNITS`.

    Raises
    ------
    InputError
        If one of half width and interval is without the other, or a cost is unknown,
        negative or not finite.
    """

    mean: Volume
    std: Volume | None = None
    samples: tuple[Volume, ...] = ()
    half_width: Volume | None = None
    interval: IntervalFacts | None = None
    cost: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.half_width is None) != (self.interval is None):
            alone = "half_width" if self.interval is None else "interval"
            raise InputError(
                f"The prediction has {alone} alone; an interval needs its half_width and the "
                f"facts of its promise."
            )
        for name, value in self.cost.items():
            if name not in COST_UNITS:
                raise InputError(f"Unknown cost {name!r}; known: {', '.join(COST_UNITS)}.")
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"The cost {name} must be a number from 0, got {value}.")


def canonical_prediction(said: Prediction) -> Prediction:
    """Return a prediction with all its volumes in the canonical orientation."""
    turn = said.mean.grid.turn
    return replace(
        said,
        mean=said.mean.turned(turn),
        std=None if said.std is None else said.std.turned(turn),
        samples=tuple(sample.turned(turn) for sample in said.samples),
        half_width=None if said.half_width is None else said.half_width.turned(turn),
    )
