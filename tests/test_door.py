"""The door of the registered model: an image keeps its place on the way in and on the way out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import GeometryError, InputError, QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.evaluation.model_answers import ask, prediction_of
from qa_suite.evaluation.registered import load_translator
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.io.images import write_image
from tests.external_cases import trusting
from tests.test_answers import moved, stored
from translators.base import Translator
from translators.predict import answer
from translators.registry.registering import signature
from translators.spec import TranslatorSpec, parse_spec

KINDS = ("folder", "command", "container")


def reversed_x(image: Volume) -> Volume:
    return stored(image, (0, 1, 2), (-1, 1, 1))


def turned(image: Volume) -> Volume:
    return stored(image, (2, 0, 1), (1, -1, -1))


def crop(image: Volume) -> Volume:
    grid = moved(image.grid, x=2 * image.grid.spacing_mm[0])
    array = image.array[2:]
    return replace(image, array=array, grid=replace(grid, shape=array.shape))


def moved_16(image: Volume) -> Volume:
    return replace(image, grid=moved(image.grid, z=16.0))


def one_nan(image: Volume) -> Volume:
    array = image.array.copy()
    array[3, 4, 5] = np.nan
    return replace(image, array=array)


SAME = [reversed_x, turned]
REFUSED = [(crop, "on another grid"), (moved_16, "moved by 16 mm"), (one_nan, "1 of .* NaN or inf")]


def external(**settings: Any) -> TranslatorSpec:
    data = {
        "family": "external",
        "name": "vendor",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "external": settings,
    }
    return parse_spec(data, subject="vendor")


def black_box(
    kind: str,
    said: Volume,
    cohort: Cohort,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    **settings: Any,
) -> Translator:
    """Make a black box of a kind that answers the test case with this very volume."""
    (case,) = cohort.in_split("test")
    finished = tmp_path / "finished"
    write_image(said, finished / f"{case.case}.nii.gz")
    copy = (
        f"import shutil, sys; shutil.copy({str(finished / f'{case.case}.nii.gz')!r}, sys.argv[2])"
    )
    if kind == "folder":
        spec = external(kind=kind, path=str(finished), **settings)
    elif kind == "command":
        spec = external(
            kind=kind, command=[sys.executable, "-c", copy, "{source}", "{output}"], **settings
        )
    else:
        engine = tmp_path / "bin" / "docker"
        engine.parent.mkdir(exist_ok=True)
        engine.write_text(
            f"#!{sys.executable}\nimport shutil, sys\n"
            "mount = next(a for a in sys.argv if a.endswith(':/data')).removesuffix(':/data')\n"
            f"shutil.copy({str(finished / f'{case.case}.nii.gz')!r}, "
            "sys.argv[-1].replace('/data', mount))\n"
        )
        engine.chmod(0o755)
        monkeypatch.setenv("PATH", f"{engine.parent}:/usr/bin:/bin")
        spec = external(
            kind=kind,
            image="vendor/sct@sha256:" + "a" * 64,
            command=["{source}", "{output}"],
            **settings,
        )
    translator = trusting(spec)
    translator.fit(cohort, folder, workdir=tmp_path / "work")
    return translator


def asked_of(translator: Translator, source: Volume) -> Volume:
    """Ask through the tensors of the registered model's interface, as the examiner does."""
    grid = source.grid
    request = {
        "source": source.array,
        "spacing_mm": np.array(grid.spacing_mm),
        "direction": np.array(grid.direction),
    }
    place = {"origin_mm": list(grid.origin_mm), "frame_of_reference": "1.2.3"}
    told = answer(translator, request, place)
    assert told["frame_of_reference"] == "1.2.3"
    return prediction_of(told, source, "HU", placed=True).mean


