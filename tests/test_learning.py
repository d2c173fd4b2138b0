"""The one loop and the one registration: what was trained with version 0.1 comes out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, QAError
from qa_suite.learning.course import Plain, warmed_cosine
from qa_suite.learning.devices import pick_device
from tests.conftest import ROOT
from tests.tiny_instruments import make_structured_cohort
from translators.base import create
from translators.spec import parse_spec

THEN = Path(__file__).parent / "data" / "registered-0.1"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Path]:
    """The cohort on which the models of ``registered-0.1`` were trained."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = make_structured_cohort(folder, "tttvs")
    cases = list(cohort.cases)
    cases[2] = cases[2].model_copy(update={"split": "calibration"})
    return cohort.model_copy(update={"cases": tuple(cases)}), folder


def _same(found: dict[str, np.ndarray], weights: Path) -> None:
    """Compare to what other processors may make of the sums of a short training."""
    expected = load_file(weights)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("name", ["intensity", "regression", "diffusion"])
def test_a_translator_is_trained_to_what_it_was_with_0_1(
    name: str, seen: tuple[Cohort, Path], tmp_path: Path
) -> None:
    kept = THEN / name / "artifacts" / "translator"
    spec = parse_spec(json.loads((kept / "spec.json").read_text()), subject=name)
    translator = create(spec)
    translator.fit(*seen, workdir=tmp_path, device="cpu")
    _same(translator.weights(), kept / "weights.safetensors")


def test_an_instrument_is_trained_to_what_it_was_with_0_1(seen: tuple[Cohort, Path]) -> None:
    from qa_suite.instruments.fit_extractor import train_extractor
    from qa_suite.instruments.network import weights_of
    from qa_suite.instruments.settings import ExtractorSettings

    kept = THEN / "extractor" / "artifacts" / "instrument"
    facts = json.loads((kept / "instrument.json").read_text())["facts"]["settings"]
    settings = ExtractorSettings.model_validate(facts["network"])
    cohort, folder = seen
    found = train_extractor(cohort, folder, settings, seed=facts["seed"], device="cpu")
    _same(weights_of(found.network), kept / "weights.safetensors")


def test_the_rate_rises_on_a_line_and_falls_on_a_cosine() -> None:
    course = {"highest": 2.0, "warmup": 10, "full_at": 10, "final": 0.01}
    rates = [warmed_cosine(i, 110, **course) for i in range(1, 111)]  # type: ignore[arg-type]
    assert rates[4] == 1.0 and rates[9] == 2.0
    assert rates[59] == pytest.approx(2 * (0.01 + 0.99 / 2)) and rates[-1] == pytest.approx(0.02)
    one_later = {**course, "full_at": 11}
    assert warmed_cosine(10, 110, **one_later) == pytest.approx(2 * 10 / 11)  # type: ignore[arg-type]


def test_an_instrument_whose_loss_is_not_finite_names_its_own_setting() -> None:
    import torch
    from torch import nn

    from qa_suite.learning.loop import Player, optimise

    class One:
        def to(self, device: torch.device, *, channels_last: bool = False) -> One:
            return self

    networks = nn.ModuleDict({"one": nn.Linear(1, 1)})
    player = Player(
        name="one", moves=("one",), loss=lambda n, b, s: n["one"](torch.tensor([[np.nan]])).sum()
    )
    training = Plain(seed=0, learning_rate=0.3, weight_decay=0.0, ema_decay=0.9, warmup=1)
    with pytest.raises(QAError, match=r"nan at iteration 1; lower learning_rate \(0\.3\), and"):
        optimise(
            networks,
            (player,),
            training,
            kept=("one",),
            make_batch=lambda rng, device: One(),
            validate=None,
            identity="",
            workdir=None,
            resume=False,
            iterations=2,
            device=torch.device("cpu"),
        )


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="take auto, cpu or cuda"):
        pick_device(name)


def test_what_both_need_is_written_once() -> None:
    """EMA, warm-up, choice of the device, optimiser steps and registration have one home."""
    homes = {
        ".lerp_(": {"qa_suite/learning/course.py"},
        "math.cos(math.pi * place)": {"qa_suite/learning/course.py"},
        "There is no CUDA device here": {"qa_suite/learning/devices.py"},
        "pyfunc.save_model": {"qa_suite/learning/registering.py"},
        ".create_model_version(": {"qa_suite/core/outbox/models.py"},
        "ModelSignature(": {"qa_suite/learning/registering.py"},
        "AdamW(": {"qa_suite/learning/loop.py"},
    }
    files = [p for room in ("qa_suite", "translators") for p in (ROOT / room).rglob("*.py")]
    for words, home in homes.items():
        found = {str(p.relative_to(ROOT)) for p in files if words in p.read_text()}
        assert found == home, words
