"""Foreign code is run for nobody who did not give its digest: programs, containers, pyfuncs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.trust import ForeignCode, named_files, read_trust, require_trusted
from qa_suite.evaluation.registered import find_translator, load_translator
from qa_suite.io.cases import load_case
from tests.external_cases import fitted, spec, trusting
from tests.model_registry_cases import put, put_with_digests, untrained
from translators.base import create
from translators.spec import load_spec

SCRIPT = """import pathlib, sys
pathlib.Path({ran!r}).touch()
import SimpleITK as sitk
image = sitk.ReadImage(sys.argv[1])
sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) * 2 - 500.0, sys.argv[2])
"""

PYFUNC = """import pathlib
import mlflow
import numpy as np

pathlib.Path({ran!r}).touch()


class Foreign(mlflow.pyfunc.PythonModel):
    _skip_type_hint_validation = True

    def predict(self, context, model_input, params=None):
        return {{"mean": np.asarray(model_input["source"]) * 2 - 500}}


mlflow.models.set_model(Foreign())
"""


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlruns' / 'mlflow.db'}")
        yield place


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Is there once foreign code was run."""
    return tmp_path / "ran"


@pytest.fixture
def script(tmp_path: Path, ran: Path) -> Path:
    path = tmp_path / "vendor.py"
    path.write_text(SCRIPT.format(ran=str(ran)))
    return path


# ------------------------------------------------------------------ what the digest covers


@pytest.mark.parametrize(
    "word", ["{file}", "--model={file}", "-m{file}", "{other},{file}", "sh -c 'python {file} x'"]
)
def test_every_file_that_a_command_names_is_in_its_digest(word: str, tmp_path: Path) -> None:
    file, other = tmp_path / "a.bin", tmp_path / "b.bin"
    file.write_bytes(b"1")
    other.write_bytes(b"2")
    command = [sys.executable, word.format(file=file, other=other), "{source}"]
    before = named_files(command)
    assert {sys.executable, str(file)} <= set(before)
    file.write_bytes(b"3")
    assert named_files(command) != before


def test_of_a_folder_every_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "weights").write_bytes(b"1")
    assert list(named_files([str(tmp_path)])) == [f"{tmp_path}/inner/weights"]
    monkeypatch.setattr("qa_suite.core.trust._MOST_FILES", 1)
    with pytest.raises(InputError, match="holds more than 1 files"):
        named_files([str(tmp_path)])


@pytest.mark.parametrize("word", ["{output}/../x.py", "{folder}/x.py", "{name}"])
def test_a_command_may_not_lead_from_a_place_to_another_file(word: str) -> None:
    command = [sys.executable, word, "{source}", "{output}"]
    with pytest.raises(Problems, match="leads from a place to another file"):
        create(spec(kind="command", command=command))


@pytest.mark.parametrize("word", ["ab", "sha256:ab", "sha1:" + "a" * 64, "sha256:" + "A" * 64])
def test_what_is_no_digest_is_refused(word: str) -> None:
    with pytest.raises(Problems, match="is no digest"):
        read_trust([word])


def test_the_sentence_says_what_would_be_run_and_how_it_may() -> None:
    code = ForeignCode(digest="sha256:" + "a" * 64, runs="/opt/vendor {source} {output}")
    require_trusted(None, (), who="x")
    require_trusted(code, ("sha256:" + "b" * 64, code.digest), who="x")
    with pytest.raises(InputError) as refused:
        require_trusted(code, ("sha256:" + "b" * 64,), who="models:/x/1")
    said = str(refused.value)
    assert said.startswith("models:/x/1 would run what is no part of this suite: /opt/vendor ")
    assert f"say --trust {code.digest} (given: sha256:{'b' * 64})." in said


# ------------------------------------------------------------------ programs


def command_of(script: Path) -> list[str]:
    return [sys.executable, str(script), "{source}", "{output}"]


def test_a_program_is_bound_and_run_only_by_its_digest(
    script: Path, ran: Path, cohort: Cohort, folder: Path, tmp_path: Path
) -> None:
    made = spec(kind="command", command=command_of(script))
    with pytest.raises(InputError, match=f"would run .*{script}"):
        create(made).fit(cohort, folder, workdir=tmp_path / "w")
    translator = fitted(made, cohort, folder, tmp_path)
    case = load_case(cohort, cohort.in_split("test")[0], folder)
    bound = create(made)
    bound.set_weights(translator.weights())
    with pytest.raises(InputError, match=f"say --trust {translator.trust[0]}"):
        bound.predict(case.source)
    assert not ran.exists()
    found = translator.predict(case.source)
    assert ran.exists() and found.mean.grid == case.source.grid
    script.write_text(script.read_text() + "# changed\n")
    bound.trust = trusting(made).trust  # who trusts what lies there now has another program
    with pytest.raises(InputError, match=r"vendor\.py is not the program that was registered"):
        bound.predict(case.source)


