"""Absence is proven from the reference: over every family and every metric that is registered."""

from __future__ import annotations

import pytest

from qa_suite.metrics.facts import FAMILIES, METRICS
from tests.absence_scenes import SCENES, Rows
from tests.test_absent_in_reference import fate

REFERENCES = ("full", "bare")
OF_NO_CASE = {
    "set_distance": "of two sets of patients, not of a case",
    "cost": "time and memory of a translation, without a region",
}
OF_ONE_IMAGE = {"appearance", "reference_free", *OF_NO_CASE}
"""Families that hold nothing against a reference: none of their rows is ever absent."""
NOT_DRAWN = {"machine_energy": "of a clinic's machine, of which it always is"}
OF_COMPONENTS = ("false_contrast", "missed_contrast", "interval_")
"""Of what the translator made or said in a region: that there is none is no absence."""
EVERY = [(name, drawn) for name, scene in SCENES.items() for drawn in scene.synthetics]
every_image = pytest.mark.parametrize(("scene", "drawn"), EVERY)


def all_rows() -> list[Rows]:
    return [
        scene.rows(reference, drawn)
        for scene in SCENES.values()
        for reference in REFERENCES
        for drawn in scene.synthetics
    ]


def test_every_metric_that_is_registered_is_walked() -> None:
    """A new one is drawn in a scene, or said here why it has no reference to be absent from."""
    walked = {metric for rows in all_rows() for metric, _, _ in rows}
    left_out = {e.name for e in METRICS if e.facts.family in OF_NO_CASE} | {*NOT_DRAWN}
    assert {entry.name for entry in METRICS} - walked == left_out
    walked_families = {METRICS[name].facts.family for name in walked}
    assert {family.name for family in FAMILIES} <= walked_families | {*OF_NO_CASE}


def test_every_undefined_row_says_whether_it_is_so_by_the_reference() -> None:
    for rows in all_rows():
        for row in rows.values():
            assert (row.absent_in_reference is None) == (row.status != "undefined"), row


def test_what_looks_at_one_image_alone_is_never_absent() -> None:
    for rows in all_rows():
        assert not [r for r in rows.values() if r.family in OF_ONE_IMAGE and r.absent_in_reference]


@every_image
def test_what_is_absent_has_no_value_in_a_perfect_image_either(scene: str, drawn: str) -> None:
    for reference in REFERENCES:
        perfect = SCENES[scene].rows(reference, "copy")
        for key, row in SCENES[scene].rows(reference, drawn).items():
            if row.absent_in_reference:
                assert perfect[key].absent_in_reference, (key, row.why, perfect[key])


@every_image
def test_what_the_reference_has_is_lost_and_never_absent(scene: str, drawn: str) -> None:
    rows = SCENES[scene].rows("full", drawn)
    regions = (*SCENES[scene].regions, "body", "all", "lesions", "target")
    for key, row in rows.items():
        if key[1] in regions and row.status == "undefined":
            assert not row.absent_in_reference, (key, row.why)
            assert fate(rows, key) == "lost", (key, row.why)


@every_image
def test_what_the_reference_lacks_is_absent_whatever_was_drawn(scene: str, drawn: str) -> None:
    rows = SCENES[scene].rows("bare", drawn)
    undefined = {
        key: row
        for key, row in rows.items()
        if key[1] in SCENES[scene].regions
        and row.status == "undefined"
        and row.family not in OF_ONE_IMAGE
        and not key[0].startswith(OF_COMPONENTS)
    }
    assert {key[1] for key in undefined} == set(SCENES[scene].regions)
    for key, row in undefined.items():
        assert row.absent_in_reference, (key, row.why)
    if scene != "HU":  # of an invented structure see the other file
        assert {fate(rows, key) for key in undefined} == {"absent"}
