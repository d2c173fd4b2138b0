"""One rule for names, at every door by which one comes in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from qa_suite.cli import run
from qa_suite.core.cohort import MANIFEST_FILE, load_cohort
from qa_suite.core.errors import Problems, QAError
from qa_suite.core.names import LONGEST_NAME, look_alike, name_problems, plain_name, require_name
from qa_suite.core.store import require_model_name
from qa_suite.io.layouts.importing import import_cohort
from tests.tiny_cohort import make_tiny_cohort

NO_NAMES = {
    "empty": "",
    "blank": "  ",
    "a separator": "a/b",
    "another": "a\\b",
    "a way up": "..",
    "a hidden file": ".case",
    "a line": "a\nb",
    "a tabulator": "a\tb",
    "nul": "a\x00b",
    "a bell": "a\x07b",
    "turned writing": "case\u202e1",
    "isolated writing": "case\u20661\u2069",
    "a mark of direction": "case\u200f1",
    "nothing seen": "a\u200bb",
    "another line": "a\u2028b",
    "a space before": " a",
    "a space that does not break": "a\u00a0b",
    "long": "x" * (LONGEST_NAME + 1),
    "long in bytes": "é" * (LONGEST_NAME // 2 + 1),
    "half a character": "a\ud800",
}
DOORS = (
    "manifest: case", "manifest: site", "manifest: patient", "manifest: cohort",
    "manifest: expected site", "model", "specification", "profile", "import --name",
    "train --name", "instrument --name", "evaluate --name", "lock --name", "utility --name",
    "checkup --case",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "tiny"
    make_tiny_cohort(folder, "tvs")
    return folder


def through(door: str, name: str, tiny: Path, tmp_path: Path) -> None:
    """Bring a name in by a door; raise QAError where it is refused there."""
    kind, _, what = door.partition(": ")
    verb, _, option = door.partition(" ")
    if kind == "manifest":
        data = yaml.safe_load((tiny / MANIFEST_FILE).read_text())
        if what == "cohort":
            data["name"] = name
        elif what == "expected site":
            data["expected_sites"] = [name]
        else:
            data["cases"][0][what] = name
        (tmp_path / MANIFEST_FILE).write_text(yaml.safe_dump(data))
        load_cohort(tmp_path / MANIFEST_FILE, check_files=False)
    elif door == "model":
        require_model_name(name)
    elif door == "specification":
        from translators.spec import load_spec, parse_spec

        data = load_spec("intensity").model_dump(mode="json", exclude_none=True)
        parse_spec(data | {"name": name}, subject="spec.yaml")
    elif door == "profile":
        from qa_suite.judging.criteria import load_profile
        from tests.test_cli import PROFILE

        data = yaml.safe_load(PROFILE)
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(data | {"name": name}))
        load_profile(str(tmp_path / "p.yaml"))
    else:
        command = {
            "import": [str(tmp_path), str(tmp_path / "out")],
            "train": ["intensity", str(tiny)],
            "instrument": ["segmenter", str(tiny)],
            "evaluate": [str(tiny), "--images", str(tiny / "volumes"), "--no-track"],
            "lock": [str(tiny), "--images", str(tiny), "--profile", "descriptive", "--no-track"],
            "utility": [str(tiny), "--images", str(tiny / "volumes")],
            "checkup": ["a.nii.gz", "b.nii.gz", "--against", str(tmp_path)],
        }[verb]
        if run([verb, *command, f"{option}={name}"]) != 2:
            raise AssertionError(f"{door} went on")
        raise QAError("refused")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", NO_NAMES)
def test_what_is_no_name_is_refused_at_every_door(
    tiny: Path, tmp_path: Path, own_store, door: str, kind: str, capsys, monkeypatch
) -> None:
    def expensive(*_, **__):
        raise AssertionError("it went on to the work")

    for place in (
        "qa_suite.cli.checks.check_cases",
        "translators.registry.train._train",
        "qa_suite.instruments.registering._train_and_register",
        "qa_suite.evaluation.evaluate._evaluate",
        "qa_suite.lab.utility.experiment._measure",
        "qa_suite.io.layouts.importing._layout",
    ):
        monkeypatch.setattr(place, expensive)
    name = NO_NAMES[kind]
    if kind == "half a character" and ":" in door + ":" and "--" not in door:
        pytest.skip("no file holds it")
    if door.startswith("import") and name == "":
        pytest.skip("no name is asked for then")
    with pytest.raises(QAError):
        through(door, name, tiny, tmp_path)
    error = capsys.readouterr().err
    if "--" in door:
        told = error.strip().splitlines()[-1]
        assert "name" in told
        assert not any(c in told for c in "\x00\x07\u202e\u2066\u200f\u200b\u2028")


@pytest.mark.parametrize("name", ["A-001", "Übersetzer 2", "p0f3a", "St. Mary's (north)", "病院"])
def test_what_people_call_things_is_a_name(name: str) -> None:
    assert require_name(name, "site") == name


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(Problems) as caught:
        require_name(" .\u202e/" + "x" * 300, "site")
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("kind", NO_NAMES)
def test_a_header_comes_to_a_name(kind: str) -> None:
    if kind != "half a character":
        for longest in (64, LONGEST_NAME):
            found = plain_name(NO_NAMES[kind], longest)
            assert not name_problems(found)
            assert len(found.encode()) <= longest


def test_names_that_a_file_system_takes_for_one_are_refused(tiny: Path, tmp_path: Path) -> None:
    alike = [("Case1", "case1"), ("e\u0301", "é")]
    assert look_alike([*(name for two in alike for name in two), "b"]) == alike
    data = yaml.safe_load((tiny / MANIFEST_FILE).read_text())
    data["cases"][1]["case"] = "CASE1"
    (tmp_path / MANIFEST_FILE).write_text(yaml.safe_dump(data))
    with pytest.raises(Problems, match="case1 and CASE1 are one to some file systems"):
        load_cohort(tmp_path, check_files=False)


def test_a_table_brings_its_sites_in_by_the_same_rule(tiny: Path, tmp_path: Path) -> None:
    files = [f"{tiny}/volumes/case1_{role}.nii.gz" for role in ("source", "reference")]
    table = tmp_path / "pairs.csv"
    table.write_text(f"source,reference,patient,site\n{','.join(files)},one,No\u202erth/East\n")
    cohort = import_cohort(table, tmp_path / "out", key_file=tmp_path / "key")
    assert cohort.sites == ("No rth East",)
