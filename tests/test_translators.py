"""The translators: specification, preparation, the two families, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, QAError, UnknownName
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.cases import load_case
from tests.tiny_cohort import SPACING_MM, grid, pair, tissue_labels
from tests.tiny_specs import changed
from translators.base import Translator, create, load
from translators.data import body_mask, frame_of, from_unit, prepare, to_unit
from translators.families.intensity import HistogramSpec
from translators.networks.sliding import slide
from translators.networks.unets import build_network
from translators.predict import answer
from translators.spec import (
    CONFIG_FOLDER,
    FAMILIES,
    AugmentationSpec,
    InferenceSpec,
    NetworkSpec,
    TargetSpec,
    TranslatorSpec,
    config_names,
    load_spec,
    parse_spec,
)
from translators.training.augment import Batch, augment


def tiny_spec(**changes: object) -> TranslatorSpec:
    """Return the demo's specification, shrunk until thirty iterations take a second."""
    data = load_spec("regression-demo").model_dump(mode="json")
    data["network"] |= {"channels": [8, 8, 16]}
    data["training"] |= {"batch": 4, "patch": [32, 32], "iterations": 30, "validate_every": 10}
    data["training"] |= {"validation_patches": 3, "learning_rate": 2e-3}
    data["inference"] |= {"air_beyond_mm": None}
    return changed(data, changes)


@pytest.fixture(scope="module")
def fitted_intensity(
    folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Translator:
    translator = create(load_spec("intensity"))
    translator.fit(cohort, folder, workdir=tmp_path_factory.mktemp("work"))
    return translator


# ------------------------------------------------------------------ specification


@pytest.mark.parametrize("name", config_names())
def test_every_shipped_specification_builds_its_translator(name: str) -> None:
    data = load_spec(name).model_dump(mode="json")
    if data["network"]:
        data["network"] |= {"channels": [8] * len(data["network"]["channels"])}
    translator = create(parse_spec(data, subject=name))
    assert translator.spec.name == name
    assert translator.spec.family in FAMILIES


def test_all_problems_of_a_specification_are_named_at_once(tmp_path: Path) -> None:
    data = yaml.safe_load((CONFIG_FOLDER / "regression-demo.yaml").read_text())
    data["colour"] = "blue"
    data["training"]["learning_rat"] = 1
    data["training"]["batch"] = 0
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(Problems) as caught:
        load_spec(path)
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "colour: unknown key" in text and "training.learning_rat: unknown key" in text
    assert "training.batch" in text


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"training__patch": [30, 30]}, "divisible"),
        ({"training__patch": [32, 32, 32]}, "needs 2 sizes"),
        ({"network__dimensions": "2.5D"}, "odd number of slices"),
        ({"network__slices": 3}, "slices belong to 2.5D"),
        ({"network__keep_z": 1}, "keep_z belongs to 3D"),
        ({"direction": "CT->MR"}, "contradicts"),
        ({"target__low": 5000.0}, "below high"),
        ({"training__in_body": 0.9}, "exceed 1"),
        ({"working_spacing_mm": [1, 1, 0]}, "positive"),
    ],
)
def test_impossible_specifications_are_refused(changes: dict, word: str) -> None:
    with pytest.raises(Problems, match=word):
        tiny_spec(**changes)


def test_unknown_names_show_the_close_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean .*regression"):
        load_spec("regresion-demo")
    with pytest.raises(UnknownName, match="did you mean regression"):
        create(tiny_spec(family="regresion"))
    with pytest.raises(InputError, match="no specification at"):
        load_spec(tmp_path / "absent.yaml")
    with pytest.raises(Problems, match="needs 'network'"):
        create(tiny_spec(network=None))


# ------------------------------------------------------------------ preparation


