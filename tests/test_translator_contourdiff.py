"""Contour-guided diffusion: targets alone are learnt from, contours alone are translated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import translators.families.contourdiff as family
from qa_suite.core.cohort import Cohort, save_cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Volume
from qa_suite.io.identity import fingerprint, voxel_hash
from qa_suite.io.images import read_image, write_image
from tests.tiny_cohort import SPACING_MM, make_tiny_cohort, pair
from tests.tiny_specs import changed, same_weights
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.data import prepare, to_unit
from translators.families.contourdiff import ContourDiff, condition, lines_of
from translators.networks.contours import find_contours, recoloured
from translators.spec import TranslatorSpec, load_spec, parse_spec


def tiny(**changes: object) -> TranslatorSpec:
    """Return the demo's specification, shrunk until a training takes a second or two."""
    data = load_spec("contourdiff-demo").model_dump(mode="json")
    data["network"] |= {"channels": [8, 8, 16]}
    data["training"] |= {"batch": 4, "patch": [32, 32], "iterations": 20, "validate_every": 10}
    data["training"] |= {"validation_patches": 2, "checkpoint_minutes": 0}
    data["inference"] |= {"patch": [40, 32], "air_beyond_mm": None}
    data["diffusion"] |= {"steps": 50, "sampling_steps": 3}
    data["contours"] |= {"candidates": 1, "guidance": 0.5, "smallest_mm": 0.0, "sigma_mm": 6.0}
    data["contours"] |= {"recoloured": 0}
    data["uncertainty"] = {"method": "none"}
    return changed(data, changes)


def _fit(
    spec: TranslatorSpec, folder: Path, cohort: Cohort, work: Path, **more: object
) -> ContourDiff:
    translator = create(spec)
    assert isinstance(translator, ContourDiff)
    translator.fit(cohort, folder, workdir=work, device="cpu", **more)  # type: ignore[arg-type]
    return translator


