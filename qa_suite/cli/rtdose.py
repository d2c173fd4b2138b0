"""The verb ``export-dose``, and how every verb of dose reads its doses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console

if TYPE_CHECKING:
    from qa_suite.io.dicom import Series
    from qa_suite.volume import Volume

DoseUnitOption = Annotated[
    str, typer.Option("--dose-unit", help="Gy or cGy: unit of NIfTI, MHA and NRRD doses.")
]
EffectiveOption = Annotated[
    bool, typer.Option("--effective", help="DICOM doses are weighted by biological effect.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("export-dose")(export_dose)


def load_doses(
    paths: Sequence[Path], *, unit: str = "Gy", effective: bool = False
) -> tuple[Volume, ...]:
    """Read doses that will be compared.

    Parameters
    ----------
    paths
        NIfTI, MHA or NRRD files, RTDOSE files, or folders with one RTDOSE.
    unit
        Of the files that do not say it themselves.
    effective
        Whether DICOM doses are weighted by biological effect.

    Raises
    ------
    InputError
        If one is no dose, two are of different patients, two differ about a hundredfold (Gy
        against cGy), or a unit is given and every file is DICOM.
    """
    from qa_suite.errors import InputError
    from qa_suite.io.dose_values import require_unit
    from qa_suite.io.images import is_image_file
    from qa_suite.io.rtdose import read_dose_file, require_same_scale
    from qa_suite.io.same_patient import check_same_patient

    require_unit(unit)
    silent = [path.is_file() and is_image_file(path) for path in paths]
    if unit != "Gy" and not any(silent):
        raise InputError(f"DICOM doses say their own unit; leave --dose-unit {unit} away.")
    doses = [
        read_dose_file(path, unit if says_nothing else "Gy", effective=effective)  # type: ignore[arg-type]
        for path, says_nothing in zip(paths, silent, strict=True)
    ]
    files = [path for path, nothing in zip(paths, silent, strict=True) if not nothing]
    if all(path.is_file() for path in files):
        check_same_patient(files)
    for path, dose in zip(paths[1:], doses[1:], strict=True):
        require_same_scale(doses[0], dose, (str(paths[0]), str(path)))
    return tuple(doses)


def export_dose(
    dose: Annotated[Path, typer.Argument(help="Dose of the surrogate: NIfTI, MHA or NRRD.")],
    like: Annotated[Path, typer.Option(help="Folder of the CT series that it belongs to.")],
    out: Annotated[Path, typer.Option(help="The RTDOSE file to write.")],
    plan: Annotated[
        Path | None, typer.Option(help="RTPLAN that drove the surrogate, if one did.")
    ] = None,
    description: Annotated[str, typer.Option(help="Behind 'SURROGATE DOSE:'.")] = "",
    fractions: Annotated[int | None, typer.Option(help="Fractions of the course.")] = None,
    dose_unit: DoseUnitOption = "Gy",
    effective: Annotated[
        bool, typer.Option("--effective", help="The dose is weighted by biological effect.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a surrogate dose as RTDOSE, marked NOT FOR TREATMENT; no plan is ever exported.

    Example: `qa-suite export-dose dose.nii.gz --like dicom/ct --out dose.dcm`
    """
    from qa_suite.io.rtdose import read_rtdose
    from qa_suite.io.rtdose_export import write_dose
    from qa_suite.io.rtplan import read_plan

    (volume,) = load_doses([dose], unit=dose_unit, effective=effective)
    write_dose(
        volume,
        out,
        template=_series(like),
        description=description,
        plan=None if plan is None else read_plan(plan),
        fractions=fractions,
        effective=effective,
    )
    written = read_rtdose(out, effective=effective)
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
    from qa_suite.errors import InputError
    from qa_suite.io.dicom import scan_dicom

    found = scan_dicom(folder).series
    chosen = found if len(found) == 1 else [one for one in found if one.modality == "CT"]
    if len(chosen) != 1:
        raise InputError(
            f"{folder} holds {len(found)} image series, {len(chosen)} of them CT; name a folder "
            f"with the one that the dose belongs to."
        )
    return chosen[0]
