"""The numbers that the case viewer is given, and who gets them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

from qa_suite.core.errors import InputError
from qa_suite.core.record_files import read_cases
from qa_suite.core.records import CaseRecord
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image
from reports.dashboard.serving import middleware, routes
from reports.dashboard.viewer import shelf
from reports.dashboard.viewer.volumes import (
    NO_NUMBER,
    CaseFiles,
    StoredVolume,
    _on_own_grid,
    stored,
    stored_case,
)
from tests.record_factory import make_record


def values(one: StoredVolume) -> np.ndarray:
    """What the viewer makes of the bytes: x runs fastest."""
    numbers = np.frombuffer(one.content, dtype="<i2").reshape(one.shape, order="F").astype(float)
    numbers[numbers == NO_NUMBER] = np.nan
    return numbers * one.slope + one.intercept


def test_hounsfield_units_arrive_as_they_are() -> None:
    array = np.arange(-1024, 3072, dtype=np.float32)[: 4 * 6 * 8].reshape(4, 6, 8)
    one = stored(array, "HU")
    assert (one.slope, one.intercept, one.digits) == (1.0, 0.0, 0)
    np.testing.assert_array_equal(values(one), array)


@pytest.mark.parametrize("low, high", [(0.0, 78.4), (-3.0, 1e-3), (0.0, 4.0e4), (5.0, 5.0)])
def test_other_values_arrive_to_a_65534th_of_their_range(low: float, high: float) -> None:
    array = np.linspace(low, high, 60).reshape(3, 4, 5)
    one = stored(array)
    assert np.abs(values(one) - array).max() <= max(high - low, 1e-9) / 65534 * 0.51


def test_hounsfield_units_beyond_sixteen_bits_are_scaled_and_not_cut() -> None:
    array = np.array([-1000.0, 0.0, 50_000.0]).reshape(3, 1, 1)
    assert np.abs(values(stored(array, "HU")) - array).max() <= 51_000 / 65534


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_none(bad: float) -> None:
    array = np.array([1.0, bad, -1000.0]).reshape(3, 1, 1)
    found = values(stored(array, "HU")).ravel()
    assert np.isnan(found[1]) and found[0] == 1 and found[2] == -1000


def test_a_dose_on_a_grid_of_its_own_is_read_where_the_images_are() -> None:
    images = Grid(shape=(9, 8, 7), spacing_mm=(2, 2, 3), origin_mm=(-8, 10, 30))
    dose = Volume(
        array=np.random.default_rng(3).uniform(0, 60, (5, 5, 4)).astype(np.float32),
        grid=Grid(shape=(5, 5, 4), spacing_mm=(4, 5, 6), origin_mm=(-7, 9, 31)),
        quantity="Gy",
    )
    one = _on_own_grid(dose, images)
    assert one.start is not None and one.step is not None
    wanted = resample(dose, images, interpolation="linear", outside=np.nan).array
    for voxel in np.argwhere(np.isfinite(wanted)):
        place = np.asarray(one.start) + np.asarray(one.step) * voxel
        world = images.to_world(voxel.astype(float))
        np.testing.assert_allclose(dose.grid.to_world(place), world, atol=1e-9)


def test_a_dose_across_the_images_is_carried_onto_their_grid() -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    images = Grid(shape=(6, 6, 6), spacing_mm=(2, 2, 2))
    across = Grid(
        shape=(9, 9, 9), spacing_mm=(2, 2, 2), origin_mm=(-3, -3, -3),
        direction=(c, -s, 0, s, c, 0, 0, 0, 1),
    )  # fmt: skip
    dose = Volume(array=np.full((9, 9, 9), 2.0, np.float32), grid=across, quantity="Gy")
    one = _on_own_grid(dose, images)
    assert one.start is None and one.shape == images.shape
    assert np.nanmax(np.abs(values(one) - 2.0)) < 1e-3


@pytest.fixture
def case(tmp_path: Path) -> CaseFiles:
    make_record(tmp_path / "one")
    record = next(one for one in read_cases(tmp_path / "one") if "synthetic" in one.volumes)
    files = {role: tmp_path / "one" / "volumes" / name for role, name in record.volumes.items()}
    return CaseFiles(files=tuple(sorted(files.items())), unit="HU", source_unit="a.u.")


def test_a_case_is_given_with_the_values_of_its_files(case: CaseFiles) -> None:
    found = stored_case(case)
    for role in ("reference", "synthetic"):
        image = read_image(dict(case.files)[role], "HU")
        assert image.grid.shape == found.grid.shape
        np.testing.assert_array_equal(values(found.volumes[role]), np.rint(image.array))


def test_a_file_that_is_gone_or_was_changed_is_said(case: CaseFiles) -> None:
    path = dict(case.files)["synthetic"]
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match="is gone; 'qa-suite verify'"):
        stored_case(case)
    path.write_bytes(content[:-20] + b"0" * 20)
    with pytest.raises(InputError, match="is not what it was"):
        stored_case(case)


@dataclass
class Answer:
    """What a browser is answered."""

    status: int
    headers: dict[str, str]
    content: bytes


def get(address: str, host: str = "127.0.0.1") -> Answer:
    """Ask for an address as a browser does, without a server in between."""
    application = Starlette(routes=routes(), middleware=middleware(["127.0.0.1"]))
    scope = {
        "type": "http", "method": "GET", "path": f"/{address}", "raw_path": b"",
        "query_string": b"", "headers": [(b"host", host.encode())], "scheme": "http",
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    content = b"".join(one.get("body", b"") for one in sent[1:])
    return Answer(status=sent[0]["status"], headers=headers, content=content)


def test_who_was_given_an_address_gets_the_volume_as_it_is(case: CaseFiles) -> None:
    address = shelf.SHELF.offer(case, "reference", "mine")
    answer = get(address)
    assert answer.status == 200 and answer.headers["content-encoding"] == "identity"
    assert answer.content == stored_case(case).volumes["reference"].content
    assert shelf.SHELF.offer(case, "reference", "mine") == address
    assert shelf.SHELF.offer(case, "reference", "another's") != address


def test_who_was_given_none_gets_nothing(case: CaseFiles, monkeypatch) -> None:
    assert get(f"{shelf.PATH}/guessed").status == 404
    address = shelf.SHELF.offer(case, "reference", "mine")
    now = shelf.time.monotonic()
    monkeypatch.setattr(shelf.time, "monotonic", lambda: now + shelf.VALID_S + 1)
    answer = get(address)
    assert answer.status == 404 and "load the page again" in answer.content.decode()


def test_a_volume_that_went_meanwhile_is_said_to_the_viewer(case: CaseFiles) -> None:
    address = shelf.SHELF.offer(case, "reference", "mine")
    dict(case.files)["reference"].unlink()
    answer = get(address)
    assert answer.status == 410 and "is gone" in answer.content.decode()


def test_a_page_elsewhere_whose_name_leads_here_reads_nothing(case: CaseFiles) -> None:
    address = shelf.SHELF.offer(case, "reference", "mine")
    refused = get(address, "outside.example")
    assert refused.status == 400 and b"Invalid host" in refused.content


def test_the_shelf_forgets_the_oldest(case: CaseFiles, monkeypatch) -> None:
    monkeypatch.setattr(shelf, "_MOST", 3)
    mine = shelf.Shelf()
    names = [mine.offer(case, "reference", str(n)).rsplit("/")[-1] for n in range(5)]
    assert [mine.find(name) is not None for name in names] == [False, False, True, True, True]


def test_structures_are_kept_with_a_case_and_drawn(tmp_path: Path, monkeypatch) -> None:
    from qa_suite.core.cohort import load_cohort
    from qa_suite.evaluation.kept_volumes import settle
    from qa_suite.io.cases import load_case
    from tests.tiny_cohort import make_tiny_cohort

    make_tiny_cohort(tmp_path / "tiny", "t")
    cohort = load_cohort(tmp_path / "tiny")
    case = cohort.cases[0]
    loaded = load_case(cohort, case, tmp_path / "tiny")
    inside = loaded.source.array > np.median(loaded.source.array)
    monkeypatch.setattr(
        "qa_suite.evaluation.kept_volumes.load_case",
        lambda *_: replace(loaded, structures={"Bone & co": inside}),
    )
    blank = examined(case.case)
    (kept,) = settle([blank], [], cohort, tmp_path / "tiny", tmp_path / "out", policy="all")
    files = {role: tmp_path / "out" / "volumes" / name for role, name in kept.volumes.items()}
    assert "structure:Bone & co" in files
    files |= {"synthetic": files["reference"]}
    found = stored_case(
        CaseFiles(files=tuple(sorted(files.items())), unit="HU", source_unit="a.u.")
    )
    np.testing.assert_array_equal(values(found.volumes["structure:Bone & co"]), inside)


def examined(case: str) -> CaseRecord:
    """A case that was examined, as the journal says it."""
    return CaseRecord(
        case=case, patient="p", site="A", split="test", status="evaluated",
        volumes={"synthetic": "made.nii.gz"},
    )  # fmt: skip
