"""The public functions: what ``qa_suite`` offers, from files and volumes, with known answers."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qa_suite
from qa_suite import dvh, evaluate, gamma, judge, load_cohort, measure
from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.record_files import read_measurements
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image
from tests.rt_factory import write_dose
from tests.tiny_cohort import make_tiny_cohort, pair

PUBLIC = {"load_cohort", "evaluate", "judge", "gamma", "dvh", "measure"}
GRID = Grid(shape=(20, 12, 10), spacing_mm=(2.0, 2.0, 2.0))


def dose(values: np.ndarray) -> Volume:
    return Volume(array=values.astype(np.float32), grid=GRID, quantity="Gy")


def ramp() -> np.ndarray:
    """Dose of 1 Gy a voxel along x: 40 Gy in voxel 0, 59 Gy in voxel 19."""
    return np.broadcast_to(40.0 + np.arange(20.0)[:, None, None], GRID.shape).copy()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    make_tiny_cohort(folder / "cohort", "ttvss")
    return folder


# What there is


def test_the_public_names_are_exactly_these():
    assert set(qa_suite.__all__) == PUBLIC
    assert set(dir(qa_suite)) >= PUBLIC
    for name in PUBLIC:
        assert callable(getattr(qa_suite, name))
    with pytest.raises(AttributeError, match="it offers dvh, evaluate"):
        qa_suite.gama  # noqa: B018


def test_the_stub_for_type_checkers_offers_the_same():
    stub = Path(qa_suite.__file__).with_suffix(".pyi").read_text()
    names: dict[str, object] = {}
    exec(stub, names)
    assert names["__all__"] == qa_suite.__all__
    for name in PUBLIC:
        assert names[name] is getattr(qa_suite, name)


def test_packages_say_that_they_are_typed():
    for package in ("qa_suite", "translators", "reports"):
        assert (Path(qa_suite.__file__).parent.parent / package / "py.typed").is_file()


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, qa_suite\n"
        "heavy = {'torch','mlflow','monai','numba','pandas','numpy','scipy','pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_function_says_its_parameters_results_and_example(name):
    function = getattr(qa_suite, name)
    text = inspect.getdoc(function) or ""
    for part in ("Parameters\n---", "Returns\n---", "Raises\n---", "Examples\n---"):
        assert part in text, part
    for parameter in inspect.signature(function).parameters:
        assert parameter in text, parameter


@pytest.mark.parametrize("name", ["evaluate", "gamma", "dvh", "measure"])
def test_keywords_are_the_options_of_the_verb_of_the_same_name(name):
    """Messages name options; each is a keyword of the same name."""
    import typer

    from qa_suite.api.doses import DoseSaid
    from qa_suite.cli import app

    verb = typer.main.get_command(app).commands[name]
    said = {word for parameter in verb.params for word in parameter.opts}
    options = {word.removeprefix("--").replace("-", "_") for word in said}
    function = getattr(qa_suite, name)
    keywords = {
        key
        for key, one in inspect.signature(function).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY and key != "progress"
    }
    if name in ("gamma", "dvh"):
        keywords |= set(DoseSaid.__annotations__)
    assert keywords <= options, keywords - options


# Gamma


def test_gamma_of_a_ramp_raised_by_the_criterion():
    """A dose raised by 3 % of the maximum everywhere: 1.77 Gy.

    On a ramp of 0.5 Gy/mm the nearest point of the surface lies closer than straight above:
    gamma = 1 / sqrt(1 + (0.5 / (1.77 / 2))²) for 3 %/2 mm, away from the ends of the ramp.
    """
    low = ramp()
    found = gamma(dose(low), dose(low + 0.03 * 59), "3%/2mm")
    expected = 1 / np.sqrt(1 + (0.5 * 2 / 1.77) ** 2)
    np.testing.assert_allclose(found.values[6:14, 5, 5], expected, rtol=1e-4)
    assert found.pass_rate().share_pct == 100.0
    half = gamma(dose(low), dose(low + 0.03 * 59), "1.5%/1mm")
    assert half.pass_rate().share_pct == 0.0


def test_gamma_of_files_of_two_kinds_and_several_criteria(tmp_path):
    write_image(dose(ramp()), tmp_path / "a.nii.gz")
    same, strict = gamma(str(tmp_path / "a.nii.gz"), dose(ramp()), ["3%/3mm", "1 % / 1 mm"])
    assert same.pass_rate().share_pct == strict.pass_rate().share_pct == 100.0
    assert (same.criterion.key, strict.criterion.key) == ("3pct3mm", "1pct1mm")


def test_gamma_refuses_what_it_cannot_use():
    one = dose(ramp())
    with pytest.raises(InputError, match="several as a list"):
        gamma(one, one, "3%/3mm,2%/2mm")
    with pytest.raises(InputError, match="not of the form percent/mm"):
        gamma(one, one, "3mm")
    with pytest.raises(InputError, match="summation speaks of dose files"):
        gamma(one, one, summation="beam")
    with pytest.raises(Problems, match="mode"):
        gamma(one, one, mode="fast")


def test_what_is_said_of_a_dose_file_is_heard(tmp_path):
    write_dose(tmp_path / "beam.dcm", np.full((4, 4, 4), 2.0), DoseSummationType="BEAM")
    with pytest.raises(InputError, match=r"--summation beam"):
        gamma(tmp_path / "beam.dcm", tmp_path / "beam.dcm")
    found = gamma(tmp_path / "beam.dcm", tmp_path / "beam.dcm", summation="beam")
    assert found.pass_rate().share_pct == 100.0


# DVH


def test_dvh_of_half_a_ramp(tmp_path):
    """Voxels 10 to 19 get 50 to 59 Gy, so the mean is 54.5 Gy, and half of it 54.5 Gy or more."""
    mask = np.zeros(GRID.shape, dtype=np.int32)
    mask[10:] = 1
    volume = Volume(array=mask, grid=GRID, quantity="label")
    write_image(volume, tmp_path / "half.nii.gz")
    for structure in (volume, tmp_path / "half.nii.gz", str(tmp_path / "half.nii.gz")):
        found = dvh(dose(ramp()), structure)
        assert found.volume_cc == pytest.approx(10 * 12 * 10 * 0.008)
        assert found.mean_gy == pytest.approx(54.5, abs=0.05)
        assert found.dose_at_volume_pct(50) == pytest.approx(54.5, abs=0.05)
        assert found.volume_at_dose_gy(50.0)[0] == pytest.approx(95.0, abs=0.5)


def test_dvh_of_several_structures_needs_a_name():
    labels = np.ones(GRID.shape, dtype=np.int32)
    labels[10:] = 2
    volume = Volume(array=labels, grid=GRID, quantity="label")
    with pytest.raises(InputError, match="holds 2 structures; name one: 1, 2"):
        dvh(dose(ramp()), volume)
    assert dvh(dose(ramp()), volume, "2").mean_gy == pytest.approx(54.5, abs=0.05)
    with pytest.raises(InputError, match="Unknown structure '7'"):
        dvh(dose(ramp()), volume, "7")
    with pytest.raises(InputError, match="no structures at"):
        dvh(dose(ramp()), "absent.dcm")


# Measures


def test_measure_of_a_known_error(tmp_path):
    """Fresh noise and 20 HU too much everywhere: the mean error is 20 HU."""
    _, reference, mask = pair(1)
    _, again, _ = pair(1, scan=8)
    synthetic = again.with_array(again.array + np.float32(20))
    write_image(reference, tmp_path / "ct.nii.gz")
    of_files = measure(tmp_path / "ct.nii.gz", synthetic, mask, families=["image"])
    table = measure(reference, synthetic, mask, families=["image"])
    assert table.equals(of_files)
    (row,) = table[(table.metric == "me") & (table.region == "body")].itertuples()
    assert row.value == pytest.approx(20.0, abs=0.5)
    assert (row.unit, row.status, row.case) == ("HU", "ok", "synthetic")


def test_measure_warns_of_a_pair_that_is_too_good():
    _, reference, mask = pair(1)
    rng = np.random.default_rng(3)
    close = reference.with_array(
        (reference.array + rng.normal(0, 0.5, reference.array.shape)).astype(np.float32)
    )
    with pytest.warns(UserWarning, match="TOO GOOD TO BE TRUE"):
        measure(reference, close, mask, families=["segmentation"])


def test_measure_refuses_what_it_cannot_use():
    _, reference, mask = pair(1)
    signal, _, _ = pair(1, scan=9)
    with pytest.raises(InputError, match="the synthetic holds arbitrary and the reference HU"):
        measure(reference, signal, mask)
    with pytest.raises(InputError, match="the mask is a mask of zeros"):
        measure(reference, reference, mask.with_array(0 * mask.array))
    with pytest.raises(UnknownName, match="imag"):
        measure(reference, pair(1, scan=8)[1], mask, families=["imag"])


# Cohorts, evaluations, verdicts


def test_cohort_evaluation_verdict_in_three_lines(files, tmp_path):
    cohort = load_cohort(files / "cohort")
    images = tmp_path / "synthetic"
    for case in cohort.in_split("test"):
        number = int(case.case.removeprefix("case"))
        synthetic = pair(number, scan=8)[1]
        write_image(
            synthetic.with_array(synthetic.array + np.float32(20)), images / f"{case.case}.nii.gz"
        )
    record = evaluate(cohort, images, out=tmp_path / "record", name="vendor")
    verdict = judge(tmp_path / "record", "mr-to-ct-pelvis")

    assert (cohort.name, cohort.folder, len(cohort.cases)) == ("tiny", files / "cohort", 5)
    assert (record.model.name, record.case_counts["held_out"]) == ("vendor", 2)
    table = read_measurements(tmp_path / "record")
    errors = table[(table.metric == "me") & (table.region == "body")].value
    assert list(errors) == pytest.approx([20.0, 20.0], abs=0.5)
    assert verdict.outcome in ("inconclusive", "fail")
    assert evaluate(files / "cohort", images, out=tmp_path / "record", name="vendor") == record


def test_evaluate_refuses_what_it_cannot_use(files, tmp_path):
    where = {"out": tmp_path / "never"}
    with pytest.raises(InputError, match="neither models:/NAME/VERSION nor an oracle nor a folder"):
        evaluate(files / "cohort", "play", **where)
    with pytest.raises(Problems, match="split"):
        evaluate(files / "cohort", files, split="tests", **where)
    with pytest.raises(Problems, match="workers must be at least 1, got 0"):
        evaluate(files / "cohort", files, workers=0, **where)
    with pytest.raises(InputError, match="no cohort manifest at"):
        load_cohort(tmp_path)
    with pytest.raises(UnknownName, match="mr-to-ct-pelvis"):
        judge(tmp_path, "mr-to-ct-pelvs")
    assert not (tmp_path / "never").exists()


def test_the_examples_of_the_page_run(files, tmp_path, monkeypatch, capsys):
    (tmp_path / "cohorts").mkdir()
    (tmp_path / "cohorts/play").symlink_to(files / "cohort")
    monkeypatch.chdir(tmp_path)
    _, reference, mask = pair(4)
    images = {"ct": reference, "synthetic": pair(4, scan=8)[1], "body": mask}
    for number in (4, 5):
        images[f"synthetic/case{number}"] = pair(number, scan=8)[1]
    labels = np.zeros(GRID.shape, dtype=np.int32)
    labels[5:] = 1
    images["rectum"] = Volume(array=labels, grid=GRID, quantity="label")
    images |= {"dose_ct": dose(ramp()), "dose_synthetic": dose(1.01 * ramp())}
    for name, volume in images.items():
        write_image(volume, Path(f"{name}.nii.gz"))
    page = (Path(qa_suite.__file__).parent.parent / "docs/api.md").read_text()
    names: dict[str, object] = {}
    for block in page.split("```python\n")[1:]:
        exec(block.split("```")[0], names)
    printed = capsys.readouterr().out
    assert "PassRate(share_pct=100.0" in printed
    assert "undecided" in printed or "fail" in printed.lower()
