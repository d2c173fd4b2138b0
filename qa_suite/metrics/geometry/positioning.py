"""The positioning test: whether the synthetic CT as plan image sets a patient up elsewhere.

A treatment day is made from the reference CT at a known random offset. Its images are registered
once to the reference and once to the synthetic CT, in the same way; what differs between the
two answers is the error that the synthetic CT would bring into the patient's position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.wording import count
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.metrics.base import Censored, NoValue, Value, as_value
from qa_suite.metrics.facts import MetricFacts, MetricFunctions
from qa_suite.metrics.geometry.cbct import Day, make_day
from qa_suite.metrics.geometry.drr import cut_share
from qa_suite.metrics.geometry.images import Image
from qa_suite.metrics.geometry.reference_side import reference_side
from qa_suite.metrics.geometry.rigid_match import Match
from qa_suite.metrics.geometry.settings import PositioningSettings

VARIANTS = ("cbct", "drr")
REGION = "body"
_COMPONENTS = ("x", "y", "z", "rotation about x", "rotation about y", "rotation about z")
_CONSTANT_HU = 1.0
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Plans:
    """What one variant compares.

    Parameters
    ----------
    reference, synthetic
        The planning CTs, averaged.
    region
        Where they show the patient and are known.
    centre_mm
        The isocentre.
    """

    reference: Image
    synthetic: Image
    region: Mask
    centre_mm: FloatArray


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Both registrations of one day.

    Parameters
    ----------
    difference
        From where the reference shows the patient to where the synthetic CT does.
    truth_error_mm
        Rms displacement between the registration to the reference and the truth.
    determined
        Whether both registrations decide each component: shift x, y, z, rotation x, y, z.
    beyond
        Why the registration to the synthetic CT lies beyond its range; empty where it does not.
    least_shift_mm, least_rotation_deg
        What the difference is at least then, 0 where nothing is known of it.
    """

    difference: RigidMotion
    truth_error_mm: float
    determined: NDArray[np.bool_]
    beyond: str = ""
    least_shift_mm: float = 0.0
    least_rotation_deg: float = 0.0


def position(plans: Plans, variant: str, settings: PositioningSettings) -> Setup | NoValue:
    """Run one variant of the test.

    Parameters
    ----------
    plans
        Reference and synthetic CT on one working grid.
    variant
        ``cbct`` or ``drr``.
    settings
        Of the day and the registrations.
    """
    if not getattr(settings, variant):
        return NoValue(why=f"switched off by positioning.{variant}")
    if min(plans.region.shape) < 4:
        return NoValue(
            why=f"only {count(min(plans.region.shape), 'slice')} of {plans.region.shape}"
        )
    for name, image in (("reference", plans.reference), ("synthetic image", plans.synthetic)):
        inside = image.values[plans.region]
        if inside.size == 0 or float(np.ptp(inside)) < _CONSTANT_HU:
            return NoValue(why=f"the {name} is constant: there is nothing to register")
    cut = cut_share(plans.reference, plans.region) if variant == "drr" else 0.0
    if cut > settings.max_drr_cut:
        return NoValue(
            why=f"the mask or the image cuts the patient along {100 * cut:.0f} % of the outline, "
            "and radiographs need the whole cross-section"
        )
    day = make_day(plans.reference, plans.centre_mm, settings)
    matches = _register(plans, variant, day, settings)
    to_reference, to_synthetic = matches
    for name, match in zip(("reference", "synthetic image"), matches, strict=True):
        why = _why_not(match, variant, settings)
        if not why and match is to_reference:
            why = _beyond(match, settings)
        if why:
            return NoValue(why=f"registration to the {name}: {why}")
    sd = np.maximum(to_reference.sd_mm, to_synthetic.sd_mm)
    sd = sd / np.sqrt(np.maximum(_shared(to_reference.slopes, to_synthetic.slopes), _LEAST_SHARE))
    return Setup(
        difference=to_synthetic.motion.after(to_reference.motion.inverse()),
        truth_error_mm=_rms(to_reference.motion.after(day.offset.inverse()), to_reference),
        determined=sd <= settings.max_sd_mm,
        **_what_is_known(to_reference.motion, to_synthetic, settings),
    )


