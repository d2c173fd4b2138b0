"""Conformal calibration: how wide an interval must be, so that it holds for a new patient.

Split conformal prediction with the patient as the unit (Angelopoulos and Bates 2023, Found
Trends Mach Learn 16:494; Dunn et al. 2023, J Am Stat Assoc 118:2491, for units with many
values each). The score of a calibration patient is the smallest factor q at which a share of
his body's voxels lies within mean ± q·σ. Of n patients the k-th smallest score, k = ⌈(n + 1)
level⌉, holds for a further exchangeable patient with probability of at least ``level``; where
k > n the largest score is taken and the level is n / (n + 1).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.json_files import parse_json_model
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.prediction import IntervalFacts
from qa_suite.core.validation import describe_validation
from translators.answers import Inferred

CALIBRATION_FILE = "calibration.json"

_SMALLEST_STD = 1e-3  # of the target's window: σ may be zero where all members agree


class Calibration(BaseModel):
    """What was learnt from the calibration patients.

    Attributes
    ----------
    factor
        Half width over σ where ``scaled_by`` is ``std``, else the half width itself.
    smallest_std
        σ is held above it, in the unit of the target.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    voxel_share: float = Field(gt=0, lt=1)
    level: float = Field(gt=0, lt=1, description="attained with these patients")
    wanted_level: float = Field(gt=0, lt=1)
    patients: int = Field(ge=1)
    scaled_by: Literal["std", "constant"]
    factor: float = Field(ge=0)
    smallest_std: float = Field(ge=0)

    @property
    def facts(self) -> IntervalFacts:
        """The promise, as a prediction carries it."""
        return IntervalFacts(voxel_share=self.voxel_share, level=self.level, patients=self.patients)

    def half_width(self, found: Inferred) -> NDArray[np.float32]:
        """Half width of the interval in every voxel, in the unit of the target."""
        if self.scaled_by == "constant":
            return np.full(found.mean.shape, self.factor, dtype=np.float32)
        if found.std is None:
            raise InputError("The translator was calibrated with a σ and answered without one.")
        std = np.maximum(found.std, self.smallest_std)
        return np.asarray(std * np.float32(self.factor), dtype=np.float32)

    @staticmethod
    def read(folder: Path) -> Calibration | None:
        """Read the calibration beside a saved translator; None where it has none."""
        path = Path(folder) / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            return parse_json_model(read_bytes(path), Calibration, f"The calibration {path}")
        except ValidationError as error:
            raise Problems(f"The calibration {path}", describe_validation(error)) from None


def smallest_std(low: float, high: float) -> float:
    """Return the least σ that an interval is scaled by, for a target's window."""
    return _SMALLEST_STD * (high - low)


def patient_score(
    error: NDArray[np.float32], std: NDArray[np.float32] | None, *, share: float, least: float
) -> float:
    """Return the smallest factor at which ``share`` of the voxels lies in mean ± factor·σ.

    Parameters
    ----------
    error
        Reference − mean over the voxels of all images of one patient, shape (voxels,).
    std
        σ of the same voxels, or None: the factor is then the half width itself.
    share
        In (0, 1).
    least
        σ is held above it.
    """
    scaled = np.abs(error.astype(np.float64))
    if std is not None:
        scaled = scaled / np.maximum(std.astype(np.float64), least)
    return float(np.quantile(scaled, share, method="higher"))


def calibrate(
    scores: dict[str, float],
    *,
    voxel_share: float,
    level: float,
    scaled_by: Literal["std", "constant"],
    least: float,
) -> Calibration:
    """Turn the scores of the calibration patients into a factor and the level that it attains.

    Parameters
    ----------
    scores
        By patient.

    Raises
    ------
    InputError
        If there is no patient.
    """
    if not scores:
        raise InputError("There is no calibration patient, so no interval can be promised.")
    ordered = sorted(scores.values())
    count = len(ordered)
    place = math.ceil((count + 1) * level - 1e-9)
    return Calibration(
        voxel_share=voxel_share,
        level=level if place <= count else count / (count + 1),
        wanted_level=level,
        patients=count,
        scaled_by=scaled_by,
        factor=ordered[min(place, count) - 1],
        smallest_std=least,
    )
