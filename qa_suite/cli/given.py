"""How every verb that takes doses from files lets the user say what they are, and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_suite.cli.options import Commas, Options, option

if TYPE_CHECKING:
    from qa_suite.io.rt.dose.given import GivenDose

DOSE_UNIT_HELP = "Gy or cGy: unit of NIfTI, MHA and NRRD doses."


class GivenOptions(Options):
    """What is said of doses that come from files."""

    dose_type: Commas = option("physical", "Of RTDOSE: physical, effective, or error (dvh).")
    summation: Commas = option(
        "plan",
        "What an RTDOSE is the sum of: plan, multi_plan, fraction, beam, brachy, "
        "fraction_session, beam_session, brachy_session, control_point, record, any. The files "
        "of a folder with parts of a plan are added up.",
    )
    fractions: Commas = option("", "Multiply the dose of one fraction to that of so many.")
    relative_unit_gy: Commas = option("", "Gy of the value 1 of an RTDOSE in RELATIVE.")
    plane_mm: Commas = option("", "Take an RTDOSE of one plane, this thick.")
    dose_unit: Commas = option("Gy", DOSE_UNIT_HELP)
    rtplans: tuple[Path, ...] = option(
        (), "RTPLAN whose beams must all be in the sum; may be repeated.", "rtplan"
    )
    any_scale: bool = option(False, "Take doses that look like cGy, or like one fraction.")


def given(doses: Sequence[Path], asked: GivenOptions, **more: Any) -> tuple[GivenDose, ...]:
    """Read the doses of a verb; ``more`` goes to ``read_given_doses``."""
    from qa_suite.io.rt.dose.given import read_given_doses
    from qa_suite.io.rt.dose.request import parse_requests

    said = {
        "dose_type": asked.dose_type,
        "summation": asked.summation,
        "fractions": asked.fractions,
        "relative_unit_gy": asked.relative_unit_gy,
        "plane_mm": asked.plane_mm,
        "dose_unit": asked.dose_unit,
    }
    requests = parse_requests(said, len(doses))
    return read_given_doses(doses, requests, plans=asked.rtplans, any_scale=asked.any_scale, **more)
