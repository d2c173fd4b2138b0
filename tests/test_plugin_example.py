"""A package beside the suite brings a metric, a family and a dose engine; nothing is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.plugins import source_digest
from qa_suite.core.record_files import read_evaluation, read_measurements
from qa_suite.core.records import Criterion, PluginFacts, Profile
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.judging.judge import judge
from tests.plugin_packages import install, on_path

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles kernels here first

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "tests" / "data" / "plugin-example"
DOSE = """
import json
from tests.measured_dose_cases import CT, BODY, PHOTONS, beams, measured, pair_of, settings_of
from qa_suite.core.plugins import loaded_plugins
from qa_suite.dose.engines import ENGINES, load_engines
assert [p.group for p in loaded_plugins()] == ["qa_suite.metrics"]
plan = beams(PHOTONS, 0, engine="acme-exponential")
done = measured(pair_of(CT.array + 30 * BODY), settings_of(plan))
load_engines()
print(json.dumps({
    "rows": [(r.metric, r.region, r.value, r.why) for r in done.rows],
    "engines": [entry.name for entry in ENGINES],
    "plugins": [p.model_dump() for p in loaded_plugins()],
}))
"""


def beside(*words: str, also: Path = EXAMPLE) -> subprocess.CompletedProcess[str]:
    """Run Python where a package lies beside the suite."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{also}"}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    out = tmp_path_factory.mktemp("acme")
    done = beside("-m", "tests.new_metric_worker", str(out), "image", "acme")
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "record", {entry["name"]: entry for entry in json.loads(done.stdout)}


def test_its_metrics_are_listed_and_measured_as_any_other(record):
    folder, listed = record
    assert {"acme_spread", "acme_mask_volume"} <= set(listed)
    rows = read_measurements(folder)
    spread, mae = (rows[rows["metric"] == name] for name in ("acme_spread", "mae"))
    assert len(spread) and set(spread["region"]) == set(mae["region"])
    assert spread["value"].dropna().to_numpy() == pytest.approx(0, abs=1e-3)  # a mere shift
    assert set(spread["unit"]) == {"HU"} and set(spread["family"]) == {"image"}
    volume = rows[rows["metric"] == "acme_mask_volume"]
    assert set(volume["family"]) == {"acme"} and (volume["value"] > 1000).all()


def test_the_record_names_the_package_its_version_and_its_source(record, monkeypatch):
    evaluation = read_evaluation(record[0])
    on_path(monkeypatch, EXAMPLE)
    assert evaluation.code.plugins == (
        PluginFacts(
            group="qa_suite.metrics",
            name="acme",
            package="acme-qa",
            version="1.2.0",
            digest=source_digest("acme_qa"),
        ),
    )
    assert {"acme_spread", "acme_mask_volume"} <= set(evaluation.definitions)


def test_it_is_judged_where_the_package_is_not_installed(record):
    assert "acme_qa" not in sys.modules
    criterion = Criterion(
        name="even",
        metric="acme_spread",
        region="body",
        bound=1,
        direction="at_most",
        unit="HU",
        scope="worst_patient",
        statistic="max",
        min_patients=3,
        source="Local decision",
    )
    profile = Profile(
        name="acme",
        version="1",
        direction="any",
        anatomy="any",
        intended_use="a test",
        criteria=(criterion,),
    )
    (found,) = [f for f in judge(record[0], profile).findings if f.criterion == criterion]
    assert found.outcome == "pass"


def test_an_evaluation_is_not_resumed_with_another_package(tmp_path):
    from tests.test_evaluate import examination
    from tests.tiny_cohort import make_tiny_cohort

    make_tiny_cohort(tmp_path / "cohort", "tvss")
    examined = examination(tmp_path / "cohort", families=("image",))
    evaluate(examined, tmp_path / "out")
    plan = tmp_path / "out" / "journal" / "plan.json"
    said = json.loads(plan.read_text())
    assert said["plugins"] == []
    assert "plugins" not in json.loads((tmp_path / "out" / "evaluation.json").read_text())["code"]
    facts = PluginFacts(
        group="qa_suite.metrics", name="acme", package="acme-qa", version="9", digest="sha256:0"
    )
    plan.write_text(json.dumps(said | {"plugins": [facts.model_dump()]}))
    (tmp_path / "out" / "evaluation.json").unlink()
    with pytest.raises(InputError, match=r"other code .*with acme-qa 9"):
        evaluate(examined, tmp_path / "out")


def test_its_engine_computes_a_plan():
    done = beside("-c", DOSE)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["engines"] == ["acme-exponential", "photons-pydosert", "protons-range"]
    assert {(one["group"], one["package"]) for one in found["plugins"]} == {
        ("qa_suite.metrics", "acme-qa"),
        ("qa_suite.engines", "acme-qa"),
    }
    values = {(metric, region): value for metric, region, value, _ in found["rows"]}
    # 30 HU are about 3 % more density in some 10 cm: exp(-0.05 * 0.3) lowers dose by 1 to 2 %
    assert -3 < values["dmean_difference_pct", "target"] < -0.5


@pytest.mark.parametrize(
    ("group", "source", "words", "says"),
    [
        (
            "qa_suite.metrics",
            "import a_module_that_nobody_has\n",
            ("list", "metrics"),
            "cannot be loaded (ModuleNotFoundError: No module named 'a_module_that_nobody_has')",
        ),
        (
            "qa_suite.metrics",
            "from qa_suite.metrics.facts import METRICS\n"
            "METRICS.declare('own', METRICS['mae'].facts.model_copy(update={'family': 'own'}))\n",
            ("list", "metrics"),
            "own is of the family own, which there is not",
        ),
        (
            "qa_suite.engines",
            "",
            ("list", "engines"),
            "brings the dose engine broken by its entry point and registers none of this name",
        ),
    ],
)
def test_a_broken_package_is_one_sentence(tmp_path, monkeypatch, group, source, words, says):
    install(
        monkeypatch,
        tmp_path,
        package="acme-broken",
        sources={"acme_broken.py": source},
        entry_points={group: {"broken": "acme_broken"}},
    )
    done = beside("-m", "qa_suite.cli", *words, also=tmp_path)
    assert done.returncode == 2, done
    assert says in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr
