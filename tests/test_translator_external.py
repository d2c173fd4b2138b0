"""The external family: programs, containers and volumes behind the same interface."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.io.images import write_image
from tests.external_cases import fitted, spec
from tests.tiny_cohort import pair
from translators.base import create, load
from translators.families.external.program import ExternalSpec, container_arguments

PROGRAM = """#!{python}
import sys
import SimpleITK as sitk
source, output, gain = sys.argv[1], sys.argv[2], float(sys.argv[3])
image = sitk.ReadImage(source)
sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) * gain - 500.0, output)
"""


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
    again = load(tmp_path / "saved", trust=translator.trust).predict(source)
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


# ------------------------------------------------------------------ all


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
