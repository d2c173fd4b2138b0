"""Absence is proven from the reference: over every metric of a CT, whatever was drawn."""

from __future__ import annotations

import pandas as pd
import pytest

from qa_suite.core.records import CaseRecord, Measurement
from qa_suite.judging.collect import collect
from qa_suite.judging.patient_values import Measure
from qa_suite.metrics.facts import METRICS
from tests.absence_scenes import MATERIAL, REFERENCES, SYNTHETIC, Rows, in_hu

NO_REFERENCE = {"appearance", "reference_free"}  # they look at each image by itself


def rows_of(reference: str, drawn: str) -> dict[tuple[str, str, str], Measurement]:
    return {k: r for k, r in in_hu(reference, drawn).items() if r.family not in NO_REFERENCE}


def test_all_that_is_measured_of_a_pair_in_hu_is_walked() -> None:
    walked = {metric for metric, _, _ in rows_of("full", "noisy")}
    families = {METRICS[metric].facts.family for metric in walked}
    assert {"image", "segmentation", "geometry", "hallucination", "uncertainty"} <= families
    own = {
        entry.name
        for entry in METRICS
        if entry.facts.family in families and entry.facts.quantities in ((), ("HU",))
    }
    assert own <= walked


def test_every_undefined_row_says_whether_it_is_so_by_the_reference() -> None:
    for reference in REFERENCES:
        for drawn in SYNTHETIC:
            for row in rows_of(reference, drawn).values():
                assert (row.absent_in_reference is None) == (row.status != "undefined"), row


@pytest.mark.parametrize("drawn", SYNTHETIC)
@pytest.mark.parametrize("reference", REFERENCES)
def test_what_is_absent_has_no_value_in_a_perfect_image_either(reference: str, drawn: str) -> None:
    perfect = rows_of(reference, "copy")
    for key, row in rows_of(reference, drawn).items():
        if row.absent_in_reference:
            assert perfect[key].absent_in_reference, (key, row.why, perfect[key])


@pytest.mark.parametrize("drawn", SYNTHETIC)
def test_nothing_that_the_reference_shows_is_absent(drawn: str) -> None:
    """The synthetic image lacks bone, gas and metal, or is no image at all: that is a loss."""
    for (metric, region, _), row in rows_of("full", drawn).items():
        if region in (*MATERIAL, "structure:GTV", "body", "soft", "seg:Body"):
            assert not row.absent_in_reference, (metric, region, row.why)


@pytest.mark.parametrize("drawn", ["noisy", "full", "gas"])
def test_what_the_reference_lacks_is_proven_absent(drawn: str) -> None:
    """Whatever the synthetic image shows there, but for what counts an invention: that is lost."""
    rows = rows_of("bare", drawn)
    undefined = [
        (key, row)
        for key, row in rows.items()
        if key[1] in (*MATERIAL, "structure:GTV") and row.status == "undefined"
    ]
    regions = {region for (_, region, _), _ in undefined}
    assert {"bone", "air", "metal", "dense", "seg:Bone", "structure:GTV"} <= regions
    of_components = ("false_contrast", "missed_contrast")  # there is none of them to describe
    for key, row in undefined:
        of_translator = key[0] in of_components or key[0].startswith("interval_")
        assert row.absent_in_reference or of_translator, (key, row.why)
        if row.absent_in_reference:
            assert fate(rows, key) == ("lost" if invented(rows, key) else "absent"), key


@pytest.mark.parametrize("drawn", ["flat", "gas", "bare"])
def test_what_the_synthetic_image_lacks_is_lost(drawn: str) -> None:
    rows = rows_of("full", drawn)
    undefined = [k for k, r in rows.items() if r.status == "undefined" and ":" in k[1]]
    assert ("hd95", "seg:Bone", "default") in undefined
    for key in undefined:
        if key[1].startswith(("seg:", "structure:GTV")):
            assert fate(rows, key) == "lost", (key, rows[key].why)


def fate(rows: Rows, key: tuple[str, str, str]) -> str:
    table = pd.DataFrame([row.model_dump() for row in rows.values()])
    case = CaseRecord(case="c", patient="p", site="s", split="test", status="evaluated")
    metric, region, variant = key
    measure = Measure(metric=metric, region=region, variant=variant)
    return collect(table, [case], measure).rows[0].fate


def invented(rows: Rows, key: tuple[str, str, str]) -> bool:
    """Whether the segmenter that the row is of finds the structure in one image alone."""
    finder = key[2].partition(":")[0]
    dice = rows.get(("dice", key[1], finder), rows.get(("dice", key[1], "default")))
    return dice is not None and dice.value == 0


@pytest.mark.parametrize(
    ("structures", "row", "expected"),
    [
        (("GTV", "Bladder"), False, "lost"),  # delineated, and not measured
        (("GTV",), False, "absent"),
        (None, False, "lost"),  # an old record does not say
        (("GTV",), True, "value"),
    ],
)
def test_a_structure_that_is_not_delineated_is_absent(
    structures: tuple[str, ...] | None, row: bool, expected: str
) -> None:
    case = CaseRecord(
        case="c", patient="p", site="s", split="test", status="evaluated", structures=structures
    )
    region = "structure:Bladder" if row else "body"
    found = Measurement(
        case="c", patient="p", site="s", family="image", metric="mae", region=region,
        value=3.0, unit="HU",
    )  # fmt: skip
    table = pd.DataFrame([found.model_dump()])
    measure = Measure(metric="mae", region="structure:Bladder")
    assert collect(table, [case], measure).rows[0].fate == expected


@pytest.mark.parametrize("region", ["bone", "seg:Bone", "structure:GTV"])
def test_an_old_record_proves_absence_by_what_was_missed_alone(region: str) -> None:
    rows = pd.DataFrame([row.model_dump() for row in rows_of("bare", "noisy").values()]).drop(
        columns="absent_in_reference"
    )
    case = CaseRecord(case="c", patient="p", site="s", split="test", status="evaluated")
    metric = "hd95" if region == "seg:Bone" else "mae"
    found = collect(rows, [case], Measure(metric=metric, region=region)).rows[0]
    assert found.fate == ("absent" if region == "seg:Bone" else "lost")
