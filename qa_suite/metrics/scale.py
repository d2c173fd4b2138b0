"""Images of arbitrary scale made comparable: the scale is removed in a stated way, or not at all.

The signal of an MR means nothing by itself: receiver gain and coil decide it, scan by scan.
Before errors are taken, each image is expressed in percent of its own percentile inside the
mask. No offset is removed: no signal is 0 in any MR.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.errors import InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Volume


class ScaleSettings(BaseModel):
    """How the scale of images in arbitrary units is removed.

    Parameters
    ----------
    percentile
        The percentile of the mask's voxels that becomes 100.
    of
        ``each``: of each image by itself, so that a wrong gain is no error (``scale_ratio``
        tells it). ``reference``: of the reference for both, for a translator that claims to
        give the reference's own scale.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    percentile: float = Field(default=99.0, gt=0, le=100)
    of: Literal["each", "reference"] = "each"

    @property
    def unit(self) -> str:
        """What the values are called once the scale is removed."""
        return f"% of P{self.percentile:g}"


@dataclass(frozen=True, kw_only=True)
class RemovedScale:
    """What was done to a pair: the values that became 100, and the unit since.

    Parameters
    ----------
    reference, synthetic
        The percentile of each image in the mask, in its own arbitrary unit.
    unit
        Of the values afterwards.
    """

    reference: float
    synthetic: float
    unit: str


def percentile_in(volume: Volume, mask: NDArray[np.bool_], percentile: float) -> float:
    """Return the percentile of an image's finite voxels in a mask; NaN where there is none."""
    inside = volume.array[mask]
    inside = inside[np.isfinite(inside)]
    return float(np.percentile(inside, percentile)) if inside.size else float("nan")


def removed_scale(
    reference: Volume, synthetic: Volume, mask: NDArray[np.bool_], settings: ScaleSettings
) -> RemovedScale:
    """Find the scale of both images of a pair.

    Raises
    ------
    InputError
        If an image has no signal by which its scale could be removed.
    """
    found = {
        name: percentile_in(volume, mask, settings.percentile)
        for name, volume in (("reference", reference), ("synthetic image", synthetic))
    }
    needed = found if settings.of == "each" else {"reference": found["reference"]}
    for name, value in needed.items():
        if not value > 0:
            said = f"is {value:g}" if np.isfinite(value) else "has no finite voxel to be told from"
            raise InputError(
                f"the {settings.percentile:g}th percentile of the {name} in the mask {said}, so "
                f"its arbitrary scale cannot be removed"
            )
    return RemovedScale(
        reference=found["reference"], synthetic=found["synthetic image"], unit=settings.unit
    )


def scaled(volume: Volume, hundred: float) -> Volume:
    """Express a volume in percent of a value of its own unit; float32."""
    array = (volume.array * (100.0 / hundred)).astype(np.float32)
    return volume.with_array(array, step=f"divided by {hundred:.6g}, times 100")


def scaled_prediction(prediction: Prediction, hundred: float) -> Prediction:
    """Express everything that a translator said in percent of a value of its own unit."""

    def maybe(volume: Volume | None) -> Volume | None:
        return None if volume is None else scaled(volume, hundred)

    return replace(
        prediction,
        mean=scaled(prediction.mean, hundred),
        std=maybe(prediction.std),
        half_width=maybe(prediction.half_width),
        samples=tuple(scaled(sample, hundred) for sample in prediction.samples),
    )