@pytest.fixture
def loaded(cohort: Cohort, folder: Path) -> LoadedCase:
    return load_case(cohort, cohort.in_split("test")[0], folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", SAME)
@pytest.mark.parametrize("asked", [None, *SAME])
def test_the_way_in_which_an_image_is_stored_does_not_matter(
    kind, storage, asked, loaded, cohort, folder, tmp_path, monkeypatch
) -> None:
    translator = black_box(kind, storage(loaded.reference), cohort, folder, tmp_path, monkeypatch)
    source = loaded.source if asked is None else asked(loaded.source)
    expected = loaded.reference if asked is None else asked(loaded.reference)
    np.testing.assert_array_equal(asked_of(translator, source).array, expected.array)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "word"), REFUSED)
def test_what_lies_elsewhere_or_holds_no_number_is_refused(
    kind, fault, word, loaded, cohort, folder, tmp_path, monkeypatch
) -> None:
    translator = black_box(kind, fault(loaded.reference), cohort, folder, tmp_path, monkeypatch)
    with pytest.raises(QAError, match=word):
        asked_of(translator, loaded.source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_is_taken_by_its_header_where_the_specification_allows_it(
    kind, loaded, cohort, folder, tmp_path, monkeypatch
) -> None:
    translator = black_box(
        kind, crop(loaded.reference), cohort, folder, tmp_path, monkeypatch, other_grid="resample"
    )
    found = asked_of(translator, loaded.source)
    np.testing.assert_allclose(found.array[2:], loaded.reference.array[2:], atol=0.01)
    assert np.abs(found.array - loaded.reference.array).mean() < 5  # its first two planes are air
    moved_box = black_box(
        kind,
        moved_16(loaded.reference),
        cohort,
        folder,
        tmp_path,
        monkeypatch,
        other_grid="resample",
    )
    with pytest.raises(GeometryError, match="moved by 16 mm"):
        asked_of(moved_box, loaded.source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_without_a_place_is_refused_by_who_compares_places(
    kind, loaded, cohort, folder, tmp_path, monkeypatch
) -> None:
    translator = black_box(kind, loaded.reference, cohort, folder, tmp_path, monkeypatch)
    request = {
        "source": loaded.source.array,
        "spacing_mm": np.array(loaded.source.grid.spacing_mm),
        "direction": np.eye(3),
    }
    for place in ({}, {"origin_mm": []}, None):
        with pytest.raises(QAError, match=r"compares places.*'origin_mm'"):
            answer(translator, request, place)
    with pytest.raises(QAError, match="must hold 3 numbers, got 2"):
        answer(translator, request, {"origin_mm": [1.0, 2.0]})


# ------------------------------------------------------------------ through MLflow's pyfunc


def registered(spec: TranslatorSpec, cohort: Cohort, folder: Path, work: Path, name: str) -> str:
    from translators.registry.train import train

    return train(spec, cohort, folder, workdir=work, register_as=name).uri


@pytest.mark.parametrize("splits", ["s", "vs"])
def test_a_folder_of_test_volumes_alone_is_registered_and_keeps_its_geometry(
    splits: str, own_store: Path, tmp_path: Path
) -> None:
    from tests.tiny_cohort import make_tiny_cohort

    folder = tmp_path / "cohort"
    cohort = make_tiny_cohort(folder, splits)
    case = cohort.in_split("test")[0]
    truth = load_case(cohort, case, folder)
    write_image(turned(truth.reference), tmp_path / "finished" / f"{case.case}.nii.gz")
    spec = external(kind="folder", path=str(tmp_path / "finished"))
    uri = registered(spec, cohort, folder, tmp_path / "work", "vendor")
    facts, translate = load_translator(uri)
    assert facts.training_patients == ()
    np.testing.assert_array_equal(translate(truth).mean.array, truth.reference.array)
    elsewhere = replace(truth, source=moved_16(truth.source))
    with pytest.raises(QAError, match="moved by 16 mm"):
        translate(elsewhere)


def without_place(saved: Path) -> None:
    """Give a saved model the signature that versions before 0.13 wrote."""
    path = saved / "MLmodel"
    data = yaml.safe_load(path.read_text())
    params = json.loads(data["signature"]["params"])
    kept = [p for p in params if p["name"] not in ("origin_mm", "frame_of_reference")]
    assert len(params) - len(kept) == 2
    data["signature"]["params"] = json.dumps(kept)
    path.write_text(yaml.safe_dump(data))


def test_a_model_of_an_earlier_version_still_answers_if_it_needs_no_place(
    own_store: Path, tmp_path: Path, cohort: Cohort, folder: Path, loaded: LoadedCase
) -> None:
    import mlflow

    from translators.spec import load_spec

    network = registered(load_spec("intensity"), cohort, folder, tmp_path / "w1", "floor")
    write_image(loaded.reference, tmp_path / "finished" / f"{loaded.case.case}.nii.gz")
    spec = external(kind="folder", path=str(tmp_path / "finished"))
    finished = registered(spec, cohort, folder, tmp_path / "w2", "vendor")
    models = {}
    for name, uri in (("floor", network), ("vendor", finished)):
        saved = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / name)))
        without_place(saved)
        models[name] = mlflow.pyfunc.load_model(str(saved))
    _, today = load_translator(network)
    found = ask(models["floor"], loaded.source, "HU", {})
    np.testing.assert_array_equal(found.mean.array, today(loaded).mean.array)
    with pytest.raises(QAError, match="must be registered again"):
        ask(models["vendor"], loaded.source, "HU", {})


