"""``evaluate --clinic`` with doses as clinics export them: asked for, recorded, reported."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from tests.rt_factory import write_dose
from tests.test_cli_dose_plans import EVALUATE, here, make_cohort  # noqa: F401
from tests.tiny_cohort import SHAPE, SPACING_MM, grid

JUDGED = ("--clinic", "clinic", "--clinic-goals", "photon-pelvis")


def beams_of(folder, total_gy: float) -> None:
    for number, share in ((1, 0.25), (2, 0.75)):
        dose = np.full(SHAPE, share * total_gy)
        write_dose(
            folder / f"{number}.dcm",
            dose,
            beams=[number],
            spacing_mm=SPACING_MM,
            origin_mm=grid().origin_mm,
            DoseType="EFFECTIVE",
            FrameOfReferenceUID="",
        )


def test_sums_of_effective_beam_doses_are_taken_as_asked_and_recorded(here, capsys):  # noqa: F811
    cohort = make_cohort(here, "ss")
    for case in cohort.cases:
        for role, gy in (("reference_dose", 70.0), ("synthetic_dose", 71.4)):
            beams_of(here / "clinic" / case.case / role, gy)
    words = [word for word in EVALUATE if word != "--json"]
    assert run([*words, *JUDGED]) == 0
    cases = read_cases(here / "out")
    assert {case.status for case in cases} == {"failed"}
    assert "--clinic-dose summation=beam --clinic-dose dose-type=effective" in cases[0].reason
    said = ("--clinic-dose", "dose-type=effective", "--clinic-dose", "summation=beam")
    place = words.index("--out")
    words[place + 1] = "asked"
    assert run([*words, *JUDGED, *said]) == 0
    first = read_cases(here / "asked")[0]
    assert first.status == "evaluated"
    assert any("sum of 2 beam doses (beam 1, beam 2)" in step for step in first.history)
    record = read_evaluation(here / "asked")
    asked = record.settings["measures"]["dose"]["clinic_request"]
    assert asked["reference"]["dose_type"] == "effective"
    assert asked["synthetic"]["summation"] == "beam"
    assert record.variants["clinic"]["doses"] == "dose type effective, summation beam"
    rows = read_measurements(here / "asked")
    change = rows[
        (rows.metric == "dmean_difference") & (rows.region == "target") & (rows.variant == "clinic")
    ]
    assert change.value.tolist() == pytest.approx([1.4] * len(change), abs=1e-3)
    counts = rows[(rows.metric == "gamma_voxels") & (rows.region == "body")]
    assert (counts.value > 0).all()
    assert json.dumps(asked)  # plain data


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["type=effective"], "type is unknown"),
        (["dose-type"], "NAME=VALUE"),
        (["fractions=30", "fractions=20"], "fractions twice"),
        (["any-scale=maybe"], "yes or no"),
        (["summation=beams,plan,plan"], "2 by commas"),
    ],
)
def test_what_is_said_of_the_doses_is_checked_before_anything_else(said, words, here, capsys):  # noqa: F811
    make_cohort(here, "ss")
    (here / "clinic").mkdir()
    more = [word for one in said for word in ("--clinic-dose", one)]
    assert run([*EVALUATE, *JUDGED, *more]) == 2
    assert words in capsys.readouterr().err
