"""A reviewer's way through the dashboard in a browser: from a link to what stands in the log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qa_suite.core.examination_log import log_beside, read_log
from qa_suite.core.record_files import read_cases, read_evaluation
from qa_suite.core.resampling import resample
from qa_suite.core.review_queue import items_of, read_queue
from qa_suite.core.volume import canonical
from qa_suite.evaluation.tracking import log_evaluation
from qa_suite.io.images import read_image
from tests.chromium import FLAGS, chromium, free_port, wait_for
from tests.conftest import ROOT
from tests.dashboard_pages import store_in
from tests.dose_record_factory import KEPT, make_dose_record

pytestmark = pytest.mark.browser
OWN_OF_STREAMLIT = re.compile(r"_stcore/(health|host-config)")
"""What Streamlit asks for below a page's own address before it asks at the right one."""


@dataclass
class Clinic:
    """A dashboard that serves, its page in a browser, and what went wrong in it."""

    evaluation: Path
    address: str
    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: str, shown: str) -> None:
        self.page.goto(f"{self.address}/{path}")
        self.page.get_by_text(shown).first.wait_for(timeout=60_000)

    def shot(self, name: str) -> None:
        """Take a picture of the page, which is not blank, and keep it where somebody asks."""
        picture = self.page.screenshot()
        colours = np.unique(np.asarray(Image.open(BytesIO(picture)).convert("L")))
        assert len(colours) > 30, f"{name} is blank"
        if folder := os.environ.get("QA_SUITE_SCREENSHOTS"):
            (Path(folder) / f"{name}.png").write_bytes(picture)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path) -> Iterator[Clinic]:
    executable = chromium()
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("clinic")
    (home / "mlruns").mkdir()
    shutil.copy(_empty_database, home / "mlruns" / "mlflow.db")
    environment = {
        **os.environ, "MLFLOW_TRACKING_URI": store_in(home), "PYTHONPATH": str(ROOT),
        "HOME": str(home), "BROWSER": "true",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_in(home))
        sites = {"A": 3, "B": 1, "C": 1}
        make_dose_record(home / "evaluations" / "new", patients_by_site=sites)
        make_dose_record(home / "evaluations" / "old", patients_by_site=sites, kind="baseline")
        log_evaluation(home / "evaluations" / "new")
    port = free_port()
    words = ["dashboard", "--port", str(port), "--local-reviewer", "Ada Example"]
    server = subprocess.Popen(  # no --headless, and a terminal that says nothing: a first start
        [sys.executable, "-m", "qa_suite.cli", *words],
        cwd=home, env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port, server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.set_default_timeout(30_000)
            found = Clinic(home / "evaluations" / "new", f"http://127.0.0.1:{port}", page)
            page.on("request", lambda r: found.outside.append(r.url))
            page.on("console", lambda m: m.type == "error" and found.errors.append(_said(m)))
            page.on("pageerror", lambda error: found.errors.append(str(error)))
            yield found
            browser.close()
    finally:
        server.terminate()
        server.communicate(timeout=60)


def _said(message: Any) -> str:
    return f"{message.text} {message.location.get('url', '')}"


def test_from_a_link_to_the_worst_case_and_its_values(clinic: Clinic) -> None:
    page, name = clinic.page, read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open("", "Worst finding")
    clinic.shot("overview")
    page.get_by_label("Search").fill("pelvis")
    page.locator('table[aria-label="Evaluations"] a[href*="readiness"]').first.wait_for()
    clinic.open(f"readiness?evaluation={name}", "The findings that decide")
    assert page.locator(".verdict b").inner_text().split()[-1] in ("Fail", "Inconclusive", "Pass")
    clinic.shot("readiness")
    clinic.open(f"cases?evaluation={name}", "every patient")
    clinic.shot("cases")
    page.locator('table[aria-label="Cases"] a', has_text="look").first.click()
    viewer = page.get_by_test_id("case-viewer")
    viewer.locator(".status", has_text="Reference").wait_for()
    assert "/case?" in page.url
    clinic.open(f"case?evaluation={name}&case={KEPT}", "Place (LPS)")
    viewer.locator(".status", has_text="Dose on synthetic").wait_for()
    clinic.shot("case")
    canvas = viewer.locator('canvas[data-pane="reference-axial"]')
    canvas.hover()
    page.mouse.wheel(0, 100)
    page.wait_for_url(re.compile("voxel="))
    asked = re.search(r"voxel=(\d+)%2C(\d+)%2C(\d+)", page.url)
    assert asked
    said = viewer.locator(".status").inner_text()
    for title, wanted, most in values_at(clinic.evaluation, [int(n) for n in asked.groups()]):
        shown = float(re.search(rf"{title} \+?([−\d.]+)", said)[1].replace("−", "-"))
        assert abs(shown - wanted) <= most, (title, shown, wanted)
    page.get_by_text("Dose-volume histograms").wait_for()
    assert page.locator("img.dvh").evaluate("e => e.naturalWidth") > 0


def values_at(evaluation: Path, voxel: list[int]) -> list[tuple[str, float, float]]:
    """Title, value and rounding of what the viewer says at a voxel, read by other means."""
    record = next(one for one in read_cases(evaluation) if one.case == KEPT)
    paths = {role: evaluation / "volumes" / name for role, name in record.volumes.items()}
    reference = canonical(read_image(paths["reference"], "HU"))
    synthetic = canonical(read_image(paths["synthetic"], "HU"))
    key = next(role.split("@")[1] for role in sorted(paths) if role.startswith("dose_reference@"))
    dose = read_image(paths[f"dose_reference@{key}"], "Gy")
    gy = resample(dose, reference.grid, interpolation="linear", outside=np.nan).array
    at = tuple(voxel)
    one, two = float(reference.array[at]), float(synthetic.array[at])
    return [
        ("Reference", one, 0.51),
        ("Synthetic", two, 0.51),
        ("difference", two - one, 1.01),
        *([("Dose on reference", float(gy[at]), 0.06)] if np.isfinite(gy[at]) else []),
    ]


def test_the_planes_are_linked_and_turned_by_keys(clinic: Clinic) -> None:
    page, name = clinic.page, read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open(f"case?evaluation={name}&case={KEPT}&voxel=3,3,3", "Place (LPS)")
    viewer = page.get_by_test_id("case-viewer")
    titles = viewer.locator("figcaption")
    titles.first.get_by_text("slice 4 of").wait_for()
    canvas = viewer.locator('canvas[data-pane="synthetic-axial"]')
    canvas.focus()
    page.keyboard.press("PageUp")
    titles.first.get_by_text("slice 5 of").wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"voxel=4%2C3%2C4"))
    sagittal = viewer.locator("figure:has(canvas[data-pane='reference-sagittal']) figcaption")
    assert "slice 5 of" in sagittal.inner_text()
    before = canvas.evaluate("c => c.toDataURL()")
    viewer.locator("select").nth(1).select_option("2")
    page.wait_for_timeout(200)
    assert canvas.evaluate("c => c.toDataURL()") != before, "another window shows other greys"
    viewer.locator("select").nth(2).select_option("dose")
    viewer.locator(".legend", has_text="95 % =").wait_for()
    clinic.shot("case-dose")