def test_window_goes_to_unit_and_back() -> None:
    values = np.array([-1024.0, 0.0, 40.0, 988.0, 3000.0], dtype=np.float32)
    unit = to_unit(values, TargetSpec())
    np.testing.assert_allclose(unit[[0, 3, 4]], [-1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(from_unit(unit, TargetSpec()), values, atol=1e-3)
    assert to_unit(np.array([9000.0], np.float32), TargetSpec())[0] == pytest.approx(1)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_any_orientation_is_turned_to_the_patient_and_back(order: tuple, signs: tuple) -> None:
    rng = np.random.default_rng(0)
    patient = rng.normal(size=(5, 6, 7)).astype(np.float32)
    scan = patient[tuple(slice(None, None, s) for s in signs)].transpose(order)
    axes = np.diag(signs).astype(float)[:, order]
    frame = frame_of(
        Grid(shape=scan.shape, spacing_mm=(1, 2, 3), direction=tuple(axes.ravel())), None
    )
    np.testing.assert_array_equal(frame.to_working(scan), patient)
    np.testing.assert_array_equal(frame.to_scan(patient), scan)
    assert frame.spacing_mm == tuple(np.array([1.0, 2.0, 3.0])[list(np.argsort(order))])


def test_working_spacing_keeps_positions() -> None:
    g = Grid(shape=(21, 31, 11), spacing_mm=(2, 2, 5))
    frame = frame_of(g, (3.0, 1.0, 2.5))
    x, y, z = np.meshgrid(*[np.arange(n) for n in g.shape], indexing="ij")
    ramp = (2.0 * x + 4.0 * y + 10.0 * z).astype(np.float32)
    working = frame.to_working(ramp)
    assert working.shape == (15, 61, 21)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(frame.to_scan(working)[inner], ramp[inner], atol=0.35)


def test_body_comes_from_the_source_and_ignores_its_gain() -> None:
    source, _, mask = pair(3)
    body = body_mask(source.array, SPACING_MM)
    truth = mask.array > 0
    assert 2 * (body & truth).sum() / (body.sum() + truth.sum()) > 0.95
    assert body[tissue_labels(3) == 3].all(), "dark bone inside the body belongs to it"
    np.testing.assert_array_equal(body, body_mask(source.array * 37, SPACING_MM))
    with pytest.raises(InputError, match="no body"):
        body_mask(np.zeros((8, 8, 8), np.float32), SPACING_MM)


def test_normalisation_removes_scale() -> None:
    spec = load_spec("intensity")
    source, _, _ = pair(2)
    first = prepare(source, spec).image
    second = prepare(source.with_array(source.array * 12.5), spec).image
    np.testing.assert_allclose(first, second, atol=1e-4)
    with pytest.raises(InputError, match="2 voxels that are NaN"):
        broken = source.array.copy()
        broken[0, 0, :2] = np.nan
        prepare(source.with_array(broken), spec)
    with pytest.raises(InputError, match="takes MR in arbitrary"):
        prepare(Volume(array=source.array, grid=source.grid, quantity="HU"), spec)


# ------------------------------------------------------------------ augmentation, windows


def _batch(three_d: bool = False) -> Batch:
    shape = (6, 1, 16, 24, 8) if three_d else (6, 3, 16, 24)
    rng = np.random.default_rng(1)
    source = torch.from_numpy(rng.uniform(-1, 1, shape).astype(np.float32))
    target = source[:, :1].clone()
    return Batch(source=source, target=target, weight=torch.ones_like(target))


@pytest.mark.parametrize("three_d", [False, True])
def test_geometry_moves_source_and_target_alike(three_d: bool) -> None:
    spec = AugmentationSpec(flip_axes=("x", "y"), rotate_deg=20, zoom=0.2, shift_voxel=3)
    moved = augment(_batch(three_d), spec, np.random.default_rng(5))
    torch.testing.assert_close(moved.source[:, :1], moved.target)
    assert not torch.equal(moved.target, _batch(three_d).target)
    assert 0 < moved.weight.mean() < 1, "what came from outside weighs nothing"
    again = augment(_batch(three_d), spec, np.random.default_rng(5))
    assert torch.equal(moved.source, again.source)


def test_rotation_keeps_distances_in_a_patch_that_is_not_square() -> None:
    image = torch.zeros(1, 1, 33, 65)
    image[0, 0, 16 + 10, 32] = 1  # 10 voxels from the centre along x
    image = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    batch = Batch(source=image, target=image.clone(), weight=torch.ones_like(image))
    for seed in range(5):
        moved = augment(batch, AugmentationSpec(rotate_deg=180), np.random.default_rng(seed))
        values = moved.target[0, 0].numpy()
        x, y = np.meshgrid(np.arange(33) - 16, np.arange(65) - 32, indexing="ij")
        cx, cy = (values * x).sum() / values.sum(), (values * y).sum() / values.sum()
        assert np.hypot(cx, cy) == pytest.approx(10, abs=0.3)


def test_intensity_changes_touch_the_source_only() -> None:
    spec = AugmentationSpec(intensity_scale=0.2, gamma=0.3, bias=0.3, noise=0.05)
    changed = augment(_batch(), spec, np.random.default_rng(2))
    assert torch.equal(changed.target, _batch().target)
    assert not torch.allclose(changed.source, _batch().source)
    assert torch.isfinite(changed.source).all()


@pytest.mark.parametrize(
    ("network", "patch", "shape"),
    [
        (NetworkSpec(channels=(8, 8, 8)), (16, 16), (50, 37, 5)),
        (NetworkSpec(channels=(8, 8, 8)), (64, 64), (5, 9, 3)),
        (NetworkSpec(channels=(8, 8, 8), dimensions="2.5D", slices=5), (16, 16), (20, 33, 6)),
        (NetworkSpec(channels=(8, 8, 8), dimensions="3D"), (16, 16, 8), (30, 17, 21)),
    ],
)
def test_sliding_windows_of_an_identity_give_the_image(
    network: NetworkSpec, patch: tuple, shape: tuple
) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    middle = network.slices // 2
    found = slide(
        image,
        network,
        InferenceSpec(patch=patch, overlap=0.5, batch=3),
        lambda windows, noise: windows[:, middle : middle + 1],
    )
    np.testing.assert_allclose(found, image, atol=1e-6)


def _seeded_network(spec: NetworkSpec, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(spec, TargetSpec())


def test_network_starts_at_the_centre_of_the_target() -> None:
    spec = NetworkSpec(channels=(8, 8, 16), norm="group", architecture="unet", residual_units=1)
    network, same, other = (_seeded_network(spec, seed) for seed in (3, 3, 4))
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(image), same(image))
        assert not torch.equal(network(image), other(image))
    assert from_unit(np.array([network.centre], np.float32), TargetSpec())[0] == pytest.approx(
        0, abs=1e-3
    )


# ------------------------------------------------------------------ the intensity family


def test_intensity_finds_each_tissue_and_answers_air_outside(
    fitted_intensity: Translator, folder: Path
) -> None:
    source, _, _ = pair(4, gain=4)
    found = fitted_intensity.predict(source)
    labels = tissue_labels(4)
    assert found.mean.quantity == "HU" and found.mean.grid is source.grid
    assert found.std is None
    for number, hu in ((1, -100), (2, 50)):
        assert np.median(found.mean.array[labels == number]) == pytest.approx(hu, abs=5)
    assert np.median(found.mean.array[labels == 0]) == -1000
    assert "translated MR->CT by intensity" in found.mean.history


def test_intensity_is_the_median_of_its_bin() -> None:
    spec = load_spec("intensity").model_copy(
        update={"histogram": HistogramSpec(bins=4, smallest_count=1)}
    )
    translator = create(spec)
    translator.set_weights(
        {"edges": np.array([0, 1, 2, 3, 4], np.float32), "values": np.zeros(4, np.float32)}
    )
    source = np.array([0.5, 0.6, 0.7, 1.5, 3.5, 3.6], np.float32)
    target = np.array([10, 30, 900, -50, 100, 200], np.float32)
    # the bin from 2 to 3 is empty and takes the value between its neighbours
    np.testing.assert_allclose(translator._medians(source, target), [30, -50, 50, 150])


def test_save_and_load_give_the_same_answer(fitted_intensity: Translator, tmp_path: Path) -> None:
    digest = fitted_intensity.save(tmp_path / "a")
    assert digest == fitted_intensity.save(tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "spec.json",
        "weights.safetensors",
    ]
    source, _, _ = pair(4)
    np.testing.assert_array_equal(
        load(tmp_path / "a").predict(source).mean.array, fitted_intensity.predict(source).mean.array
    )
    (tmp_path / "b" / "weights.safetensors").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "b")
    with pytest.raises(InputError, match="is missing"):
        load(tmp_path)
    with pytest.raises(InputError, match="bins"):
        create(load_spec("intensity")).set_weights({"edges": np.zeros(3, np.float32)})


def test_an_untrained_translator_says_so(tmp_path: Path) -> None:
    source, _, _ = pair(1)
    for spec in (load_spec("intensity"), tiny_spec()):
        with pytest.raises(InputError, match="not trained"):
            create(spec).predict(source)
        with pytest.raises(InputError, match="not trained"):
            create(spec).save(tmp_path)


def test_a_request_of_tensors_is_checked(fitted_intensity: Translator) -> None:
    source, _, _ = pair(4)
    good = {
        "source": source.array,
        "spacing_mm": np.array(SPACING_MM),
        "direction": np.eye(3).ravel(),
    }
    found = answer(fitted_intensity, good)
    np.testing.assert_array_equal(found["mean"], fitted_intensity.predict(source).mean.array)
    with pytest.raises(Problems, match="'spacing_mm' is missing"):
        answer(fitted_intensity, {"source": source.array, "direction": np.eye(3)})
    with pytest.raises(Problems) as caught:
        answer(fitted_intensity, {**good, "source": source.array[0], "spacing_mm": [1, 1]})
    assert len(caught.value.problems) == 2
    with pytest.raises(QAError, match="no possible grid"):
        answer(fitted_intensity, {**good, "direction": np.ones(9)})


def test_prediction_lies_on_an_oblique_flipped_grid(fitted_intensity: Translator) -> None:
    source, _, _ = pair(4)
    plain = fitted_intensity.predict(source).mean.array
    turned = Volume(
        array=np.ascontiguousarray(source.array[::-1].transpose(2, 0, 1)),
        grid=Grid(
            shape=(source.grid.shape[2], *source.grid.shape[:2]),
            spacing_mm=(8.0, 8.0, 8.0),
            direction=(0, -1, 0, 0, 0, 1, 1, 0, 0),
        ),
        quantity="arbitrary",
    )
    found = fitted_intensity.predict(turned).mean.array
    np.testing.assert_array_equal(found.transpose(1, 2, 0)[::-1], plain)
    assert grid().shape == plain.shape


def test_load_case_feeds_predict(
    fitted_intensity: Translator, folder: Path, cohort: Cohort
) -> None:
    (case,) = cohort.in_split("test")
    loaded = load_case(cohort, case, folder)
    assert loaded.reference is not None and loaded.mask is not None
    error = np.abs(fitted_intensity.predict(loaded.source).mean.array - loaded.reference.array)
    assert error[loaded.mask].mean() < 60
