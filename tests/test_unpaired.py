"""Unpaired lists: who is dealt where, what is read, and that draws are independent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.core.cohort import Case, Cohort, load_cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.io.images import read_image, write_image
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort
from translators.training.unpaired import (
    cache_sources,
    cache_targets,
    deal,
    draw_unpaired,
    like_place,
    load_sources,
    load_targets,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(path, "tttt")
    return path


def _many(count: int, *, without_reference: int = 0) -> Cohort:
    cases = tuple(
        Case(
            case=f"case{n}",
            patient=f"patient{n // 2}",
            site="ABC"[n // 2 % 3],
            split="train",
            source="s.nii",
            reference=None if n // 2 < without_reference else "r.nii",
        )
        for n in range(2 * count)
    )
    return Cohort(name="many", source_modality="MR", cases=cases)


def test_no_patient_is_in_both_lists_and_sites_are_alike_in_them() -> None:
    cohort = _many(30)
    dealt = deal(cohort)
    patients = dealt.patients
    assert not set(patients["source_patients"]) & set(patients["target_patients"])
    assert len(dealt.sources) == len(dealt.targets) == 30, "both cases of a patient go with him"
    for site in "ABC":
        counts = [sum(c.site == site for c in some) for some in (dealt.sources, dealt.targets)]
        assert counts == [10, 10]
    shuffled = cohort.model_copy(update={"cases": cohort.cases[::-1]})
    assert deal(shuffled).patients == patients, "the order of the manifest is of no consequence"


def test_who_has_no_reference_is_a_source() -> None:
    dealt = deal(_many(6, without_reference=4))
    assert dealt.patients["target_patients"] == ["patient4", "patient5"]
    assert all(case.reference for case in dealt.targets)
    with pytest.raises(InputError, match="6 patients as sources and 0 as targets"):
        deal(_many(6, without_reference=6))
    with pytest.raises(InputError, match="1 patient as sources and 0 as targets"):
        deal(_many(1))


def test_a_source_is_read_without_opening_its_reference(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path, "tt")
    cohort = load_cohort(tmp_path)
    (tmp_path / str(cohort.cases[0].reference)).unlink()
    (tmp_path / str(cohort.cases[0].mask)).unlink()
    (found,) = load_sources(cohort, cohort.cases[:1], tmp_path, tiny_spec())
    assert found.prepared.body.any()


def test_a_target_ignores_what_its_source_shows(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path, "tt")
    cohort = load_cohort(tmp_path)
    spec = tiny_spec()
    case = cohort.cases[0]
    (before,) = load_targets(cohort, (case,), tmp_path, spec)
    source = read_image(tmp_path / case.source, "arbitrary")
    write_image(source.with_array(np.zeros_like(source.array)), tmp_path / case.source)
    (after,) = load_targets(cohort, (case,), tmp_path, spec)
    np.testing.assert_array_equal(before.target, after.target)
    np.testing.assert_array_equal(before.mask, after.mask)


def test_bad_images_are_named_together(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path, "ttt")
    cohort = load_cohort(tmp_path)
    volume = read_image(tmp_path / str(cohort.cases[0].reference), "HU")
    array = volume.array.copy()
    array[0, 0, 0] = np.nan
    write_image(volume.with_array(array), tmp_path / "nan.mha")
    spoilt = (
        cohort.cases[0].model_copy(update={"reference": "nan.mha"}),
        cohort.cases[1].model_copy(update={"reference": None}),
    )
    with pytest.raises(Problems) as caught:
        load_targets(cohort, spoilt, tmp_path, tiny_spec())
    assert "case case1: its reference image has 1 voxels that are NaN" in str(caught.value)
    assert "case case2: it has no reference image, so it cannot be a target" in str(caught.value)


def test_draws_are_repeatable_independent_and_weighed_by_their_own_masks(folder: Path) -> None:
    cohort = load_cohort(folder)
    spec = tiny_spec(training__augmentation={}, training__patch=[40, 32])
    assert spec.training is not None
    dealt = deal(cohort)
    sources = cache_sources(load_sources(cohort, dealt.sources, folder, spec), spec.training.loss)
    targets = cache_targets(
        load_targets(cohort, dealt.targets, folder, spec), spec, spec.training.loss
    )

    def draw(seed: int, some: tuple = targets) -> object:
        rng = np.random.default_rng(seed)
        return draw_unpaired(sources, some, spec, rng, torch.device("cpu"))

    one, again = draw(1), draw(1)
    assert torch.equal(one.source, again.source) and torch.equal(one.target, again.target)
    assert torch.equal(one.source, draw(1, targets[::-1]).source), "targets do not matter to it"
    assert not torch.equal(one.target, draw(1, targets[::-1]).target)
    assert set(one.weight.unique().tolist()) == {np.float32(0.3).item(), 1.0}
    assert one.source_weight is not None and not torch.equal(one.source_weight, one.weight)
    heavy = one.target > -0.9  # all but air lies inside the target's own mask
    assert (one.weight[heavy] == 1).float().mean() > 0.99


def test_both_are_flipped_together_so_that_like_places_stay_alike(folder: Path) -> None:
    cohort = load_cohort(folder)
    spec = tiny_spec(
        training__augmentation={"flip_axes": ["x"]}, training__patch=[16, 16], training__batch=8
    )
    assert spec.training is not None
    found = load_targets(cohort, cohort.cases[:2], folder, spec)
    ramp = np.broadcast_to(np.linspace(-1, 1, 40, dtype=np.float32)[:, None, None], (40, 32, 12))
    here, there = (
        replace(image, pair=replace(image.pair, source=ramp, target=ramp))
        for image in cache_targets(found, spec, spec.training.loss)
    )
    batch = draw_unpaired((here,), (there,), spec, np.random.default_rng(4), torch.device("cpu"))
    assert batch.source_weight is not None
    source, target = (
        torch.sign(p[:, 0, 12, 8] - p[:, 0, 4, 8]) for p in (batch.source, batch.target)
    )
    assert torch.equal(source, target) and set(source.tolist()) == {-1.0, 1.0}


def test_places_correspond_by_the_centres_of_the_bodies(folder: Path) -> None:
    cohort = load_cohort(folder)
    spec = tiny_spec()
    assert spec.training is not None
    found = load_targets(cohort, cohort.cases[:2], folder, spec)
    here, there = cache_targets(found, spec, spec.training.loss)
    centre = np.round(here.centre).astype(int)
    assert np.abs(like_place(centre, here, there) - there.centre).max() <= 1
    inside = centre + np.array([3, -2, 1])
    back = like_place(like_place(inside, here, there), there, here)
    assert np.abs(back - inside).max() <= 1
    corner = like_place(np.zeros(3, dtype=int) - 5, here, there)
    assert np.array_equal(corner, [0, 0, 0]), "places stay inside the image"
