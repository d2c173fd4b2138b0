"""A new family is one file and one YAML: those of CONTRIBUTING.md, taken literally, are run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.io.cases import load_case
from tests.conftest import ROOT
from tests.plugin_packages import install
from translators.base import create
from translators.registry.registering import TrainedModel
from translators.spec import FAMILIES, FamilyFacts, TranslatorSpec, load_spec, parse_spec, plugin_of
from translators.spec.families import require_families
from translators.spec.strict import Block

SECTION = "## A new family of translators: one file and one YAML"

TISSUES = '''
"""The median of the target inside the body of the source, as another package would have it."""

import numpy as np
from pydantic import Field

from translators.base import AS_SPECIFIED, FitSummary, Inferred, Translator
from translators.data import load_pairs
from translators.spec import FAMILIES, Block, FamilyFacts


class MiddleSpec(Block):
    share: float = Field(default=0.5, gt=0, lt=1)


@FAMILIES.add(
    "middle",
    FamilyFacts(
        title="One value for the whole body",
        paired=True,
        trained_by="one look at the train patients",
        reference="Local definition",
        blocks={"middle": MiddleSpec},
    ),
)
class Middle(Translator):
    def fit(self, cohort, folder, **how):
        pairs = load_pairs(cohort, folder, self.spec, "train")
        inside = np.concatenate([pair.target[pair.body] for pair in pairs])
        self.value = np.quantile(inside, self.spec.own(MiddleSpec).share, keepdims=True)
        return FitSummary(
            iterations=1, seconds=0.0, best_iteration=1, best_validation=None, stopped_early=False
        )

    def infer(self, prepared, asked=AS_SPECIFIED):
        outside = np.float32(self.spec.target.outside)
        return Inferred(mean=np.where(prepared.body, np.float32(self.value[0]), outside))

    def weights(self):
        return {"value": self.value}

    def set_weights(self, weights):
        self.value = weights["value"]
'''
SPEC = {
    "family": "middle",
    "name": "middle",
    "direction": "MR->CT",
    "anatomy": "pelvis",
    "middle": {"share": 0.5},
}


@pytest.fixture(autouse=True)
def _registry_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it; those of this package are there before."""
    require_families()
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))


