"""Measuring one pair: every family over it, as rows of the record.

Importing this module registers every metric and every family, those of other packages included.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from qa_suite.core.errors import QAError, UnknownName
from qa_suite.core.failures import is_of_the_run
from qa_suite.core.plugins import load_plugins
from qa_suite.core.records import CurvePoint, Measurement
from qa_suite.core.registry import unknown_name
from qa_suite.core.volume import Volume
from qa_suite.metrics import cost as _cost
from qa_suite.metrics import dose as _dose
from qa_suite.metrics import geometry as _geometry
from qa_suite.metrics import pet as _pet
from qa_suite.metrics import reference_free as _reference_free
from qa_suite.metrics.appearance import family as _appearance
from qa_suite.metrics.appearance.facts import VARIANTS as _APPEARANCES
from qa_suite.metrics.base import Curve, Instruments, Kept, Pair, Remark, Value, at_common_scale
from qa_suite.metrics.facts import FAMILIES, METRICS, PLUGIN_GROUP, require_sound, unit_for
from qa_suite.metrics.hallucination import family as _hallucination
from qa_suite.metrics.image import family as _image
from qa_suite.metrics.image.synthrad import describe as describe_mode
from qa_suite.metrics.meaning import families_for, has_meaning
from qa_suite.metrics.segmentation import family as _segmentation
from qa_suite.metrics.segmentation.learned import learned_variants
from qa_suite.metrics.segmentation.structures import tolerance_variant
from qa_suite.metrics.segmentation.synthrad import mode_variants
from qa_suite.metrics.set_distances import family as _set_measurements
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.metrics.uncertainty import family as _uncertainty

log = logging.getLogger(__name__)

__all__ = ["FAMILIES", "METRICS", "Measured", "measure_pair", "noise_rows", "variants_of"]

FAMILY_METRIC = "family"
"""Metric name of the row that says that a whole family could not be measured."""

_FAMILY_MODULES = (
    _image,
    _segmentation,
    _geometry,
    _dose,
    _hallucination,
    _pet,
    _reference_free,
    _uncertainty,
    _appearance,
    _cost,  # of no pair, as the next one, but their metrics are registered here too
    _set_measurements,
)

load_plugins(PLUGIN_GROUP)
require_sound()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that one pair gave, in a fixed order; volumes by their role."""

    rows: list[Measurement] = field(default_factory=list)
    curves: list[CurvePoint] = field(default_factory=list)
    volumes: dict[str, Volume] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def measure_pair(
    pair: Pair,
    *,
    families: Sequence[str] | None,
    settings: MeasureSettings,
    case: str,
    patient: str,
    site: str,
) -> Measured:
    """Measure one pair.

    Parameters
    ----------
    pair
        The volumes, on one grid.
    families
        Names of the families to measure; None measures all of them. What has no meaning for
        the reference's quantity is left out (:mod:`qa_suite.metrics.meaning`).
    settings
        Of all families; each reads the part of its name.
    case, patient, site
        Written into every row.

    Returns
    -------
    Measured
        Rows and curves in a fixed order. A family that raises leaves one row with the metric
        ``family``, the status ``error`` and the reason, and the others go on.

    Raises
    ------
    UnknownName
        If a family is not registered, or a family is told to measure only what it does not have.
    """
    _require_known(settings)
    quantity = pair.reference.quantity
    views: dict[bool, Callable[[], Pair]] = {
        False: lambda: pair,
        True: cache(lambda: at_common_scale(pair, settings.scale)),
    }
    measured = Measured()
    for entry in (FAMILIES[name] for name in families_for(quantity, families)):
        who = {"case": case, "patient": patient, "site": site, "family": entry.name}
        view = views[entry.facts.common_scale]
        found = _measure_family(entry.function, view, getattr(settings, entry.name, None), who)
        measured.rows.extend(found.rows)
        measured.curves.extend(found.curves)
        measured.volumes.update(found.volumes)
        measured.remarks.extend(found.remarks)
    return measured


