"""Where metrics are measured, as profiles are checked against it: held by what is measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from qa_suite.judging.criteria.measures import fits
from qa_suite.metrics.places import BANDS, OF_FAMILY, OF_METRIC, places_of

GOLDEN = Path(__file__).parent / "data" / "golden" / "measurements.parquet"


def test_every_row_of_the_golden_record_fits() -> None:
    rows = pd.read_parquet(GOLDEN)[["metric", "family", "region", "variant"]].drop_duplicates()
    assert len(rows) > 1000
    for metric, family, region, variant in rows.itertuples(index=False):
        places = places_of(metric, family)
        assert places is not None
        assert fits(region, places.regions), (metric, region)
        assert fits(variant, places.variants), (metric, variant)


def test_every_place_of_a_measured_metric_is_measured() -> None:
    """A spelling that nothing of the golden record has would let a wrong name through."""
    rows = pd.read_parquet(GOLDEN)
    networks = ("NAME", "NAME:tolNmm", "NAME:synthrad2025", "PLAN:NAME", "PLAN:VN%")
    idle = {
        (metric, spelling)
        for metric, of_it in rows.groupby("metric")
        for places in [places_of(str(metric), str(of_it["family"].iloc[0]))]
        if places is not None
        for key, spellings in (("region", places.regions), ("variant", places.variants))
        for spelling in spellings
        if spelling not in networks and not any(fits(w, (spelling,)) for w in set(of_it[key]))
    }
    assert idle <= {("path_beyond_table", "beam:NAME")}


def test_every_metric_and_every_default_band_is_known() -> None:
    from qa_suite.metrics.image.settings import ImageSettings
    from qa_suite.metrics.run import METRICS

    bands = {band.name for some in ImageSettings().bands.values() for band in some}
    assert set(BANDS) == bands
    names = {entry.name: entry.facts.family for entry in METRICS}
    assert set(OF_METRIC) <= set(names)
    for name, family in names.items():
        assert places_of(name, family) is not None or family == "set_distance", name
    assert set(OF_FAMILY) <= set(names.values())
    assert places_of("acme_spread", "acme") is None


@pytest.mark.parametrize(
    ("text", "spelling", "right"),
    [
        ("structure:Bladder wall", "structure:NAME", True),
        ("structure:", "structure:NAME", False),
        ("structure: Rectum", "structure:NAME", False),
        ("Structure:Rectum", "structure:NAME", False),
        ("shell:0-5mm", "shell:N-Nmm", True),
        ("shell:0-5.5mm", "shell:N-Nmm", True),
        ("shell:a-bmm", "shell:N-Nmm", False),
        ("photon-pelvis:2pct2mm", "PLAN:NpctNmm", True),
        ("photon-pelvis:x:2pct2mm", "PLAN:NpctNmm", False),
        (":2pct2mm", "PLAN:NpctNmm", False),
        ("default ", "default", False),
    ],
)
def test_spellings(text: str, spelling: str, right: bool) -> None:
    assert fits(text, (spelling,)) is right


def test_every_door_reads_profiles_against_the_registry() -> None:
    """The reader of judging knows no registry; whoever can know it reads with its own."""
    root = Path(__file__).parent.parent
    bare = "from qa_suite.judging.criteria import load_profile"
    doors = [*(root / "qa_suite").rglob("*.py"), *(root / "benchmarks").rglob("*.py")]
    found = {path.name for path in doors if bare in path.read_text(encoding="utf-8")}
    assert found == {"profiles.py"}
