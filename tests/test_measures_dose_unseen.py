"""The family of dose where an image shows less than the reference, or HU that no table holds."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from tests.measured_dose_cases import (
    BODY,
    CT,
    PATIENT,
    PHOTONS,
    PLAIN,
    STRUCTURES,
    TWO_PHOTON,
    X,
    Y,
    Z,
    beams,
    measured,
    pair_of,
    settings_of,
    value,
)

# --- what was not seen -------------------------------------------------------------------------


def test_an_unseen_half_carries_the_reference():
    """The source ends in the patient's left half; the synthetic image is wrong everywhere."""
    blank = PATIENT.mr.array.copy()
    blank[X > 50] = blank.min()
    source = PATIENT.mr.with_array(blank)
    wrong = CT.array + 100 * BODY
    done = measured(pair_of(wrong, source=source), settings_of(beams(PHOTONS, 90, 270)))
    unseen = {g: value(done, "path_unseen", f"beam:{g}") for g in ("G090", "G270")}
    assert unseen["G090"] > 40 and unseen["G270"] == 0
    whole = measured(pair_of(wrong), settings_of(beams(PHOTONS, 90, 270)))
    assert value(whole, "path_unseen", "beam:G090") == 0
    parts = [value(d, "dmean_difference_pct", "target") for d in (done, whole)]
    assert parts[1] < parts[0] < 0  # one of the two paths is the reference's
    one, two = (done.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    only = measured(pair_of(wrong, source=source), settings_of(beams(PHOTONS, 90)))
    one, two = (only.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    left = one.grid.to_world(np.stack(np.indices(one.grid.shape), -1))[..., 0] > 70
    np.testing.assert_allclose(two.array[left], one.array[left], atol=0.03 * one.array.max())


def test_coverage_of_the_reference_is_respected_too():
    coverage = X < 50
    done = measured(
        pair_of(CT.array + 100 * BODY, coverage=coverage), settings_of(beams(PHOTONS, 90))
    )
    assert value(done, "path_unseen", "beam:G090") > 40


def test_a_beam_through_the_cut_edge_of_an_image_is_told():
    """A limb that the image cuts: the left flank lies outside."""
    keep = int(np.flatnonzero(X[:, 0, 0] > 60)[0])
    _, ny, nz = CT.grid.shape
    grid = Grid(shape=(keep, ny, nz), spacing_mm=CT.grid.spacing_mm, origin_mm=CT.grid.origin_mm)
    cut = Volume(array=CT.array[:keep], grid=grid, quantity="HU")
    pair = Pair(
        reference=cut,
        synthetic=cut,
        mask=BODY[:keep],
        structures={name: mask[:keep] for name, mask in STRUCTURES.items()},
    )
    done = measured(pair, settings_of(beams(PHOTONS, 90, 180, 270)))
    shares = [value(done, "path_cut", f"beam:{g}") for g in ("G090", "G180", "G270")]
    assert shares == [100, 0, 0]


# --- HU beyond the table's ends ----------------------------------------------------------------


def with_hu(hu: float, x_mm: float) -> np.ndarray:
    """The patient with a ball of 15 mm of some HU beside the target, in the beam from its side."""
    places = PATIENT.structures["Prostate"]
    centre = [float(axis[places].mean()) for axis in (X, Y, Z)]
    distance = np.sqrt((X - centre[0] - x_mm) ** 2 + (Y - centre[1]) ** 2 + (Z - centre[2]) ** 2)
    return np.where(distance < 15, hu, CT.array)


def test_an_image_within_its_table_says_so() -> None:
    done = measured(pair_of(CT.array), settings_of(TWO_PHOTON))
    assert value(done, "hu_beyond_reference", "body") == 0
    assert value(done, "hu_beyond_synthetic", "body") == 0
    assert value(done, "path_beyond_table", "all") == 0


def test_metal_beyond_the_table_is_counted_and_found_in_its_beam() -> None:
    """On the patient's left, before the target for the beam from 90°, not for that from 0°."""
    metal = with_hu(3071, 60.0)
    done = measured(pair_of(metal), settings_of(TWO_PHOTON))
    number = int(((metal > 3001) & BODY).sum())
    assert number > 5
    assert value(done, "hu_beyond_reference", "body") == 0
    assert value(done, "hu_beyond_synthetic", "body") == number
    (row,) = [r for r in done.rows if r.metric == "hu_beyond_synthetic"]
    assert row.why == f"{number} voxels above 3000 HU (up to 3071), where thomas-1999 ends"
    share = value(done, "path_beyond_table", "beam:G090")
    assert share > 20
    assert value(done, "path_beyond_table", "beam:G000") == 0
    assert value(done, "path_beyond_table", "all") == share


def test_metal_behind_the_target_is_in_no_beams_path() -> None:
    done = measured(pair_of(with_hu(3071, -60.0)), settings_of(beams(PHOTONS, 90)))
    assert value(done, "hu_beyond_synthetic", "body") > 5
    assert value(done, "path_beyond_table", "all") == 0


def test_padding_outside_the_body_and_gas_in_it_are_not_beyond_a_table() -> None:
    image = np.where(BODY, CT.array, -2048.0)
    image = np.where(with_hu(-1024, 60.0) == -1024, -1024.0, image)
    done = measured(pair_of(image), settings_of(TWO_PHOTON))
    assert value(done, "hu_beyond_synthetic", "body") == 0


def test_a_table_that_begins_above_air_is_exceeded_below() -> None:
    short = load_hlut("thomas-1999").model_copy(
        update={"name": "short", "points": ((-200.0, 0.8), (3000.0, 2.5))}
    )
    plans = (PlanChoice(template=TWO_PHOTON, hlut=short),)
    done = measured(pair_of(with_hu(-700, 60.0)), DoseSettings(plans=plans, **PLAIN))
    assert value(done, "hu_beyond_synthetic", "body") > value(done, "hu_beyond_reference", "body")
    (row,) = [r for r in done.rows if r.metric == "hu_beyond_synthetic"]
    assert "below -200 HU (down to -" in row.why and row.why.endswith("where short ends")
    assert value(done, "path_beyond_table", "beam:G090") > 20