@pytest.fixture(scope="module")
def trained(folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> ContourDiff:
    return _fit(tiny(), folder, cohort, tmp_path_factory.mktemp("work"))


def _with(translator: Translator, **changes: object) -> ContourDiff:
    """The same weights under another specification."""
    other = create(tiny(**changes))
    other.set_weights(translator.weights())
    assert isinstance(other, ContourDiff)
    return other


# ------------------------------------------------------------------ the family's idea


def test_sources_replaced_by_zeros_give_the_same_weights(
    trained: ContourDiff, folder: Path, tmp_path: Path
) -> None:
    cohort = make_tiny_cohort(tmp_path)
    cases = []
    for case in cohort.cases:
        source = read_image(tmp_path / case.source, "arbitrary")
        empty = Volume(
            array=np.zeros_like(source.array), grid=source.grid, quantity=source.quantity
        )
        write_image(empty, tmp_path / case.source)
        hashes = {**case.voxel_hashes, "source": voxel_hash(empty)}
        prints = {**case.fingerprints, "source": fingerprint(empty)}
        cases.append(case.model_copy(update={"voxel_hashes": hashes, "fingerprints": prints}))
    blind = cohort.model_copy(update={"cases": tuple(cases)})
    save_cohort(blind, tmp_path)
    assert same_weights(trained, _fit(tiny(), tmp_path, blind, tmp_path / "work"))


def test_no_source_is_prepared_in_training(
    folder: Path, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import translators.training.unpaired

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a source was prepared")

    monkeypatch.setattr(translators.training.unpaired, "prepare", refuse)
    _fit(tiny(), folder, cohort, tmp_path, iterations=1)


def test_the_answer_depends_on_the_contours_of_the_source_alone(trained: ContourDiff) -> None:
    source, _, _ = pair(4)
    plain = trained.predict(source).mean.array
    louder = source.with_array(source.array * np.float32(3.5))
    np.testing.assert_array_equal(plain, trained.predict(louder).mean.array)
    other = trained.predict(pair(5)[0]).mean.array
    assert np.abs(plain - other).mean() > 1, "another patient has other contours"


@pytest.mark.parametrize("kind", ["lines", "distance"])
def test_the_condition_tells_where_the_contours_lie(kind: str) -> None:
    settings = tiny(contours__condition=kind, contours__reach_mm=24.0).contours
    assert settings is not None
    prepared = prepare(pair(4)[0], tiny())
    lines = find_contours(prepared.image, prepared.body, SPACING_MM, settings, "source")
    field = condition(lines, prepared.body, SPACING_MM, settings)
    np.testing.assert_array_equal(lines_of(field, settings), lines)
    if kind == "lines":
        assert set(np.unique(field)) == {0.0, 1.0}
    else:
        away = ~lines
        assert (field[away & prepared.body] > 0).all() and (field[away & ~prepared.body] < 0).all()
        assert np.abs(field).max() == 1 and np.abs(field[away]).min() == pytest.approx(8 / 24)


def test_training_contours_are_those_of_the_targets(folder: Path, cohort: Cohort) -> None:
    translator = create(tiny(contours__condition="lines"))
    assert isinstance(translator, ContourDiff)
    train, validation = translator.materials(cohort, folder)
    assert [p.patient for p in train] == ["patient1", "patient2"] and len(validation) == 1
    _, ct, mask = pair(1)
    np.testing.assert_allclose(train[0].target, to_unit(ct.array, translator.spec.target))
    settings = translator.contours
    expected = find_contours(ct.array, mask.array > 0, SPACING_MM, settings, "target")
    agree = (train[0].source == 1) & expected
    assert agree.sum() > 0.95 * expected.sum(), "but for the body, which is found in the target"


def test_made_up_greys_lie_where_they_may_and_change_nothing_but_the_greys() -> None:
    like = [[-1000, -1, -1], [0, -0.5, 0.5], [100, 0.5, 1.0]]
    settings = tiny(contours__source_like=like, contours__recoloured=2).contours
    assert settings is not None
    image = np.array([[[-1000.0, 0.0, 50.0, 100.0, 900.0, 0.0]]], dtype=np.float32)
    rng = np.random.default_rng(0)
    drawn = np.stack([recoloured(image, settings, rng)[0, 0] for _ in range(400)])
    assert (drawn[:, 0] == -1).all()
    assert -0.5 <= drawn[:, 1].min() < -0.4 and 0.4 < drawn[:, 1].max() <= 0.5
    assert drawn[:, 3].min() >= 0.5 and drawn[:, 3].max() <= 1
    np.testing.assert_allclose(drawn[:, 2], (drawn[:, 1] + drawn[:, 3]) / 2, atol=1e-6)
    np.testing.assert_array_equal(drawn[:, 3], drawn[:, 4])
    np.testing.assert_array_equal(drawn[:, 1], drawn[:, 5])


def test_contours_in_made_up_greys_stand_beside_the_targets_own(
    folder: Path, cohort: Cohort
) -> None:
    like = [[-1024, -1, -1], [0, -1, 1], [100, -1, 1], [1500, -1, 1]]
    changes = {"contours__source_like": like, "contours__recoloured": 3}
    spec = tiny(contours__condition="lines", **changes)
    both = [create(spec).materials(cohort, folder)[0] for _ in range(2)]  # type: ignore[attr-defined]
    train, again = both
    assert [p.patient for p in train] == ["patient1"] * 4 + ["patient2"] * 4
    own, *others = (p.source for p in train[:4])
    plain, _ = create(tiny(contours__condition="lines")).materials(cohort, folder)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(own, plain[0].source)
    assert all((other != own).any() for other in others)
    assert (others[0] != others[1]).any(), "every set has greys of its own"
    for one, two in zip(train, again, strict=True):
        np.testing.assert_array_equal(one.source, two.source)
        assert one.target is not None and (one.target == two.target).all()


# ------------------------------------------------------------------ selection and guidance


def test_the_planted_candidate_is_selected(trained: ContourDiff) -> None:
    _, ct, mask = pair(4)
    k, settings = 6, trained.contours
    body = mask.array > 0
    wanted = find_contours(ct.array, body, SPACING_MM, settings, "target")[:, :, k]
    right = to_unit(ct.array, trained.spec.target)[:, :, k]
    moved = np.roll(right, 4, axis=0)
    flat = np.full_like(right, right.mean())
    for place in range(3):
        drawn = [moved, flat]
        drawn.insert(place, right)
        assert trained.best(drawn, wanted, body[:, :, k], SPACING_MM) == place


def test_a_selected_slice_is_never_farther_from_the_contours(
    trained: ContourDiff, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pair(4)[0]
    chosen: list[int] = []
    plain = ContourDiff.best

    def note(self: ContourDiff, drawn: list, *rest: object) -> int:
        chosen.append(plain(self, drawn, *rest))  # type: ignore[arg-type]
        return chosen[-1]

    monkeypatch.setattr(ContourDiff, "best", note)
    several = _with(trained, contours__candidates=3).predict(source)
    assert len(chosen) == 12 and len(set(chosen)) > 1
    assert several.cost["network_evaluations"] == 12 * 3 * 3
    single = _with(trained, contours__guidance=0.0).predict(source)
    assert single.cost["network_evaluations"] == 12 * 3


def test_guidance_makes_neighbouring_slices_agree(trained: ContourDiff) -> None:
    source = pair(4)[0]

    def roughness(guidance: float) -> float:
        found = _with(trained, contours__guidance=guidance, diffusion__slice_noise="own")
        return float(np.abs(np.diff(found.predict(source).mean.array, axis=2)).mean())

    free, half, held = (roughness(guidance) for guidance in (0.0, 0.5, 1.0))
    assert held < half < free and held < 0.8 * free


def test_slices_without_guidance_do_not_wait_for_each_other(trained: ContourDiff) -> None:
    """One candidate without guidance is the same, slice by slice or in batches."""
    source = pair(4)[0]
    free = _with(trained, contours__guidance=0.0, diffusion__slice_noise="own")
    batched = free.predict(source).mean.array
    prepared = prepare(source, free.spec)
    settings = free.contours
    lines = find_contours(prepared.image, prepared.body, SPACING_MM, settings, "source")
    field = condition(lines, prepared.body, SPACING_MM, settings)
    noise = free.noise(field.shape, 0)
    networks, device = free.ready(family.Draw())
    generator = torch.Generator(device).manual_seed(0)
    one = free._slice(networks, field, 5, [noise[0, :, :, 5]], generator, Asked())
    np.testing.assert_allclose(one, to_unit(batched, free.spec.target)[:, :, 5], atol=1e-4)


# ------------------------------------------------------------------ repeatable, resumable


def test_the_same_seed_gives_the_same_bits(
    trained: ContourDiff, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    assert same_weights(trained, _fit(tiny(), folder, cohort, tmp_path))
    several, source = _with(trained, contours__candidates=2), pair(4)[0]
    first, again = (several.predict(source, asked=Asked(seed=3)).mean.array for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, several.predict(source, asked=Asked(seed=4)).mean.array)


def test_resume_after_a_kill_is_bit_equal(
    trained: ContourDiff, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(tiny(), folder, cohort, tmp_path, progress=kill)
    seen: list[int] = []
    resumed = _fit(
        tiny(), folder, cohort, tmp_path, resume=True, progress=lambda d, t, f: seen.append(d)
    )
    assert seen[0] == 7 and same_weights(trained, resumed)


def test_saved_and_loaded_it_answers_the_same(trained: ContourDiff, tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = load(tmp_path)
    source = pair(4)[0]
    np.testing.assert_array_equal(
        trained.predict(source).mean.array, again.predict(source).mean.array
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"training__amp": "bf16", "training__amp_on_cpu": True},
        {"network__dimensions": "2.5D", "network__slices": 3},
        {"contours__condition": "lines", "diffusion__sampler": "ddpm"},
    ],
    ids=["bf16", "2.5D", "lines-ddpm"],
)
def test_every_kind_takes_a_step_and_translates(
    changes: dict, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator = _fit(tiny(**changes), folder, cohort, tmp_path, iterations=2)
    source = pair(4)[0]
    found = translator.predict(source).mean
    assert found.array.shape == source.array.shape and np.isfinite(found.array).all()


def test_the_other_direction_learns_mr_in_the_scale_of_its_percentiles(tmp_path: Path) -> None:
    made = make_tiny_cohort(tmp_path)
    turned = made.model_copy(
        update={
            "source_modality": "CT",
            "source_quantity": "HU",
            "reference_modality": "MR",
            "reference_quantity": "arbitrary",
            "cases": tuple(
                case.model_copy(
                    update={"source": case.reference, "reference": case.source, "file_sha256": {}}
                )
                for case in made.cases
            ),
        }
    )
    data = load_spec("contourdiff-ct-mr-demo").model_dump(mode="json")
    small = tiny().model_dump(mode="json")
    for block in ("network", "training", "inference", "diffusion"):
        data[block] = small[block]
    spec = parse_spec(data, subject="tiny CT->MR")
    translator = _fit(spec, tmp_path, turned, tmp_path / "work", iterations=2)
    found = translator.predict(pair(4)[1]).mean
    assert found.quantity == "arbitrary"
    assert spec.target.low <= found.array.min() < found.array.max() <= spec.target.high


# ------------------------------------------------------------------ specifications, bad input


def test_the_full_size_specification_takes_a_step_when_reduced(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    data = load_spec("contourdiff").model_dump(mode="json")
    data["working_spacing_mm"] = None
    data["network"]["channels"] = [8] * len(data["network"]["channels"])
    data["training"] |= {"patch": [32, 32], "batch": 2}
    data["inference"]["patch"] = [32, 32]
    data["diffusion"]["sampling_steps"] = 2
    data["contours"] |= {"candidates": 2, "sigma_mm": 6.0}
    spec = parse_spec(data, subject="reduced")
    translator = _fit(spec, folder, cohort, tmp_path, iterations=1)
    assert np.isfinite(translator.predict(pair(4)[0], asked=Asked(members=1)).mean.array).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contours": None}, "needs 'contours'"),
        ({"diffusion": None}, "needs 'diffusion'"),
        ({"histogram": {"bins": 8}}, "takes no 'histogram'"),
        ({"training__augmentation": {"gamma": 0.1}}, "gamma changes intensities"),
        ({"network__architecture": "dynunet"}, "must be residual"),
        ({"contours__guidance": 1.5}, "contours.guidance"),
        ({"contours__target_window": [300, -200]}, "target_window must rise"),
        ({"contours__recoloured": 2, "contours__source_like": []}, "two values or more"),
        ({"contours__source_like": [[0, 0, 1], [0, 0, 1]]}, "source_like must rise"),
        ({"contours__source_like": [[0, 1, 0], [1, 0, 1]]}, "darkest grey above its brightest"),
        (
            {
                "network__dimensions": "3D",
                "training__patch": [16, 16, 8],
                "inference__patch": [16, 16, 8],
            },
            "must be 2D or 2.5D",
        ),
    ],
)
def test_a_specification_that_means_nothing_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(Problems, match=words):
        create(tiny(**changes))


def test_bad_cohorts_and_checkpoints_are_refused_with_a_sentence(
    trained: ContourDiff, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    lonely = cohort.model_copy(
        update={"cases": tuple(c for c in cohort.cases if c.case != "case1")}
    )
    with pytest.raises(Problems, match="1 patient and training needs two"):
        _fit(tiny(), folder, lonely, tmp_path)
    without = cohort.model_copy(
        update={"cases": tuple(c.model_copy(update={"reference": None}) for c in cohort.cases)}
    )
    with pytest.raises(Problems, match="case case1: it has no reference image"):
        _fit(tiny(), folder, without, tmp_path)
    _fit(tiny(), folder, cohort, tmp_path, iterations=1)
    with pytest.raises(InputError, match="another specification"):
        changed = tiny(contours__sigma_mm=7.0)
        _fit(changed, folder, cohort, tmp_path, iterations=1, resume=True)
    with pytest.raises(InputError, match="not of the networks"):
        create(tiny(network__channels=[8, 8, 8])).set_weights(trained.weights())
    with pytest.raises(InputError, match="cannot take 51"):
        trained.predict(pair(4)[0], asked=Asked(steps=51))


def test_targets_that_are_not_finite_are_named(tmp_path: Path) -> None:
    cohort = make_tiny_cohort(tmp_path, "tt")
    first, second = cohort.cases
    volume = read_image(tmp_path / str(second.reference), "HU")
    array = volume.array.copy()
    array[0, 0, 0] = np.nan
    write_image(volume.with_array(array), tmp_path / "nan.mha")
    spoilt = cohort.model_copy(
        update={"cases": (first, second.model_copy(update={"reference": "nan.mha"}))}
    )
    with pytest.raises(Problems, match="case case2: its reference image has 1 voxels that are NaN"):
        _fit(tiny(), tmp_path, spoilt, tmp_path / "work")
