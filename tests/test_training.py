"""Training: resume to the bit, early stop, errors, precision, all dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.io.images import read_image, write_image
from qa_suite.learning.summary import FitSummary
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort, pair
from translators.base import Translator, create, load
from translators.spec import TrainingSpec, TranslatorSpec, load_spec, parse_spec


@pytest.fixture(scope="module")
def trained(
    folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Translator, FitSummary]:
    """Thirty undisturbed iterations of the tiny specification."""
    return _fit(tiny_spec(), folder, cohort, tmp_path_factory.mktemp("work"))


def _fit(
    spec: TranslatorSpec, folder: Path, cohort: Cohort, workdir: Path, **more: object
) -> tuple[Translator, FitSummary]:
    translator = create(spec)
    return translator, translator.fit(cohort, folder, workdir=workdir, device="cpu", **more)  # type: ignore[arg-type]


def _same_weights(a: Translator, b: Translator) -> bool:
    mine, theirs = a.weights(), b.weights()
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name], theirs[name]) for name in mine
    )


def test_training_learns_and_saves_to_the_bit(
    trained: tuple[Translator, FitSummary], tmp_path: Path
) -> None:
    translator, summary = trained
    curve = [value for _, value in summary.curves["train_loss"]]
    assert len(curve) == summary.iterations == 30
    assert np.mean(curve[-5:]) < 0.7 * np.mean(curve[:3])
    assert summary.best_validation == min(v for _, v in summary.curves["validation_mae"])
    translator.save(tmp_path)
    again = load(tmp_path)
    assert _same_weights(translator, again)
    source, _, _ = pair(4)
    first, second = translator.predict(source).mean.array, again.predict(source).mean.array
    np.testing.assert_array_equal(first, second)
    assert first.min() >= -1024 and first.max() <= 3000


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    trained: tuple[Translator, FitSummary], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    assert _same_weights(trained[0], _fit(tiny_spec(), folder, cohort, tmp_path / "a")[0])
    other, _ = _fit(tiny_spec(training__seed=1), folder, cohort, tmp_path / "b", iterations=2)
    same_length, _ = _fit(tiny_spec(), folder, cohort, tmp_path / "c", iterations=2)
    assert not _same_weights(other, same_length)


@pytest.mark.parametrize("killed_at", [7, 10])
def test_resume_after_a_kill_is_bit_equal(
    killed_at: int,
    trained: tuple[Translator, FitSummary],
    folder: Path,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    spec = tiny_spec(training__checkpoint_minutes=0)
    plain, summary = _fit(spec, folder, cohort, tmp_path / "plain")

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(spec, folder, cohort, tmp_path / "cut", progress=kill)
    seen: list[int] = []
    resumed, after = _fit(
        spec, folder, cohort, tmp_path / "cut", resume=True, progress=lambda d, t, f: seen.append(d)
    )
    assert seen[0] == killed_at, "it carries on from the last whole iteration"
    assert _same_weights(plain, resumed)
    assert after.curves == summary.curves


def test_dropout_does_not_spoil_the_resume(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    spec = tiny_spec(network__dropout=0.3, training__checkpoint_minutes=0)
    plain, _ = _fit(spec, folder, cohort, tmp_path / "plain", iterations=6)

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        torch.rand(5)  # other users of the global generator must not matter
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(spec, folder, cohort, tmp_path / "cut", iterations=6, progress=kill)
    resumed, _ = _fit(spec, folder, cohort, tmp_path / "cut", iterations=6, resume=True)
    assert _same_weights(plain, resumed)


def test_a_checkpoint_of_something_else_is_refused(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    _fit(tiny_spec(), folder, cohort, tmp_path, iterations=2)
    with pytest.raises(InputError, match="another specification, budget or cohort"):
        _fit(tiny_spec(), folder, cohort, tmp_path, iterations=3, resume=True)
    with pytest.raises(InputError, match="another specification"):
        changed = tiny_spec(training__learning_rate=0.5)
        _fit(changed, folder, cohort, tmp_path, iterations=2, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="cannot be read"):
        _fit(tiny_spec(), folder, cohort, tmp_path, iterations=2, resume=True)


def test_early_stop_keeps_the_best(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    # no learning to speak of: the averaged weights hardly move and patience runs out
    spec = tiny_spec(
        training__learning_rate=1e-12,
        training__validate_every=1,
        training__patience=3,
        training__warmup=0,
        network__norm="instance",
    )
    _, summary = _fit(spec, folder, cohort, tmp_path, iterations=30)
    assert summary.stopped_early and summary.iterations < 30
    assert summary.iterations == summary.best_iteration + 3


def test_without_validation_patients_the_last_average_is_kept(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    cases = tuple(c for c in cohort.cases if c.split != "validation")
    alone = cohort.model_copy(update={"cases": cases})
    _, summary = _fit(tiny_spec(), folder, alone, tmp_path, iterations=3)
    assert summary.best_validation is None and "validation_mae" not in summary.curves


def test_a_loss_that_is_not_finite_stops_with_a_word(
    folder: Path, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from translators.families.regression import Regression

    monkeypatch.setattr(
        Regression,
        "_loss",
        lambda self, networks, batch, step: networks["network"](batch.source).sum() * np.nan,
    )
    with pytest.raises(QAError, match="loss became nan at iteration 1; lower"):
        _fit(tiny_spec(), folder, cohort, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"training__amp": "bf16", "training__amp_on_cpu": True},
        {"network__dimensions": "2.5D", "network__slices": 3},
        {
            "network__architecture": "unet",
            "network__residual_units": 1,
            "training__loss": {"kind": "l2"},
        },
        {
            "network__dimensions": "3D",
            "network__keep_z": 1,
            "network__norm": "group",
            "training__patch": [16, 16, 8],
            "inference__patch": [32, 32, 8],
        },
        {"working_spacing_mm": [10.0, 10.0, 8.0]},
    ],
    ids=["bf16", "2.5D", "unet-l2", "3D", "other spacing"],
)
def test_every_kind_of_network_takes_a_step_and_translates(
    changes: dict, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator, summary = _fit(tiny_spec(**changes), folder, cohort, tmp_path, iterations=3)
    assert summary.iterations == 3
    source, _, _ = pair(4)
    found = translator.predict(source).mean
    assert found.array.shape == source.array.shape and np.isfinite(found.array).all()


def test_bf16_is_really_used_when_forced(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    full, _ = _fit(tiny_spec(), folder, cohort, tmp_path / "a", iterations=2)
    spec = tiny_spec(training__amp="bf16", training__amp_on_cpu=True)
    half, _ = _fit(spec, folder, cohort, tmp_path / "b", iterations=2)
    assert not _same_weights(full, half)
    gpu_only, _ = _fit(
        tiny_spec(training__amp="bf16"), folder, cohort, tmp_path / "c", iterations=2
    )
    assert _same_weights(full, gpu_only)


def test_the_full_size_specification_takes_a_step_when_reduced(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    data = load_spec("regression").model_dump(mode="json")
    data["working_spacing_mm"] = None
    data["network"]["channels"] = [8, 8, 16, 16, 16]
    data["training"] |= {"patch": [32, 32, 8], "batch": 2}
    data["inference"]["patch"] = [32, 32, 8]
    spec = parse_spec(data, subject="reduced")
    translator, _ = _fit(spec, folder, cohort, tmp_path, iterations=1)
    assert np.isfinite(translator.predict(pair(4)[0]).mean.array).all()


def test_far_from_the_body_there_is_air(
    trained: tuple[Translator, FitSummary], tmp_path: Path
) -> None:
    data = trained[0].spec.model_dump(mode="json")
    data["inference"]["air_beyond_mm"] = 20.0
    masked = create(parse_spec(data, subject="masked"))
    masked.set_weights(trained[0].weights())
    source, _, mask = pair(4)
    plain, found = (t.predict(source).mean.array for t in (trained[0], masked))
    body = mask.array > 0
    np.testing.assert_array_equal(found[body], plain[body])
    assert (found[0, 0] == -1000).all() and (plain[0, 0] != -1000).any()


def test_every_problem_of_a_cohort_is_named(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    lonely = tuple(c for c in cohort.cases if c.case != "case1")
    wrong = cohort.model_copy(update={"cases": lonely, "source_modality": "CBCT"})
    with pytest.raises(Problems) as caught:
        _fit(tiny_spec(), folder, wrong, tmp_path)
    assert "it is CBCT->CT" in str(caught.value)
    assert "1 patient and training needs two" in str(caught.value)
    unpaired = tuple(c.model_copy(update={"reference": None}) for c in cohort.cases)
    with pytest.raises(Problems, match="case case2: it has no reference image"):
        _fit(tiny_spec(), folder, cohort.model_copy(update={"cases": unpaired}), tmp_path)


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
        _fit(tiny_spec(), tmp_path, spoilt, tmp_path / "work")


def test_learning_rate_warms_up_and_falls_to_its_end() -> None:
    training = TrainingSpec(iterations=100, patch=(8, 8), learning_rate=1.0, warmup=10)
    rates = [training.rate(i, 100) for i in range(1, 101)]
    assert np.all(np.diff(rates[:11]) > 0) and np.all(np.diff(rates[11:]) < 0)
    assert max(rates) <= 1.0 and rates[-1] == pytest.approx(0.01)


def test_unknown_or_absent_devices_are_refused(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="Unknown device"):
        create(tiny_spec()).fit(cohort, folder, workdir=tmp_path, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            create(tiny_spec()).fit(cohort, folder, workdir=tmp_path, device="cuda")
