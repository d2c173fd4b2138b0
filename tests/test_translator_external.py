"""The external family: black boxes behind the same interface, bound to what was registered."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.io.images import write_image
from tests.tiny_cohort import pair
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.families.external.program import ExternalSpec, container_arguments
from translators.registry.registering import training_facts
from translators.spec import TranslatorSpec, parse_spec

PROGRAM = """#!{python}
import sys
import SimpleITK as sitk
source, output, gain = sys.argv[1], sys.argv[2], float(sys.argv[3])
image = sitk.ReadImage(source)
sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) * gain - 500.0, output)
"""


def spec(**external: object) -> TranslatorSpec:
    blocks = {
        name: external.pop(name)
        for name in ("network", "inference", "working_spacing_mm")
        if name in external
    }
    data = {
        "family": "external",
        "name": "vendor",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "external": external,
        **blocks,
    }
    return parse_spec(data, subject="vendor")


def fitted(made: TranslatorSpec, cohort: Cohort, folder: Path, tmp_path: Path) -> Translator:
    translator = create(made)
    translator.fit(cohort, folder, workdir=tmp_path / "work")
    return translator


# ------------------------------------------------------------------ programs


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "vendor"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("file_format", ["nifti", "mha"])
def test_a_program_is_asked_by_files_and_answers_on_the_same_grid(
    program: Path, cohort: Cohort, folder: Path, tmp_path: Path, file_format: str
) -> None:
    made = spec(
        kind="command", command=[str(program), "{source}", "{output}", "2"], file_format=file_format
    )
    translator = fitted(made, cohort, folder, tmp_path)
    source, _, _ = pair(4)
    found = translator.predict(source)
    assert found.mean.grid is source.grid and found.mean.quantity == "HU"
    np.testing.assert_allclose(found.mean.array, 2 * source.array - 500, rtol=1e-5, atol=1e-3)
    translator.save(tmp_path / "saved")
    again = load(tmp_path / "saved").predict(source)
    np.testing.assert_array_equal(again.mean.array, found.mean.array)


def test_a_program_that_changed_is_refused(
    program: Path, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    made = spec(kind="command", command=[str(program), "{source}", "{output}", "2"])
    translator = fitted(made, cohort, folder, tmp_path)
    program.write_text(program.read_text() + "# version 2\n")
    with pytest.raises(InputError, match="is not the program that was registered"):
        translator.predict(pair(4)[0])


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import sys; sys.exit('licence expired')", "exit status 1: licence expired"),
        ("pass", "wrote no output.nii.gz"),
        ("import time; time.sleep(30)", "did not end within 0.5 s"),
    ],
    ids=["fails", "writes nothing", "hangs"],
)
def test_a_program_that_fails_says_so(
    code: str, word: str, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    made = spec(
        kind="command",
        command=[sys.executable, "-c", code, "{source}", "{output}"],
        timeout_s=0.5 if "sleep" in code else 60,
    )
    translator = fitted(made, cohort, folder, tmp_path)
    with pytest.raises(InputError, match=word):
        translator.predict(pair(4)[0])


def test_an_answer_on_another_grid_or_with_nan_is_refused(
    cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    head = "import sys; import SimpleITK as s; i = s.ReadImage(sys.argv[1]); "
    for change, word in (
        ("i = i[1:, :, :]", "another grid"),
        ("i = s.Cast(i, s.sitkFloat32) / 0.0 * 0.0", "NaN or inf"),
    ):
        code = head + change + "; s.WriteImage(i, sys.argv[2])"
        made = spec(kind="command", command=[sys.executable, "-c", code, "{source}", "{output}"])
        with pytest.raises(QAError, match=word):
            fitted(made, cohort, folder, tmp_path).predict(pair(4)[0])


def test_a_program_that_is_not_there(cohort: Cohort, folder: Path, tmp_path: Path) -> None:
    made = spec(kind="command", command=["no-such-program", "{source}", "{output}"])
    with pytest.raises(InputError, match="no program 'no-such-program'"):
        fitted(made, cohort, folder, tmp_path)


@pytest.mark.parametrize("engine", ["docker", "apptainer"])
def test_a_container_runs_without_a_network_on_its_own_folder(
    engine: str, cohort: Cohort, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in engine does what the container would, and notes how it was called."""
    engines = tmp_path / "bin"
    engines.mkdir()
    stand_in = engines / engine
    stand_in.write_text(
        f"#!{sys.executable}\n"
        "import sys, shutil, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'called')!r}).write_text(' '.join(sys.argv[1:]))\n"
        "mount = next(a for a in sys.argv if a.endswith(':/data')).removesuffix(':/data')\n"
        "ends = [a.replace('/data', mount) for a in sys.argv if a.startswith('/data/')]\n"
        "shutil.copy(*ends)\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engines}:/usr/bin:/bin")
    image = "vendor/sct@sha256:" + "a" * 64
    made = spec(
        kind="container", engine=engine, image=image, command=["translate", "{source}", "{output}"]
    )
    translator = fitted(made, cohort, folder, tmp_path)
    mr, ct, _ = pair(4)
    source = mr.with_array(ct.array)  # the stand-in copies, and an MR cannot be HU
    np.testing.assert_array_equal(translator.predict(source).mean.array, source.array)
    with pytest.raises(InputError, match="vendor answered with what cannot be HU"):
        translator.predict(mr)
    called = (tmp_path / "called").read_text()
    assert "--network none" in called and image in called
    assert translator.weights()["image"].tobytes().decode() == image
    arguments = container_arguments(made.external or ExternalSpec(kind="container"))
    assert arguments[0] == engine and arguments[-3:] == ["translate", "{source}", "{output}"]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_that_takes_too_long_is_ended_by_its_engine(
    engine: str, cohort: Cohort, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending the client does not end what a service runs; so the engine is told to."""
    stand_in = tmp_path / "bin" / engine
    stand_in.parent.mkdir()
    stand_in.write_text(
        f"#!{sys.executable}\nimport sys, time\n"
        f"open({str(tmp_path)!r} + '/' + sys.argv[1], 'w').write(' '.join(sys.argv))\n"
        "time.sleep(60 if sys.argv[1] == 'run' else 0)\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:/usr/bin:/bin")
    made = spec(
        kind="container",
        engine=engine,
        image="vendor/sct@sha256:" + "a" * 64,
        command=["{source}", "{output}"],
        timeout_s=1.5,
    )
    with pytest.raises(InputError, match=r"did not end within 1\.5 s"):
        fitted(made, cohort, folder, tmp_path).predict(pair(4)[0])
    run, ended = ((tmp_path / verb).read_text().split() for verb in ("run", "rm"))
    assert ended[1:3] == ["rm", "--force"]
    assert ended[3] == run[run.index("--name") + 1]


# ------------------------------------------------------------------ finished volumes


def test_finished_volumes_are_found_by_the_source_image(
    cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    from qa_suite.io.cases import load_case

    finished = tmp_path / "finished"
    case = cohort.in_split("test")[0]
    loaded = load_case(cohort, case, folder)
    assert loaded.reference is not None
    write_image(loaded.reference, finished / f"{case.case}.nii.gz")
    made = spec(kind="folder", path=str(finished))
    translator = fitted(made, cohort, folder, tmp_path)
    found = translator.predict(loaded.source)
    np.testing.assert_array_equal(found.mean.array, loaded.reference.array)
    other = load_case(cohort, cohort.in_split("train")[0], folder)
    with pytest.raises(InputError, match="No finished volume"):
        translator.predict(other.source)
    write_image(loaded.source, finished / f"{case.case}.nii.gz")
    with pytest.raises(InputError, match="not the finished volume that was registered"):
        translator.predict(loaded.source)


def test_a_folder_without_a_volume_of_the_cohort(
    cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no folder of finished volumes"):
        fitted(spec(kind="folder", path=str(tmp_path / "none")), cohort, folder, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="files are named by case"):
        fitted(spec(kind="folder", path=str(tmp_path / "empty")), cohort, folder, tmp_path)


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


@pytest.mark.parametrize(
    ("external", "words"),
    [
        ({"kind": "command"}, ["needs 'command'"]),
        ({"kind": "command", "command": ["a"]}, [r"no place \{source\}", r"no place \{output\}"]),
        (
            {"kind": "container", "command": ["{source}", "{output}"], "image": "vendor:latest"},
            ["named with its digest"],
        ),
        ({"kind": "onnx"}, ["needs 'path'", "needs 'network'", "needs 'inference'"]),
        ({"kind": "folder"}, ["needs 'path'"]),
    ],
)
def test_every_lack_of_a_specification_is_named(external: dict, words: list[str]) -> None:
    for word in words:
        with pytest.raises(Problems, match=word):
            create(spec(**external))


def test_one_not_registered_answers_nothing() -> None:
    with pytest.raises(QAError, match="not registered yet"):
        create(spec(kind="folder", path="x")).predict(pair(4)[0])