def test_a_container_is_run_only_by_the_digest_of_its_image(cohort: Cohort, folder: Path) -> None:
    def made(digit: str) -> str:
        image = "vendor/sct@sha256:" + digit * 64
        block = {"kind": "container", "image": image, "command": ["{source}", "{output}"]}
        code = create(spec(**block)).foreign_code()
        assert code is not None and image in code.runs
        return code.digest

    assert made("a") != made("b")


def test_the_command_asks_for_trust_before_anything_and_the_record_notes_it(
    script: Path, ran: Path, cohort: Cohort, folder: Path, tmp_path: Path, capsys
) -> None:
    made = spec(kind="command", command=command_of(script))
    path = tmp_path / "vendor.yaml"
    path.write_text(json.dumps(made.model_dump(mode="json", exclude_none=True)))
    (digest,) = trusting(made).trust
    train = ["train", str(path), str(folder), "--work", str(tmp_path / "work"), "--no-preflight"]
    assert run(train) == 2
    assert f"--trust {digest}" in capsys.readouterr().err and not ran.exists()
    assert run([*train, "--trust", digest]) == 0
    uri = capsys.readouterr().out.split()[-1]
    ran.unlink()
    out = str(tmp_path / "out")
    for verb in (
        ["evaluate", str(folder), uri, "--out", out],
        ["lock", str(folder), uri, "--profile", "demo-pelvis", "--out", out],
        ["translate", uri, str(folder), out],
        ["utility", str(folder), uri, "--out", out],
        ["train", "--from", uri, "--cohort", str(folder)],
    ):
        assert run(verb) == 2, verb
        told = capsys.readouterr().err
        assert f"--trust {digest}" in told and str(script) in told, verb
    assert not ran.exists() and not Path(out).exists()
    facts, translate = load_translator(uri, trust=(digest,))
    assert facts.trusted is not None and facts.trusted.digest == digest
    assert facts.announced == (f"Foreign code was run ({digest}): {facts.trusted.runs}.",)
    translate(load_case(cohort, cohort.in_split("test")[0], folder))
    assert ran.exists()


def test_an_edited_specification_runs_no_shell(tmp_path: Path, ran: Path) -> None:
    """Neither where its digest is known, nor in a version from before digests were kept."""
    folder = untrained(tmp_path / "model", load_spec("intensity"))
    uri = put_with_digests(folder, "edited")
    shell = spec(kind="command", command=["/bin/sh", "-c", f"touch {ran} {{source}} {{output}}"])
    path = folder / "artifacts" / "translator" / "spec.json"
    path.write_text(json.dumps(shell.model_dump(mode="json")))
    with pytest.raises(InputError, match=r"spec\.json has the SHA-256"):
        find_translator(uri)
    (folder / "wheels" / "one.whl").unlink()
    (folder / "wheels").rmdir()
    with pytest.raises(InputError, match=r"would run .* /bin/sh -c touch"):
        find_translator(put(folder, "edited-then"))
    assert not ran.exists()


# ------------------------------------------------------------------ foreign pyfuncs


@pytest.fixture
def pyfunc(tmp_path: Path, ran: Path) -> Path:
    import mlflow

    facts = untrained(tmp_path / "own", load_spec("intensity")) / "artifacts" / "translator"
    training = tmp_path / "training.json"
    training.write_text((facts / "training.json").read_text())
    code = tmp_path / "foreign.py"
    code.write_text(PYFUNC.format(ran=str(ran)))
    folder = tmp_path / "pyfunc"
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(code),
        artifacts={"training": str(training)},
        pip_requirements=["mlflow"],
    )
    ran.unlink(missing_ok=True)  # saving runs it
    return folder


def test_a_foreign_pyfunc_is_loaded_only_by_the_digest_of_its_whole_artifact(
    pyfunc: Path, ran: Path, cohort: Cohort, folder: Path
) -> None:
    uri = put(pyfunc, "foreign")
    with pytest.raises(InputError, match=r"the pyfunc of models:/foreign/1 \(foreign\.py") as told:
        load_translator(uri)
    digest = str(told.value).rstrip(".").split("--trust ")[1]
    assert not ran.exists()
    facts, translate = load_translator(uri, trust=(digest,))
    assert ran.exists() and facts.trusted is not None and facts.trusted.digest == digest
    case = load_case(cohort, cohort.in_split("test")[0], folder)
    found = translate(case).mean.array
    np.testing.assert_allclose(found, case.source.array * 2 - 500, rtol=1e-5)
    ran.unlink()
    for path in (pyfunc / "MLmodel", pyfunc / "foreign.py", pyfunc / "artifacts" / "training.json"):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        with pytest.raises(InputError, match="would run what is no part of this suite"):
            find_translator(uri, trust=(digest,))
        path.write_bytes(before)
    assert not ran.exists()
