"""Numbers that cannot be HU, SUV or MR are refused with their cause; honest oddities are not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from qa_suite.core.answers import doubts, implausible, require_plausible, require_possible
from qa_suite.core.errors import InputError
from qa_suite.lab.phantom import make_patient, oracle_twin


@pytest.fixture(scope="module")
def ct():
    patient = make_patient("A", 1, seed=4, spacing_mm=(6, 6, 6))
    return {
        "ct": oracle_twin(patient.ct_noise_free, seed=1).array.astype(np.float32),
        "body": patient.body,
    }


def unit(x):
    return (np.clip(x, -1024, 3000) + 1024) / 4024


NONSENSE = {
    "one voxel of 1e30": (
        lambda x, b: np.where(np.arange(x.size).reshape(x.shape) == 7, 1e30, x),
        "1e+30",
    ),
    "all 1e30": (lambda x, b: np.full_like(x, 1e30), "1e+30"),
    "-1e6": (lambda x, b: np.where(b, x, -1e6), "-1e+06"),
    "HU + 1024": (lambda x, b: x + 1024, "HU + 1024"),
    "HU + 1000": (lambda x, b: x + 1000, "HU + 1024"),
    "HU + 1024, the body alone": (lambda x, b: (x + 1024)[b], "HU + 1024"),
    "HU + 1024, zero outside": (lambda x, b: np.where(b, x + 1024, 0), "HU + 1024"),
    "0 to 1": (lambda x, b: unit(x), "normalised"),
    "-1 to 1": (lambda x, b: 2 * unit(x) - 1, "normalised"),
    "0 to 1, the body alone": (lambda x, b: unit(x)[b], "normalised"),
    "noise of the unit scale": (
        lambda x, b: np.random.default_rng(0).normal(0, 0.3, x.shape),
        "normalised",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_with_its_cause(ct, name):
    change, cause = NONSENSE[name]
    with pytest.raises(InputError, match=re.escape(cause)) as caught:
        require_plausible(change(ct["ct"], ct["body"]), "HU", "vendor")
    assert str(caught.value).startswith("vendor answered with what cannot be HU: ")


HONEST = {
    "as it is": lambda x, b: x,
    "the body alone": lambda x, b: x[b],
    "a crop inside the body": lambda x, b: x[30:36, 18:26, 8:12],
    "bulk densities": lambda x, b: np.select([x < -400, x > 200], [-1000.0, 700.0], 0.0),
    "water": lambda x, b: np.where(b, 0.0, -1000.0),
    "water alone": lambda x, b: np.zeros(500),
    "metal": lambda x, b: np.where(np.arange(x.size).reshape(x.shape) % 997 == 0, 30_000, x),
    "padding": lambda x, b: np.where(b, x, -8192),
    "zero outside": lambda x, b: np.where(b, x, 0),
    "dark by 60 HU": lambda x, b: x - 60,
    "bright by 200 HU": lambda x, b: x + 200,
    "scaled by 0.8": lambda x, b: 0.8 * x,
    "nothing": lambda x, b: np.zeros(0),
    "NaN alone": lambda x, b: np.full(9, np.nan),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_images_are_not_refused(ct, name):
    assert implausible(HONEST[name](ct["ct"], ct["body"]), "HU") == ""


def test_odd_images_are_told(ct):
    image, body = ct["ct"], ct["body"]
    assert doubts(image, "HU") == ()
    assert "exactly 0 HU" in doubts(np.where(body, image, 0), "HU")[0]
    assert "no air" in doubts(np.clip(image, -150, None)[body], "HU")[0]
    assert "every value is 0" in doubts(np.zeros(30), "HU")[0]
    assert "negative" in doubts(np.linspace(-1, 1, 50), "arbitrary")[0]
    assert "SUV -3" in doubts(np.linspace(-3, 9, 50), "SUVbw")[0]


def test_other_quantities_have_their_own_limits():
    signal = np.linspace(0, 1, 1000)
    assert implausible(signal, "arbitrary") == implausible(signal, "SUVbw") == ""
    assert "1e+30" in implausible(np.array([1.0, 1e30]), "arbitrary")
    assert "Bq/mL" in implausible(np.linspace(0, 9000, 1000), "SUVbw")
    assert implausible(np.append(np.ones(10_000), 400.0), "SUVbw") == ""  # a bladder


def test_a_network_that_was_trained_here_may_begin_anywhere():
    require_possible(np.linspace(0, 1, 50), "HU", "net")
    with pytest.raises(InputError, match=r"net answered .* 1e\+30"):
        require_possible(np.array([0.0, 1e30]), "HU", "net")
