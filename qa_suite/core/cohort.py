"""The cohort: which patients, from which site, in which split, and where their volumes lie.

A cohort is a folder with a ``manifest.yaml`` and volumes. The manifest is the whole truth
about the cohort and carries no name, no identifier and no date of a patient: those stay in
a local file beside it (:data:`PRIVATE_FILE`), which is never logged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from qa_suite.core.errors import InputError, LeakageError, Problems
from qa_suite.core.names import look_alike, name_problems
from qa_suite.core.plain_files import MOST_BYTES, misplaced, sha256_of
from qa_suite.core.strata import Strata
from qa_suite.core.validation import describe_validation
from qa_suite.core.whole_files import write_text
from qa_suite.core.yaml_files import read_yaml

Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
HELD_OUT: Split = "test"
MANIFEST_FILE = "manifest.yaml"
PRIVATE_FILE = "private.json"
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _name(value: str) -> str:
    if problems := name_problems(value):
        raise ValueError(f"this is no name: {'; '.join(problems)}")
    return value


class Case(BaseModel):
    """One examination of one patient: a source image, its reference and its masks.

    All paths are relative to the manifest's folder. All volumes of a case lie on the grid
    of its source image (import resampled them where they did not, see ``history``).
    """

    model_config = _STRICT

    case: str = Field(description="unique in the cohort, pseudonymous")
    patient: str = Field(description="keyed hash of the patient's identifier")
    site: str
    split: Split | None = None
    examination: int = Field(default=1, description="1 for the patient's first scan, 2 for ...")
    source: str
    reference: str | None = None
    mask: str | None = Field(default=None, description="where it may be measured")
    coverage: str | None = Field(
        default=None, description="where both images have values; None is everywhere"
    )
    structures: dict[str, str] = Field(default_factory=dict, description="TG-263 name to file")
    truth: dict[str, str] = Field(
        default_factory=dict, description="what only a virtual patient has, such as noise-free CT"
    )
    file_sha256: dict[str, str] = Field(
        default_factory=dict, description="of each file when the cohort was made, by its role"
    )
    voxel_hashes: dict[str, str] = Field(
        default_factory=dict, description="'source' and 'reference': hash of canonical voxels"
    )
    fingerprints: dict[str, str] = Field(
        default_factory=dict, description="hash that survives rounding and reformatting"
    )
    linked: tuple[str, ...] = Field(
        default=(), description="roles whose file import linked to the original elsewhere"
    )
    strata: Strata = Strata()
    history: tuple[str, ...] = ()
    import_problem: str | None = Field(
        default=None, description="why the case could not be read; it stays and is reported"
    )

    @model_serializer(mode="wrap")
    def _linked_where_anything_is(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a manifest without links, and its digest, as they were."""
        said = as_usual(self)
        if not self.linked:
            said.pop("linked", None)
        return said

    @field_validator("case", "site", "patient")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return _name(value)


