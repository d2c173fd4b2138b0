"""Clinical goals: their words, whether a dose meets them, and which flip."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import dvh_of
from qa_suite.dose.dvh.goals import Goal, constraint_flips, evaluate_goals, load_goals
from qa_suite.dose.structures.samples import MaskStructure

GRID = Grid(shape=(10, 10, 10), spacing_mm=(3.0, 3.0, 3.0))
WHOLE = MaskStructure(name="Lung", mask=np.ones(GRID.shape, dtype=bool), grid=GRID)


def goal(text, structure="Lung"):
    return Goal(structure=structure, goal=text, source="local decision")


def dvhs(value):
    dose = Volume(array=np.full(GRID.shape, value, np.float32), grid=GRID, quantity="Gy")
    return {"Lung": dvh_of(dose, WHOLE)}


@pytest.mark.parametrize(
    ("text", "metric", "direction", "bound", "unit"),
    [
        ("V20Gy <= 35 %", "V20Gy", "at_most", 35, "%"),
        ("V45Gy<=195cc", "V45Gy_cc", "at_most", 195, "cc"),
        ("D95 >= 95 %", "D95", "at_least", 95, "% of prescription"),
        ("D2 ≤ 107 % of prescription", "D2", "at_most", 107, "% of prescription"),
        ("D0.03cc <= 45 Gy", "D0.03cc", "at_most", 45, "Gy"),
        ("Dmean <= 26 Gy", "Dmean", "at_most", 26, "Gy"),
        ("V95% >= 98 %", "V95%", "at_least", 98, "%"),
        ("HI <= 0.1", "HI", "at_most", 0.1, "1"),
    ],
)
def test_goals_as_people_write_them(text, metric, direction, bound, unit):
    found = goal(text)
    assert (found.metric, found.direction, found.bound, found.unit) == (
        metric,
        direction,
        bound,
        unit,
    )
    assert Goal.model_validate(found.model_dump()) == found
    assert goal(found.text) == found


@pytest.mark.parametrize(
    "text",
    [
        "V20Gy 35 %",
        "V20Gy <= 35",
        "V20Gy <= 35 Gy",
        "D95 >= 95 cc",
        "D95 >= 95",
        "X <= 3 Gy",
        "V20Gy <= 135 %",
        "Dmean <= 2600 cGy",
        "Dmean < 26 Gy",
    ],
)
def test_senseless_goals_are_refused(text):
    with pytest.raises(ValidationError):
        goal(text)


def test_a_goal_needs_its_source():
    with pytest.raises(ValidationError):
        Goal.model_validate({"structure": "Lung", "goal": "Dmean <= 20 Gy"})


def test_meeting_and_missing():
    goals = [goal(t) for t in ("Dmean <= 20 Gy", "Dmean >= 20 Gy", "V20Gy >= 100 %", "D95 >= 95 %")]
    found = evaluate_goals(dvhs(20.0), goals, prescription_gy=21.0)
    assert [result.met for result in found] == [True, True, True, True]
    found = evaluate_goals(dvhs(19.0), goals, prescription_gy=21.0)
    assert [result.met for result in found] == [True, False, False, False]
    assert found[3].bound == pytest.approx(0.95 * 21)


def test_what_cannot_be_judged_is_neither_met_nor_missed():
    goals = [goal("Dmean <= 20 Gy", "Heart"), goal("D95 >= 95 %"), goal("V95% >= 98 %")]
    found = evaluate_goals(dvhs(20.0), goals)
    assert [result.met for result in found] == [None, None, None]
    assert found[0].why == "there is no structure Heart"
    assert found[1].value == pytest.approx(20)
    assert "prescription" in found[1].why
    assert "prescription" in found[2].why


def test_flips_have_a_direction():
    goals = [goal("Dmean <= 20 Gy"), goal("Dmean >= 15 Gy"), goal("Dmean <= 9 Gy", "Heart")]
    low, high = (evaluate_goals(dvhs(value), goals) for value in (19.5, 20.5))
    (lost,) = constraint_flips(low, high)
    assert (lost.kind, lost.goal) == ("lost", goals[0])
    assert lost.synthetic - lost.reference == pytest.approx(1.0)
    (gained,) = constraint_flips(high, low)
    assert gained.kind == "gained"
    assert constraint_flips(low, low) == ()
    with pytest.raises(InputError):
        constraint_flips(low, high[:1])


def test_upper_doses():
    assert goal("V20Gy <= 35 %").upper_dose_gy(60) == 20
    assert goal("V50% <= 35 %").upper_dose_gy(60) == 30
    assert goal("D2 <= 107 %").upper_dose_gy(60) == pytest.approx(64.2)
    assert goal("D95 >= 95 %").upper_dose_gy(60) is None
    assert goal("HI <= 0.1").upper_dose_gy(60) is None


def test_goal_files(tmp_path):
    path = tmp_path / "goals.yaml"
    path.write_text('- {structure: Lung, goal: "V20Gy <= 35 %", source: QUANTEC}\n')
    assert load_goals(path)[0].text == "V20Gy <= 35 %"
    path.write_text('- {structure: Lung, goal: "V20Gy <= 35 %"}\n- {structure: Lung, goal: many}\n')
    with pytest.raises(Problems) as problems:
        load_goals(path)
    assert len(problems.value.problems) == 2
    path.write_text("structure: Lung\n")
    with pytest.raises(InputError, match="list of goals"):
        load_goals(path)
    with pytest.raises(InputError, match="no goals at"):
        load_goals(tmp_path / "none.yaml")
