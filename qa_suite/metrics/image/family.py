"""Comparison of a synthetic image with its reference, region by region.

The voxels are taken out of the volumes once, the SSIM and gradient maps are computed once, and
every metric of ``by_region.py`` is applied to every region, those of ``whole_body.py`` and
``cancelling.py`` to the whole mask. The conventions of the SynthRAD challenges stand in
``synthrad.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.metrics.base import Censored, NoValue, Pair, Value, as_value, failed, ok, undefined
from qa_suite.metrics.facts import FAMILIES, METRICS, FamilyFacts, MetricFacts
from qa_suite.metrics.image import by_region as _by_region  # registers its metrics, as those below
from qa_suite.metrics.image import cancelling as _cancelling  # noqa: F401
from qa_suite.metrics.image import whole_body as _whole_body  # noqa: F401
from qa_suite.metrics.image.comparison import OF_BODY, Comparison, compare
from qa_suite.metrics.image.regions import BY_REGION, Region, RegionVoxels, regions_of
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.image.synthrad import synthrad
from qa_suite.metrics.scale import RemovedScale, ScaleSettings

_SCALE = ScaleSettings()
_OF_NOISE = ("error_to_noise", "shared_noise")


@FAMILIES.add(
    "image",
    FamilyFacts(
        title="Voxel-wise errors and similarity, by region and tissue",
        needs=("reference", "mask"),
        common_scale=True,
    ),
)
def image(pair: Pair, settings: ImageSettings) -> list[Value]:
    """Measure every metric of the family.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity.
    settings
        Data range, regions, windows and bins.

    Returns
    -------
    list of Value
        Regions ``body`` (the mask), the bands by name, ``structure:NAME`` (its part inside
        the mask; the coverage tells how much that is) and the shells. Metrics of scales,
        frequencies and slices, and the SynthRAD variants (for HU), are given for ``body`` only.

    Raises
    ------
    InputError
        If the two images hold different quantities, or labels.
    """
    quantity = pair.reference.quantity
    if quantity == "label" or pair.synthetic.quantity != quantity:
        raise InputError(
            f"Cannot compare a synthetic image of {pair.synthetic.quantity} with a reference of "
            f"{quantity}."
        )
    comparison = compare(pair, settings)
    values: list[Value] = []
    for region in regions_of(pair, comparison, settings):
        names = _asked(BY_REGION, settings)
        if region.name == "body":
            names += _asked(OF_BODY, settings)
        values += _measure(names, region, comparison)
    if quantity == "HU":
        for mode in settings.synthrad_modes:
            values += synthrad(comparison, mode)
    if pair.scale is not None:
        values += scale_values(pair.scale)
    return values


def noise(pair: Pair, settings: ImageSettings) -> list[Value]:
    """Measure no more than whether the synthetic image repeats the reference's own noise."""
    comparison = compare(pair, settings)
    body = next(regions_of(pair, comparison, settings))
    return list(_measure(list(_OF_NOISE), body, comparison))


# ---------------------------------------------------------------------------------------
# The scale that was removed

METRICS.declare(
    "reference_scale",
    MetricFacts(
        family="image",
        title="Value of the reference that became 100",
        unit="a.u.",
        direction="none",
        range="(0, inf)",
        kind="positive",
        formula="the percentile of the reference's voxels in the mask that its scale is told by",
        empty="left out where the reference has a unit of its own",
        reference="Definition of this suite",
        settings={"percentile": _SCALE.percentile, "regions": "scale"},
        quantities=("arbitrary",),
        because="its scale is not arbitrary",
    ),
)
METRICS.declare(
    "scale_ratio",
    MetricFacts(
        family="image",
        title="Scale of the synthetic image against the reference's",
        unit="1",
        direction="none",
        range="(0, inf)",
        kind="positive",
        formula="the same percentile of the synthetic image over that of the reference; 1: equal",
        empty="left out where the reference has a unit of its own",
        reference="Definition of this suite",
        settings={"percentile": _SCALE.percentile, "of": _SCALE.of, "regions": "scale"},
        quantities=("arbitrary",),
        because="its scale is not arbitrary",
    ),
)


def scale_values(scale: RemovedScale) -> list[Value]:
    """Say by which values the images were scaled, so that nothing vanishes with it."""
    first = ok("reference_scale", "body", scale.reference)
    if np.isfinite(scale.synthetic):
        return [first, ok("scale_ratio", "body", scale.synthetic / scale.reference)]
    return [first, failed("scale_ratio", "body", "the synthetic image has no finite voxel")]


def _asked(functions: Iterable[str], settings: ImageSettings) -> list[str]:
    """Return the names that the settings ask for, in a fixed order."""
    return sorted(name for name in functions if settings.only is None or name in settings.only)


def _measure(names: list[str], region: Region, comparison: Comparison) -> Iterator[Value]:
    voxels = int(np.count_nonzero(region.chosen))
    if voxels == 0:
        coverage = 0.0 if region.voxels else None
        for name in names:
            yield undefined(
                name,
                region.name,
                region.why_empty,
                coverage=coverage,
                absent_in_reference=region.name != "body" and not region.cut_off,
            )
        return
    wrong = 0
    if comparison.wrong:
        wrong = int(np.count_nonzero(region.chosen & ~comparison.finite))
    coverage = (voxels - wrong) / region.voxels
    inside = RegionVoxels(comparison=comparison, chosen=region.chosen)
    for name in names:
        if wrong:
            images = "the synthetic or the reference image"
            why = f"{wrong} of {voxels} voxels are not finite in {images}"
            yield failed(name, region.name, why, coverage=coverage)
        elif comparison.wrong and name in _by_region.REACHING:
            why = f"{comparison.wrong} voxels of the mask are not finite, and {name} may reach them"
            yield failed(name, region.name, why, coverage=coverage)
        else:
            yield _value(name, region, inside, coverage)


def _value(name: str, region: Region, voxels: RegionVoxels, coverage: float) -> Value:
    result: float | Censored | NoValue
    if name in OF_BODY:
        found = OF_BODY[name](voxels.comparison)
        result, coverage = found if isinstance(found, tuple) else (found, coverage)
    else:
        result = BY_REGION[name](voxels)
        if name in _by_region.COVERED:
            coverage = getattr(voxels.sums, _by_region.COVERED[name]) / region.voxels
    return as_value(name, region.name, result, coverage=coverage)
