"""What the tissues of a planning CT measure in HU, and which site's references do not.

The windows are wide: they find a wrong scale, a missing calibration and a tube voltage far from
120 kV, and nothing finer. Bone has none, for its mineral content is the patient's. A contrast
agent raises muscle and organs; where a header names one, the sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qa_suite.core.records import CaseRecord
from qa_suite.core.records.shift import ExpectedLevel, LevelCheck
from qa_suite.core.wording import count, listing, number, stated
from qa_suite.judging.shift.features import feature_table
from qa_suite.judging.statistics import mean_interval

EXPECTED_HU: dict[str, ExpectedLevel] = {
    "air": ExpectedLevel(
        low_hu=-1046, high_hu=-986, source="Catphan 503 manual, sensitometry: air"
    ),
    "fat": ExpectedLevel(
        low_hu=-123,
        high_hu=-89,
        source="Pop and Marusteri 2023, Diagnostics 13:1913, reference interval of abdominal fat",
    ),
    "muscle": ExpectedLevel(
        low_hu=20,
        high_hu=60,
        source="Goodpaster et al. 2000, J Appl Physiol 89:104: 33.9 ± 4.1 to 49.2 ± 2.8 HU, two "
        "standard deviations and 5 HU of calibration to either side; without contrast agent",
    ),
}


def reference_levels(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord], *, confidence: float = 0.95
) -> tuple[LevelCheck, ...]:
    """Hold each site's reference air, fat and muscle against :data:`EXPECTED_HU`.

    Returns
    -------
    tuple of LevelCheck
        By site, then by tissue; empty where the references are not in HU.
    """
    table = feature_table(measurements, cases, "reference")
    columns = {one.region: at for at, one in enumerate(table.features) if one.metric == "tissue_hu"}
    if not np.isfinite(table.values[:, list(columns.values())]).any():
        return ()
    checks = []
    for site in sorted({case.site for case in cases}):
        kv = sorted({str(c.strata.get("tube_voltage_kv", "")) for c in cases if c.site == site})
        for tissue, expected in EXPECTED_HU.items():
            values = table.at(site)[:, columns[tissue]]
            values = values[np.isfinite(values)]
            found = _check(site, tissue, values, expected, [v for v in kv if v], confidence)
            checks.append(_with_contrast(found, cases))
    return tuple(checks)


def _with_contrast(found: LevelCheck, cases: Sequence[CaseRecord]) -> LevelCheck:
    """Say how many patients of a site were scanned with a contrast agent, where any were."""
    here = [case for case in cases if case.site == found.site]
    agents = len({c.patient for c in here if c.strata.get("reference_contrast") == "yes"})
    if not agents:
        return found
    told = f" {count(agents, 'patient')} with a contrast agent."
    return found.model_copy(update={"sentence": found.sentence + told})


def _check(
    site: str,
    tissue: str,
    values: np.ndarray,
    expected: ExpectedLevel,
    kv: Sequence[str],
    confidence: float,
) -> LevelCheck:
    found = mean_interval(values, confidence=confidence) if len(values) else None
    outside = None
    if found is not None and found.low is not None and found.high is not None:
        outside = found.low > expected.high_hu or found.high < expected.low_hu
    window = f"{stated(expected.low_hu)} to {stated(expected.high_hu, 'HU')}"
    what = f"The references' {tissue} at {site}"
    volts = f"; tube voltage {listing(kv)} kV" if kv else "; tube voltage not recorded"
    if found is None:
        sentence = f"{what} has no value."
    elif found.low is None or found.high is None:
        sentence = f"{what} is {number(found.estimate)} HU in one patient, expected {window}."
    else:
        verdict = "outside" if outside else "not shown to be outside"
        sentence = (
            f"{what} is {number(found.estimate)} HU ({number(found.low)} to {number(found.high)}, "
            f"{count(found.n, 'patient')}{volts}): {verdict} the expected {window}."
        )
    return LevelCheck(
        site=site,
        tissue=tissue,
        patients=len(values),
        mean_hu=None if found is None else found.estimate,
        low_hu=None if found is None else found.low,
        high_hu=None if found is None else found.high,
        expected=expected,
        outside=outside,
        tube_voltages=tuple(kv),
        sentence=sentence,
    )
