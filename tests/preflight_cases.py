"""What tests of preflight share: a patient's scans and how they are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.preflight import PreflightSettings, preflight
from tests.ellipsoid_patient import loaded, scan

QUICK = PreflightSettings(estimate_alignment=False)


@pytest.fixture(scope="module")
def scans():
    return scan(seed=11)


def check(scans, *, mr=None, ct=None, mask="body", settings=QUICK, quantity="HU"):
    source = scans.mr if mr is None else scans.mr.with_array(mr.astype(np.float32))
    reference = scans.ct if ct is None else scans.ct.with_array(ct.astype(np.float32))
    mask = scans.body if isinstance(mask, str) else mask
    return preflight(*loaded(source, replace(reference, quantity=quantity), mask), settings)


def status(result):
    return {key: value.status for key, value in result.values.items()}


def with_spacing(scans, spacing_mm):
    grid = replace(scans.mr.grid, spacing_mm=spacing_mm)
    mr, ct = replace(scans.mr, grid=grid), replace(scans.ct, grid=grid)
    return preflight(*loaded(mr, ct, scans.body), QUICK)