def test_a_comment_at_a_place_is_found_in_the_queue(clinic: Clinic) -> None:
    page, name = clinic.page, read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open(f"case?evaluation={name}&case={KEPT}&voxel=3,4,5", "Comment at")
    page.get_by_label("Comment at").fill("is this bone? ![x](http://outside.example/x.png)")
    page.get_by_role("button", name="Keep the comment").click()
    page.locator('table[aria-label="Comments"]', has_text="is this bone?").wait_for()
    (item,) = items_of(read_queue(clinic.evaluation).lines)
    (event,) = item.comments
    record = next(one for one in read_cases(clinic.evaluation) if one.case == KEPT)
    image = read_image(clinic.evaluation / "volumes" / record.volumes["reference"], "HU")
    wanted = canonical(image).grid.to_world(np.array([3.0, 4.0, 5.0]))
    assert event.place is not None
    np.testing.assert_allclose(event.place.xyz_mm, wanted, atol=0.006)
    assert (item.case, event.who) == (KEPT, "Ada Example (unauthenticated)")
    clinic.open(f"review?evaluation={name}", "Signatures")
    page.locator('table[aria-label="Queue of reviews"]', has_text="is this bone?").wait_for()
    clinic.shot("review")


def test_another_profile_is_judged_and_stands_in_the_log(clinic: Clinic) -> None:
    page, name = clinic.page, read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open(f"readiness?evaluation={name}", "The findings that decide")
    page.get_by_role("combobox", name="Verdict").click()
    page.get_by_role("option", name=re.compile("look at it under descriptive")).click()
    page.get_by_text("was computed for this page").wait_for()
    page.get_by_text("1 more looked at: descriptive").wait_for()
    looked = [one for one in read_log(log_beside(clinic.evaluation)).lines if one.what == "looked"]
    assert [one.profile.name for one in looked] == ["descriptive"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("sites", "Patients by site"),
        ("dose", "Target"),
        ("exam", "Residual risk"),
        ("measures", "Curves"),
        ("record", "The record"),
        ("compare", "Against zero"),
        ("models", "No model is registered yet"),
    ],
)
def test_every_other_page_shows_something(clinic: Clinic, path: str, shown: str) -> None:
    name = read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open(f"{path}?evaluation={name}", shown)
    clinic.page.wait_for_timeout(300)
    clinic.shot(path)


OF_STREAMLIT = ["[data-testid^=stSidebarNav]", ".vega-embed", "iframe"]
"""Lists, charts and frames whose markup is not ours; the report within has a test of its own."""


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("", "Worst finding"),
        ("readiness", "The findings that decide"),
        ("cases", "every patient"),
        ("case", "Place (LPS)"),
        ("exam", "Residual risk"),
        ("review", "Signatures"),
        ("compare", "Against zero"),
    ],
)
def test_axe_finds_nothing_serious(clinic: Clinic, path: str, shown: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    name = read_evaluation(clinic.evaluation).evaluation[:12]
    clinic.open(f"{path}?evaluation={name}", shown)
    clinic.page.wait_for_timeout(500)
    context = {"exclude": [[one] for one in OF_STREAMLIT]}
    found = axe.Axe().run(clinic.page, context=context).response["violations"]
    told = [
        (one["id"], one["nodes"][0]["html"][:160])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert told == []


def test_nothing_left_this_machine_and_nothing_went_wrong(clinic: Clinic) -> None:
    clinic.open("", "Worst finding")
    mine = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    assert [url for url in clinic.outside if not url.startswith(mine)] == []
    assert [said for said in clinic.errors if not OWN_OF_STREAMLIT.search(said)] == []
