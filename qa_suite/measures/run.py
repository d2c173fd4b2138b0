"""Measuring one pair: every family over it, as rows of the record.

Importing this module registers every metric and every family.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from qa_suite.errors import QAError
from qa_suite.measures import image as _image
from qa_suite.measures import segmentation as _segmentation
from qa_suite.measures.base import FAMILIES, METRICS, Pair, Value
from qa_suite.measures.settings import MeasureSettings
from qa_suite.records import Measurement

log = logging.getLogger(__name__)

__all__ = ["FAMILIES", "METRICS", "measure_pair", "variants_of"]

FAMILY_METRIC = "family"
"""Metric name of the row that says that a whole family could not be measured."""

_FAMILY_MODULES = (_image, _segmentation)


def measure_pair(
    pair: Pair,
    *,
    families: Sequence[str] | None,
    settings: MeasureSettings,
    case: str,
    patient: str,
    site: str,
) -> list[Measurement]:
    """Measure one pair.

    Parameters
    ----------
    pair
        The volumes, on one grid.
    families
        Names of the families to measure; None measures all of them.
    settings
        Of all families; each reads the part of its name.
    case, patient, site
        Written into every row.

    Returns
    -------
    list of Measurement
        In a fixed order. A family that raises leaves one row with the metric ``family``, the
        status ``error`` and the reason, and the others go on.

    Raises
    ------
    UnknownName
        If a family is not registered.
    """
    entries = list(FAMILIES) if families is None else [FAMILIES[name] for name in families]
    rows: list[Measurement] = []
    for entry in entries:
        who = {"case": case, "patient": patient, "site": site, "family": entry.name}
        rows += _measure_family(entry.function, pair, getattr(settings, entry.name, None), who)
    return rows


def _measure_family(
    function: Callable[..., list[Value]], pair: Pair, settings: Any, who: dict[str, str]
) -> list[Measurement]:
    try:
        values = function(pair, settings)
        return [_row(value, pair, who) for value in values]
    except Exception as error:  # one broken family must not end the run
        if not isinstance(error, QAError):
            log.exception("family %s of case %s", who["family"], who["case"])
        text = " ".join(str(error).split()) or "no message"
        why = text if isinstance(error, QAError) else f"{type(error).__name__}: {text}"
        return [
            Measurement(
                **who, metric=FAMILY_METRIC, region="all", value=None, unit="",
                status="error", why=why,
            )
        ]  # fmt: skip


def _row(value: Value, pair: Pair, who: dict[str, str]) -> Measurement:
    unit = METRICS[value.metric].facts.unit
    if unit == "HU":  # these follow the reference: HU, Gy, SUV or arbitrary units
        unit = pair.reference.quantity
    return Measurement(
        **who,
        metric=value.metric,
        region=value.region,
        variant=value.variant,
        value=value.value,
        unit=unit,
        status=value.status,
        why=value.why,
        coverage=value.coverage,
    )


def variants_of(settings: MeasureSettings) -> dict[str, dict[str, Any]]:
    """Describe every variant key that :func:`measure_pair` writes with these settings."""
    variants: dict[str, dict[str, Any]] = {"default": settings.model_dump(mode="json")}
    for tolerance in settings.segmentation.surface_tolerances_mm:
        variants[_segmentation.tolerance_variant(tolerance)] = {"tolerance_mm": tolerance}
    return variants
