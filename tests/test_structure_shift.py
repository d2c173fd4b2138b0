"""The shift of a delineated structure: known answers, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.geometry import geometry
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings

SPACING = 3.0
SHAPE = (60, 50, 40)
CENTRE = np.array([88.0, 74.0, 59.0])  # of the organ, in mm from the first voxel
RADIUS = 20.0
SETTINGS = GeometrySettings(
    source_alignment="off",
    local_shift=False,
    positioning=PositioningSettings(cbct=False, drr=False),
)


def _away(centre: np.ndarray) -> np.ndarray:
    axes = [np.arange(n) * SPACING - c for n, c in zip(SHAPE, centre, strict=True)]
    return np.sqrt(sum(a * a for a in np.meshgrid(*axes, indexing="ij")))


def _image(centre: np.ndarray, *, organ_hu: float = 60.0) -> np.ndarray:
    """A ball of soft tissue in fat that moves with it, in a body that does not."""
    body = np.full(SHAPE, -1000.0, dtype=np.float32)
    body[4:-4, 4:-4, :] = -90.0
    share = np.clip(0.5 + (RADIUS - _away(centre)) / SPACING, 0, 1)
    noise = np.random.default_rng(1).normal(0, 5, SHAPE)
    return (body + share * (organ_hu + 90.0) + noise).astype(np.float32)


def _rows(synthetic: np.ndarray, structures: dict[str, np.ndarray], reference=None) -> dict:
    grid = Grid(shape=SHAPE, spacing_mm=(SPACING,) * 3)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:-4, 4:-4, :] = True
    reference = _image(CENTRE) if reference is None else reference
    pair = Pair(
        reference=Volume(array=reference, grid=grid, quantity="HU"),
        synthetic=Volume(array=synthetic, grid=grid, quantity="HU"),
        mask=mask,
        structures=structures,
    )
    return {v.region: v for v in geometry(pair, SETTINGS) if v.metric == "structure_shift"}


def _moved(x: float) -> np.ndarray:
    return CENTRE + np.array([x, 0.0, 0.0])


ORGAN = {"Organ": _away(CENTRE) <= RADIUS}


@pytest.mark.parametrize("way", [(0, 0, 0), (4, 0, 0), (0, -5, 2), (3, 3, -3)])
def test_an_organ_is_found_where_it_was_put(way: tuple[int, int, int]) -> None:
    rows = _rows(_image(CENTRE + way), ORGAN)
    for region in ("structure:Organ", "structures"):
        assert rows[region].value == pytest.approx(np.linalg.norm(way), abs=0.35)


def test_the_largest_of_the_structures_counts() -> None:
    bony = np.array([40.0, 40.0, 30.0])
    share = np.clip(0.5 + (15 - _away(bony)) / SPACING, 0, 1)
    bone = (share * 400).astype(np.float32)
    structures = {**ORGAN, "Bone_Part": _away(bony) <= 15}
    rows = _rows(_image(_moved(4)) + bone, structures, _image(CENTRE) + bone)
    assert rows["structure:Bone_Part"].value == pytest.approx(0, abs=0.3)
    assert rows["structures"].value == rows["structure:Organ"].value


def test_an_organ_beyond_the_reach_is_censored() -> None:
    rows = _rows(_image(_moved(15)), ORGAN)
    assert rows["structures"].status == "censored"
    assert rows["structures"].at_least == SETTINGS.local_reach_mm


def test_an_organ_that_is_not_there_leaves_the_largest_undefined() -> None:
    rows = _rows(_image(CENTRE, organ_hu=-90.0), ORGAN)
    assert rows["structures"].status == "undefined"
    assert rows["structure:Organ"].status == "undefined" and "Organ" in rows["structures"].why


def test_what_the_reference_does_not_show_says_nothing() -> None:
    structures = {**ORGAN, "PTV": _away(np.array([34.0, 34.0, 59.0])) <= 14}
    rows = _rows(_image(_moved(4)), structures)
    assert (rows["structure:PTV"].status, rows["structure:PTV"].value) == ("undefined", None)
    assert rows["structures"].value == rows["structure:Organ"].value


def test_small_large_and_empty_structures_and_none_at_all() -> None:
    body = np.zeros(SHAPE, dtype=bool)
    body[4:-4, 4:-4, :] = True
    structures = {"Body": body, "Empty": np.zeros(SHAPE, dtype=bool), "Seed": _away(CENTRE) <= 12}
    rows = _rows(_image(CENTRE), structures)
    assert "less than 10 cc" in rows["structure:Seed"].why
    assert "more than 500 cc" in rows["structure:Body"].why
    assert "empty" in rows["structure:Empty"].why
    assert rows["structures"].status == "undefined"
    none = _rows(_image(CENTRE), {})
    assert list(none) == ["structures"]
    assert none["structures"].why == "no structure is delineated"
