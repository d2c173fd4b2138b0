"""Plans of the proton surrogate: coverage, spots, frozen plans, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.dose.engines import ENGINES
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.plan import Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.protons import ProtonRangeEngine, protons_range
from qa_suite.dose.protons.influence import influence_matrix
from qa_suite.dose.protons.spots import place_spots
from qa_suite.dose.range.pstar import range_mm
from qa_suite.dose.range.raytrace import beam_frame
from tests.proton_cases import (
    BODY,
    BOX,
    MACHINE,
    ORGAN,
    PLACES_MM,
    TARGET,
    dose_of,
    make_plan,
    template,
)

# --- plans -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planned() -> tuple[ProtonRangeEngine, Plan]:
    engine, plan = make_plan(0.0)
    assert isinstance(engine, ProtonRangeEngine)
    return engine, plan


def test_a_single_field_covers_a_box(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dose = engine.recalculate(BODY, plan)
    assert dose.quantity == "Gy" and dose.array.dtype == np.float32
    inside = dose.array[TARGET]
    assert np.quantile(inside, 0.05) == pytest.approx(57.0, abs=0.05)  # D95 = 95 % of 60 Gy
    core = dose.array[(np.abs(PLACES_MM) < 14).all(axis=-1)]
    assert core.std() / core.mean() < 0.02  # the plateau is flat
    behind = dose.array[(np.abs(PLACES_MM - [0, 40, 0]) < 8).all(axis=-1)]
    assert behind.max() < 0.02 * core.mean()  # protons stop
    assert dose.array[ORGAN].mean() < core.mean()


def test_spots_reach_before_and_behind_the_target(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    spots = planned[1].beams[0].delivery
    assert isinstance(spots, ProtonSpots)
    ranges = range_mm(spots.energy_mev)
    near, far = 72 - 21, 72 + 21  # voxel faces
    assert ranges.max() >= far and ranges.max() <= far * 1.03 + 1 + 1
    assert ranges.min() <= near + 2
    assert set(np.round(np.abs(spots.x_mm) % 5, 9)) == {0.0}
    assert spots.weight.min() >= 0


def test_the_matrix_says_what_the_dose_says() -> None:
    """Weights are optimised with the same physics as the final dose."""
    density = BODY.copy()
    density[:26, 15:20] *= 1.4
    frame = beam_frame(BeamTemplate(gantry_deg=20), (0.0, 0.0, 0.0), sad_mm=MACHINE.sad_mm)
    layout = place_spots(density, BOX, frame, TARGET, MACHINE, spacing_mm=5.0, label="G020")
    weight = np.random.default_rng(0).random(layout.count)
    voxels = np.argwhere(TARGET)
    found = influence_matrix(density, BOX, frame, layout, MACHINE, voxels) @ weight
    energy, x, y = layout.listed()
    spots = ProtonSpots(energy_mev=energy, x_mm=x, y_mm=y, weight=weight)
    beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=20), weight=1.0, delivery=spots)
    dose = dose_of(density, BOX, beam, (0.0, 0.0, 0.0), MACHINE)[TARGET]
    assert np.abs(found - dose).max() < 0.02 * dose.max()
    assert (found - dose).mean() == pytest.approx(0, abs=0.006 * dose.mean())


def test_the_same_plan_gives_the_same_dose_and_digest(
    planned: tuple[ProtonRangeEngine, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, plan = planned
    first = engine.recalculate(BODY, plan).array
    monkeypatch.setattr("qa_suite.dose.range.raytrace.cores", lambda: 1)
    _, again = make_plan(0.0)
    assert again.digest == plan.digest
    assert (engine.recalculate(BODY, again).array == first).all()


def test_dose_follows_protons_and_beams_add_up(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dose = engine.recalculate(BODY, plan).array
    twice = replace(plan, beams=(replace(plan.beams[0], weight=2.0),))
    np.testing.assert_allclose(
        engine.recalculate(BODY, twice).array, 2 * dose, rtol=1e-4, atol=1e-4
    )
    both = replace(plan, beams=plan.beams * 2)
    np.testing.assert_allclose(engine.recalculate(BODY, both).array, 2 * dose, rtol=1e-4, atol=1e-4)


def test_opposed_fields_spare_the_entrance(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = make_plan(90.0, 270.0)
    assert isinstance(engine, ProtonRangeEngine)
    dose = engine.recalculate(BODY, plan).array
    assert np.quantile(dose[TARGET], 0.05) == pytest.approx(57.0, abs=0.05)
    assert len(plan.beams) == 2 and plan.facts["spots"] == sum(
        beam.delivery.weight.size
        for beam in plan.beams  # type: ignore[union-attr]
    )
    assert dose[4, 26, 15] < 0.65 * dose[26, 26, 15]


def test_denser_tissue_pulls_the_dose_back(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dense = engine.recalculate((BODY * np.float32(1.05)).astype(np.float32), plan).array
    last = (np.abs(PLACES_MM - [0, 18, 0]) < [12, 3, 12]).all(axis=-1)  # the target's last voxels
    assert dense[last].mean() < 0.8 * engine.recalculate(BODY, plan).array[last].mean()


def test_the_engine_is_registered() -> None:
    entry = ENGINES["protons-range"]
    assert entry.facts.modality == "protons"
    assert isinstance(entry.function("proton-generic"), ProtonRangeEngine)


# --- bad input -------------------------------------------------------------------------------


def plan_with(**changed: object) -> None:
    given: dict[str, object] = {
        "density": BODY,
        "grid": BOX,
        "target": TARGET,
        "avoid": {},
        "isocentre_mm": (0.0, 0.0, 0.0),
        "template": template(0.0),
        "hlut": load_hlut("electron-density-as-rsp"),
        "target_name": "PTV",
    }
    given.update(changed)
    protons_range("proton-generic").plan(
        given.pop("density"),
        given.pop("grid"),
        **given,  # type: ignore[arg-type]
    )


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(InputError, match="relative_stopping_power"):
        plan_with(hlut=load_hlut("pydosert"))
    with pytest.raises(InputError, match="no voxel in the body"):
        plan_with(target=(BODY == 0))
    with pytest.raises(InputError, match="0 everywhere"):
        plan_with(density=np.zeros(BOX.shape, np.float32))
    with pytest.raises(InputError, match="no number"):
        plan_with(density=np.where(TARGET, np.nan, BODY))
    with pytest.raises(InputError, match="reaches 329 mm"):
        plan_with(density=(BODY * np.float32(6)).astype(np.float32))


def test_machines_are_checked(tmp_path: object) -> None:
    with pytest.raises(UnknownName, match="proton-generic"):
        load_machine("proton-generik")
    with pytest.raises(InputError, match="no proton machine"):
        load_machine("nowhere.yaml")
    from pathlib import Path

    path = Path(str(tmp_path)) / "bad.yaml"
    path.write_text("name: x\nlowest_mev: 70\nhighest_mev: 60\nspot_sigma_mm: [[70, -1]]\n")
    with pytest.raises(Problems, match="problems"):
        load_machine(path)
