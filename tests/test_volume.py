"""Grids and volumes: where a voxel lies, when two grids are one, what resampling does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.resampling import covered_by, resample
from qa_suite.core.volume import Grid, Volume, require_same_grid


def rotation(degrees: float) -> tuple[float, ...]:
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return tuple(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).ravel())


def make(shape=(6, 5, 4), spacing=(1.0, 2.0, 3.0), origin=(0, 0, 0), degrees=0.0, frame=None):
    return Grid(
        shape=shape,
        spacing_mm=spacing,
        origin_mm=origin,
        direction=rotation(degrees),
        frame_of_reference=frame,
    )


def test_world_of_an_oblique_voxel_by_hand():
    grid = make(origin=(10, 20, 30), degrees=90)
    # i runs along +y after a quarter turn about z, j along −x.
    assert np.allclose(grid.to_world((1, 2, 3)), (10 - 4, 20 + 1, 30 + 9))


@settings(max_examples=30, deadline=None)
@given(
    degrees=st.floats(-180, 180),
    index=st.tuples(*[st.floats(-50, 50)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
)
def test_index_and_world_undo_each_other(degrees, index, spacing):
    grid = make(spacing=spacing, origin=(-3, 7, 900), degrees=degrees)
    assert np.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"shape": (0, 4, 4)}, "positive sizes"),
        ({"spacing_mm": (1, -1, 1)}, "positive spacings"),
        ({"spacing_mm": (1, float("nan"), 1)}, "not finite"),
        ({"direction": (1, 0, 0, 1, 0, 0, 0, 0, 1)}, "orthonormal"),
    ],
)
def test_impossible_grids_are_refused(more, word):
    with pytest.raises(GeometryError, match=word):
        Grid(**{"shape": (4, 4, 4), "spacing_mm": (1, 1, 1), **more})


def test_same_grid_within_the_tolerance_only():
    grid = make()
    assert grid.same_as(make(origin=(0.049, 0, 0)))
    assert not grid.same_as(make(origin=(0.051, 0, 0)))
    assert not grid.same_as(make(shape=(6, 5, 3)))
    # A spacing that is off by 0.02 mm moves the far corner of 6 voxels by 0.1 mm.
    assert not grid.same_as(make(spacing=(1.02, 2.0, 3.0)))


def test_frames_of_reference_must_be_compatible():
    assert make(frame="1.2").same_as(make(frame=None))
    assert not make(frame="1.2").same_as(make(frame="1.3"))
    volume = Volume(array=np.zeros((6, 5, 4)), grid=make(frame="1.2"), quantity="HU")
    with pytest.raises(GeometryError, match="register"):
        resample(volume, make(frame="1.3"), interpolation="linear", outside=-1000)


def test_a_volume_must_fit_its_grid_and_know_its_quantity():
    with pytest.raises(GeometryError):
        Volume(array=np.zeros((6, 5, 5)), grid=make(), quantity="HU")
    with pytest.raises(InputError, match="arbitrary"):
        Volume(array=np.zeros((6, 5, 4)), grid=make(), quantity="houns")


def linear_field(grid: Grid) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return (grid.to_world(index) @ np.array([2.0, -3.0, 0.5]) + 7).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 12, 90])
def test_linear_resampling_is_exact_on_a_linear_field(degrees):
    source = make(shape=(30, 30, 20), spacing=(2, 2, 2.5), origin=(-30, -30, -25))
    target = make(shape=(9, 8, 7), spacing=(3.3, 2.1, 4), origin=(-9, -8, -10), degrees=degrees)
    volume = Volume(array=linear_field(source), grid=source, quantity="HU")
    moved = resample(volume, target, interpolation="linear", outside=-1000)
    inside = covered_by(source, target)
    assert inside.all()
    assert np.allclose(moved.array, linear_field(target), atol=1e-3)
    assert "resampled linear" in moved.history[-1]


def test_resampling_onto_the_own_grid_changes_nothing():
    rng = np.random.default_rng(1)
    grid = make(origin=(-881.3, 12.7, 3.01), spacing=(0.977, 0.977, 3.27))
    volume = Volume(array=rng.normal(size=grid.shape).astype(np.float32), grid=grid, quantity="HU")
    again = resample(volume, grid, interpolation="linear", outside=-1000)
    assert np.allclose(again.array, volume.array, atol=1e-5)


def test_outside_the_field_of_view_stands_the_given_value():
    source = make(shape=(4, 4, 4), spacing=(1, 1, 1))
    target = make(shape=(8, 4, 4), spacing=(1, 1, 1), origin=(-2, 0, 0))
    volume = Volume(array=np.full((4, 4, 4), 50.0), grid=source, quantity="HU")
    moved = resample(volume, target, interpolation="linear", outside=-1000)
    assert (moved.array[:, 0, 0] == [-1000, -1000, 50, 50, 50, 50, -1000, -1000]).all()


def test_labels_are_never_blended():
    labels = Volume(array=np.zeros((6, 5, 4), dtype=np.int32), grid=make(), quantity="label")
    with pytest.raises(InputError, match="nearest"):
        resample(labels, make(origin=(0.4, 0, 0)), interpolation="linear", outside=0)


def test_volumes_on_two_grids_are_named():
    one = Volume(array=np.zeros((6, 5, 4)), grid=make(), quantity="HU")
    two = Volume(array=np.zeros((6, 5, 4)), grid=make(origin=(5, 0, 0)), quantity="HU")
    with pytest.raises(GeometryError, match=r"the mask .* the CT"):
        require_same_grid({"the CT": one, "the mask": two})


def hu(value=0.0, **more):
    return Volume(array=np.full((6, 5, 4), value), grid=make(), quantity="HU", **more)


def test_nineteen_patients_carry_95_percent_and_eighteen_do_not():
    assert IntervalFacts(voxel_share=0.9, level=0.95, patients=19).patients == 19
    with pytest.raises(InputError, match=r"0\.947 at most, not 0\.95; .* on 19 patients"):
        IntervalFacts(voxel_share=0.9, level=0.95, patients=18)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"voxel_share": 1.0}, "voxel_share must lie between 0 and 1, got 1.0"),
        ({"level": 0.0}, "level must lie between 0 and 1, got 0.0"),
        ({"level": float("nan")}, "level must lie between"),
        ({"patients": 0}, "at least 1, got 0"),
    ],
)
def test_an_interval_promises_what_can_be_promised(facts, word):
    with pytest.raises(InputError, match=word):
        IntervalFacts(**{"voxel_share": 0.9, "level": 0.8, "patients": 20, **facts})


def test_a_half_width_and_its_promise_come_together():
    facts = IntervalFacts(voxel_share=0.9, level=0.8, patients=20)
    both = Prediction(mean=hu(), half_width=hu(50), interval=facts)
    assert both.interval == facts
    with pytest.raises(InputError, match="half_width alone"):
        Prediction(mean=hu(), half_width=hu(50))
    with pytest.raises(InputError, match="interval alone"):
        Prediction(mean=hu(), interval=facts)


def test_costs_have_known_names_and_are_numbers():
    assert Prediction(mean=hu(), cost={"steps": 4}).cost["steps"] == 4
    with pytest.raises(InputError, match="'second'; known: network_evaluations, steps"):
        Prediction(mean=hu(), cost={"second": 4})
    with pytest.raises(InputError, match=r"steps must be a number from 0, got -1"):
        Prediction(mean=hu(), cost={"steps": -1})
