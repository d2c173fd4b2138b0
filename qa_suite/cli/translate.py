"""The verb ``translate``: the images of a registered translator, for people and their systems."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_suite.cli import console
from qa_suite.cli.evaluate_options import ASK_HELP
from qa_suite.core.trust import TRUST_HELP
from qa_suite.core.wording import count

if TYPE_CHECKING:
    from qa_suite.cli.synthetic_dicom import Whose
    from qa_suite.core.records import ModelFacts
    from qa_suite.core.volume import Volume
    from qa_suite.io.cases import LoadedCase
    from qa_suite.io.dicom.series_export import ExportedSeries

FORMATS = ("nifti", "dicom")

Asked = tuple[dict[str, int | str], tuple[str, ...]]
"""What is asked of the prediction, and which foreign code is trusted."""

_BY_HAND = "DICOM of a NIfTI or MHA, without --like."


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("translate")(translate)


def translate(
    model: Annotated[str, typer.Argument(help="models:/NAME/VERSION or models:/NAME@ALIAS.")],
    source: Annotated[
        Path, typer.Argument(help="A cohort, a folder with a DICOM series, a NIfTI or MHA file.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the synthetic images.")],
    split: Annotated[str, typer.Option(help="Patient set of the cohort.")] = "test",
    as_: Annotated[str, typer.Option("--as", help="nifti or dicom.")] = "nifti",
    series: Annotated[
        str | None, typer.Option(help="Series UID, where a DICOM folder holds several.")
    ] = None,
    axial: Annotated[
        bool, typer.Option("--axial", help="DICOM: axial slices, whatever the source's are.")
    ] = False,
    ask: Annotated[list[str] | None, typer.Option(help=ASK_HELP)] = None,
    trust: Annotated[list[str] | None, typer.Option(help=TRUST_HELP)] = None,
    when: Annotated[
        str | None, typer.Option(help="DICOM: local time as 2026-01-31T14:05; default: the clock.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="DICOM of a NIfTI or MHA: folder of the patient's series.")
    ] = None,
    patient_id: Annotated[str | None, typer.Option(help=_BY_HAND)] = None,
    patient_name: Annotated[str | None, typer.Option(help=_BY_HAND)] = None,
    study_uid: Annotated[str | None, typer.Option(help=_BY_HAND)] = None,
    frame_of_reference_uid: Annotated[str | None, typer.Option(help=_BY_HAND)] = None,
    patient_position: Annotated[
        str | None, typer.Option(help=f"HFS, FFS, HFP, FFP ... {_BY_HAND}")
    ] = None,
) -> None:
    """Write the synthetic images of a cohort's patients, or of one image, as NIfTI or DICOM.

    Example: `qa-suite translate models:/pelvis-mr-to-ct/1 cohorts/virtual synthetic/`
    """
    from qa_suite.cli.synthetic_dicom import Whose
    from qa_suite.core.cohort import MANIFEST_FILE
    from qa_suite.core.errors import InputError
    from qa_suite.core.one_writer import writing
    from qa_suite.core.trust import read_trust
    from qa_suite.evaluation.registered import read_asked
    from qa_suite.io.images import is_image_file

    asked = (read_asked(ask or ()), read_trust(trust or ()))
    whose = Whose(
        like=like,
        patient_id=patient_id,
        patient_name=patient_name,
        study_uid=study_uid,
        frame_of_reference_uid=frame_of_reference_uid,
        patient_position=patient_position,
    )
    moment = _moment_of_dicom(as_, when, whose.given + ["--axial"] * axial)
    if not source.exists():
        raise InputError(f"There is no cohort, DICOM folder or image at {source}.")
    is_folder = source.is_dir() and not (source / MANIFEST_FILE).is_file()
    is_image = source.is_file() and is_image_file(source)
    if series is not None and not (is_folder or like):
        raise InputError(f"--series chooses from a DICOM folder, and {source} is none.")
    if whose.given and not is_image:
        options = " and ".join(whose.given)
        raise InputError(
            f"{options}: for a NIfTI or MHA file only; {source} says itself whose it is."
        )
    if source.is_file() and not is_image and source.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"{source} is no manifest, NIfTI or MHA; of DICOM name the folder.")
    a_series = moment is not None and (is_folder or is_image)  # whose folder must be new
    with writing(out, "translate", file=a_series):
        if is_folder:
            _translate_series(model, asked, source, out, moment, series, axial)
        elif is_image:
            _translate_file(model, asked, source, out, moment, series, whose)
        else:
            _translate_cohort(model, asked, source, out, moment, split)


def _moment_of_dicom(as_: str, when: str | None, asked: list[str]) -> datetime | None:
    """Return the date and time of the series, or None where NIfTI is written."""
    from qa_suite.core.errors import InputError
    from qa_suite.io.dicom.series_export import require_local_time

    if as_ not in FORMATS:
        raise InputError(f"Unknown format {as_!r}; known: {', '.join(FORMATS)}.")
    asked = asked + ["--when"] * (when is not None)
    if as_ != "dicom":
        if asked:
            raise InputError(f"{' and '.join(asked)} belong to DICOM; add --as dicom.")
        return None
    try:
        moment = datetime.now() if when is None else datetime.fromisoformat(when)
    except ValueError:
        raise InputError(f"--when {when!r} is no time; write it as 2026-01-31T14:05.") from None
    require_local_time(moment)
    return moment


def _translate_series(
    model: str,
    asked: Asked,
    folder: Path,
    out: Path,
    when: datetime | None,
    uid: str | None,
    axial: bool,
) -> None:
    from qa_suite.cli.synthetic_dicom import chosen_series, export_prediction
    from qa_suite.core.volume import stored_like
    from qa_suite.evaluation.registered import load_translator
    from qa_suite.io.dicom.headers import scan_dicom
    from qa_suite.io.dicom.series import read_series
    from qa_suite.io.dicom.series_export import require_new_folder

    if when is not None:
        require_new_folder(out)
    found = scan_dicom(folder)
    facts, run = load_translator(model, *asked)
    _announce(facts)
    chosen = chosen_series(folder, found.series, facts, uid)
    source = read_series(chosen)
    volume = stored_like(run(_as_case(source, folder.name)).mean, source.grid)
    if when is None:
        _write(volume, out / f"{folder.resolve().name}.nii.gz")
    else:
        _tell(export_prediction(volume, facts, chosen, out, when, axial=axial))


def _translate_file(
    model: str,
    asked: Asked,
    path: Path,
    out: Path,
    when: datetime | None,
    uid: str | None,
    whose: Whose,
) -> None:
    from qa_suite.cli.synthetic_dicom import export_prediction, modalities, owner_of
    from qa_suite.core.volume import stored_like
    from qa_suite.evaluation.registered import load_translator
    from qa_suite.io.dicom.series import QUANTITY_OF_MODALITY
    from qa_suite.io.dicom.series_export import require_new_folder
    from qa_suite.io.images import read_image

    if when is not None:
        require_new_folder(out)
        whose.check(path)
    facts, run = load_translator(model, *asked)
    _announce(facts)
    owner = None if when is None else owner_of(whose, facts, uid)
    quantity = QUANTITY_OF_MODALITY.get(modalities(facts)[0], "arbitrary")
    source = read_image(path, quantity)
    volume = stored_like(run(_as_case(source, path.name)).mean, source.grid)
    if when is None or owner is None:
        _write(volume, out / f"{path.name.split('.')[0]}.nii.gz")
    else:
        _tell(export_prediction(volume, facts, owner, out, when, axial=True))


def _translate_cohort(
    model: str, asked: Asked, path: Path, out: Path, when: datetime | None, split: str
) -> None:
    from qa_suite.cli.synthetic_dicom import export_prediction, pseudonym_of
    from qa_suite.core.cohort import SPLITS, load_cohort, manifest_path
    from qa_suite.core.errors import InputError
    from qa_suite.evaluation.registered import load_translator
    from qa_suite.io.cases import load_case
    from qa_suite.io.dicom.series_export import require_new_folder
    from qa_suite.io.images import write_image

    if split not in SPLITS:
        raise InputError(f"Unknown patient set {split!r}; known: {', '.join(SPLITS)}.")
    cohort = load_cohort(path)
    cases = [case for case in cohort.cases if case.split == split]
    if not cases:
        raise InputError(f"The cohort {cohort.name} has no case in the set {split!r}.")
    if when is not None:
        for case in cases:
            require_new_folder(out / case.case)
    facts, run = load_translator(model, *asked)
    _announce(facts)
    with console.progress_bar(f"Translating with {facts.name}") as progress:
        for done, case in enumerate(cases, 1):
            volume = run(load_case(cohort, case, manifest_path(path).parent)).mean
            if when is None:
                write_image(volume, out / f"{case.case}.nii.gz")
            else:
                owner = pseudonym_of(cohort, case)
                export_prediction(volume, facts, owner, out / case.case, when, axial=True)
            progress(done, len(cases), case.case)
    console.show(f"{len(cases)} synthetic {'images' if when is None else 'series'} in {out}")


def _announce(facts: ModelFacts) -> None:
    for line in facts.announced:
        console.say(f"! {line}")


def _as_case(volume: Volume, name: str) -> LoadedCase:
    from qa_suite.core.cohort import Case
    from qa_suite.io.cases import LoadedCase

    case = Case(case="image", patient="image", site="unknown", source=name)
    return LoadedCase(case=case, source=volume)


def _write(volume: Volume, path: Path) -> None:
    from qa_suite.io.images import write_image

    write_image(volume, path)
    console.show(str(path))


def _tell(done: ExportedSeries) -> None:
    console.show(
        f"{done.folder}: {count(len(done.files), 'slice')}, {done.title}; stored in steps of "
        f"{done.step:.3g} {done.unit}, so rounded by at most half of that."
    )
    if not done.patient_position:
        console.say("Patient Position is empty, since nobody said how the patient lay.")
