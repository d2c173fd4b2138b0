"""Plans of the photon surrogate: prescriptions, frozen plans, modulated fields, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError, UnknownName
from qa_suite.core.volume import Grid
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.plan.plan import PhotonField, with_weights
from tests.photon_cases import CENTRE, ENGINE, HLUT, case, coverage, planned, template

# --- plans -------------------------------------------------------------------------------------


def test_a_plan_meets_its_prescription_on_the_reference_and_is_not_rescaled_elsewhere() -> None:
    _, density, target = case()
    plan = planned(template(0, 120, 240))
    there = ENGINE.recalculate(density, plan)
    assert there.quantity == "Gy" and there.grid == plan.grid
    assert coverage(there.array, target) == pytest.approx(57.0, rel=1e-5)  # 95 % of 60 Gy
    elsewhere = ENGINE.recalculate(density * np.float32(1.05), plan)
    assert coverage(elsewhere.array, target) < 56.5
    assert all(beam.weight >= 0 for beam in plan.beams)


def test_a_large_target_too_meets_its_prescription_exactly() -> None:
    """Larger than the sample of voxels that weights are optimised on."""
    grid, density, _ = case(4.0)
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    target = (x / 44) ** 2 + (y / 40) ** 2 + (z / 42) ** 2 <= 1
    assert target.sum() > 4000
    plan = planned(template(0, 90), density=density, grid=grid, target=target)
    dose = ENGINE.recalculate(density, plan).array
    assert coverage(dose, target) == pytest.approx(57.0, rel=1e-5)


def test_the_same_plan_gives_the_same_dose_and_says_so() -> None:
    _, density, _ = case()
    one, two = planned(template(0, 120, 240)), planned(template(0, 120, 240))
    assert one.digest == two.digest and len(one.digest) == 64
    doses = [ENGINE.recalculate(density, plan).array for plan in (one, one, two)]
    np.testing.assert_array_equal(doses[0], doses[1])
    np.testing.assert_array_equal(doses[0], doses[2])
    heavier = with_weights(one, [2 * beam.weight for beam in one.beams])
    assert heavier.digest != one.digest
    np.testing.assert_allclose(ENGINE.recalculate(density, heavier).array, 2 * doses[0], rtol=1e-6)
    assert one.hlut == (HLUT.name, HLUT.digest)


def test_the_dose_of_a_plan_is_the_sum_of_its_beams() -> None:
    _, density, _ = case()
    plan = planned(template(0, 120, 240))
    doses = ENGINE.beam_doses(density, plan)
    total = sum(beam.weight * dose for beam, dose in zip(plan.beams, doses, strict=True))
    np.testing.assert_allclose(ENGINE.recalculate(density, plan).array, total, rtol=1e-5)


def test_an_organ_with_a_goal_turns_the_weight_to_the_other_beams() -> None:
    grid, density, _ = case()
    x = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))[..., 0]
    organ = (density > 0) & (x > 40)  # on the left, where beam 90 enters
    goals = [{"structure": "Cord", "goal": "Dmean <= 5 Gy", "source": "A test."}]
    plain = planned(template(0, 90, 180))
    spared = planned(template(0, 90, 180, goals=goals), avoid={"Cord": organ})
    mean = [float(ENGINE.recalculate(density, p).array[organ].mean()) for p in (plain, spared)]
    assert mean[1] < 0.8 * mean[0]
    assert spared.beams[1].weight < plain.beams[1].weight


# --- modulated fields --------------------------------------------------------------------------


def test_modulated_fields(monkeypatch) -> None:
    from qa_suite.dose.photons import imrt

    monkeypatch.setattr(imrt, "_STEPS", 2)
    grid, density, target = case()
    x = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))[..., 0]
    goals = [{"structure": "Cord", "goal": "Dmean <= 10 Gy", "source": "A test."}]
    made = template(0, 120, technique="imrt", goals=goals)
    organ = (density > 0) & (x > 34)
    one, two = (planned(made, avoid={"Cord": organ}) for _ in range(2))
    assert one.digest == two.digest
    dose = ENGINE.recalculate(density, one).array
    assert coverage(dose, target) == pytest.approx(57.0, rel=1e-5)
    conformal = planned(template(0, 120))
    for beam, still in zip(one.beams, conformal.beams, strict=True):
        assert isinstance(beam.delivery, PhotonField) and isinstance(still.delivery, PhotonField)
        share = beam.delivery.fluence / np.maximum(still.delivery.fluence, 1e-9)
        inside = still.delivery.fluence > 0.5
        assert (share[inside] > 0).all() and (share[inside] <= 1 + 1e-6).all()
        assert np.ptp(share[inside]) > 0.05  # modulated
        blocks = share[:400, :400].reshape(80, 5, 80, 5)
        whole = inside.reshape(80, 5, 80, 5).all(axis=(1, 3))
        assert np.ptp(blocks, axis=(1, 3))[whole].max() < 1e-5  # beamlets of 5 mm
    assert ENGINE.recalculate(density * np.float32(1.05), one).array[target].mean() < (
        dose[target].mean()
    )


def test_modulated_fields_that_miss_the_target_are_refused(monkeypatch) -> None:
    from qa_suite.dose.photons import imrt

    monkeypatch.setattr(imrt, "_STEPS", 1)
    _, density, target = case()
    hole = np.where(target, 0.0, density).astype(np.float32)
    with pytest.raises(InputError, match="target"):
        planned(template(0, 90, technique="imrt"), density=hole)


# --- refused -----------------------------------------------------------------------------------


def test_a_turned_couch_is_refused() -> None:
    turned_couch = template(0, beams=[{"gantry_deg": 0}, {"gantry_deg": 90, "couch_deg": 30}])
    with pytest.raises(InputError, match=r"no couch rotation; beam G090 asks for 30°\.$"):
        planned(turned_couch)


def test_a_target_that_no_field_holds_is_refused() -> None:
    grid = Grid(shape=(90, 40, 20), spacing_mm=(5.0,) * 3, origin_mm=(-222.5, -97.5, -47.5))
    target = np.zeros(grid.shape, bool)
    target[2:-2, 15:25, 5:15] = True
    density = np.ones(grid.shape, np.float32)
    with pytest.raises(InputError, match=r"does not fit into a field of 40 cm from beam G000"):
        planned(template(0), density=density, grid=grid, target=target)


def test_an_empty_target_and_one_without_dose_are_refused() -> None:
    _, density, target = case()
    with pytest.raises(InputError, match="target"):
        planned(template(0), target=np.zeros_like(target))
    with pytest.raises(InputError, match="No beam reaches the target"):
        planned(template(0), density=np.where(target, 0.0, density).astype(np.float32))


def test_a_table_of_another_quantity_is_refused() -> None:
    protons = Hlut(
        name="mine", quantity="relative_stopping_power", points=((-1000, 0), (0, 1)), source="x"
    )
    with pytest.raises(InputError, match="takes relative_electron_density or"):
        planned(template(0), hlut=protons)


def test_an_oblique_grid_and_an_isocentre_outside_are_refused() -> None:
    grid, _, _ = case()
    turn = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(GeometryError, match="must be axial"):
        planned(template(0), grid=replace(grid, direction=turn, origin_mm=CENTRE))
    with pytest.raises(InputError, match=r"isocentre .* lies outside the dose grid"):
        planned(template(0), isocentre_mm=(0.0, 0.0, 75.5))


def test_an_unknown_machine_is_refused_with_the_close_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean varian_10MV"):
        PhotonEngine("varian_10mv")
