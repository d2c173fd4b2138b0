"""What a family is given and what it gives: the pair it looks at, and the rows it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError
from qa_suite.core.orientation import Turn
from qa_suite.core.prediction import Prediction, canonical_prediction
from qa_suite.core.records import Measurement, MeasurementStatus
from qa_suite.core.volume import Grid, Volume, require_same_grid
from qa_suite.instruments.base import Extractor, Segmenter
from qa_suite.metrics.scale import (
    RemovedScale,
    ScaleSettings,
    removed_scale,
    scaled,
    scaled_prediction,
)

if TYPE_CHECKING:
    from qa_suite.dose.clinic.given import ClinicCase
    from qa_suite.metrics.reference_free.norms import Norms


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """What the examiner brings along beside the images; each may be absent.

    Parameters
    ----------
    segmenters
        Learned segmenters, applied alike to reference and synthetic image.
    extractor
        Feature extractor for distances between sets.
    inverse
        From the synthetic image back to the source's modality, for cycle consistency.
    norms
        What the training cohort looks like, for the checks without a reference.
    without
        Why norms or inverse are absent, by their name.
    """

    segmenters: tuple[Segmenter, ...] = ()
    extractor: Extractor | None = None
    inverse: Callable[[Volume], Volume] | None = None
    norms: Norms | None = None
    without: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One case as the measures see it: all volumes on one grid, in canonical orientation.

    Whichever way the arrays are stored that a pair is made of, it holds them turned so that i,
    j, k run nearest to x, y, z (:func:`qa_suite.core.volume.canonical`): volumes, masks, structures
    and the prediction alike. So no number depends on the storage.

    Parameters
    ----------
    reference, synthetic
        The real and the translated image, in the reference's quantity.
    mask
        Where it is measured; bool, of the grid's shape.
    source
        The image that was translated, or None where only a pair is measured.
    structures
        Delineated structures by name; bool, of the grid's shape.
    prediction
        The translator's whole answer (std, samples), where it gave one.
    coverage
        Where the reference was really scanned, bool; None says everywhere. A reference that
        was resampled onto a larger grid is padded there, and padding is no anatomy.
    instruments
        The examiner's own networks and norms, where there are any.
    clinic
        Doses and plan of the clinic's own planning system, where it gave any.
    scale
        What was done to images of arbitrary scale, where it was removed.

    Raises
    ------
    GeometryError
        If a volume or mask lies on another grid.
    """

    reference: Volume
    synthetic: Volume
    mask: NDArray[np.bool_]
    source: Volume | None = None
    structures: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    prediction: Prediction | None = None
    coverage: NDArray[np.bool_] | None = None
    instruments: Instruments = field(default_factory=Instruments)
    clinic: ClinicCase | None = None
    scale: RemovedScale | None = None

    def __post_init__(self) -> None:
        volumes = {"the reference": self.reference, "the synthetic image": self.synthetic}
        if self.source is not None:
            volumes["the source"] = self.source
        grid = require_same_grid(volumes)
        masks = {"the mask": self.mask, **self.structures}
        if self.coverage is not None:
            masks["the coverage"] = self.coverage
        for name, mask in masks.items():
            if mask.shape != grid.shape or mask.dtype != np.bool_:
                raise GeometryError(
                    f"{name} must be a bool array of shape {grid.shape}, got {mask.dtype} of "
                    f"shape {mask.shape}."
                )
        self._turn(grid.turn)

    def _turn(self, turn: Turn) -> None:
        """Bring everything to the canonical orientation."""
        said = self.prediction
        turned: dict[str, Any] = {
            "reference": self.reference.turned(turn),
            "synthetic": self.synthetic.turned(turn),
            "source": None if self.source is None else self.source.turned(turn),
            "mask": turn.apply(self.mask),
            "coverage": None if self.coverage is None else turn.apply(self.coverage),
            "structures": {name: turn.apply(mask) for name, mask in self.structures.items()},
            "prediction": None if said is None else canonical_prediction(said),
        }
        for name, value in turned.items():
            object.__setattr__(self, name, value)

    @property
    def grid(self) -> Grid:
        """The grid that all volumes share."""
        return self.reference.grid

    @property
    def unit(self) -> str:
        """Unit of the values of reference and synthetic image."""
        return self.reference.quantity if self.scale is None else self.scale.unit


def at_common_scale(pair: Pair, settings: ScaleSettings) -> Pair:
    """Return a pair whose arbitrary scale is removed; any other pair as it is.

    Raises
    ------
    InputError
        If an image has no signal by which its scale could be removed.
    """
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    if pair.reference.quantity != "arbitrary" or not inside.any():
        return pair
    scale = removed_scale(pair.reference, pair.synthetic, inside, settings)
    hundred = scale.synthetic if settings.of == "each" else scale.reference
    said = pair.prediction
    return replace(
        pair,
        reference=scaled(pair.reference, scale.reference),
        synthetic=scaled(pair.synthetic, hundred),
        prediction=None if said is None else scaled_prediction(said, hundred),
        scale=scale,
    )


