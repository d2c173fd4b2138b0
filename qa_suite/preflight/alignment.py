"""The checks of alignment: the estimate against its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from qa_suite.core.records import PreflightValue
from qa_suite.core.volume import Quantity
from qa_suite.imaging.registration.alignment import AXES, Alignment, estimate_alignment
from qa_suite.preflight.evidence import Evidence, Values, undetermined
from qa_suite.preflight.settings import PreflightSettings

NEVER_REFUSED: tuple[Quantity, ...] = ("SUVbw",)
"""References that no case is refused by: on real patients the estimate is off by 5 to 25 mm."""

RECORDED = "recorded only"


@dataclass(frozen=True, kw_only=True)
class _Length:
    """One length of the motion, or what is known of it.

    Parameters
    ----------
    found
        The estimate; a lower bound where something is unknown.
    unknown
        What is not known, in words; empty where all is.
    what
        The sentence's subject and verb, such as 'source and reference are misaligned by'.
    bound
        Above it the case is misaligned.
    """

    found: float
    unknown: str
    what: str
    unit: str
    bound: float


def check_alignment(evidence: Evidence) -> Values:
    """Refuse gross misalignment, warn of a large rotation, and record all components.

    The case is judged by the 95th percentile of the displacement within the body, which counts
    shift and rotation together. What the images do not decide is undetermined and has no value;
    a lower bound of it is told, and refuses where it exceeds the bound. A gross motion that only
    part of the body speaks for is undetermined as well, and so is any of a PET: it shares too
    little with an MR for a refusal.
    """
    settings = evidence.settings
    found = estimate_alignment(
        evidence.source,
        evidence.reference,
        body=evidence.common_body,
        coverage=evidence.loaded.coverage,
        settings=settings,
    )
    lengths = _lengths(found, settings)
    if found.why:
        missing = {key: (one.unit, f"<= {one.bound:g} {one.unit}") for key, one in lengths.items()}
        missing |= {f"alignment_shift_{name}": ("mm", RECORDED) for name in AXES}
        missing |= {
            "alignment_consensus": ("1", _agreement(settings)),
            "alignment_similarity_gain": ("1", RECORDED),
        }
        return {k: undetermined(found.why, unit=u, bound=b) for k, (u, b) in missing.items()}
    refuses = evidence.reference.quantity not in NEVER_REFUSED
    values: Values = {}
    for axis, name in enumerate(AXES):
        if found.shift_determined[axis]:
            known = PreflightValue(
                value=found.shift_mm[axis], unit="mm", bound=RECORDED, status="ok"
            )
        else:
            why = f"the images hold no structure along {name}"
            known = undetermined(why, unit="mm", bound=RECORDED)
        values[f"alignment_shift_{name}"] = known
    for key, one in lengths.items():
        values[key] = _judged(one, found, settings, refuses=refuses)
    if found.consensus is None:
        values["alignment_consensus"] = undetermined(
            "no part of the body speaks for or against the estimate",
            unit="1",
            bound=_agreement(settings),
        )
    else:
        values["alignment_consensus"] = PreflightValue(
            value=round(found.consensus, 6), unit="1", bound=_agreement(settings), status="ok"
        )
    values["alignment_similarity_gain"] = PreflightValue(
        value=round(found.similarity_after - found.similarity_before, 6),
        unit="1",
        bound=RECORDED,
        status="ok",
    )
    return values


def _agreement(settings: PreflightSettings) -> str:
    return f">= {settings.min_consensus:g} for a refusal"


def _lengths(found: Alignment, settings: PreflightSettings) -> dict[str, _Length]:
    """Write the shift, the rotation and what both do to the body, with what is not known."""
    along = [n for n, known in zip(AXES, found.shift_determined, strict=True) if not known]
    about = [n for n, known in zip(AXES, found.rotation_determined, strict=True) if not known]
    no_shift = f"no structure decides the shift along {', '.join(along)}" if along else ""
    no_turn = f"no structure decides the rotation about {', '.join(about)}" if about else ""
    rival = (
        f"another place, {found.rival_mm:.0f} mm from the best, fits as well"
        if found.rival_mm
        else ""
    )
    far = found.rival_shift_mm > settings.max_misalignment_mm
    neither = " and ".join(filter(None, (no_shift, no_turn)))
    return {
        "alignment_displacement_95": _Length(
            found=found.displacement_95_mm,
            unknown="; ".join(filter(None, (neither, rival))),
            what="the body is displaced (95th percentile) by",
            unit="mm",
            bound=settings.max_misalignment_mm,
        ),
        "alignment_shift": _Length(
            found=found.distance_mm,
            unknown="; ".join(filter(None, (no_shift, rival if far else ""))),
            what="source and reference are misaligned by",
            unit="mm",
            bound=settings.max_misalignment_mm,
        ),
        "alignment_rotation": _Length(
            found=found.angle_deg,
            unknown="; ".join(filter(None, (no_turn, rival))),
            what="source and reference are turned against each other by",
            unit="deg",
            bound=settings.max_rotation_deg,
        ),
    }


def _judged(
    one: _Length, found: Alignment, settings: PreflightSettings, *, refuses: bool
) -> PreflightValue:
    """Judge a length: ok only where all of it is known and within its bound."""
    bound = f"<= {one.bound:g} {one.unit}"
    value = None if one.unknown else one.found
    clear = found.support >= settings.min_support
    if one.found > one.bound and (clear or not one.unknown):
        least = "" if value is not None else "at least "
        why = f"{one.what} {least}{_text(one.found, one.unit)} (bound {_text(one.bound, one.unit)})"
        unknown = f"; {one.unknown}" if one.unknown else ""
        doubt = _doubt(found, settings, clear=clear, refuses=refuses) if one.unit == "mm" else ""
        if doubt:  # a motion that is not sure has no length, and is no proof of alignment either
            why = f"by the best estimate {why}, {doubt}{unknown}"
            return undetermined(why, unit=one.unit, bound=bound)
        at_least = None if value is not None else one.found
        return PreflightValue(
            value=value,
            at_least=at_least,
            unit=one.unit,
            bound=bound,
            why=why + unknown,
            status="refused" if one.unit == "mm" else "warning",
        )
    if one.unknown:
        why = one.unknown
        evident = found.best_support >= settings.min_support
        if one.unit == "mm" and found.best_mm > one.bound and evident:
            why += f"; the place that fits best lies {found.best_mm:.1f} mm away, and fits better"
        at_least = one.found if clear and one.found > 0 else None
        if at_least is not None:
            why += f"; at least {_text(at_least, one.unit)} along what is determined"
        return PreflightValue(
            at_least=at_least, unit=one.unit, bound=bound, status="undetermined", why=why
        )
    return PreflightValue(value=value, unit=one.unit, bound=bound, status="ok")


def _doubt(found: Alignment, settings: PreflightSettings, *, clear: bool, refuses: bool) -> str:
    """Say why a length beyond its bound does not refuse; empty where it does."""
    doubts = []
    if found.consensus is None:
        doubts.append("but no part of the body speaks for it alone")
    elif found.consensus < settings.min_consensus:
        doubts.append(
            f"but only {found.consensus:.0%} of the body's evidence agrees: a deformation "
            "rather than a shift"
        )
    if not clear:
        doubts.append("but as found the images fit almost as well")
    if not refuses:
        doubts.append("but a PET and its source share too little to be sure")
    return ", ".join(doubts)


def _text(value: float, unit: str) -> str:
    return (
        f"{value:.1f}°"
        if unit == "deg"
        else f"{value:.3g} {unit}"
        if value >= 100
        else (f"{value:.1f} {unit}")
    )
