"""ONNX files behind the interface of a translator: every kind of number, windows, bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, QAError
from tests.external_cases import fitted, spec
from tests.tiny_cohort import pair
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.registry.registering import training_facts
from translators.spec import TranslatorSpec

# ------------------------------------------------------------------ ONNX


FLOAT, UINT8, INT16, INT64, FLOAT16, DOUBLE = 1, 2, 5, 7, 10, 11


def onnx_file(
    path: Path,
    rank: int = 4,
    channels: int = 1,
    kind: int = FLOAT,
    gives: int | None = None,
    shape: tuple[int | str, ...] | None = None,
    factor: float = 0.5,
) -> Path:
    """Write a network that answers its input times a factor (half of it)."""
    import onnx
    from onnx import helper

    shape = shape or ("batch", channels, *["xyz"[axis] for axis in range(rank - 2)])
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=FLOAT),
            helper.make_node("Mul", ["real", "factor"], ["scaled"]),
            helper.make_node("Cast", ["scaled"], ["answer"], to=gives or kind),
        ],
        "half",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("answer", gives or kind, shape)],
        [helper.make_tensor("factor", FLOAT, [1], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def onnx_spec(path: Path, **changes: object) -> TranslatorSpec:
    blocks: dict[str, object] = {
        "network": {"dimensions": "2D", "channels": [8, 8, 8]},
        "inference": {"patch": [16, 16], "batch": 4},
    }
    return spec(**(blocks | {"kind": "onnx", "path": str(path)} | changes))


def test_an_onnx_file_is_a_translator_like_any_other(
    cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "half.onnx")
    translator = fitted(onnx_spec(path), cohort, folder, tmp_path)
    source, _, _ = pair(4)
    found = translator.predict(source)
    from translators.data import from_unit, prepare

    prepared = prepare(source, translator.spec)
    expected = prepared.frame.to_scan(from_unit(prepared.image / 2, translator.spec.target))
    np.testing.assert_allclose(found.mean.array, expected, atol=0.05)
    assert found.cost["network_evaluations"] > 0
    path.unlink()  # the file travels with the saved model
    translator.save(tmp_path / "saved")
    again = load(tmp_path / "saved").predict(source)
    np.testing.assert_array_equal(again.mean.array, found.mean.array)


@pytest.mark.parametrize(
    ("file", "changes", "word"),
    [
        ({"rank": 5}, {}, "input of rank 5 and 2D windows have rank 4"),
        ({"channels": 3}, {}, "takes 3 channels .* and network.slices is 1"),
        ({"kind": UINT8}, {}, r"takes tensor\(uint8\), and windows hold real numbers"),
        ({"kind": INT16}, {}, r"takes tensor\(int16\).*gives tensor\(int16\)"),
        ({"gives": INT64}, {}, r"gives tensor\(int64\), and windows hold real numbers"),
        ({"shape": (1, 16, 16, 1)}, {}, "say external.axes: bxyc"),
        ({}, {"sha256": "0" * 64}, "it is another file"),
    ],
    ids=["rank", "channels", "uint8", "int16", "int64 out", "channels last", "hash"],
)
def test_an_onnx_file_that_does_not_fit_is_refused(
    file: dict, changes: dict, word: str, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "file.onnx", **file)
    with pytest.raises(QAError, match=word):
        fitted(onnx_spec(path, **changes), cohort, folder, tmp_path)


STATIC = {"2D": (64, 48), "3D": (64, 48, 32)}


@pytest.mark.parametrize("dimensions", ["2D", "2.5D", "3D"])
@pytest.mark.parametrize("batch", ["batch", 1, 3], ids=["any batch", "one", "three"])
@pytest.mark.parametrize("size", ["static", "half static", "dynamic"])
def test_windows_have_the_size_that_the_file_takes(
    dimensions: str, batch: int | str, size: str, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    """The image is 40×32×12; a network that takes larger windows only gets it mirrored."""
    taken = STATIC["3D" if dimensions == "3D" else "2D"]
    spatial = {
        "static": taken,
        "half static": (taken[0], *"yz"[: len(taken) - 1]),
        "dynamic": tuple("xyz"[: len(taken)]),
    }[size]
    slices = 3 if dimensions == "2.5D" else 1
    made = onnx_spec(
        onnx_file(tmp_path / "file.onnx", shape=(batch, slices, *spatial)),
        network={"dimensions": dimensions, "slices": slices, "channels": [8, 8, 8]},
        inference={"patch": [16] * len(taken), "batch": 4},
    )
    if slices == 3:  # three slices in, three out: refused when asked, since one is needed
        with pytest.raises(InputError, match="is needed"):
            fitted(made, cohort, folder, tmp_path).predict(pair(4)[0])
        return
    require_half(fitted(made, cohort, folder, tmp_path))


def require_half(translator: Translator, atol: float = 0.05) -> None:
    from translators.data import from_unit, prepare

    source, _, _ = pair(4)
    prepared = prepare(source, translator.spec)
    expected = prepared.frame.to_scan(from_unit(prepared.image / 2, translator.spec.target))
    np.testing.assert_allclose(translator.predict(source).mean.array, expected, atol=atol)


@pytest.mark.parametrize("kind", [FLOAT, FLOAT16, DOUBLE], ids=["float", "half", "double"])
@pytest.mark.parametrize("gives", [FLOAT, FLOAT16, DOUBLE], ids=["float", "half", "double"])
def test_every_kind_of_real_number_may_go_in_and_out(
    kind: int, gives: int, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "file.onnx", kind=kind, gives=gives)
    half = FLOAT16 in (kind, gives)  # 11 bits of a window of 4024 HU
    require_half(fitted(onnx_spec(path), cohort, folder, tmp_path), atol=2.0 if half else 0.05)


@pytest.mark.parametrize("axes", ["bcyx", "bxyc", "byxc"])
def test_the_files_own_order_of_axes(
    axes: str, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    sizes: dict[str, int | str] = {"b": "batch", "c": 1, "x": 64, "y": 48}
    path = onnx_file(tmp_path / "file.onnx", shape=tuple(sizes[axis] for axis in axes))
    require_half(fitted(onnx_spec(path, axes=axes), cohort, folder, tmp_path))
    with pytest.raises(Problems, match="letters of bcxy"):
        create(onnx_spec(path, axes="bcx"))


@pytest.mark.parametrize(
    ("factor", "word"),
    [(np.nan, "NaN or inf"), (np.inf, "NaN or inf"), (1e30, "not in HU"), (500.0, "not in HU")],
)
def test_an_onnx_answer_that_is_no_image_is_refused(
    factor: float, word: str, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "file.onnx", factor=factor)
    with pytest.raises(InputError, match=word):
        fitted(onnx_spec(path), cohort, folder, tmp_path).predict(pair(4)[0])


def test_what_is_no_onnx_is_refused(cohort: Cohort, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file.onnx").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="cannot be opened"):
        fitted(onnx_spec(tmp_path / "file.onnx"), cohort, folder, tmp_path)
    with pytest.raises(InputError, match="no ONNX file"):
        fitted(onnx_spec(tmp_path / "none.onnx"), cohort, folder, tmp_path)


# ------------------------------------------------------------------ all


def test_nobody_is_said_to_have_been_seen(cohort: Cohort, folder: Path, tmp_path: Path) -> None:
    translator = fitted(onnx_spec(onnx_file(tmp_path / "half.onnx")), cohort, folder, tmp_path)
    facts = training_facts(translator, cohort, "0" * 64)
    assert facts["patients"] == [] and facts["voxel_hashes"] == [] and facts["sites"] == []


def test_steps_cannot_be_asked_of_a_black_box(cohort: Cohort, folder: Path, tmp_path: Path) -> None:
    translator = fitted(onnx_spec(onnx_file(tmp_path / "half.onnx")), cohort, folder, tmp_path)
    with pytest.raises(InputError, match="cannot be asked"):
        translator.predict(pair(4)[0], asked=Asked(steps=3))