def _require_known(settings: MeasureSettings) -> None:
    """Refuse a choice of metrics (``only``) that names none of the family's."""
    for entry in FAMILIES:
        for name in getattr(getattr(settings, entry.name, None), "only", None) or ():
            known = [metric.name for metric in METRICS if metric.facts.family == entry.name]
            if name not in known:
                raise UnknownName(unknown_name(f"metric of the family {entry.name}", name, known))


def noise_rows(pair: Pair, settings: MeasureSettings, who: dict[str, str]) -> list[Measurement]:
    """Ask whether a pair is too good to be true, where the family ``image`` was not asked for.

    Every verdict is held to it, so that a choice of families cannot leave it out.
    """
    whose = {**who, "family": "image"}

    def view() -> Pair:
        return at_common_scale(pair, settings.scale)

    return _measure_family(_image.noise, view, settings.image, whose).rows


def _measure_family(
    function: Callable[..., Sequence[Value | Curve | Kept | Remark]],
    view: Callable[[], Pair],
    settings: Any,
    who: dict[str, str],
) -> Measured:
    try:
        pair = view()
        found = function(pair, settings)
        _require_declared(found, who["family"])
        return Measured(
            rows=[
                value.measurement(unit=unit_for(value.metric, pair.unit), **who)
                for value in found
                if isinstance(value, Value) and has_meaning(value.metric, pair.reference.quantity)
            ],
            curves=[p for curve in found if isinstance(curve, Curve) for p in _points(curve, who)],
            volumes={kept.role: kept.volume for kept in found if isinstance(kept, Kept)},
            remarks=list(dict.fromkeys(one.text for one in found if isinstance(one, Remark))),
        )
    except Exception as error:  # one broken family must not end the run
        if is_of_the_run(error):
            raise
        if not isinstance(error, QAError):
            log.exception("family %s of case %s", who["family"], who["case"])
        text = " ".join(str(error).split()) or "no message"
        why = text if isinstance(error, QAError) else f"{type(error).__name__}: {text}"
        failure = Measurement(
            **who, metric=FAMILY_METRIC, region="all", value=None, unit="", status="error", why=why
        )
        return Measured(rows=[failure])


def _require_declared(found: Sequence[Value | Curve | Kept | Remark], family: str) -> None:
    """Hold a family to the metrics that it declares."""
    metrics = {value.metric for value in found if isinstance(value, Value)}
    others = sorted(name for name in metrics if METRICS[name].facts.family != family)
    if others:
        raise ValueError(f"the family {family} gave rows of {', '.join(others)}, not its own")


def _points(curve: Curve, who: dict[str, str]) -> list[CurvePoint]:
    return [
        CurvePoint(
            **who,
            curve=curve.curve,
            region=curve.region,
            variant=curve.variant,
            x=float(x),
            x_unit=curve.x_unit,
            y=float(y),
            y_unit=curve.y_unit,
        )
        for x, y in zip(curve.x, curve.y, strict=True)
    ]


def variants_of(
    settings: MeasureSettings, instruments: Instruments | None = None
) -> dict[str, dict[str, Any]]:
    """Describe every variant key that :func:`measure_pair` writes with these settings."""
    variants: dict[str, dict[str, Any]] = {"default": settings.model_dump(mode="json")}
    tolerances = settings.segmentation.surface_tolerances_mm
    for tolerance in tolerances:
        variants[tolerance_variant(tolerance)] = {"tolerance_mm": tolerance}
    for mode in settings.image.synthrad_modes:
        variants[mode] = describe_mode(mode)
    variants.update(_geometry.geometry_variants(settings.geometry))
    variants.update(_dose.dose_variants(settings.dose))
    variants.update(_pet.pet_variants(settings.pet))
    variants.update(_cost.VARIANTS)
    variants.update(_APPEARANCES)
    if instruments is not None and instruments.extractor is not None:
        seed = settings.set_distances.floor_seed
        variants[_set_measurements.FLOOR] = {"real_images_halved_by_seed": seed}
    segmenters = () if instruments is None else instruments.segmenters
    return {
        **variants,
        **learned_variants(segmenters, tolerances),
        **mode_variants(segmenters, settings.segmentation.synthrad_region),
    }
