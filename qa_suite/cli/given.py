"""How every verb that takes doses from files lets the user say what they are, and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from qa_suite.io.rt.dose.given import GivenDose

DoseTypeOption = Annotated[
    str, typer.Option("--dose-type", help="Of RTDOSE: physical, effective, or error (dvh).")
]
SummationOption = Annotated[
    str,
    typer.Option(
        "--summation",
        help="What an RTDOSE is the sum of: plan, multi_plan, fraction, beam, brachy, "
        "fraction_session, beam_session, brachy_session, control_point, record, any. The files "
        "of a folder with parts of a plan are added up.",
    ),
]
FractionsOption = Annotated[
    str, typer.Option("--fractions", help="Multiply the dose of one fraction to that of so many.")
]
RelativeOption = Annotated[
    str, typer.Option("--relative-unit-gy", help="Gy of the value 1 of an RTDOSE in RELATIVE.")
]
PlaneOption = Annotated[
    str, typer.Option("--plane-mm", help="Take an RTDOSE of one plane, this thick.")
]
DoseUnitOption = Annotated[
    str, typer.Option("--dose-unit", help="Gy or cGy: unit of NIfTI, MHA and NRRD doses.")
]
RtplanOption = Annotated[
    list[Path] | None,
    typer.Option("--rtplan", help="RTPLAN whose beams must all be in the sum; may be repeated."),
]
AnyScaleOption = Annotated[
    bool, typer.Option("--any-scale", help="Take doses that look like cGy, or like one fraction.")
]


def given(
    doses: Sequence[Path],
    *,
    dose_type: str,
    summation: str,
    fractions: str,
    relative_unit_gy: str,
    plane_mm: str,
    dose_unit: str,
    rtplan: Sequence[Path] | None,
    any_scale: bool,
    **more: Any,
) -> tuple[GivenDose, ...]:
    """Read the doses of a verb; ``more`` goes to ``read_given_doses``."""
    from qa_suite.io.rt.dose.given import read_given_doses
    from qa_suite.io.rt.dose.request import parse_requests

    said = {
        "dose_type": dose_type,
        "summation": summation,
        "fractions": fractions,
        "relative_unit_gy": relative_unit_gy,
        "plane_mm": plane_mm,
        "dose_unit": dose_unit,
    }
    requests = parse_requests(said, len(doses))
    return read_given_doses(doses, requests, plans=rtplan or (), any_scale=any_scale, **more)
