"""The segmenter in memory: what it learns, on which grids it answers, and that it is repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.instruments.fit_segmenter import fit_segmenter, learnable
from qa_suite.instruments.frame import frame_of, mask_to_scan, tent_resample, to_working
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.settings import AIR_HU, SegmenterSettings
from qa_suite.instruments.train_segmenter import noise_floor
from tests.tiny_instruments import image, images, segmenter_settings


@pytest.fixture(scope="module")
def trained() -> TrainedSegmenter:
    return fit_segmenter(
        images(1, 2, 3, 4), images(5), segmenter_settings(iterations=80), seed=3, device="cpu"
    )


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


# ---------------------------------------------------------------------------------------
# Frames

AXIAL = Grid(shape=(20, 16, 9), spacing_mm=(2.0, 2.5, 5.0), origin_mm=(-7.0, 3.0, 11.0))


def test_the_tent_is_linear_interpolation_towards_a_finer_grid() -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=AXIAL.shape).astype(np.float32)
    fine = replace(
        AXIAL, shape=(30, 20, 30), spacing_mm=(1.0, 1.5, 1.0), origin_mm=(-6.0, 4.0, 12.0)
    )
    from scipy import ndimage

    position = AXIAL.to_index(fine.to_world(np.moveaxis(np.indices(fine.shape), 0, -1)))
    expected = ndimage.map_coordinates(array, np.moveaxis(position, -1, 0), order=1)
    np.testing.assert_allclose(tent_resample(array, AXIAL, fine), expected, atol=1e-5)


def test_the_tent_keeps_a_constant_and_a_ramp_towards_a_coarser_grid() -> None:
    coarse = replace(
        AXIAL, shape=(5, 4, 3), spacing_mm=(6.0, 6.0, 10.0), origin_mm=(0.0, 12.0, 21.0)
    )
    ramp = AXIAL.to_world(np.moveaxis(np.indices(AXIAL.shape), 0, -1))[..., 0].astype(np.float32)
    found = tent_resample(ramp, AXIAL, coarse)
    expected = coarse.to_world(np.moveaxis(np.indices(coarse.shape), 0, -1))[..., 0]
    inner = slice(1, -1)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)
    ones = tent_resample(np.ones(AXIAL.shape, dtype=np.float32), AXIAL, coarse)
    np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_outside_the_scan_is_nought() -> None:
    beside = replace(AXIAL, origin_mm=(500.0, 3.0, 11.0))
    assert not tent_resample(np.ones(AXIAL.shape, dtype=np.float32), AXIAL, beside).any()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_turned_scans_come_to_the_same_working_voxels(order: tuple[int, ...], sign: int) -> None:
    rng = np.random.default_rng(1)
    array = rng.normal(size=AXIAL.shape).astype(np.float32)
    turned = array.transpose(order)
    axes = np.eye(3)[:, list(order)]
    origin = np.array(AXIAL.origin_mm)
    if sign < 0:
        turned = turned[::-1]
        origin = AXIAL.to_world(
            [
                AXIAL.shape[o] - 1 if n == 0 else 0
                for n, o in sorted(enumerate(order), key=lambda pair: pair[1])
            ]
        )
        axes = axes * np.array([-1, 1, 1])
    grid = Grid(
        shape=turned.shape,
        spacing_mm=tuple(AXIAL.spacing_mm[o] for o in order),
        origin_mm=tuple(origin),
        direction=tuple(axes.ravel()),
    )
    working = replace(AXIAL, shape=(12, 10, 7), spacing_mm=(3.0, 3.0, 6.0))
    np.testing.assert_allclose(
        tent_resample(np.ascontiguousarray(turned), grid, working),
        tent_resample(array, AXIAL, working),
        atol=1e-5,
    )


def test_an_oblique_scan_of_a_smooth_image_agrees_with_a_straight_one() -> None:
    def wave(grid: Grid) -> np.ndarray:
        x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
        return np.asarray(np.sin(x / 20) + np.cos(y / 25) + z / 50, dtype=np.float32)

    angle = np.deg2rad(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    oblique = Grid(
        shape=(50, 50, 20),
        spacing_mm=(2, 2, 3),
        origin_mm=(-20, -60, -20),
        direction=tuple(turn.ravel()),
    )
    working = Grid(shape=(10, 10, 6), spacing_mm=(3, 3, 3), origin_mm=(0, 0, 0))
    np.testing.assert_allclose(
        tent_resample(wave(oblique), oblique, working), wave(working), atol=0.03
    )


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 2.0), (4.0, 4.0, 4.0), (9.0, 9.0, 9.0)])
def test_a_ball_survives_the_way_to_working_voxels_and_back(
    spacing_mm: tuple[float, float, float],
) -> None:
    grid = Grid(shape=(90, 80, 40), spacing_mm=(1.5, 1.5, 3.0), origin_mm=(-67.5, -60.0, -60.0))
    place = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = np.linalg.norm(place, axis=-1) < 40
    frame = frame_of(grid, np.ones(grid.shape, dtype=bool), spacing_mm=spacing_mm, margin_mm=10)
    assert frame is not None
    share = tent_resample(ball.astype(np.float32), frame.scan, frame.working)
    back = np.zeros(grid.shape, dtype=bool)
    back[frame.box] = mask_to_scan(share, frame)
    assert _dice(back, ball) > 0.96
    whole = tent_resample(share, frame.working, frame.scan) >= np.float32(0.5)
    np.testing.assert_array_equal(back[frame.box], whole)


def test_all_outside_the_domain_is_air_also_where_it_is_no_number() -> None:
    grid = replace(AXIAL, origin_mm=(0.0, 0.0, 0.0))
    array = np.full(grid.shape, np.nan, dtype=np.float32)
    domain = np.zeros(grid.shape, dtype=bool)
    domain[5:15, 4:12, 2:7] = True
    array[domain] = 40
    frame = frame_of(grid, domain, spacing_mm=(3, 3, 5), margin_mm=12)
    assert frame is not None
    hu = to_working(Volume(array=array, grid=grid, quantity="HU"), domain, frame)
    assert hu.min() == AIR_HU and hu.max() == pytest.approx(40, abs=1e-3)


# ---------------------------------------------------------------------------------------
# Learning


def test_it_finds_what_it_learnt_in_a_patient_it_never_saw(trained: TrainedSegmenter) -> None:
    new = image(9)
    found = trained.segment(new.volume, new.mask)
    assert set(found) == {"Bone", "Bowel_Gas"}
    for mask in found.values():
        assert mask.dtype == np.bool_ and not (mask & ~new.mask).any()
    assert _dice(found["Bone"], new.structures["Bone"]) > 0.7


def test_it_finds_the_same_in_a_flipped_and_turned_scan(trained: TrainedSegmenter) -> None:
    new = image(9)
    grid = new.volume.grid
    turned = Grid(
        shape=(grid.shape[2], grid.shape[0], grid.shape[1]),
        spacing_mm=grid.spacing_mm,
        origin_mm=tuple(grid.to_world([0, grid.shape[1] - 1, 0])),
        direction=tuple((np.eye(3)[:, [2, 0, 1]] * [1, 1, -1]).ravel()),
    )

    def turn(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array.transpose(2, 0, 1)[:, :, ::-1])

    volume = Volume(array=turn(new.volume.array), grid=turned, quantity="HU")
    straight = trained.segment(new.volume, new.mask)
    for name, mask in trained.segment(volume, turn(new.mask)).items():
        np.testing.assert_array_equal(mask, turn(straight[name]))


def test_what_lies_outside_the_domain_makes_no_difference(trained: TrainedSegmenter) -> None:
    new = image(9)
    other = new.volume.array.copy()
    other[~new.mask] = np.nan
    first = trained.segment(new.volume, new.mask)
    for name, mask in trained.segment(new.volume.with_array(other), new.mask).items():
        np.testing.assert_array_equal(mask, first[name])


def test_an_empty_domain_gives_empty_masks(trained: TrainedSegmenter) -> None:
    new = image(9)
    found = trained.segment(new.volume, np.zeros_like(new.mask))
    assert set(found) == {"Bone", "Bowel_Gas"}
    assert not any(mask.any() for mask in found.values())


def test_what_it_cannot_read_is_refused(trained: TrainedSegmenter) -> None:
    new = image(9)
    bad = new.volume.array.copy()
    bad[tuple(np.argwhere(new.mask)[0])] = np.inf
    with pytest.raises(InputError, match="1 voxels that are not finite"):
        trained.segment(new.volume.with_array(bad), new.mask)
    with pytest.raises(InputError, match="HU"):
        trained.segment(replace(new.volume, quantity="arbitrary"), new.mask)
    with pytest.raises(GeometryError, match="bool array"):
        trained.segment(new.volume, new.mask[:-1])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def hash_of(seed: int) -> str:
        settings = segmenter_settings(iterations=3)
        made = fit_segmenter(images(1, 2), images(3), settings, seed=seed, device="cpu")
        return made.facts.weights_sha256

    assert hash_of(1) == hash_of(1) != hash_of(2)


def test_training_leaves_the_global_random_state_alone() -> None:
    import torch

    before = torch.random.get_rng_state()
    fit_segmenter(images(1), [], segmenter_settings(iterations=2), seed=1, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_structure_that_nobody_looked_for_teaches_nothing() -> None:
    """Patients whose bone was not delineated must not teach that they have none."""
    unknown = [
        replace(i, structures={"Bowel_Gas": i.structures["Bowel_Gas"]}) for i in images(3, 4, 6, 7)
    ]
    settings = segmenter_settings(iterations=100)
    made = fit_segmenter([*images(1, 2), *unknown], images(5), settings, seed=0, device="cpu")
    new = image(9)
    assert _dice(made.segment(new.volume, new.mask)["Bone"], new.structures["Bone"]) > 0.7


def test_rare_structures_are_left_out_with_the_reason() -> None:
    some = [image(1), image(2), replace(image(3), structures={"Bone": image(3).structures["Bone"]})]
    kept, left_out = learnable(some, SegmenterSettings())
    assert kept == ("Bone",)
    assert left_out["Bowel_Gas"] == "delineated in 2 training patients, 3 are needed"
    assert "threshold" in left_out["Body"]
    with pytest.raises(InputError, match="nothing to learn"):
        fit_segmenter(some[:2], [], SegmenterSettings(), seed=0)
    with pytest.raises(InputError, match="Liver"):
        fit_segmenter(some, [], segmenter_settings(), seed=0, structures=["Liver"])


def test_training_stops_when_validation_gets_no_better() -> None:
    settings = segmenter_settings(iterations=60, validate_every=1, patience=2, learning_rate=1e-9)
    made = fit_segmenter(images(1, 2), images(3), settings, seed=0, device="cpu")
    assert made.facts.settings["fit"]["iterations"] < 60


def test_the_noise_floor_is_the_mean_over_patients() -> None:
    class Half:
        """Finds the half of each structure that lies at low x."""

        structures = ("Bone",)

        def segment(self, volume: Volume, domain: np.ndarray) -> dict[str, np.ndarray]:
            found = self.truth.copy()
            found[20:] = False
            return {"Bone": found}

    first, second = image(1), image(2)
    expected = []
    for one in (first, second):
        half = one.structures["Bone"].copy()
        half[20:] = False
        expected.append(_dice(half, one.structures["Bone"]))
        segmenter = Half()
        segmenter.truth = one.structures["Bone"]
        floor, count = noise_floor(segmenter, [one])  # type: ignore[arg-type]
        assert floor["Bone"] == pytest.approx(expected[-1], abs=1e-6) and count == {"Bone": 1}
    without = replace(first, structures={"Bowel_Gas": first.structures["Bowel_Gas"]})
    assert noise_floor(segmenter, [without]) == ({}, {})  # type: ignore[arg-type]


def test_several_threads_get_the_same_answer(trained: TrainedSegmenter) -> None:
    from concurrent.futures import ThreadPoolExecutor

    new = image(9)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: trained.segment(new.volume, new.mask), range(4)))
    for answer in answers[1:]:
        for name, mask in answer.items():
            np.testing.assert_array_equal(mask, answers[0][name])
