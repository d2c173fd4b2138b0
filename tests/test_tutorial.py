"""The tutorial: its commands run, one after the other, on scans as a newcomer has them."""

import shutil
from pathlib import Path

import pytest

from qa_suite.cli import run
from tests.test_readme import ROOT, blocks

PAGE = ROOT / "docs" / "tutorial.md"


def scans(folder: Path) -> None:
    """Write ten pairs of two sites as a clinic might, with the tutorial's table."""
    made = "phantom made --patients 5 --hospitals A,B --spacing-mm 10,10,12 --split test=1"
    assert run(made.split()) == 0
    rows = ["source,reference,patient,site"]
    for case in sorted(Path("made/volumes").iterdir()):
        place = folder / case.name
        place.mkdir(parents=True)
        shutil.copy(case / "source.nii.gz", place / "mr.nii.gz")
        shutil.copy(case / "reference.nii.gz", place / "ct.nii.gz")
        site = {"A": "North", "B": "South"}[case.name[0]]
        rows.append(f"{case.name}/mr.nii.gz,{case.name}/ct.nii.gz,{case.name},{site}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    header = PAGE.read_text().split("```csv\n")[1].splitlines()[0]
    assert header == rows[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_of_the_tutorial_run(own_store, capsys):
    scans(Path("scans"))
    steps = blocks(PAGE, "run")
    assert [lines[0][1] for lines, _ in steps] == [
        "import",
        "preflight",
        "train",
        "evaluate",
        "judge",
        "report",
    ]
    for lines, statuses in steps:
        for words in lines:
            assert words[0] == "qa-suite"
            assert run(words[1:]) in statuses, (words, capsys.readouterr().err)
    assert Path("evaluations/first/report.html").is_file()
    assert Path("clinic.key").is_file()
