"""Protocol tags against the training's: what was never seen, shares, and what is missing."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.shift_cohorts import case_of
from qa_suite.core.cohort import Strata
from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.judging.shift import site_protocols, spoken_of
from qa_suite.judging.shift.tags import NUMBERS, PERSONAL, STRATA, TAGS, values_of
from translators.registry.sources import PROTOCOLS


def patients(site: str, n: int, **strata: object) -> list[CaseRecord]:
    done = len(_made.setdefault(site, []))
    found = [
        case_of(f"{site}{done + i}", f"p{site}{done + i}", site, strata=strata) for i in range(n)
    ]
    _made[site] += found
    return found


_made: dict[str, list[CaseRecord]] = {}


@pytest.fixture(autouse=True)
def _fresh():
    _made.clear()


def training(unrecorded=None, **protocols: dict[str, int]) -> TrainingSources:
    return TrainingSources(
        features=(), rows={}, protocols={"A": protocols}, unrecorded={"A": unrecorded or {}}
    )


def told(cases, known=None, homes=()):
    return {p.site: p for p in site_protocols(cases, training=known, training_sites=homes)}


def test_a_value_that_nobody_was_trained_on_is_named_without_statistics():
    known = training(source_manufacturer={"Siemens": 20}, field_strength_t={"1.5": 12, "3": 8})
    cases = patients("D", 1, source_manufacturer="GE MEDICAL SYSTEMS", field_strength_t=3.0)
    found = told(cases, known)["D"]
    assert found.never == {"source_manufacturer": {"GE MEDICAL SYSTEMS": 1}}
    assert "never seen in training: source scanners GE MEDICAL SYSTEMS (1 of 1)" in found.sentence


def test_the_share_of_a_value_that_both_have_is_fishers():
    known = training(field_strength_t={"1.5": 30, "3": 10})
    cases = patients("D", 2, field_strength_t=1.5) + patients("D", 10, field_strength_t=3.0)
    (share,) = told(cases, known)["D"].shares
    assert (share.here, share.here_of, share.there, share.there_of) == (2, 12, 30, 40)
    expected = stats.fisher_exact([[2, 10], [30, 10]]).pvalue
    assert share.p_value == pytest.approx(expected)
    assert share.p_adjusted == pytest.approx(expected)
    assert share.differs
    assert "field strengths 1.5 T in 2 of 12 against 30 of 40" in told(cases, known)["D"].sentence


def test_holm_runs_over_every_share_of_every_site():
    known = training(field_strength_t={"1.5": 30, "3": 10}, sequence={"T1": 20, "T2": 20})
    cases = []
    for site in "BCDE":
        cases += patients(site, 5, field_strength_t=1.5, sequence="T1")
        cases += patients(site, 5, field_strength_t=3.0, sequence="T2")
    found = told(cases, known)
    shares = [share for one in found.values() for share in one.shares]
    assert len(shares) == 8
    assert "Holm over 8 shares" in found["B"].sentence
    worst = min(share.p_value for share in shares)
    assert min(share.p_adjusted for share in shares) == pytest.approx(min(1.0, 8 * worst))


def test_new_values_do_not_count_twice():
    """Half of D is by a new maker; the other half is mixed just as the training is."""
    known = training(source_manufacturer={"Siemens": 20, "GE": 20})
    cases = patients("D", 10, source_manufacturer="Philips")
    cases += patients("D", 5, source_manufacturer="GE")
    cases += patients("D", 5, source_manufacturer="Siemens")
    found = told(cases, known)["D"]
    assert found.never == {"source_manufacturer": {"Philips": 10}}
    assert [share.p_value for share in found.shares] == [pytest.approx(1.0)]


def test_one_value_everywhere_is_no_question():
    known = training(field_strength_t={"3": 10})
    found = told(patients("D", 9, field_strength_t=3.0), known)["D"]
    assert not found.shares and not found.never
    assert "no protocol tag is shown to differ" in found.sentence


def test_numbers_are_held_against_the_range_of_the_training():
    known = training(echo_time_ms={"4.2": 5, "4.6": 5}, flip_angle_deg={"10": 10})
    cases = patients("D", 3, echo_time_ms=4.4, flip_angle_deg=10.0)
    cases += patients("D", 4, echo_time_ms=90.0, flip_angle_deg=90.0)
    found = told(cases, known)["D"]
    assert found.beyond == {"echo_time_ms": {"4.2 to 4.6": 4}, "flip_angle_deg": {"10": 4}}
    assert "echo times outside of 4.2 to 4.6 ms (4 of 7)" in found.sentence
    assert "flip angles outside of 10° (4 of 7)" in found.sentence


def test_what_is_missing_is_said_and_counts_neither_way():
    known = training({"sequence": 6}, sequence={"T1": 10}, field_strength_t={"3": 16})
    cases = patients("D", 4, sequence="T1") + patients("D", 3)
    found = told(cases, known)["D"]
    assert found.missing == {"sequence": 3, "field_strength_t": 7}
    assert found.missing_there == {"sequence": 6}
    assert not found.never and not found.shares
    assert "Not recorded here: sequences of 3 of 7; field strengths of 7 of 7." in found.sentence
    assert "Not recorded in training: sequences of 6 of 16." in found.sentence


def test_what_an_older_registration_does_not_tell_is_said():
    known = training(sequence={"T1": 10})
    found = told(patients("D", 4, sequence="T1", ct_kernel="Br40"), known)["D"]
    assert found.untold == ("ct_kernel",) and "ct_kernel" not in found.never
    assert "Nothing is known in training of kernels." in found.sentence


def test_without_a_registration_held_out_patients_stand_for_the_training():
    cases = patients("A", 6, sequence="T1") + patients("D", 6, sequence="T2")
    found = told(cases, homes=("A",))
    assert found["D"].basis == "training sites" and found["D"].never == {"sequence": {"T2": 6}}
    assert "among the held-out patients of training sites" in found["D"].sentence
    assert found["A"].basis is None and "stand for the training's" in found["A"].sentence
    assert "never trained on" not in spoken_of(cases, training_sites=("A",)).sentence
    alone = told(cases)
    assert {one.basis for one in alone.values()} == {None}
    assert "nothing is known of the protocols" in alone["D"].sentence


def test_a_patient_counts_once_and_who_was_not_judged_not_at_all():
    first = case_of("D1", "p", "D", strata={"sequence": "T1"})
    second = case_of("D2", "p", "D", examination=2, strata={"sequence": "T2"})
    refused = case_of("D3", "q", "D", status="refused", strata={"sequence": "T9"})
    found = told([second, first, refused], training(sequence={"T1": 5}))["D"]
    assert found.patients == 1 and not found.never
    unknown = case_of("D0", "p", "D", strata={})
    assert values_of([unknown, second], "sequence") == {"p": "T2"}


def test_the_verdicts_sentence_names_the_sites_and_the_shares():
    known = training(field_strength_t={"1.5": 38, "3": 2}, sequence={"T1": 40})
    cases = patients("D", 12, field_strength_t=3.0, sequence="T2")
    cases += patients("E", 12, field_strength_t=1.5, sequence="T1")
    said = spoken_of(cases, training=known).sentence
    assert "never trained on: sequences T2 (12 at D)." in said
    assert (
        "Mixed otherwise than in training: field strengths 3 T (12 of 12 at D, trained 2 of 40)"
        in (said)
    )


def test_a_value_is_followed_by_its_unit_and_its_patients():
    known = training(field_strength_t={"3": 10})
    said = told(patients("D", 2, field_strength_t=0.35), known)["D"].sentence
    assert "field strengths 0.35 T (2 of 2)" in said


def test_what_a_modality_has_not_is_not_missing():
    mr = spoken_of(patients("D", 2, sequence="T1")).sentence
    assert "field strengths of 2" not in mr.split("Not recorded")[0]
    assert "field strengths" in mr and "source kernels" not in mr
    ct = spoken_of(patients("E", 2, source_kernel="Br40")).sentence
    assert "source tube voltages" in ct and "field strengths" not in ct
    nothing = spoken_of(patients("F", 2)).sentence
    assert "source kernels" in nothing and "field strengths" in nothing


def test_every_tag_is_a_stratum_that_a_registration_keeps_and_people_are_no_protocol():
    fields = set(Strata.model_fields)
    assert set(STRATA) | set(NUMBERS) <= fields
    assert set(PROTOCOLS) == set(TAGS) | set(NUMBERS)
    assert not set(PERSONAL) & set(PROTOCOLS)
    for words, _ in (STRATA | NUMBERS).values():
        assert words.endswith("s")
