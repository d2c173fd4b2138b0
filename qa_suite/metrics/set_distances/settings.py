"""What the distances between sets can be told; see ``docs/measures/set_distances.md``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SetDistanceSettings(BaseModel):
    """Settings of the distances between the set of real and the set of synthetic images.

    Parameters
    ----------
    slices_per_case
        At most so many slices of a case go in, evenly spaced: a long scan is no more
        patients than a short one.
    least_patients
        Below it there is no distance.
    fid_vectors_per_dimension
        FID needs so many feature vectors for each dimension in either set.
    kid_degree
        Of the polynomial kernel.
    neighbours
        k of precision and recall.
    floor_seed
        Of the deal that halves the reference patients.
    jackknife_dimensions
        Beyond so many dimensions FID has no standard error: it would take minutes.
    """

    model_config = _STRICT

    slices_per_case: int = Field(default=32, ge=1)
    least_patients: int = Field(default=10, ge=2)
    fid_vectors_per_dimension: float = Field(default=2.0, ge=1)
    kid_degree: int = Field(default=3, ge=1)
    neighbours: int = Field(default=3, ge=1)
    floor_seed: int = 0
    jackknife_dimensions: int = Field(default=512, ge=1)
