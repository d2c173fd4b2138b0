"""The bridge: two phases, paths that end where they should. What it shares with the diffusion
family is tested there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.learning.loop import Step
from qa_suite.learning.summary import FitSummary
from tests.tiny_cohort import pair
from tests.tiny_sampled import Knowing, tiny_sampled
from translators.answers import Asked
from translators.base import WEIGHTS_FILE, create
from translators.families.bridge import Bridge
from translators.networked import Window
from translators.training.augment import Batch


def _bridge(**changes: Any) -> Bridge:
    translator = create(tiny_sampled("bridge-demo", **changes))
    assert isinstance(translator, Bridge)
    return translator


def _fit(bridge: Bridge, folder: Path, cohort: Cohort, workdir: Path, **more: Any) -> FitSummary:
    return bridge.fit(cohort, folder, workdir=workdir, device="cpu", **more)


def _targets(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8


class Fixed(nn.Module):
    """A regression that always gives one answer, on the unit scale."""

    def __init__(self, found: torch.Tensor) -> None:
        super().__init__()
        self.found = found

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.found


# ------------------------------------------------------------------ paths


@pytest.mark.parametrize("kind", ["rectified_flow", "brownian"])
@pytest.mark.parametrize("start", ["regression", "source"])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_flow_that_knows_the_way_arrives(kind: str, start: str, steps: int) -> None:
    bridge = _bridge(bridge__kind=kind, bridge__start=start, bridge__noise=0.2)
    target, mean = _targets(), _targets() * 0.5
    source = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    noise = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    begin = bridge.scale.inward(mean) if start == "regression" else source
    if kind == "rectified_flow":
        begin = begin + 0.2 / bridge.scale.gain * noise
    way = bridge.scale.inward(target) - begin
    networks = {"flow": Knowing(lambda image, time: way)}
    if start == "regression":
        networks["regression"] = Fixed(mean)  # type: ignore[assignment]
    found = bridge.answer(
        nn.ModuleDict(networks),
        Window(
            source=source,
            noise=noise,
            generator=torch.Generator().manual_seed(0),
            asked=Asked(steps=steps),
        ),
    )
    torch.testing.assert_close(found, target, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["rectified_flow", "brownian"])
def test_the_loss_is_that_of_the_displacement_on_the_path(kind: str) -> None:
    """At every time the image shown lies where the path of its noise says."""
    bridge = _bridge(bridge__kind=kind, bridge__noise=0.1)
    target, mean = _targets(64), _targets(64) * 0.5
    seen: dict[str, torch.Tensor] = {}

    def silent(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.update(image=image[:, :1], time=time.view(-1, 1, 1, 1))
        return torch.zeros_like(image[:, :1])

    batch = Batch(source=torch.zeros(64, 1, 8, 8), target=target, weight=torch.ones_like(target))
    torch.manual_seed(0)
    loss = bridge._flow_loss(
        nn.ModuleDict({"regression": Fixed(mean), "flow": Knowing(silent)}),
        batch,
        Step(iteration=1, iterations=2),
    )
    gain, t = bridge.scale.gain, seen["time"]
    begin, end = bridge.scale.inward(mean), bridge.scale.inward(target)
    left = (seen["image"] - (1 - t) * begin - t * end) / (0.1 / gain)
    spread = 1 - t if kind == "rectified_flow" else 2 * (t * (1 - t)).sqrt()
    noise = left / spread.clamp_min(1e-3)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    way = end - begin - (0.1 / gain * noise if kind == "rectified_flow" else 0)
    assert float(loss) == pytest.approx(float(way.square().mean()), rel=1e-3)


def test_samples_need_noise_and_a_bridge_has_no_samplers(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(Problems, match=r"without bridge\.noise all samples are one"):
        _bridge(bridge__noise=0)
    calm = _bridge(bridge__noise=0, uncertainty={"method": "none"})
    _fit(calm, folder, cohort, tmp_path, iterations=2)
    source, _, _ = pair(4)
    one, two = (calm.predict(source, asked=Asked(seed=seed)).mean.array for seed in (0, 1))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(InputError, match="the sampler 'ddim' belongs to diffusion"):
        calm.predict(source, asked=Asked(sampler="ddim"))


# ------------------------------------------------------------------ two phases


def test_the_regression_stands_still_while_the_flow_learns(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    bridge = _bridge(training__checkpoint_minutes=0)
    after: dict[int, dict[str, np.ndarray]] = {}
    figures: dict[int, dict[str, float]] = {}

    def watch(done: int, total: int, told: dict[str, float]) -> None:
        figures[done] = told
        if done == 5:  # the first phase is over and its best average is what is kept
            after[done] = {n: v.copy() for n, v in bridge.weights().items()}

    summary = _fit(bridge, folder, cohort, tmp_path, progress=watch)
    final = bridge.weights()
    for name, value in after[5].items():
        same = bool((value == final[name]).all())
        assert same if ".regression." in name else True, f"{name} moved"
    assert any((after[5][n] != final[n]).any() for n in final if ".flow." in n)
    assert all("regression_train_loss" in figures[n] for n in range(1, 5))
    assert all("train_loss" in figures[n] for n in range(5, 9))
    assert summary.iterations == 8 and summary.best_iteration > 4
    assert [step for step, _ in summary.curves["train_loss"]] == [5, 6, 7, 8]
    assert [step for step, _ in summary.curves["regression_train_loss"]] == [1, 2, 3, 4]
    validated = [value for _, value in summary.curves["validation_mae"]]
    assert summary.best_validation == min(validated)


def test_the_first_phase_is_a_regression_like_any_other(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """The same seed, budget and network by themselves give the same bits."""
    bridge = _bridge()
    _fit(bridge, folder, cohort, tmp_path / "bridge")
    data = bridge.spec.model_dump(mode="json") | {
        "family": "regression",
        "bridge": None,
        "uncertainty": {"method": "none"},
    }
    from translators.spec import parse_spec

    alone = create(parse_spec(data, subject="alone"))
    first = bridge.weights()
    # the flow is built first and takes its share of the seed's numbers: start alike
    start = {n: v for n, v in _first_weights(bridge).items() if n.startswith("0.regression.")}
    alone.set_weights({n.replace("0.regression.", "0.network."): v for n, v in start.items()})
    alone.fit(cohort, folder, workdir=tmp_path / "alone", device="cpu", iterations=4)
    for name, value in alone.weights().items():
        np.testing.assert_array_equal(value, first[name.replace("0.network.", "0.regression.")])


def _first_weights(bridge: Bridge) -> dict[str, np.ndarray]:
    fresh = create(bridge.spec)
    assert isinstance(fresh, Bridge)
    fresh._trained = True
    return fresh.weights()


@pytest.mark.parametrize(
    "changes",
    [
        {"bridge__kind": "brownian"},
        {"bridge__start": "source"},
        {"bridge__sees_source": False, "bridge__slice_noise": "own"},
        {"network__dimensions": "2.5D", "network__slices": 3, "bridge__kind": "brownian"},
    ],
    ids=["brownian", "from the source", "blind", "2.5D"],
)
def test_every_kind_learns_and_samples(
    changes: dict[str, Any], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    bridge = _bridge(**changes)
    summary = _fit(bridge, folder, cohort, tmp_path, iterations=4)
    assert summary.iterations == 4
    found = bridge.predict(pair(4)[0])
    assert np.isfinite(found.mean.array).all()
    assert found.std is not None and float(found.std.array.max()) > 0


def test_a_budget_too_small_for_two_phases_is_refused(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="1 iteration leaves none for the regression or none"):
        _fit(_bridge(), folder, cohort, tmp_path, iterations=1)
    _fit(_bridge(bridge__start="source"), folder, cohort, tmp_path, iterations=1)


def test_two_processes_begin_the_flow_from_one_regression(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """The leader alone validates: the others must be told which regression was the best."""
    common: dict[str, Any] = {
        "network__norm": "instance",
        "training__validate_every": 1,
        "training__learning_rate": 0.05,
        "bridge__regression_share": 0.25,
    }
    alone = _bridge(**common, training__accumulate=2)
    summary = _fit(alone, folder, cohort, tmp_path / "alone")
    first = summary.curves["regression_validation_mae"]
    assert min(first, key=lambda point: point[1]) != first[-1], "the best must not be the last"
    alone.save(tmp_path / "alone" / "saved")
    (tmp_path / "spec.json").write_text(_bridge(**common).spec.model_dump_json())
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "-m",
            "tests.train_worker",
            str(tmp_path / "spec.json"),
            str(folder),
            str(tmp_path / "two"),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_file(tmp_path / name / "saved" / WEIGHTS_FILE) for name in ("alone", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=2e-3, atol=1e-4, err_msg=name)
