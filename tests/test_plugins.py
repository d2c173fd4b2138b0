"""Plug-ins: found by entry points, loaded once, named with version and digest, or told broken."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from qa_suite.core import plugins
from qa_suite.core.errors import Problems
from tests.plugin_packages import install

GROUP = "qa_suite.tests_of_plugins"


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_LOADED", {})


def test_a_plug_in_is_loaded_once_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = "import sys\nsys.acme_loaded = getattr(sys, 'acme_loaded', 0) + 1\n"
    monkeypatch.setattr(sys, "acme_loaded", 0, raising=False)
    install(
        monkeypatch,
        tmp_path,
        package="acme-things",
        sources={"acme_things.py": source},
        entry_points={GROUP: {"acme": "acme_things"}, "other.group": {"no": "acme_nowhere"}},
    )
    assert plugins.plugin_names(GROUP) == ("acme",)
    assert plugins.loaded_plugins() == ()
    (facts,) = plugins.load_plugins(GROUP)
    assert plugins.load_plugins(GROUP, "acme") == (facts,) == plugins.loaded_plugins()
    assert plugins.load_plugins(GROUP, "another") == ()
    assert sys.acme_loaded == 1  # type: ignore[attr-defined]
    assert (facts.name, facts.package, facts.version) == ("acme", "acme-things", "1.2.3")
    framed = f"acme_things.py\0{len(source)}\0{source}".encode()
    assert facts.digest == f"sha256:{hashlib.sha256(framed).hexdigest()}"


def test_the_digest_is_of_the_whole_package_without_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = install(
        monkeypatch,
        tmp_path,
        package="acme-many",
        sources={
            "acme_many/__init__.py": "",
            "acme_many/a.py": "A = 1\n",
            "acme_many/table.csv": "1,2\n",
        },
        entry_points={GROUP: {"acme": "acme_many.a"}},
    )
    before = plugins.source_digest("acme_many.a")
    assert before == plugins.source_digest("acme_many")
    (folder / "acme_many" / "__pycache__").mkdir(exist_ok=True)
    (folder / "acme_many" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"anything")
    assert plugins.source_digest("acme_many") == before
    for name in ("table.csv", "a.py", "new.py"):
        path = folder / "acme_many" / name
        path.write_text("B = 2\n", encoding="utf-8")
        after = plugins.source_digest("acme_many")
        assert after != before
        before = after
    (folder / "acme_many" / "new.py").rename(folder / "acme_many" / "newer.py")
    assert plugins.source_digest("acme_many") != before


@pytest.mark.parametrize(
    ("source", "value", "says"),
    [
        ("import a_module_that_nobody_has\n", "acme_broken", "a_module_that_nobody_has"),
        ("raise SystemExit(3)\n", "acme_broken", "SystemExit: 3"),
        ("def (:\n", "acme_broken", "SyntaxError"),
        ("", "acme_elsewhere", "no module acme_elsewhere"),
        ("", "acme_broken:function", "must name a module, not 'function'"),
        ("raise ValueError(\"thing 'x' is registered twice.\")\n", "acme_broken", "twice"),
    ],
)
def test_every_broken_one_is_told_in_one_sentence(
    source: str, value: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for number in (1, 2):
        install(
            monkeypatch,
            tmp_path / str(number),
            package=f"acme-broken-{number}",
            sources={"acme_broken.py": source},
            entry_points={GROUP: {f"acme{number}": value}},
        )
    install(
        monkeypatch,
        tmp_path / "good",
        package="acme-good",
        sources={"acme_good.py": ""},
        entry_points={GROUP: {"good": "acme_good"}},
    )
    said = []
    for _ in range(2):
        with pytest.raises(Problems) as told:
            plugins.load_plugins(GROUP)
        said.append(str(told.value))
    assert said[0] == said[1], "the second time it says the same"
    assert says in said[0]
    for number in (1, 2):
        assert f"acme{number} = {value} of the package acme-broken-{number} 1.2.3" in said[0]
    assert "mend that package, or uninstall it" in said[0]
    assert [facts.name for facts in plugins.load_plugins(GROUP, "good")] == ["good"]


@pytest.mark.parametrize("reader", ["importlib.metadata", "importlib_metadata"])
def test_a_package_without_metadata_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
):
    pytest.importorskip(reader)  # the second finds packages for the first once it is imported
    folder = install(
        monkeypatch,
        tmp_path,
        package="acme-bare",
        sources={"acme_bare.py": ""},
        entry_points={GROUP: {"bare": "acme_bare"}},
    )
    (folder / "acme_bare-1.2.3.dist-info" / "METADATA").unlink()
    with pytest.raises(Problems, match="no name and version"):
        plugins.load_plugins(GROUP)