def test_the_signature_says_where_an_image_lies() -> None:

    params = {p.name: p for p in signature().params.params}
    assert params["origin_mm"].shape == (-1,) and params["origin_mm"].default == []
    assert params["frame_of_reference"].default == ""


# ------------------------------------------------------------------ what the examiner reads

GRID = Grid(shape=(5, 4, 3), spacing_mm=(2, 2, 3), origin_mm=(1, 2, 3), frame_of_reference="1.2")
SOURCE = Volume(array=np.zeros(GRID.shape), grid=GRID, quantity="arbitrary")


def said(**more: Any) -> dict[str, Any]:
    mean = np.arange(60, dtype=float).reshape(GRID.shape)
    place = {
        "spacing_mm": GRID.spacing_mm,
        "direction": GRID.direction,
        "origin_mm": GRID.origin_mm,
    }
    return {"mean": mean} | place | more


@pytest.mark.parametrize("lacking", ["origin_mm", "spacing_mm", "direction"])
def test_a_model_that_was_told_a_place_must_say_where_it_answers(lacking: str) -> None:
    answered = said()
    del answered[lacking]
    with pytest.raises(InputError, match=f"its answer has no {lacking}"):
        prediction_of(answered, SOURCE, "HU", placed=True)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"origin_mm": (1, 2, 19)}, "moved by 16 mm"),
        ({"spacing_mm": (2, 2, 4)}, "on another grid"),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 0, -1)}, "moved by"),
        ({"frame_of_reference": "1.3"}, "frames of reference differ"),
        *(
            ({name: np.full(GRID.shape, np.nan)}, rf"\({name}\) answered with 60 of 60")
            for name in ("mean", "std")
        ),
        ({"samples": np.full((2, *GRID.shape), np.inf)}, r"\(samples\) answered with 60 of 60"),
    ],
)
def test_an_answer_from_elsewhere_or_without_numbers_is_refused(more: dict, word: str) -> None:
    with pytest.raises(QAError, match=word):
        prediction_of(said(**more), SOURCE, "HU", placed=True)


def test_an_answer_in_another_storage_order_is_put_in_order() -> None:
    mean = Volume(array=said()["mean"], grid=GRID, quantity="HU")
    other = turned(mean)
    found = prediction_of(
        {
            "mean": other.array,
            "std": other.array,
            "spacing_mm": other.grid.spacing_mm,
            "direction": other.grid.direction,
            "origin_mm": other.grid.origin_mm,
        },
        SOURCE,
        "HU",
        placed=True,
    )
    np.testing.assert_array_equal(found.mean.array, mean.array)
    np.testing.assert_array_equal(found.std.array, mean.array)
    assert found.mean.grid == GRID
