"""Short trials of what `make campaign` does at length: a killed command, repeated, is whole."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.campaign.dying import Death, in_process
from tests.campaign.run import _fault, deaths
from tests.campaign.verbs import VERBS
from tests.tiny_cohort import make_tiny_cohort

ROLES = ("source", "reference")
IMPORT = next(verb for verb in VERBS if verb.name == "import")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an import reads: two pairs, and the key of the pseudonyms."""
    folder = tmp_path_factory.mktemp("campaign") / "material"
    make_tiny_cohort(folder / "tiny", "tt")
    files = [f"tiny/volumes/case{n}_{role}.nii.gz" for n in (1, 2) for role in ROLES]
    rows = [f"{files[0]},{files[1]},one,A", f"{files[2]},{files[3]},two,B"]
    (folder / "pairs.csv").write_text("\n".join(["source,reference,patient,site", *rows]) + "\n")
    (folder / "key").write_bytes(b"0" * 64)
    return folder


def test_an_import_that_is_killed_at_any_rename_is_repeated_whole(
    material: Path, tmp_path: Path
) -> None:
    """Its patients were once dealt into sets by a second writing of the manifest."""
    alone = Path(shutil.copytree(material, tmp_path / "alone"))
    ended = in_process(lambda: IMPORT.run(alone), log=alone / "log.txt")
    assert ended.status == 0
    wanted = IMPORT.outcome(alone)
    assert any("split: train" in line for line in wanted["manifest"])
    for number in range(1, ended.renames + 1):
        place = Path(shutil.copytree(material, tmp_path / str(number)))
        death = Death(number=number, side="after")
        killed = in_process(lambda: IMPORT.run(place), death, log=place / "log.txt")  # noqa: B023
        assert killed.status == -9 and killed.renames == number
        again = in_process(lambda: IMPORT.run(place), log=place / "log.txt")  # noqa: B023
        assert _fault(IMPORT, place, again.status, wanted) == ""


def test_a_fault_that_is_planted_is_found(material: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(material, tmp_path / "one"))
    assert in_process(lambda: IMPORT.run(place), log=place / "log.txt").status == 0
    wanted = IMPORT.outcome(place)
    manifest = place / "out" / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("split: train", "split: test"))
    assert "manifest" in _fault(IMPORT, place, 2, wanted)


def test_every_rename_is_died_at_from_both_sides() -> None:
    asked = list(deaths(5, 1.0, 30, random.Random(1)))
    renames = [(one.number, one.side) for one in asked if one.number]
    assert renames == [(n, side) for n in range(1, 6) for side in ("before", "after")]
    assert len(asked) == 30 and all(0 < one.seconds <= 1 for one in asked if not one.number)
