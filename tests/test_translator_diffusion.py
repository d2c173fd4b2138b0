"""The diffusion family; and what it shares with the bridge: seeds, bits, files, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Volume
from qa_suite.io.images import read_image, write_image
from qa_suite.learning.loop import Step
from tests.tiny_cohort import pair
from tests.tiny_sampled import Knowing, tiny_sampled
from tests.tiny_specs import changed, same_weights
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.families.diffusion import Diffusion
from translators.networked import Window
from translators.networks.noising import noise_from, noised, wanted
from translators.spec import TranslatorSpec, parse_spec
from translators.training.augment import Batch

FAMILIES = ("diffusion-demo", "bridge-demo")
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=FAMILIES)
def trained(
    request: pytest.FixtureRequest,
    folder: Path,
    cohort: Cohort,
    tmp_path_factory: pytest.TempPathFactory,
) -> Translator:
    return _fit(tiny_sampled(request.param), folder, cohort, tmp_path_factory.mktemp("work"))


def _fit(
    spec: TranslatorSpec, folder: Path, cohort: Cohort, workdir: Path, **more: Any
) -> Translator:
    translator = create(spec)
    translator.fit(cohort, folder, workdir=workdir, device="cpu", **more)
    return translator


def _again(translator: Translator, **changes: Any) -> Translator:
    """The same weights under a changed specification."""
    data = translator.spec.model_dump(mode="json")
    other = create(changed(data, changes))
    other.set_weights(translator.weights())
    return other


# ------------------------------------------------------------------ both families: seeds, bits


def test_a_seed_is_an_answer_and_several_have_a_spread(trained: Translator) -> None:
    source, _, _ = pair(4)
    first, again, other = (
        trained.predict(source, asked=Asked(members=1, seed=seed)).mean.array for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1
    found = trained.predict(source, asked=Asked(members=3))
    assert len(found.samples) == 3 and found.std is not None
    np.testing.assert_array_equal(found.samples[0].array, first)
    np.testing.assert_array_equal(found.samples[1].array, other)
    stack = np.stack([sample.array for sample in found.samples])
    np.testing.assert_allclose(found.mean.array, stack.mean(0), atol=0.01)
    least = 1e-3 * (trained.spec.target.high - trained.spec.target.low)
    spread = np.maximum(stack.std(0, ddof=1), least)
    np.testing.assert_allclose(found.std.array, spread, atol=0.01)


def test_answers_that_agree_to_the_bit_claim_no_certainty(trained: Translator) -> None:
    around = _again(trained, inference__air_beyond_mm=0.1)
    found = around.predict(pair(4)[0], asked=Asked(members=3))
    agreed = np.ptp([sample.array for sample in found.samples], axis=0) == 0
    assert agreed.any() and found.std is not None
    target = trained.spec.target
    np.testing.assert_allclose(found.std.array[agreed], 1e-3 * (target.high - target.low))


def test_no_slice_depends_on_those_translated_with_it(trained: Translator) -> None:
    source, _, _ = pair(4)
    asked = Asked(members=1, steps=3)
    many = trained.predict(source, asked=asked).mean.array
    one = _again(trained, inference__batch=1).predict(source, asked=asked).mean.array
    np.testing.assert_allclose(one, many, atol=0.05)


def test_files_hold_all_of_it(trained: Translator, tmp_path: Path) -> None:
    trained.save(tmp_path)
    source, _, _ = pair(4)
    before, after = trained.predict(source), load(tmp_path).predict(source)
    np.testing.assert_array_equal(after.mean.array, before.mean.array)
    np.testing.assert_array_equal(after.std.array, before.std.array)  # type: ignore[union-attr]


@pytest.mark.parametrize("killed_at", [2, 6])
def test_a_killed_training_carries_on_with_the_same_bits(
    killed_at: int, trained: Translator, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    data = trained.spec.model_dump(mode="json")
    data["training"]["checkpoint_minutes"] = 0
    spec = parse_spec(data, subject="often saved")

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        assert total == 8
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(spec, folder, cohort, tmp_path, progress=kill)
    torch.rand(3)
    seen: list[int] = []
    resumed = _fit(
        spec, folder, cohort, tmp_path, resume=True, progress=lambda d, t, f: seen.append(d)
    )
    # the checkpoint is written after progress was told: the iteration that was killed is repeated
    assert seen[0] == killed_at and seen[-1] == 8
    assert same_weights(resumed, trained)


def test_half_precision_runs_and_is_used(
    trained: Translator, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    data = trained.spec.model_dump(mode="json")
    data["training"] |= {"amp": "bf16", "amp_on_cpu": True}
    half = _fit(parse_spec(data, subject="bf16"), folder, cohort, tmp_path)
    assert not same_weights(half, trained)
    assert np.isfinite(half.predict(pair(4)[0]).mean.array).all()


@pytest.mark.parametrize("name", ["diffusion", "bridge"])
def test_the_full_size_specification_takes_a_step_when_reduced(
    name: str, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator = _fit(tiny_sampled(name), folder, cohort, tmp_path, iterations=2)
    found = translator.predict(pair(4)[0])
    assert np.isfinite(found.mean.array).all() and found.std is not None


@pytest.mark.parametrize("name", FAMILIES)
def test_wrong_specifications_are_refused(name: str) -> None:
    block = name.removesuffix("-demo")
    with pytest.raises(Problems, match=f"needs '{block}'"):
        create(tiny_sampled(name, **{block: None}))
    with pytest.raises(Problems, match="takes no 'cycle'"):
        create(tiny_sampled(name, cycle={"pool": 4}))
    with pytest.raises(Problems, match=r"network\.architecture must be residual, got dynunet"):
        create(tiny_sampled(name, network__architecture="dynunet"))


@pytest.mark.parametrize("name", FAMILIES)
def test_bad_cohorts_and_foreign_checkpoints_are_refused(
    name: str, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    lonely = cohort.model_copy(update={"cases": cohort.cases[1:]})
    with pytest.raises(Problems, match="1 patient and training needs two"):
        _fit(tiny_sampled(name), folder, lonely, tmp_path)
    first = cohort.cases[0]
    volume = read_image(folder / str(first.reference), "HU")
    array = volume.array.copy()
    array[3, 3, 3] = np.nan
    write_image(volume.with_array(array), tmp_path / "nan.mha")
    bad = first.model_copy(update={"reference": str(tmp_path / "nan.mha")})
    spoilt = cohort.model_copy(update={"cases": (bad, *cohort.cases[1:])})
    with pytest.raises(Problems, match="case case1: its reference image has 1 voxels that are NaN"):
        _fit(tiny_sampled(name), folder, spoilt, tmp_path)
    _fit(tiny_sampled(name), folder, cohort, tmp_path, iterations=2)
    with pytest.raises(InputError, match="another specification, budget or cohort"):
        _fit(
            tiny_sampled(name, training__learning_rate=0.5),
            folder,
            cohort,
            tmp_path,
            iterations=2,
            resume=True,
        )


def test_more_steps_cost_more_passes(trained: Translator) -> None:
    source, _, _ = pair(4)
    costs = [trained.predict(source, asked=Asked(members=1, steps=steps)).cost for steps in (1, 5)]
    slices, before = source.array.shape[2], trained.spec.family == "bridge"
    assert [c["network_evaluations"] for c in costs] == [
        slices * (steps + before) for steps in (1, 5)
    ]
    assert costs[1]["steps"] == 5


# ------------------------------------------------------------------ diffusion: the idea


@pytest.fixture(scope="module")
def diffusion() -> Diffusion:
    translator = create(tiny_sampled("diffusion-demo"))
    assert isinstance(translator, Diffusion)
    return translator


def _targets(count: int = 2) -> torch.Tensor:
    """Targets on the unit scale, inside the window."""
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("steps", [2, 7])
def test_a_network_that_knows_the_target_draws_it(
    prediction: str, sampler: str, steps: int
) -> None:
    spec = tiny_sampled("diffusion-demo", diffusion__prediction=prediction)
    translator = create(spec)
    assert isinstance(translator, Diffusion)
    unit = _targets()
    clean = translator.scale.inward(unit).double()

    def knows(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = float(translator.levels[round(float(time[0]) * spec.diffusion.steps)])  # type: ignore[union-attr]
        noisy = image[:, :1].double()
        noise = noise_from(clean, noisy, level)
        return wanted(prediction, clean, noise, level)  # type: ignore[arg-type]

    found = translator.answer(
        nn.ModuleDict({"network": Knowing(knows)}),
        Window(
            source=torch.zeros(2, 1, 8, 8),
            noise=torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)),
            generator=torch.Generator().manual_seed(0),
            asked=Asked(steps=steps, sampler=sampler),
        ),
    )
    torch.testing.assert_close(found, unit, atol=2e-3, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_loss_is_the_weighted_error_of_what_is_predicted(prediction: str) -> None:
    spec = tiny_sampled("diffusion-demo", diffusion__prediction=prediction)
    translator = create(spec)
    assert isinstance(translator, Diffusion)
    seen: dict[str, torch.Tensor] = {}

    def silent(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.update(noisy=image[:, :1], source=image[:, 1:], time=time)
        return torch.zeros_like(image[:, :1])

    target, source = _targets(4), torch.randn(4, 1, 8, 8)
    weight = torch.zeros_like(target)
    weight[:, :, :4] = 1
    weight[:, :, :2] = 3
    batch = Batch(source=source, target=target, weight=weight)
    torch.manual_seed(3)
    loss = translator._loss(
        nn.ModuleDict({"network": Knowing(silent)}), batch, Step(iteration=1, iterations=2)
    )
    times = torch.round(seen["time"] * 1000).long()
    level = torch.from_numpy(translator.levels)[times].view(-1, 1, 1, 1)
    clean = translator.scale.inward(target)
    noise = noise_from(clean, seen["noisy"], level)
    torch.testing.assert_close(noised(clean, noise, level).float(), seen["noisy"])
    aim = wanted(prediction, clean, noise, level)  # type: ignore[arg-type]
    expected = (weight * aim.square()).sum() / weight.sum()
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    torch.testing.assert_close(seen["source"], source)


def test_slices_that_look_alike_are_answered_alike_where_noise_is_shared(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator = _fit(tiny_sampled("diffusion-demo"), folder, cohort, tmp_path, iterations=2)
    source, _, _ = pair(4)
    alike = source.with_array(np.repeat(source.array[:, :, 5:6], 12, axis=2))

    def jump(kind: str, sampler: str) -> float:
        settled = _again(translator, diffusion__slice_noise=kind, inference__batch=5)
        found = settled.predict(alike, asked=Asked(members=1, sampler=sampler)).mean.array
        return float(np.abs(np.diff(found, axis=2)).max())

    for sampler in ("ddim", "ddpm"):
        assert jump("shared", sampler) < 0.05
        assert jump("own", sampler) > 1


def test_windows_start_from_one_field_of_the_volume(diffusion: Diffusion) -> None:
    field = diffusion.noise((30, 20, 6), 3)
    assert field.shape == (1, 30, 20, 6)
    assert (field == field[..., :1]).all() and field.std() == pytest.approx(1, abs=0.1)
    own = create(tiny_sampled("diffusion-demo", diffusion__slice_noise="own"))
    assert isinstance(own, Diffusion)
    other = own.noise((30, 20, 6), 3)
    assert np.corrcoef(other[0, ..., 0].ravel(), other[0, ..., 1].ravel())[0, 1] < 0.2
    deep = create(
        tiny_sampled(
            "diffusion-demo",
            network__dimensions="3D",
            training__patch=[16, 16, 4],
            inference__patch=[16, 16, 4],
        )
    )
    assert isinstance(deep, Diffusion)
    volume = deep.noise((30, 20, 6), 3)
    assert not (volume == volume[..., :1]).all()


def test_overlapping_windows_leave_no_seam_under_a_local_denoiser(diffusion: Diffusion) -> None:
    """A denoiser that looks at single voxels: windows must then not matter at all."""
    source, _, _ = pair(4)

    def local(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return torch.tanh(image[:, :1] + 0.3 * image[:, 1:])

    answers = []
    for size in ([40, 32], [16, 16]):
        translator = create(tiny_sampled("diffusion-demo", inference__patch=size))
        assert isinstance(translator, Diffusion)
        translator._members = [nn.ModuleDict({"network": Knowing(local)})]
        translator._trained = True
        asked = Asked(members=1, steps=4, sampler="ddim")
        answers.append(translator.predict(source, asked=asked).mean.array)
    np.testing.assert_allclose(answers[0], answers[1], atol=0.05)


@pytest.mark.parametrize("asked", [Asked(steps=1001), Asked(steps=5000, sampler="ddpm")])
def test_more_steps_than_there_are_cannot_be_asked(asked: Asked, diffusion: Diffusion) -> None:
    with pytest.raises(InputError, match=f"has 1000 steps and cannot take {asked.steps}"):
        diffusion.predict(pair(4)[0], asked=asked)


def test_a_volume_of_another_quantity_is_refused(trained: Translator) -> None:
    source, _, _ = pair(4)
    with pytest.raises(InputError, match="takes MR in arbitrary"):
        trained.predict(Volume(array=source.array, grid=source.grid, quantity="HU"))