@dataclass(frozen=True, kw_only=True)
class NoValue:
    """What a metric returns where it is not defined: the reason.

    Parameters
    ----------
    why
        The reason.
    absent_in_reference
        Whether the reference alone leaves nothing to measure, whatever the synthetic image shows:
        it has no such region or structure, or too little of it. A case without a value is let off
        by this alone; what depends on the synthetic image is lost.
    """

    why: str
    absent_in_reference: bool = False


def absent(why: str) -> NoValue:
    """Return the statement that the reference has nothing there to measure, and why."""
    return NoValue(why=why, absent_in_reference=True)


@dataclass(frozen=True, kw_only=True)
class Censored:
    """What a metric returns where its search ended: what is known of its value, and why.

    Parameters
    ----------
    at_least, at_most
        The true value is at least, at most this; one of them or both, in the metric's unit.
    why
        Which window, cap or edge ended it.
    """

    at_least: float | None = None
    at_most: float | None = None
    why: str


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of one metric in one region, or a bound of it; becomes a ``Measurement``."""

    metric: str
    region: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"
    why: str = ""
    variant: str = "default"
    coverage: float | None = None
    absent_in_reference: bool = False

    def measurement(self, *, unit: str, **who: str) -> Measurement:
        """Return the row of the record; ``who`` is case, patient, site and family.

        An undefined row always says whether it is so by the reference.
        """
        return Measurement(
            **who,
            metric=self.metric,
            region=self.region,
            variant=self.variant,
            value=self.value,
            at_least=self.at_least,
            at_most=self.at_most,
            unit=unit,
            status=self.status,
            why=self.why,
            coverage=self.coverage,
            absent_in_reference=self.absent_in_reference if self.status == "undefined" else None,
        )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of one region, such as Dice against threshold; becomes rows of the curves.

    Parameters
    ----------
    curve
        Its name.
    region
        As in a value.
    x, y
        The points, shape (points,), finite.
    x_unit, y_unit
        Their units.
    """

    curve: str
    region: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_unit: str
    y_unit: str
    variant: str = "default"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A volume that a family made and that the record may keep, such as a dose.

    Parameters
    ----------
    role
        Its name among the volumes of its case.
    volume
        On a grid of its own.
    """

    role: str
    volume: Volume


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What must be known of how a pair was measured, in one sentence; it stands in the record."""

    text: str


def ok(metric: str, region: str, value: float, **more: Any) -> Value:
    """Return a value; one that is not finite is a bug and raises."""
    if not np.isfinite(value):
        raise ArithmeticError(f"{metric} in {region} came out as {value}.")
    return Value(metric=metric, region=region, value=float(value), **more)


def censored(
    metric: str,
    region: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    why: str,
    **more: Any,
) -> Value:
    """Return the statement that the true value lies at or beyond a bound, with its reason.

    Raises
    ------
    ArithmeticError
        If there is no bound, a bound is not finite, or both contradict each other.
    """
    bounds = [bound for bound in (at_least, at_most) if bound is not None]
    if not bounds or not np.isfinite(bounds).all() or bounds != sorted(bounds):
        raise ArithmeticError(
            f"{metric} in {region} cannot be at least {at_least} and at most {at_most}."
        )
    low, high = (None if bound is None else float(bound) for bound in (at_least, at_most))
    return Value(
        metric=metric,
        region=region,
        value=None,
        at_least=low,
        at_most=high,
        status="censored",
        why=why,
        **more,
    )


def as_value(metric: str, region: str, found: float | Censored | NoValue, **more: Any) -> Value:
    """Return what a metric's function found as a value, whichever of the three it is."""
    if isinstance(found, NoValue):
        more["absent_in_reference"] = found.absent_in_reference
        return undefined(metric, region, found.why, **more)
    if isinstance(found, Censored):
        return censored(
            metric, region, at_least=found.at_least, at_most=found.at_most, why=found.why, **more
        )
    return ok(metric, region, found, **more)


def undefined(metric: str, region: str, why: str, **more: Any) -> Value:
    """Return the statement that a metric has no value here, with its reason."""
    return Value(metric=metric, region=region, value=None, status="undefined", why=why, **more)


def failed(metric: str, region: str, why: str, **more: Any) -> Value:
    """Return the statement that a metric could not be measured here, with its reason."""
    return Value(metric=metric, region=region, value=None, status="error", why=why, **more)
