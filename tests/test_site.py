"""The documentation as a site: complete, whole in itself, and searchable without a network."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import qa_suite

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "zensical.toml"
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


def zensical() -> str:
    """The program, beside this Python or on the PATH; required where the environment says so."""
    beside = Path(sys.executable).with_name("zensical")
    found = str(beside) if beside.exists() else shutil.which("zensical")
    if found is None:
        if os.environ.get("QA_SUITE_REQUIRE_SITE") == "1":
            pytest.fail("QA_SUITE_REQUIRE_SITE=1 and zensical is not installed")
        pytest.skip("zensical is not installed (pip install '.[docs]')")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    program = zensical()
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    text = CONFIG.read_text()
    assert 'paths = ["."]' in text
    (folder / "zensical.toml").write_text(text.replace('paths = ["."]', f'paths = ["{ROOT}"]'))
    done = subprocess.run(
        [program, "build", "--strict"], cwd=folder, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "site"


class Page(HTMLParser):
    """What a page loads, where it links to, its anchors and its words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in LOADED and found.get(LOADED[tag]):
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def named(nav) -> list[str]:
    """Every page of a navigation."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in named(part)]


def test_every_page_stands_in_the_navigation_once():
    pages = named(tomllib.loads(CONFIG.read_text())["project"]["nav"])
    written = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert set(pages) == written
    assert len(pages) == len(set(pages))


def test_every_page_is_built(site):
    for page in (ROOT / "docs").rglob("*.md"):
        built = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert "```" not in built.read_text(), f"{page.name}: a block of code was not understood"


def test_the_page_of_python_describes_every_public_function(site):
    text = re.sub(r"<[^>]+>", "", (site / "api.html").read_text())
    for name in qa_suite.__all__:
        function = getattr(qa_suite, name)
        first = (function.__doc__ or "").strip().splitlines()[0]
        assert first in text, name
        for parameter in function.__annotations__:
            assert parameter in text, (name, parameter)
    for name in ("GammaResult", "Dvh", "Verdict", "Evaluation", "dose_at_volume_pct"):
        assert name in text
    assert ":::" not in text


def test_links_between_pages_and_their_anchors_resolve(pages, site):
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), (path.name, link)
            if parts.fragment and target.suffix == ".html":
                anchors = pages[site / target.relative_to(site.resolve())].anchors
                assert unquote(parts.fragment) in anchors, (path.name, link)


def test_nothing_is_loaded_from_elsewhere(pages, site):
    for path, page in pages.items():
        for load in page.loads:
            parts = urlsplit(load)
            assert parts.scheme in ("", "data") and not parts.netloc, (path.name, load)
            if not parts.scheme:
                assert (path.parent / unquote(parts.path)).exists(), (path.name, load)
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text()), style


@pytest.mark.browser
def test_it_opens_from_a_folder_and_its_search_finds(site):
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("QA_SUITE_REQUIRE_BROWSER") == "1":
            pytest.fail("QA_SUITE_REQUIRE_BROWSER=1 and there is no chromium on the PATH")
        pytest.skip("there is no chromium on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((site / "api.html").as_uri())
        page.locator(".md-search__button").first.click()
        box = page.get_by_role("combobox", name="Search")
        box.press_sequentially("homogeneity index", delay=20)
        page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for(timeout=60000)
        assert box.input_value() == "homogeneity index"
        browser.close()
    assert not wrong
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked), asked