def _what_is_known(
    reference: RigidMotion, to_synthetic: Match, settings: PositioningSettings
) -> dict[str, Any]:
    """Say what a registration beyond its range leaves: what it exceeds, less the reference's."""
    why = _beyond(to_synthetic, settings)
    if not why:
        return {}
    far, turned = _size(to_synthetic.motion)
    near, little = _size(reference)
    return {
        "beyond": f"registration to the synthetic image: {why}",
        "least_shift_mm": max(0.0, settings.reach_mm - near) if far > settings.reach_mm else 0.0,
        "least_rotation_deg": max(0.0, settings.reach_deg - little)
        if turned > settings.reach_deg
        else 0.0,
    }


def _register(
    plans: Plans, variant: str, day: Day, settings: PositioningSettings
) -> tuple[Match, Match]:
    seen = reference_side(plans.reference, plans.region, variant, day, settings)
    return seen.match, seen.register(plans.synthetic, plans.region, day, settings)


def _why_not(match: Match, variant: str, settings: PositioningSettings) -> str:
    if match.why:
        return match.why
    least = settings.min_correlation if variant == "cbct" else settings.min_drr_correlation
    if match.correlation < least:
        return f"no match, the correlation is {match.correlation:.2f}"
    return ""


def _beyond(match: Match, settings: PositioningSettings) -> str:
    far, turned = _size(match.motion)
    if far > settings.reach_mm or turned > settings.reach_deg:
        return f"it left its range of {settings.reach_mm:g} mm and {settings.reach_deg:g}°"
    return ""


def _size(motion: RigidMotion) -> tuple[float, float]:
    """Length of the shift in mm, and angle of the rotation in degrees."""
    return float(np.linalg.norm(motion.shift)), float(np.linalg.norm(motion.vector_deg))


def _shared(one: FloatArray, other: FloatArray) -> FloatArray:
    """Correlation of the two images' slopes by each component, shape (6,).

    Noise has slopes too, and a standard error from them alone would call a plain cylinder
    determined. Only what both images show alike is structure of the patient: of the
    information that the slopes hold, about this share.
    """
    scale = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return np.asarray((one * other).sum(axis=0) / np.maximum(scale, 1e-30))


def _rms(motion: RigidMotion, match: Match) -> float:
    """Rms displacement over points that lie evenly around the centre at the match's radius."""
    turn_mm = np.radians(np.linalg.norm(motion.vector_deg)) * match.radius_mm
    return float(np.sqrt(motion.shift @ motion.shift + 2 / 3 * turn_mm**2))


# ---------------------------------------------------------------------------------------
# The metrics: the patient lies as HFS, LPS axes


_EMPTY = (
    "undefined where a registration finds no match, that to the reference leaves its range (for a "
    "component: either), or the images hold too little structure to decide a component that it "
    "needs"
)
_CENSORED = (
    "where the registration to the synthetic CT leaves its range ({0}): at least {0} less that of "
    "the registration to the reference"
)
_SIGN = (
    "T(synthetic) after the inverse of T(reference), T: from the day to the planning CT; "
    "where the synthetic CT shows the patient, relative to the reference; "
)
_SOURCE = (
    "Definition of this suite; set-up differences of this kind are how synthetic CTs are "
    "commissioned for image guidance"
)


_BECAUSE = "a patient is set up on a planning CT"


def _facts(
    title: str, unit: str, formula: str, *, signed: bool, censored: str = "", reach: float = 0.0
) -> MetricFacts:
    return MetricFacts(
        family="geometry",
        title=title,
        unit=unit,
        direction="zero" if signed else "lower",
        range="(-inf, inf)" if signed else "[0, inf)",
        kind="signed" if signed else "positive",
        formula=_SIGN + formula,
        empty=_EMPTY,
        censored=censored,
        ends=(2 * reach,) if censored else (),  # both registrations stay within it
        reference=_SOURCE,
        quantities=("HU",),
        because=_BECAUSE,
    )


def _component(found: Setup, values: FloatArray, which: int) -> float | NoValue:
    missing = _undetermined(found, [which])
    return missing or float(values[which % 3])


def _undetermined(found: Setup, which: list[int]) -> NoValue | None:
    if found.beyond:
        return NoValue(why=found.beyond)
    lost = [_COMPONENTS[n] for n in which if not found.determined[n]]
    if not lost:
        return None
    return NoValue(why=f"the images hold too little structure along: {', '.join(lost)}")


