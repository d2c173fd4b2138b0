"""What of a record leaves the hospital: numbers, counts and digests; no dates, names or texts.

Patients and cases get keys of the study: an HMAC-SHA256 [1]_ of the pseudonym that they have
already. Facts of patients and scans are given in the bands by which an audit divides, and only
where enough patients of the hospital share them.

References
----------
.. [1] RFC 2104, HMAC: Keyed-Hashing for Message Authentication.
"""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qa_suite.core.record_names import evaluation_identifier
from qa_suite.core.records import (
    CaseRecord,
    Evaluation,
    Measurement,
    ModelFacts,
    PreflightValue,
    When,
)
from qa_suite.core.trust import ForeignCode
from qa_suite.core.wording import count

NOT_TOLD = "not told in a bundle"
_DIGITS = 24
_WIDTH_MM = 50
_PATH = re.compile(r"[/\\~.].*[/\\]|[A-Za-z]:[/\\]|file:")
"""How a path begins that leads somewhere on a machine."""
_DAY_BANDS = (0, 7, 14, 28)
_ROUNDED = {
    "tube_voltage_kv": 0,
    "source_tube_voltage_kv": 0,
    "slice_thickness_mm": 1,
    "field_strength_t": 2,
    "repetition_time_ms": 0,
    "echo_time_ms": 1,
    "flip_angle_deg": 0,
}
"""Decimals that are left of a protocol's numbers."""


@dataclass(frozen=True, kw_only=True)
class Suppressed:
    """A fact that too few patients of a hospital share."""

    site: str
    fact: str
    patients: int
    """To whom it is not recorded any more; all values of the fact together."""


@dataclass(frozen=True, kw_only=True)
class Stripped:
    """A record as it may be given away."""

    evaluation: Evaluation
    measurements: list[Measurement]
    cases: list[CaseRecord]
    suppressed: tuple[Suppressed, ...]


