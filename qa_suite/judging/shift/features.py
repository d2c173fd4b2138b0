"""What an image looks like, as numbers of patients: the features that sites are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def _ratio(name: str, metric: str, region: str = "body", least: float = 0.02) -> Feature:
    return Feature(name=name, metric=metric, region=region, ratio=True, least=least)


def _of_image(variant: Image) -> tuple[Feature, ...]:
    """Features of a reference or synthetic image, which are described alike."""
    levels = {"air": 2.0, "fat": 2.0, "muscle": 2.0, "bone": 10.0}
    return (
        *(
            Feature(
                name=f"{tissue} HU", metric="tissue_hu", region=tissue, variant=variant, least=hu
            )
            for tissue, hu in levels.items()
        ),
        *(
            Feature(
                name=name, metric=metric, region=region, variant=variant, ratio=True, least=0.02
            )
            for name, metric, region in (
                ("noise", "image_noise", "body"),
                ("steepness of fat's edges", "edge_steepness", "fat"),
                ("steepness of bone's edges", "edge_steepness", "bone"),
            )
        ),
    )


FEATURES: dict[Image, tuple[Feature, ...]] = {
    "source": (
        _ratio("signal level", "source_level"),
        _ratio("contrast", "source_span"),
        Feature(name="order of contrasts", metric="source_asymmetry", region="body", least=0.01),
        _ratio("noise", "source_noise"),
        _ratio("sharpness", "source_sharpness"),
        _ratio("unevenness", "source_unevenness", least=0.05),
        *(
            Feature(name=f"{at}th percentile", metric="source_shape", region=f"p{at}", least=0.01)
            for at in (10, 25, 75, 90)
        ),
        *(_ratio(f"texture at {mm} mm", "source_texture", f"{mm}mm") for mm in (2, 4, 8, 16)),
        _ratio("voxel size in plane", "voxel_size", "in_plane", 0.01),
        _ratio("slice spacing", "voxel_size", "slice", 0.01),
    ),
    "reference": _of_image("reference"),
    "synthetic": _of_image("synthetic"),
}


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
