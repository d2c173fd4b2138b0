"""What ``translate --as dicom`` needs: whose the image is, and from which model it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count

if TYPE_CHECKING:
    from qa_suite.core.cohort import Case, Cohort
    from qa_suite.core.records import ModelFacts
    from qa_suite.core.volume import Volume
    from qa_suite.io.dicom.exporting import ExportIdentity
    from qa_suite.io.dicom.headers import Series
    from qa_suite.io.dicom.series_export import ExportedSeries

_STORED_AS = {"CBCT": "CT", "PET": "PT"}  # modalities of a direction to those of DICOM
_LABEL_ROOM = 48


@dataclass(frozen=True, kw_only=True)
class Whose:
    """What was said of the patient on the command line; the names are those of the options."""

    like: Path | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    study_uid: str | None = None
    frame_of_reference_uid: str | None = None
    patient_position: str | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given."""
        return [
            "--" + one.name.replace("_", "-")
            for one in fields(self)
            if getattr(self, one.name) is not None
        ]

    def check(self, path: Path) -> None:
        """Refuse too little or too much for a file that does not say itself whose it is."""
        if self.like is not None and len(self.given) > 1:
            rest = " and ".join(self.given[1:])
            raise InputError(f"--like says whose {path.name} is; leave {rest} away.")
        needed = ("--patient-id", "--study-uid", "--frame-of-reference-uid")
        lacking = [option for option in needed if option not in self.given]
        if self.like is None and lacking:
            raise InputError(
                f"{path.name} does not say whose it is: give --like FOLDER with a DICOM series of "
                f"the patient, or {' and '.join(lacking)}."
            )


def owner_of(whose: Whose, facts: ModelFacts, uid: str | None) -> Series | ExportIdentity:
    """Return the patient of a file that does not say it: as told, never guessed.

    Raises
    ------
    InputError
        If the folder of ``--like`` holds no series, or several and none is named.
    Problems
        If identifiers given by hand are none.
    """
    from qa_suite.io.dicom.exporting import ExportIdentity
    from qa_suite.io.dicom.headers import scan_dicom

    if whose.like is not None:
        found = scan_dicom(whose.like).series
        return found[0] if len(found) == 1 else chosen_series(whose.like, found, facts, uid)
    return ExportIdentity(
        patient_id=whose.patient_id or "",
        study_uid=whose.study_uid or "",
        frame_of_reference=whose.frame_of_reference_uid or "",
        patient_name=whose.patient_name or "",
        patient_position=whose.patient_position or "",
    )


def pseudonym_of(cohort: Cohort, case: Case) -> ExportIdentity:
    """Return the identity of a cohort's case: its pseudonym, and UIDs made from it."""
    from qa_suite.io.dicom.exporting import ExportIdentity
    from qa_suite.io.dicom.series_export import uid_of

    words = (cohort.name, case.patient, case.case)
    return ExportIdentity(
        patient_id=case.patient,
        patient_name=case.patient,
        study_uid=uid_of("study", *words),
        frame_of_reference=uid_of("frame of reference", *words),
        deidentification="pseudonym of a qa-suite cohort",
    )


def chosen_series(
    folder: Path, found: Sequence[Series], facts: ModelFacts, uid: str | None
) -> Series:
    """Return the series of a folder that a model translates.

    One that is marked as synthetic is taken only if it is named.

    Raises
    ------
    InputError
        If there is none, or several and none is named; they are listed with their UIDs.
    """
    if not found:
        raise InputError(f"{folder} holds neither a cohort's manifest nor a DICOM image series.")
    wanted, _ = modalities(facts)
    fitting = [one for one in found if one.modality == wanted]
    if uid is None:
        fitting = [one for one in fitting if not one.synthetic]
    named = [one for one in fitting if uid in (None, one.series_uid)]
    if len(named) == 1:
        return named[0]
    holds = "; ".join(
        f"{one.modality} {one.description!r}, {count(len(one.slices), 'slice')}, {one.series_uid}"
        for one in fitting or found
    )
    if not fitting:
        raise InputError(f"{facts.uri} translates {wanted}, and {folder} holds only: {holds}.")
    if not named:
        raise InputError(f"{folder} holds no {wanted} series {uid}; it holds: {holds}.")
    raise InputError(f"{folder} holds {len(named)} {wanted} series; name one by --series: {holds}.")


def modalities(facts: ModelFacts) -> tuple[str, str]:
    """Return the modalities of a model's source and target, as DICOM calls them."""
    source, _, target = (facts.direction or "").partition("->")
    return _STORED_AS.get(source, source), _STORED_AS.get(target, target)


def export_prediction(
    volume: Volume,
    facts: ModelFacts,
    owner: Series | ExportIdentity,
    out: Path,
    when: datetime,
    *,
    axial: bool,
) -> ExportedSeries:
    """Write a model's image as a DICOM series; see :func:`qa_suite.io.dicom.series_export`.

    ``axial`` turns the slices by exchanging and flipping axes; no voxel changes its place.
    """
    from qa_suite.core.volume import canonical
    from qa_suite.evaluation.provenance import code_facts
    from qa_suite.io.dicom.series_export import export_series
    from qa_suite.io.dicom.series_marks import SyntheticFacts

    code = code_facts()
    commit = "" if code.git_commit is None else f"+{code.git_commit[:9]}"
    label = facts.uri.removeprefix("models:/")
    return export_series(
        canonical(volume) if axial else volume,
        like=owner,
        modality=modalities(facts)[1],
        synthetic=SyntheticFacts(
            model_uri=facts.uri,
            weights_sha256=facts.weights_sha256 or "",
            family=facts.family,
            software_version=f"{code.suite_version}{commit}",
            description=label if len(label) <= _LABEL_ROOM else "",
        ),
        out_dir=out,
        when=when,
    )
