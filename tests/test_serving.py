"""A registered model in an environment that has nothing but what travels with it (``make serve``).

The environment is made of ``requirements.txt`` as MLflow makes it, from an index of packages: two
gigabytes and some minutes, so ``make test`` leaves it out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.processes import run
from tests.model_registry_cases import artifacts_of
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort
from translators.base import create, load
from translators.predict import answer
from translators.registry.registering import TrainedModel, input_example
from translators.registry.train import train

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif("QA_SUITE_LONG" not in os.environ, reason="'make serve' runs it"),
]
_STARTS_S = 120


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    store = tmp_path_factory.mktemp("store")
    cohort = make_tiny_cohort(store / "cohort")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlruns' / 'mlflow.db'}"
    return train(tiny_spec(), cohort, store / "cohort", workdir=store / "work", device="cpu")


@pytest.fixture(scope="module")
def fresh(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the model's requirements alone, installed where their paths lead."""
    place = tmp_path_factory.mktemp("fresh") / "venv"
    _run([sys.executable, "-m", "venv", str(place)], place.parent)
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"]
    _run(pip, artifacts_of(model))
    return python


def test_it_is_served_and_answers_as_it_does_here(
    model: TrainedModel, fresh: Path, tmp_path: Path
) -> None:
    folder = artifacts_of(model)
    port = _free_port()
    served = subprocess.Popen(
        [
            *(str(fresh), "-m", "mlflow", "models", "serve", "--model-uri", str(folder)),
            *("--env-manager", "local", "--port", str(port)),
        ],
        cwd=tmp_path,
        env=_clean(fresh),
        start_new_session=True,
    )
    try:
        example = input_example(create(tiny_spec()))
        request = {
            "inputs": {name: value.tolist() for name, value in example.items()},
            "params": {"origin_mm": [1.0, -2.5, 3.0]},
        }
        found = _answered(port, request, served)
    finally:
        os.killpg(served.pid, 15)
        served.wait()
    translator = load(folder / "artifacts" / "translator")
    expected = answer(translator, example, {"origin_mm": [1.0, -2.5, 3.0]})
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-4, atol=1e-2)
    assert np.ptp(expected["mean"]) > 0


def test_its_code_is_that_of_the_wheel(fresh: Path, tmp_path: Path) -> None:
    words = "import translators, qa_suite; print(translators.__file__, qa_suite.__file__)"
    told = _run([str(fresh), "-c", words], tmp_path, _clean(fresh)).split()
    assert all(Path(path).is_relative_to(fresh.parents[1]) for path in told)


def _run(arguments: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = run(arguments, timeout_s=3000, folder=folder, environment=environment or outside)
    assert done.status == 0, done.stderr[-2000:]
    return done.stdout


def _clean(python: Path) -> dict[str, str]:
    """The environment of somebody who knows nothing of this checkout."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {**kept, "PATH": f"{python.parent}:/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answered(port: int, request: object, served: subprocess.Popen[bytes]) -> dict[str, object]:
    body = json.dumps(request).encode()
    url = f"http://127.0.0.1:{port}/invocations"
    until = time.monotonic() + _STARTS_S
    while True:
        assert served.poll() is None, "the server ended"
        try:
            asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=60) as told:
                found: dict[str, object] = json.load(told)
                return found.get("predictions", found)  # type: ignore[return-value]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[-2000:]) from None
        except OSError:
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(1)