class Keys:
    """Names of the study for patients, cases and scans."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def of(self, kind: str, name: str) -> str:
        """Return the study's name of a patient, a case or a scan."""
        digest = hmac.new(self._salt, f"{kind}\0{name}".encode(), "sha256").hexdigest()
        return digest[:_DIGITS]

    def all_of(self, kind: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return the study's names, in an order that says nothing of the former."""
        return tuple(sorted(self.of(kind, name) for name in names))

    @property
    def study(self) -> str:
        """What two bundles of one study have in common, and no other."""
        return self.of("study", "")


def strip(
    evaluation: Evaluation,
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    keys: Keys,
    *,
    small_below: int,
) -> Stripped:
    """Leave out of a record what would tell of a person, a day or a machine's files.

    Parameters
    ----------
    evaluation, measurements, cases
        The record; ``measurements`` has the columns of :class:`Measurement`.
    keys
        Of the study.
    small_below
        A value of a fact that fewer patients of a hospital share is left out.
    """
    told, suppressed = _strata(cases, small_below)
    given = [_case(case, told[case.case], keys) for case in cases]
    patients = {case.case: case.patient for case in cases}
    rows = [_row(row, patients, keys) for row in measurements.to_dict(orient="records")]
    return Stripped(
        evaluation=_evaluation(evaluation, keys),
        measurements=rows,
        cases=given,
        suppressed=suppressed,
    )


def _row(row: Mapping[Any, Any], patients: Mapping[str, str], keys: Keys) -> Measurement:
    said = {
        str(key): None if value is None or value != value else value for key, value in row.items()
    }
    case = str(said["case"])
    names = {
        "case": keys.of("case", case),
        "patient": keys.of("patient", patients[case]),
        "why": NOT_TOLD if said["why"] else "",
    }
    return Measurement.model_validate(said | names)


def _case(case: CaseRecord, strata: Mapping[str, Any], keys: Keys) -> CaseRecord:
    return case.model_copy(
        update={
            "case": keys.of("case", case.case),
            "patient": keys.of("patient", case.patient),
            "reason": NOT_TOLD if case.reason else "",
            "voxel_hashes": {
                role: keys.of("scan", digest) for role, digest in case.voxel_hashes.items()
            },
            "preflight": {name: _check(check) for name, check in case.preflight.items()},
            "strata": dict(strata),
            "history": (),
            "volumes": {},
            "remarks": (),
        }
    )


def _check(check: PreflightValue) -> PreflightValue:
    return check.model_copy(update={"why": NOT_TOLD if check.why else ""})


# ---------------------------------------------------------------------------------------
# Facts of patients and scans


def banded(fact: str, value: Any) -> Any:
    """Return a fact in the band by which an audit divides; None where it is not known."""
    if value is None or value == "":
        return None
    if fact == "body_width_mm":
        return float(int(float(value) // _WIDTH_MM) * _WIDTH_MM + _WIDTH_MM // 2)
    if fact == "scan_interval_days":
        days = abs(int(value))
        return next((last for last in _DAY_BANDS if days <= last), _DAY_BANDS[-1] + 1)
    if fact in _ROUNDED:
        return round(float(value), _ROUNDED[fact])
    return value


def _strata(
    cases: Sequence[CaseRecord], small_below: int
) -> tuple[dict[str, dict[str, Any]], tuple[Suppressed, ...]]:
    """Return every case's facts in bands, without those that too few patients share."""
    told = {
        case.case: {fact: banded(fact, value) for fact, value in case.strata.items()}
        for case in cases
    }
    sharing: dict[tuple[str, str, Any], set[str]] = defaultdict(set)
    for case in cases:
        for fact, value in told[case.case].items():
            if not _says_nothing(value):
                sharing[case.site, fact, value].add(case.patient)
    lost: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        facts = told[case.case]
        for fact, value in facts.items():
            if _says_nothing(value):
                continue
            if len(sharing[case.site, fact, value]) < small_below:
                facts[fact] = "unknown" if fact == "implant" else None
                lost[case.site, fact].add(case.patient)
    return told, tuple(
        Suppressed(site=site, fact=fact, patients=len(patients))
        for (site, fact), patients in sorted(lost.items())
    )


def _says_nothing(value: Any) -> bool:
    return value is None or value == "unknown"


# ---------------------------------------------------------------------------------------
# The record


def _trusted(model: ModelFacts) -> ForeignCode | None:
    """Keep the digest of foreign code; its command names the places of a hospital's machine."""
    return model.trusted and model.trusted.model_copy(update={"runs": NOT_TOLD})


def _evaluation(evaluation: Evaluation, keys: Keys) -> Evaluation:
    model = evaluation.model.model_copy(
        update={
            "training_patients": keys.all_of("patient", evaluation.model.training_patients),
            "training_voxel_hashes": keys.all_of("scan", evaluation.model.training_voxel_hashes),
            "training_fingerprints": (),
            "mlflow_run_id": None,
            "trusted": _trusted(evaluation.model),
        }
    )
    instruments = tuple(
        one.model_copy(
            update={
                "training_patients": keys.all_of("patient", one.training_patients),
                "training_voxel_hashes": keys.all_of("scan", one.training_voxel_hashes),
            }
        )
        for one in evaluation.instruments
    )
    given = evaluation.model_copy(
        update={
            "model": model,
            "instruments": instruments,
            "settings": without_paths(evaluation.settings),
            "variants": without_paths(evaluation.variants),
            "code": evaluation.code.model_copy(update={"packages": {}}),
            "notices": _notices(evaluation),
            "set_measurements": (),
            "tables_sha256": {},
            "when": When(started="", finished=""),
        }
    )
    said = given.model_dump(mode="json")
    identifier = evaluation_identifier(
        cohort_digest=evaluation.cohort.digest,
        model=said["model"],
        settings=said["settings"],
        instruments=said["instruments"],
    )
    return given.model_copy(update={"evaluation": identifier})


def _notices(evaluation: Evaluation) -> tuple[str, ...]:
    """Say that there are notices, and what must be known of them."""
    if not evaluation.notices:
        return ()
    said = f"{count(len(evaluation.notices), 'notice')} of this evaluation stayed at the hospital."
    if evaluation.settings.get("allow_leakage"):
        return ("The leakage check was overridden at this hospital.", said)
    return (said,)


def without_paths(data: Any) -> Any:
    """Return plain data in which every path is its last part: folders tell of people."""
    if isinstance(data, dict):
        return {_last(key): without_paths(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_paths(one) for one in data]
    return _last(data)


def _last(text: Any) -> Any:
    """Return the last part of a path, and anything else as it is."""
    if not isinstance(text, str) or not _PATH.match(text):
        return text
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2]
