"""Models that version 0.1 registered load, and answer with the very numbers of that day.

``tests/data/registered-0.1`` holds what MLflow kept of them (without the examples of requests, and
with the addresses of the machine that made them taken out) and, in ``recorded``, one request to
each with the answer that was given to it then.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from qa_suite.core.volume import Grid, Volume
from tests.conftest import ROOT

DATA = Path(__file__).parent / "data" / "registered-0.1"
TRANSLATORS = ("intensity", "regression", "diffusion")
INSTRUMENTS = ("segmenter", "extractor")

ALIASES = {"qa_suite.errors", "qa_suite.volume"}
"""Modules that nothing but the code of these models imports; see their docstrings."""
KEPT = ALIASES | {
    "qa_suite.instruments.files",
    "qa_suite.instruments.segmenter",
    "translators.base",
    "translators.predict",
}
"""All that the code of these models imports of the suite."""


ADDRESS = re.compile(r"file://|[\s'\"]/\w")


def _recorded(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    found = load_file(DATA / "recorded" / f"{name}.safetensors")
    request, answer = (
        {key.partition(".")[2]: value for key, value in found.items() if key.startswith(kind)}
        for kind in ("request.", "answer.")
    )
    return request, answer


def _params(name: str) -> dict[str, Any]:
    """Return the parameters of the recorded requests."""
    return {"origin_mm": [1.0, 2.0, 3.0]} | ({"seed": 3} if name in TRANSLATORS else {})


@pytest.fixture(params=[*TRANSLATORS, *INSTRUMENTS])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, so that whatever MLflow writes into it is written elsewhere."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / request.param))


def test_it_loads_without_pickle_and_answers_as_it_did(model: Path) -> None:
    import mlflow

    request, answer = _recorded(model.name)
    loaded = mlflow.pyfunc.load_model(str(model))
    found = loaded.predict(request, params=_params(model.name))
    for name, expected in answer.items():
        # other processors add up convolutions in another order
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=2e-3, err_msg=name)
        varies = name not in ("spacing_mm", "half_width")
        assert not varies or np.ptp(expected.astype(float)) > 0, f"{name} of one value shows little"
    arrays = {name for name, value in found.items() if isinstance(value, np.ndarray)}
    assert arrays == set(answer)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_examiner_loads_a_translator_of_then(
    name: str, own_store: Path, tmp_path: Path
) -> None:
    from qa_suite.evaluation.registered import load_translator

    uri = _registered(name, own_store)
    facts, translate = load_translator(uri, {"seed": 3})
    registered = json.loads(
        (DATA / name / "artifacts" / "translator" / "training.json").read_text()
    )
    assert facts.weights_sha256 == registered["weights_sha256"]
    assert (facts.uri, facts.family, facts.direction) == (uri, name, "MR->CT")
    request, answer = _recorded(name)
    grid = Grid(
        shape=request["source"].shape,
        spacing_mm=tuple(request["spacing_mm"]),
        direction=tuple(request["direction"]),
        origin_mm=(1.0, 2.0, 3.0),
    )
    source = Volume(array=request["source"], grid=grid, quantity="arbitrary")
    found = translate(SimpleNamespace(source=source))  # of the case it takes the source alone
    np.testing.assert_allclose(found.mean.array, answer["mean"], rtol=1e-5, atol=2e-3)
    assert found.half_width is not None and found.interval is not None
    np.testing.assert_allclose(found.half_width.array, answer["half_width"], rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_examiner_loads_an_instrument_of_then(name: str, own_store: Path) -> None:
    from qa_suite.instruments.loading import load_extractor, load_segmenter

    uri = _registered(name, own_store)
    request, answer = _recorded(name)
    grid = Grid(
        shape=request["volume"].shape,
        spacing_mm=tuple(request["spacing_mm"]),
        direction=tuple(request["direction"]),
    )
    volume = Volume(array=request["volume"], grid=grid, quantity="HU")
    domain = request["domain"] > 0
    if name == "segmenter":
        masks = load_segmenter(uri).segment(volume, domain)
        np.testing.assert_array_equal(np.stack([*masks.values()]), answer["masks"])
        assert answer["masks"].any(axis=(1, 2, 3)).all()
    else:
        found = load_extractor(uri).features(volume, domain)
        np.testing.assert_allclose(found, answer["features"], rtol=1e-4, atol=1e-4)


def test_training_goes_on_from_a_translator_of_then(own_store: Path) -> None:
    from translators.registry.parent import load_parent

    parent = load_parent(_registered("regression", own_store))
    assert parent.translator.calibration is not None
    assert parent.fine_tuning_spec().training.learning_rate == pytest.approx(  # type: ignore[union-attr]
        0.1 * parent.translator.spec.training.learning_rate  # type: ignore[union-attr]
    )


def test_every_specification_of_then_is_read_and_says_what_it_said() -> None:
    from translators.spec import config_names, load_spec, parse_spec

    specifications = json.loads((DATA / "specifications.json").read_text())
    assert set(specifications) <= set(config_names())
    for name, said in specifications.items():
        spec = parse_spec(said, subject=name)
        assert spec == load_spec(name), name
        again = spec.model_dump(mode="json")
        assert _filled(again) == _filled(said), name


def _filled(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value is not None}


def test_what_is_kept_holds_no_pickle_and_no_address() -> None:
    files = [path for path in DATA.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {"", ".py", ".json", ".md", ".safetensors"}
    assert sum(path.stat().st_size for path in files) < 800_000
    for path in files:
        if path.suffix != ".safetensors":
            assert not ADDRESS.search(path.read_text()), path


def test_their_code_finds_all_that_it_imports_where_it_looks() -> None:
    imported = set().union(*(_imports(path) for path in DATA.rglob("*.py")))
    ours = {name for name in imported if name.partition(".")[0] in ("qa_suite", "translators")}
    assert {name for name in ours if _is_module(name)} == KEPT


def test_nothing_else_imports_the_aliases() -> None:
    for folder in ("qa_suite", "translators", "reports", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            if DATA not in path.parents:
                assert not _imports(path) & ALIASES, path


def _imports(path: Path) -> set[str]:
    """Return what a file imports, at its top or in a function: modules, and names in them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _is_module(name: str) -> bool:
    parent, _, _ = name.rpartition(".")
    return find_spec(parent) is not None and _has_path(parent) and find_spec(name) is not None


def _has_path(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.submodule_search_locations is not None


def _registered(name: str, store: Path) -> str:
    """Put a model of then into a store as its first version; return its address."""
    from qa_suite.core.store import connect

    folder = store / "then" / name
    shutil.copytree(DATA / name, folder)
    client = connect().MlflowClient()
    client.create_registered_model(name)
    version = client.create_model_version(name, source=folder.as_uri())
    return f"models:/{name}/{version.version}"
