"""What the uncertainty measures can be told; see ``docs/measures/uncertainty.md``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qa_suite.core.volume import Quantity
from qa_suite.metrics.image.settings import Band

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _bands() -> dict[Quantity, tuple[Band, ...]]:
    air = Band(name="air", high=-200.0)
    soft = Band(name="soft", low=-200.0, high=250.0)
    return {"HU": (air, soft, Band(name="bone", low=250.0))}


class UncertaintySettings(BaseModel):
    """Settings of the uncertainty measures.

    Parameters
    ----------
    bands
        Tissue bands of each quantity, taken on the reference.
    levels
        Nominal coverages at which the calibration is read, increasing, between 0 and 1.
    sparsification_step
        Share of the voxels that is taken away from one point of the sparsification curve to
        the next.
    most_ranked
        Ranks and sparsification of a region with more voxels use a random choice of so many.
    seed
        Of that choice.
    """

    model_config = _STRICT

    bands: dict[Quantity, tuple[Band, ...]] = Field(default_factory=_bands)
    levels: tuple[float, ...] = Field(
        default=tuple(round(0.05 * n, 2) for n in range(1, 20)), min_length=1
    )
    sparsification_step: float = Field(default=0.05, gt=0, le=0.5)
    most_ranked: int = Field(default=200_000, ge=2)
    seed: int = 20261

    @field_validator("levels")
    @classmethod
    def _between(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if list(values) != sorted(set(values)) or values[0] <= 0 or values[-1] >= 1:
            raise ValueError("the levels must increase, above 0 and below 1")
        return values