class Cohort(BaseModel):
    """A named set of cases for one direction of translation."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    name: str
    source_modality: str = Field(description="MR, CBCT, CT ...")
    reference_modality: str = "CT"
    source_quantity: str = "arbitrary"
    reference_quantity: str = "HU"
    anatomy: str = "unknown"
    description: str = ""
    import_settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    expected_sites: tuple[str, ...] = Field(
        default=(), description="that must be judged, also where no case of them was found"
    )
    cases: tuple[Case, ...]

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return _name(value)

    @field_validator("expected_sites")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_name, value))

    @model_serializer(mode="wrap")
    def _expected_where_there_are_any(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a manifest without expected sites, and its digest, as they were."""
        said = as_usual(self)
        if not self.expected_sites:
            said.pop("expected_sites", None)
        return said

    @property
    def direction(self) -> str:
        """The translation, as ``MR->CT``."""
        return f"{self.source_modality}->{self.reference_modality}"

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in alphabetical order; those that are expected, too."""
        return tuple(sorted({case.site for case in self.cases} | set(self.expected_sites)))

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the manifest says, voxel hashes included."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def in_split(self, *splits: Split) -> tuple[Case, ...]:
        """Return the cases of the named patient sets, in manifest order."""
        return tuple(case for case in self.cases if case.split in splits)

    def data_digest(self, *splits: Split) -> str:
        """SHA-256 over the voxel hashes of the cases in ``splits``."""
        lines = sorted(json.dumps(c.voxel_hashes, sort_keys=True) for c in self.in_split(*splits))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_problems(cases: Iterable[Case]) -> list[str]:
    """Say where a patient or a scan stands in two of the four sets, one sentence each."""
    seen: dict[tuple[str, str], Case] = {}
    problems: dict[str, None] = {}
    for case in cases:
        if case.split is None:
            continue
        keys = [("patient", case.patient)]
        keys += [(f"{role} voxels", digest) for role, digest in sorted(case.voxel_hashes.items())]
        for what, key in keys:
            other = seen.setdefault((what, key), case)
            if other.split != case.split:
                problems[
                    f"cases {other.case} ({other.split}) and {case.case} ({case.split}) have the "
                    f"same {what}"
                ] = None
    return list(problems)


def check_splits(cohort: Cohort) -> None:
    """Refuse a cohort whose four patient sets are not disjoint.

    Raises
    ------
    LeakageError
        If one patient, or one scan under two names, stands in two sets.
    """
    problems = split_problems(cohort.cases)
    if problems:
        raise LeakageError(f"The patient sets of {cohort.name} overlap: {'; '.join(problems)}.")


def check_fractions(fractions: Mapping[Split, float]) -> None:
    """Refuse shares of the patient sets that are negative or do not add up to 1."""
    if abs(sum(fractions.values()) - 1) > 1e-6 or min(fractions.values()) < 0:
        given = ", ".join(f"{split}={share:g}" for split, share in fractions.items())
        raise InputError(f"The shares of the sets must be positive and add up to 1, got {given}.")


def assign_splits(
    cohort: Cohort,
    *,
    fractions: Mapping[Split, float],
    seed: int,
    train_sites: Iterable[str] | None = None,
) -> Cohort:
    """Deal the patients into the four sets, at random within each site.

    Cases that could not be imported stay without a split. A patient with several
    examinations, or seen at several sites, goes into one set as a whole.

    Parameters
    ----------
    fractions
        Share of each set, adding up to 1; a set that is not named stays empty.
    seed
        Of the dealing; the same seed deals the same patients alike.
    train_sites
        Sites that may be trained on; all patients of the others go to ``test``.
    """
    import numpy as np

    check_fractions(fractions)
    unknown = sorted(set(train_sites or ()) - set(cohort.sites))
    if unknown:
        raise InputError(
            f"No case is from site {', '.join(unknown)}; sites are {', '.join(cohort.sites)}."
        )
    home: dict[str, str] = {}
    for case in cohort.cases:
        if case.import_problem is None:
            home.setdefault(case.patient, case.site)
    chosen: dict[str, Split] = {}
    for site in sorted(set(home.values())):
        patients = sorted(p for p, s in home.items() if s == site)
        if train_sites is not None and site not in set(train_sites):
            chosen.update(dict.fromkeys(patients, HELD_OUT))
            continue
        salt = int(hashlib.sha256(site.encode()).hexdigest()[:8], 16)
        order = np.random.default_rng([seed, salt]).permutation(len(patients))
        edges = np.cumsum([fractions.get(split, 0.0) for split in SPLITS])
        for rank, position in enumerate(order):
            place = (rank + 0.5) / len(patients)
            split = SPLITS[min(int(np.searchsorted(edges, place)), len(SPLITS) - 1)]
            chosen[patients[position]] = split
    cases = tuple(
        case.model_copy(update={"split": chosen.get(case.patient)})
        if case.import_problem is None
        else case
        for case in cohort.cases
    )
    return cohort.model_copy(update={"cases": cases})


def save_cohort(cohort: Cohort, folder: Path) -> Path:
    """Write ``manifest.yaml`` into ``folder`` (all at once or not at all); return its path."""
    path = folder / MANIFEST_FILE
    data = cohort.model_dump(mode="json", exclude_defaults=False)
    write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100))
    return path


def load_cohort(path: Path, *, check_files: bool = True) -> Cohort:
    """Read a manifest and check all of it.

    Parameters
    ----------
    path
        The manifest, or the folder that holds it.
    check_files
        Whether every file it names must exist.

    Raises
    ------
    Problems
        With every problem of the manifest: unknown keys, wrong values, two cases of one name,
        files that are missing, are no files or lie elsewhere, digests that are missing.
    LeakageError
        If the patient sets overlap.
    """
    path = manifest_path(path)
    data = read_yaml(path, most_bytes=MOST_BYTES)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no manifest; make one with 'qa-suite import'.")
    try:
        cohort = Cohort.model_validate(data)
    except ValidationError as error:
        raise Problems(str(path), describe_validation(error)) from None
    problems = []
    names = [case.case for case in cohort.cases]
    problems += [
        f"case {n} is listed {names.count(n)} times"
        for n in sorted(set(names))
        if names.count(n) > 1
    ]
    problems += [
        f"the names of cases {a} and {b} are one to some file systems" for a, b in look_alike(names)
    ]
    if check_files:
        problems += _misplaced_files(cohort, path.parent)
    problems += _missing_digests(cohort)
    if problems:
        raise Problems(str(path), problems)
    check_splits(cohort)
    return cohort


def manifest_path(path: Path) -> Path:
    """Return the manifest of a cohort given by its file or its folder, which must exist."""
    path = Path(path)
    if path.is_dir():
        path = path / MANIFEST_FILE
    if not path.is_file():
        raise InputError(f"There is no cohort manifest at {path}; make one with 'qa-suite import'.")
    return path


def case_files(case: Case) -> dict[str, str]:
    """Return every file of a case by its role, as the manifest writes them."""
    files = {"source": case.source, "reference": case.reference, "mask": case.mask}
    files["coverage"] = case.coverage
    files |= {f"structure {name}": file for name, file in case.structures.items()}
    files |= {f"truth {name}": file for name, file in case.truth.items()}
    return {role: file for role, file in files.items() if file is not None}


def with_file_hashes(cohort: Cohort, folder: Path) -> Cohort:
    """Return the cohort with the SHA-256 of every file, so that a later change is noticed."""
    cases = []
    for case in cohort.cases:
        files = case_files(case) if case.import_problem is None else {}
        hashes = {role: sha256_of(folder / file) for role, file in files.items()}
        cases.append(case.model_copy(update={"file_sha256": hashes}))
    return cohort.model_copy(update={"cases": tuple(cases)})


def _misplaced_files(cohort: Cohort, folder: Path) -> list[str]:
    # Imports that did not note their links yet: what lies elsewhere is known by its digest.
    unnoted = bool(cohort.import_settings) and not any(case.linked for case in cohort.cases)
    return [
        f"case {case.case}: its {role} file {file} {wrong}"
        for case in cohort.cases
        if case.import_problem is None
        for role, file in case_files(case).items()
        if (
            wrong := misplaced(
                folder, file, linked=role in case.linked or (unnoted and role in case.file_sha256)
            )
        )
    ]


def _missing_digests(cohort: Cohort) -> list[str]:
    """Say which digests were taken out of a manifest; one written by hand need not have any."""
    read = [case for case in cohort.cases if case.import_problem is None]
    if not cohort.import_settings and not any(case.file_sha256 for case in read):
        return []
    problems = []
    for case in read:
        lacking = [role for role in case_files(case) if not case.file_sha256.get(role)]
        if lacking:
            problems.append(
                f"case {case.case}: the digest of its {', '.join(lacking)} file is missing; "
                f"import it again"
            )
        scans = [role for role in ("source", "reference") if getattr(case, role) is not None]
        if unhashed := [role for role in scans if not case.voxel_hashes.get(role)]:
            problems.append(
                f"case {case.case}: the voxel hash of its {' and '.join(unhashed)} is missing; "
                f"import it again"
            )
        if strange := sorted(set(case.file_sha256) - set(case_files(case))):
            problems.append(
                f"case {case.case}: it names the digest of a {', '.join(strange)} file and no "
                f"such file"
            )
    return problems