def _length(
    found: Setup, which: list[int], size: float, least: float
) -> float | Censored | NoValue:
    """Return a length, or what it is at least where the registration left its range."""
    if found.beyond and least > 0 and found.determined[which].all():
        return Censored(at_least=least, why=found.beyond)
    return _undetermined(found, which) or size


OF_POSITIONING: MetricFunctions[Callable[[Setup], float | Censored | NoValue]] = MetricFunctions(
    "geometry"
)
"""Metrics of the positioning test, in each of its variants."""


@OF_POSITIONING.add(
    "positioning_x",
    _facts("Positioning difference to the left", "mm", "shift of the isocentre, x", signed=True),
)
def positioning_x(found: Setup) -> float | NoValue:
    """Shift along x (to the patient's left), in mm."""
    return _component(found, found.difference.shift, 0)


@OF_POSITIONING.add(
    "positioning_y",
    _facts("Positioning difference to posterior", "mm", "shift of the isocentre, y", signed=True),
)
def positioning_y(found: Setup) -> float | NoValue:
    """Shift along y (to posterior), in mm."""
    return _component(found, found.difference.shift, 1)


@OF_POSITIONING.add(
    "positioning_z",
    _facts("Positioning difference to the head", "mm", "shift of the isocentre, z", signed=True),
)
def positioning_z(found: Setup) -> float | NoValue:
    """Shift along z (to the head), in mm."""
    return _component(found, found.difference.shift, 2)


@OF_POSITIONING.add(
    "positioning_shift",
    _facts(
        "Positioning difference",
        "mm",
        "length of the shift of the isocentre",
        signed=False,
        censored=_CENSORED.format("reach_mm"),
        reach=PositioningSettings().reach_mm,
    ),
)
def positioning_shift(found: Setup) -> float | Censored | NoValue:
    """Length of the shift, in mm."""
    length, _ = _size(found.difference)
    return _length(found, [0, 1, 2], length, found.least_shift_mm)


@OF_POSITIONING.add(
    "positioning_pitch",
    _facts("Pitch difference", "°", "rotation vector along IEC x, which is +x (HFS)", signed=True),
)
def positioning_pitch(found: Setup) -> float | NoValue:
    """Rotation about the lateral axis, in degrees."""
    return _component(found, found.difference.vector_deg, 3)


@OF_POSITIONING.add(
    "positioning_roll",
    _facts("Roll difference", "°", "rotation vector along IEC y, which is +z (HFS)", signed=True),
)
def positioning_roll(found: Setup) -> float | NoValue:
    """Rotation about the longitudinal axis, in degrees."""
    return _component(found, found.difference.vector_deg, 5)


@OF_POSITIONING.add(
    "positioning_yaw",
    _facts("Yaw difference", "°", "rotation vector along IEC z, which is −y (HFS)", signed=True),
)
def positioning_yaw(found: Setup) -> float | NoValue:
    """Rotation about the vertical axis, in degrees."""
    return _component(found, -found.difference.vector_deg, 4)


@OF_POSITIONING.add(
    "positioning_rotation",
    _facts(
        "Rotation difference",
        "°",
        "angle of the rotation",
        signed=False,
        censored=_CENSORED.format("reach_deg"),
        reach=PositioningSettings().reach_deg,
    ),
)
def positioning_rotation(found: Setup) -> float | Censored | NoValue:
    """Angle of the whole rotation, in degrees."""
    _, angle = _size(found.difference)
    return _length(found, [3, 4, 5], angle, found.least_rotation_deg)


@OF_POSITIONING.add(
    "positioning_truth_error",
    MetricFacts(
        family="geometry",
        title="Noise floor of the positioning test",
        unit="mm",
        direction="none",
        range="[0, inf)",
        kind="positive",
        formula="rms displacement between the registration to the reference CT and the true offset",
        empty=_EMPTY,
        reference="Definition of this suite",
        quantities=("HU",),
        because=_BECAUSE,
    ),
)
def positioning_truth_error(found: Setup) -> float | NoValue:
    """Error of the registration to the reference itself, in mm."""
    return _undetermined(found, list(range(6))) or found.truth_error_mm


def positioning_values(found: Setup | NoValue, variant: str) -> list[Value]:
    """Write what one variant found as values."""
    return [
        as_value(
            name, REGION, found if isinstance(found, NoValue) else function(found), variant=variant
        )
        for name, function in OF_POSITIONING.items()
    ]
