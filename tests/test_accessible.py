"""Pages for everybody: axe-core finds nothing serious in any page that the suite writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import join
from qa_suite.core.verdict_files import overall
from reports.html.audit import write_audit_page
from reports.html.page import write_page
from reports.html.report import write_report
from reports.html.sheet import render_sheet
from tests.audit_cases import at_site, profile, source
from tests.chromium import FLAGS, chromium
from tests.record_factory import make_record
from tests.test_report_sheets import SHEETS

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

PAGES = ("report", "audit", *SHEETS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pages")
    make_record(place / "evaluations" / "one")
    verdict = overall(place / "evaluations" / "one").written[-1].verdict
    write_report(place / "evaluations" / "one", verdict, place / "report.html")
    found = audit_material(join([source(change=at_site("F", 2))]), profile())
    write_audit_page(found, place / "audit.html")
    for name, made in SHEETS.items():
        write_page(render_sheet(made(place / "evaluations" / "one")), place / f"{name}.html")
    return {name: place / f"{name}.html" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", [(1366, 768), (420, 800)])
def test_axe_finds_nothing(browser: Any, pages: dict[str, Path], name: str, size: Any) -> None:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, bypass_csp=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    found = axe.Axe().run(page).response["violations"]
    page.close()
    told = [(one["impact"], one["id"], one["nodes"][0]["html"][:120]) for one in found]
    assert told == []
    assert all(url.startswith(("file:", "data:")) for url in asked), asked


def test_a_fault_is_found(browser: Any) -> None:
    page = browser.new_page()
    page.set_content("<html><body><img src='data:,'><a href='#'></a></body></html>")
    found = {one["id"] for one in axe.Axe().run(page).response["violations"]}
    page.close()
    assert {"image-alt", "link-name"} <= found
