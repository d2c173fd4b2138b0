"""The verb ``export-dose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.given import DOSE_UNIT_HELP

if TYPE_CHECKING:
    from qa_suite.core.volume import Volume
    from qa_suite.io.dicom.headers import Series


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("export-dose")(export_dose)


def export_dose(
    dose: Annotated[Path, typer.Argument(help="Dose of the surrogate: NIfTI, MHA or NRRD.")],
    like: Annotated[Path, typer.Option(help="Folder of the CT series that it belongs to.")],
    out: Annotated[Path, typer.Option(help="The RTDOSE file to write.")],
    plan: Annotated[
        Path | None, typer.Option(help="RTPLAN that drove the surrogate, if one did.")
    ] = None,
    description: Annotated[str, typer.Option(help="Behind 'SURROGATE DOSE:'.")] = "",
    fractions: Annotated[int | None, typer.Option(min=1, help="Fractions of the course.")] = None,
    dose_unit: Annotated[str, typer.Option(help=DOSE_UNIT_HELP)] = "Gy",
    effective: Annotated[
        bool, typer.Option("--effective", help="The dose is weighted by biological effect.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a surrogate dose as RTDOSE, marked NOT FOR TREATMENT; no plan is ever exported.

    Example: `qa-suite export-dose dose.nii.gz --like dicom/ct --out dose.dcm`
    """
    from qa_suite.core.errors import InputError
    from qa_suite.core.one_writer import writing
    from qa_suite.io.images import is_image_file
    from qa_suite.io.rt.dose.export import write_dose
    from qa_suite.io.rt.dose.given import read_given_doses
    from qa_suite.io.rt.dose.read import read_rtdose
    from qa_suite.io.rt.dose.request import DoseRequest, parse_requests
    from qa_suite.io.rt.plan.read import read_plan

    if dose.is_dir() or not is_image_file(dose):
        raise InputError(f"{dose} is no NIfTI, MHA or NRRD; the dose of a surrogate is one.")
    kind = "effective" if effective else "physical"
    request = parse_requests({"dose_type": kind, "dose_unit": dose_unit}, 1)
    with writing(out, "export-dose", file=True):
        volume = read_given_doses([dose], request)[0].volume
        write_dose(
            volume,
            out,
            template=_series(like),
            description=description,
            plan=None if plan is None else read_plan(plan),
            fractions=fractions,
            effective=effective,
        )
    written = read_rtdose(out, DoseRequest.model_validate({"dose_type": kind}))
    change_gy = _largest_change(volume, written.volume)
    facts = {
        "file": str(out),
        "grid": written.volume.grid.describe(),
        "maximum_gy": round(float(written.volume.array.max()), 4),
        "largest_change_gy": change_gy,
        "dose_type": written.dose_type,
        "refers_to_a_plan": bool(written.plan_uids),
    }
    if as_json:
        console.show_json(facts)
        return
    console.show(
        f"{out}: {facts['grid']}, maximum {facts['maximum_gy']:g} Gy, rounded by at most "
        f"{1000 * change_gy:.2g} mGy; NOT FOR TREATMENT."
    )


def _largest_change(first: Volume, second: Volume) -> float:
    """Return the largest difference of two doses of one place, however their k runs."""
    import numpy as np

    same_way = np.linalg.det(first.grid.axes) > 0
    array = first.array if same_way else first.array[:, :, ::-1]
    return float(np.abs(array.astype(float) - second.array).max())


def _series(folder: Path) -> Series:
    """Return the one image series of a folder; of several, the one CT."""
    from qa_suite.core.errors import InputError
    from qa_suite.io.dicom.headers import scan_dicom

    found = scan_dicom(folder).series
    chosen = found if len(found) == 1 else [one for one in found if one.modality == "CT"]
    if len(chosen) != 1:
        raise InputError(
            f"{folder} holds {len(found)} image series, {len(chosen)} of them CT; name a folder "
            f"with the one that the dose belongs to."
        )
    return chosen[0]
