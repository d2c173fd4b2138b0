"""The regression family: feature loss, ensemble, flips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from tests.test_translators import tiny_spec
from tests.tiny_cohort import pair
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.training.augment import Batch
from translators.training.feature_loss import FeatureNetwork, freeze, train_features

TISSUES = {"weight": 0.5, "labels": "tissues", "iterations": 5, "batch": 2, "channels": [4, 8]}


def _batch(target: torch.Tensor, weight: torch.Tensor | None = None) -> Batch:
    return Batch(
        source=target, target=target, weight=torch.ones_like(target) if weight is None else weight
    )


def _frozen() -> object:
    torch.manual_seed(0)
    return freeze(FeatureNetwork((4, 8), 3))


def test_features_of_the_target_itself_are_no_distance_away() -> None:
    loss = _frozen()
    target = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    assert float(loss(target, _batch(target))) == 0  # type: ignore[operator]
    assert float(loss(target.flip(2), _batch(target))) > 1e-3  # type: ignore[operator]


def test_what_weighs_nothing_is_not_seen() -> None:
    loss = _frozen()
    target = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    weight = torch.zeros_like(target)
    weight[..., :8, :] = 1
    changed = target.clone()
    changed[..., 24:, :] = 0  # more than the field of view of the coarsest level away
    assert float(loss(changed, _batch(target, weight))) == pytest.approx(0, abs=1e-5)  # type: ignore[operator]


def test_a_volume_is_seen_slice_by_slice() -> None:
    loss = _frozen()
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(1, 1, 16, 16, 3, generator=generator)
    found = torch.rand(1, 1, 16, 16, 3, generator=generator)
    deep = float(loss(found, _batch(target)))  # type: ignore[operator]
    flat = [
        float(loss(found[..., k], _batch(target[..., k])))  # type: ignore[operator]
        for k in range(3)
    ]
    assert deep == pytest.approx(np.mean(flat), rel=1e-5)


def test_the_gradient_reaches_the_answer_and_not_the_frozen_network() -> None:
    loss = _frozen()
    target = torch.rand(1, 1, 16, 16)
    found = torch.rand(1, 1, 16, 16, requires_grad=True)
    loss(found, _batch(target)).backward()  # type: ignore[operator]
    assert found.grad is not None and float(found.grad.abs().sum()) > 0
    assert all(p.grad is None for p in loss.network.parameters())  # type: ignore[attr-defined]


def test_the_same_network_comes_of_the_same_patients(folder: Path, cohort: Cohort) -> None:
    spec = tiny_spec(features=TISSUES)
    one, two = (train_features(cohort, folder, spec, torch.device("cpu")) for _ in range(2))
    assert one.sha256 == two.sha256
    fewer = cohort.model_copy(update={"cases": cohort.cases[1:]})
    assert train_features(fewer, folder, spec, torch.device("cpu")).sha256 != one.sha256


def test_its_hash_is_told_and_both_losses_are_logged(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator = create(tiny_spec(features=TISSUES))
    assert translator.loss_networks() == frozenset()
    summary = translator.fit(cohort, folder, workdir=tmp_path, device="cpu", iterations=4)
    (digest,) = translator.loss_networks()
    assert len(digest) == 64
    image, anatomy, total = (
        [value for _, value in summary.curves[name]]
        for name in ("image_loss", "feature_loss", "train_loss")
    )
    np.testing.assert_allclose(total, 0.5 * np.array(image) + 0.5 * np.array(anatomy), rtol=1e-5)


def test_structures_that_are_not_there_are_asked_for(folder: Path, cohort: Cohort) -> None:
    without = cohort.model_copy(
        update={"cases": tuple(c.model_copy(update={"structures": {}}) for c in cohort.cases)}
    )
    spec = tiny_spec(features=TISSUES | {"labels": "structures"})
    with pytest.raises(InputError, match="share no structure"):
        train_features(without, folder, spec, torch.device("cpu"))


@pytest.fixture(scope="module")
def ensemble(folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Translator:
    spec = tiny_spec(uncertainty={"method": "ensemble", "members": 2}, training__iterations=8)
    translator = create(spec)
    work = tmp_path_factory.mktemp("work")
    seen: list[tuple[int, int]] = []
    summary = translator.fit(
        cohort, folder, workdir=work, device="cpu", progress=lambda d, t, f: seen.append((d, t))
    )
    assert seen == [(n, 16) for n in range(1, 17)] and summary.iterations == 16
    assert (work / "member-0").is_dir() and (work / "member-1").is_dir()
    return translator


def test_members_differ_and_their_spread_is_the_uncertainty(ensemble: Translator) -> None:
    source, _, _ = pair(4)
    found = ensemble.predict(source)
    assert found.std is not None and found.samples == ()
    assert float(found.std.array.max()) > 0
    single = ensemble.predict(source, asked=Asked(members=1))
    assert single.std is None
    difference = np.abs(single.mean.array - found.mean.array)
    # of two answers a and b, σ (n − 1) is |a − b| / √2 and the mean |a − b| / 2 away
    least = 1e-3 * (ensemble.spec.target.high - ensemble.spec.target.low)
    spread = np.maximum(difference * np.sqrt(2), least)
    np.testing.assert_allclose(found.std.array, spread, atol=0.02)
    assert found.cost["network_evaluations"] == 2 * single.cost["network_evaluations"]


def test_an_ensemble_is_saved_whole(ensemble: Translator, tmp_path: Path) -> None:
    ensemble.save(tmp_path)
    source, _, _ = pair(4)
    again = load(tmp_path).predict(source)
    before = ensemble.predict(source)
    np.testing.assert_array_equal(again.mean.array, before.mean.array)
    np.testing.assert_array_equal(again.std.array, before.std.array)  # type: ignore[union-attr]
    with pytest.raises(InputError, match="2 members, not 3"):
        ensemble.predict(source, asked=Asked(members=3))


def test_a_killed_ensemble_carries_on_with_the_same_bits(
    ensemble: Translator, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = ensemble.spec.model_copy(
        update={"training": ensemble.spec.training.model_copy(update={"checkpoint_minutes": 0})}  # type: ignore[union-attr]
    )

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create(spec).fit(cohort, folder, workdir=tmp_path, device="cpu", progress=kill)
    resumed = create(spec)
    seen: list[int] = []
    resumed.fit(
        cohort,
        folder,
        workdir=tmp_path,
        device="cpu",
        resume=True,
        progress=lambda done, total, figures: seen.append(done),
    )
    assert seen[0] == 11, "the first member is finished, the second goes on"
    mine, theirs = resumed.weights(), ensemble.weights()
    assert all((mine[name] == theirs[name]).all() for name in theirs)


def test_flips_at_test_time_average_what_is_seen_from_both_sides(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = tiny_spec(uncertainty={"method": "flips", "flip_axes": ["x", "z"]})
    translator = create(spec)
    translator.fit(cohort, folder, workdir=tmp_path, device="cpu", iterations=3)
    source, _, _ = pair(4)
    found = translator.predict(source)
    assert found.std is not None and float(found.std.array.max()) > 0
    mirrored = source.array[::-1].copy()
    turned = translator.predict(
        type(source)(array=mirrored, grid=source.grid, quantity=source.quantity)
    )
    np.testing.assert_allclose(turned.mean.array[::-1], found.mean.array, atol=0.05)


def test_foreign_blocks_and_thin_ensembles_are_refused() -> None:
    with pytest.raises(Problems, match="takes no 'diffusion'"):
        create(tiny_spec(diffusion={}))
    with pytest.raises(Problems, match="at least two members"):
        tiny_spec(uncertainty={"method": "ensemble", "members": 1})
