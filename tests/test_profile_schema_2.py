"""What schema 2 asks more, and the plan of patients: each by the line where it is lacking."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.errors import InputError, Problems
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.criteria.asked import planned_patients
from qa_suite.judging.references import hazard_keys
from tests.test_profile_reading import GOOD

WHY = {"rationale": "Half of what was seen.", "population": "none: local decision"}
HEAD: dict[str, Any] = {
    "schema_version": 2,
    "name": "mine",
    "version": "1",
    "direction": "MR->CT",
    "anatomy": "pelvis",
    "intended_use": "Tests.",
    "clinical": False,
    "does_not_ask": ["anything of dose"],
    "hazards": [],
    "planned": {"sites": 3, "sd_inside": 2.0, "power": 0.8},
}
LINES = {key: at for at, key in enumerate(HEAD, start=1)}
FIRST = len(HEAD) + 2
"""Line of the first criterion, below the word 'criteria'."""


def written(folder: Path, *criteria: dict[str, Any], **head: Any) -> Path:
    """Write a profile, a key and a criterion a line; None leaves a key out."""
    flow = {"default_flow_style": True, "width": 10**6}
    lines = [f"{key}: {yaml.safe_dump([value], **flow).strip()[1:-1]}"
             for key, value in (HEAD | head).items() if value is not None]  # fmt: skip
    told = [f"  - {yaml.safe_dump(one, **flow).strip()}" for one in criteria]
    path = folder / "mine.yaml"
    path.write_text("\n".join([*lines, "criteria:", *told]) + "\n")
    return path


def places(path: Path) -> list[tuple[int, str]]:
    """Line and place of each problem."""
    with pytest.raises(Problems) as caught:
        load_profile(path)
    found = [re.match(r"line (\d+): ([\w.]+)", one) for one in caught.value.problems]
    return [(int(one[1]), one[2]) for one in found if one]


ENOUGH = GOOD | WHY | {"min_patients": 50}


def test_a_profile_of_schema_2_that_says_all_is_read(tmp_path):
    one = load_profile(written(tmp_path, ENOUGH, hazards=list(hazard_keys())[:2]))
    assert one.schema_version == 2 and len(one.hazards) == 2


@pytest.mark.parametrize(
    ("head", "change", "expected"),
    [
        ({"clinical": None}, {}, [(1, "clinical")]),
        ({"does_not_ask": []}, {}, [(LINES["does_not_ask"], "does_not_ask")]),
        ({"does_not_ask": [""]}, {}, [(LINES["does_not_ask"], "does_not_ask")]),
        ({"clinical": True}, {}, [(LINES["clinical"], "clinical")]),
        ({}, {"rationale": ""}, [(FIRST, "criteria.0.rationale")]),
        ({}, {"population": ""}, [(FIRST, "criteria.0.population")]),
        ({"schema_version": 1, "clinical": None}, {"rationale": "", "population": ""}, None),
    ],
)
def test_what_is_lacking_is_told_at_its_line(tmp_path, head, change, expected):
    path = written(tmp_path, ENOUGH | change, **head)
    if expected is None:
        assert load_profile(path).schema_version == 1
    else:
        assert places(path) == expected


def test_a_hazard_that_is_none_is_told_with_a_close_one(tmp_path):
    known = hazard_keys()[0]
    path = written(tmp_path, ENOUGH, hazards=[known, f"{known}x"])
    with pytest.raises(Problems) as caught:
        load_profile(path)
    (said,) = caught.value.problems
    assert said.startswith(f"line {LINES['hazards']}: ")
    assert "hazard" in said and f"{known}x" in said and said.count(known) == 2


def test_a_criterion_with_fewer_patients_than_planned_is_told_and_with_as_many_not(tmp_path):
    pooled = ENOUGH | {"name": "b", "region": "bone", "scope": "worst_patient", "min_patients": 1}
    needed = planned_patients(load_profile(written(tmp_path, ENOUGH, pooled)))
    assert needed is not None and needed > 2
    exact = ENOUGH | {"min_patients": needed}
    assert load_profile(written(tmp_path, pooled, exact))
    few = ENOUGH | {"min_patients": needed - 1}
    assert places(written(tmp_path, pooled, few)) == [(FIRST + 1, "criteria.1.min_patients")]
    assert load_profile(written(tmp_path, few, planned=None))


def test_a_criterion_that_contradicts_itself_is_told_once_at_its_key(tmp_path):
    """Two keys of one criterion: neither is said of the criterion as a whole again."""
    wrong = ENOUGH | {"statistic": "min", "missed_penalty": 10.0}
    expected = [(FIRST, "criteria.0.missed_penalty"), (FIRST, "criteria.0.statistic")]
    assert sorted(places(written(tmp_path, wrong))) == expected


def test_what_asks_twice_is_told_of_the_whole_criterion(tmp_path):
    again = ENOUGH | {"name": "b"}
    assert places(written(tmp_path, ENOUGH, again)) == [(FIRST + 1, "criteria.1")]


@pytest.mark.parametrize("text", ["- a\n- b\n", "other: 1\n", "1\n", "a: 1\na: 2\n"])
def test_a_file_without_any_key_of_a_profile_is_named_as_a_whole(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml") as caught:
        load_profile(path)
    assert not isinstance(caught.value, Problems)
    assert ("'a' is there twice" in str(caught.value)) is text.startswith("a: 1\na")