def _blocks() -> dict[str, str]:
    """Return the code and the YAML of the section, by the file that they are to be."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(SECTION)[2].partition("\n## ")[0]
    found = re.findall(
        r"`(translators/\S+)`[^`]*?\n\n( +```(?:python|yaml)\n.*?```)", section, re.S
    )
    assert len(found) == 2
    return {path: dedent(block).split("\n", 1)[1].rpartition("```")[0] for path, block in found}


def _trained(spec: TranslatorSpec, cohort: Cohort, folder: Path, workdir: Path) -> TrainedModel:
    from translators.registry.train import train

    return train(spec, cohort, folder, workdir=workdir, iterations=3, device="cpu")


def test_the_family_of_the_guide_is_trained_registered_loaded_and_answers(
    cohort: Cohort, folder: Path, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import translators.families
    from qa_suite.evaluation.registered import load_translator

    for name, text in _blocks().items():
        (tmp_path / Path(name).name).write_text(text)
    monkeypatch.setattr(
        translators.families, "__path__", [*translators.families.__path__, str(tmp_path)]
    )
    monkeypatch.delitem(sys.modules, "translators.families.huber", raising=False)
    spec = load_spec(tmp_path / "huber-demo.yaml")
    assert spec.blocks == {"network", "training", "inference", "huber"}
    assert plugin_of("huber") is None
    model = _trained(spec, cohort, folder, tmp_path / "work")
    facts, translate = load_translator(model.uri)
    assert (facts.family, facts.plugin) == ("huber", None)
    case = load_case(cohort, cohort.in_split("test")[0], folder)
    found = translate(case).mean
    assert found.grid == case.source.grid and np.ptp(found.array) > 0
    with pytest.raises(Problems, match=r"huber\.dleta"):
        parse_spec({**spec.model_dump(mode="json"), "huber": {"dleta": 1}}, subject="x")
    monkeypatch.delitem(sys.modules, "translators.families.huber", raising=False)


def test_a_family_of_another_package_is_named_wherever_its_model_goes(
    cohort: Cohort, folder: Path, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qa_suite.core.store import connect
    from qa_suite.evaluation.registered import load_translator

    sources = {"acme_middle/__init__.py": "", "acme_middle/family.py": TISSUES}
    site = _installed(monkeypatch, tmp_path / "site", sources)
    model = _trained(parse_spec(SPEC, subject="middle"), cohort, folder, tmp_path / "work")
    plugin = plugin_of("middle")
    assert plugin is not None
    assert (plugin.package, plugin.version, plugin.name) == ("acme-middle", "1.2.3", "acme")
    facts, translate = load_translator(model.uri)
    assert facts.plugin == plugin and facts.family == "middle"
    case = load_case(cohort, cohort.in_split("test")[0], folder)
    assert len(np.unique(translate(case).mean.array)) == 2
    kept = Path(connect().artifacts.download_artifacts(artifact_uri=model.uri))
    card = (kept / "artifacts" / "translator" / "model_card.md").read_text()
    assert f"`acme-middle` 1.2.3, which is no part of this suite (source `{plugin.digest}`)" in card
    required = (kept / "requirements.txt").read_text().split()
    assert "./wheels/acme_middle-1.2.3-py3-none-any.whl" in required
    assert not [line for line in required if line.startswith(("acme", "qa-suite"))]
    version = connect().MlflowClient().get_model_version(model.name, model.version)
    assert version.tags["plugin"] == "acme-middle 1.2.3"

    changed = TISSUES.replace("share: float", "extra: float = 1.0\n    share: float")
    (site / "acme_middle" / "family.py").write_text(changed)
    _forget(monkeypatch)
    with pytest.raises(InputError, match=r"acme-middle 1\.2\.3 .* register it again"):
        load_translator(model.uri)


def test_a_model_whose_package_is_gone_says_what_is_missing(
    cohort: Cohort, folder: Path, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qa_suite.evaluation.registered import load_translator

    sources = {"acme_middle/__init__.py": "", "acme_middle/family.py": TISSUES}
    site = _installed(monkeypatch, tmp_path / "site", sources)
    model = _trained(parse_spec(SPEC, subject="middle"), cohort, folder, tmp_path / "work")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(site)])
    _forget(monkeypatch)
    with pytest.raises((UnknownName, InputError), match="middle"):
        load_translator(model.uri)


def test_another_package_cannot_take_the_name_of_a_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = TISSUES.replace('"middle",\n    FamilyFacts', '"intensity",\n    FamilyFacts')
    sources = {"acme_middle/__init__.py": "", "acme_middle/family.py": taken}
    _installed(monkeypatch, tmp_path / "site", sources)
    with pytest.raises(Problems, match="'intensity' is registered twice"):
        parse_spec(SPEC, subject="middle")
    assert create(load_spec("intensity")).spec.family == "intensity"


@pytest.mark.parametrize("name", ["network", "source", "digest", "own"])
def test_a_block_may_not_be_called_as_what_all_specifications_have(name: str) -> None:
    with pytest.raises(ValueError, match="may not be called"):
        FamilyFacts(title="", paired=True, trained_by="", reference="", blocks={name: Block})


def test_facts_name_blocks_that_exist() -> None:
    with pytest.raises(ValueError, match="no block of the family"):
        FamilyFacts(title="", paired=True, trained_by="", reference="", needs=("netwrok",))


def _installed(monkeypatch: pytest.MonkeyPatch, folder: Path, sources: dict[str, str]) -> Path:
    _forget(monkeypatch)
    return install(
        monkeypatch,
        folder,
        package="acme-middle",
        sources=sources,
        entry_points={"qa_suite.translators": {"acme": "acme_middle.family"}},
    )


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a fresh process, which has loaded no package yet."""
    monkeypatch.setattr("qa_suite.core.plugins._LOADED", {})
    for name in [name for name in sys.modules if name.startswith("acme_middle")]:
        monkeypatch.delitem(sys.modules, name)
    entries = {k: v for k, v in FAMILIES._entries.items() if k != "middle"}
    monkeypatch.setattr(FAMILIES, "_entries", entries)
