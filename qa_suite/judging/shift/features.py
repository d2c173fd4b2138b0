"""What an image looks like, as numbers of patients: the features that sites are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import CaseRecord
from qa_suite.core.records.shift import Image

IMAGES: tuple[Image, ...] = get_args(Image)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number of an image, by which sites are compared.

    Parameters
    ----------
    name
        In words.
    metric, region, variant
        Of its rows.
    ratio
        Whether it is compared by its logarithm: a factor, not a difference, is what matters.
    least
        Smallest standard deviation between patients that is believed, on that scale: a protocol
        that is the same in all patients of a site has none, and rounding is no shift.
    """

    name: str
    metric: str
    region: str
    variant: str = "default"
    ratio: bool = False
    least: float

    @property
    def key(self) -> str:
        """How a trained model's registration names it: ``metric@region``."""
        return f"{self.metric}@{self.region}"


_ratio = partial(Feature, region="body", ratio=True, least=0.02)
_LEAST_HU = {"air": 2.0, "fat": 2.0, "muscle": 2.0, "bone": 10.0}
_STEEPNESS = {"fat": "steepness of fat's edges", "bone": "steepness of bone's edges"}

FEATURES: dict[Image, tuple[Feature, ...]] = {
    "source": (
        _ratio(name="signal level", metric="source_level"),
        _ratio(name="contrast", metric="source_span"),
        Feature(name="order of contrasts", metric="source_asymmetry", region="body", least=0.01),
        _ratio(name="noise", metric="source_noise"),
        _ratio(name="sharpness", metric="source_sharpness"),
        _ratio(name="unevenness", metric="source_unevenness", least=0.05),
        *(
            Feature(name=f"{at}th percentile", metric="source_shape", region=f"p{at}", least=0.01)
            for at in (10, 25, 75, 90)
        ),
        *(
            _ratio(name=f"texture at {mm} mm", metric="source_texture", region=f"{mm}mm")
            for mm in (2, 4, 8, 16)
        ),
        _ratio(name="voxel size in plane", metric="voxel_size", region="in_plane", least=0.01),
        _ratio(name="slice spacing", metric="voxel_size", region="slice", least=0.01),
    ),
    **{
        image: (
            *(
                Feature(
                    name=f"{tissue} HU", metric="tissue_hu", region=tissue, variant=image, least=hu
                )
                for tissue, hu in _LEAST_HU.items()
            ),
            _ratio(name="noise", metric="image_noise", variant=image),
            *(
                _ratio(name=name, metric="edge_steepness", region=tissue, variant=image)
                for tissue, name in _STEEPNESS.items()
            ),
        )
        for image in ("reference", "synthetic")
    },
}
"""Of each image; a reference and a synthetic image are described alike."""


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """One row a patient of a site, one column a feature; NaN where it was not measured.

    ``values`` has the shape (patients, features), on the scale that features are compared on.
    """

    features: tuple[Feature, ...]
    patients: tuple[str, ...]
    sites: tuple[str, ...]
    values: NDArray[np.float64]

    def at(self, site: str) -> NDArray[np.float64]:
        """Return the rows of one site."""
        return self.values[np.asarray(self.sites, dtype=object) == site]

    @property
    def site_names(self) -> tuple[str, ...]:
        """The sites, in alphabetical order."""
        return tuple(sorted(set(self.sites)))


def feature_table(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord], image: Image
) -> FeatureTable:
    """Gather an image's features, the mean of a patient's examinations each.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation; cases without any of the features leave no row.
    image
        Whose looks.
    """
    features = FEATURES[image]
    where = {case.case: (case.site, case.patient) for case in cases if case.status == "evaluated"}
    rows = measurements[measurements["case"].isin(where) & (measurements["status"] == "ok")]
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for column, feature in enumerate(features):
        here = rows[
            (rows["metric"] == feature.metric)
            & (rows["region"] == feature.region)
            & (rows["variant"] == feature.variant)
        ]
        for case, value in zip(here["case"], here["value"], strict=True):
            told = on_scale(feature, float(value))
            if np.isfinite(told):
                found.setdefault(where[case], {}).setdefault(column, []).append(told)
    values = np.full((len(found), len(features)), np.nan)
    keys = sorted(found)
    for row, key in enumerate(keys):
        for column, told_here in found[key].items():
            values[row, column] = float(np.mean(told_here))
    return FeatureTable(
        features=features,
        patients=tuple(patient for _, patient in keys),
        sites=tuple(site for site, _ in keys),
        values=values,
    )


def on_scale(feature: Feature, value: float) -> float:
    """Return a value on the scale that its feature is compared on; NaN where it has none."""
    if not feature.ratio:
        return value
    return float(np.log(value)) if value > 0 else float("nan")
