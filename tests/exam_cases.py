"""What tests of the exam share: a small profile, and readings made by hand."""

from __future__ import annotations

from qa_suite.core.records import Measurement, Profile
from qa_suite.lab.exam.readings import ImageReading


def profile(**changes) -> Profile:
    criterion = {
        "name": "body ME",
        "metric": "me",
        "region": "body",
        "statistic": "mean",
        "bound": 20,
        "direction": "within",
        "unit": "HU",
        "scope": "each_site",
        "min_patients": 2,
        "source": "test",
    }
    worst = criterion | {"name": "worst", "scope": "worst_patient", "bound": 25}
    return Profile.model_validate(
        {
            "name": "p",
            "version": "1",
            "direction": "MR->CT",
            "anatomy": "pelvis",
            "intended_use": "test",
            "criteria": [criterion, worst],
        }
        | changes
    )


def reading(
    case: str, value: float, site: str = "X", fault: str = "", patient: str = ""
) -> ImageReading:
    patient = patient or case
    row = Measurement(
        case=case,
        patient=patient,
        site=site,
        family="image",
        metric="me",
        region="body",
        value=value,
        unit="HU",
    )
    return ImageReading(
        case=case,
        patient=patient,
        site=site,
        candidate="twin",
        fault=fault,
        severity=1.0,
        rows=(row,),
    )
