"""Every package that an installation brings has a licence that is known and allowed."""

from email.message import Message

import pytest

from benchmarks.licences import BY_HAND, installed, licence_of
from tests.conftest import ROOT


def test_every_package_has_an_allowed_licence_and_stands_in_the_table():
    page = (ROOT / "docs" / "appendix" / "licences.md").read_text()
    packages = installed()
    assert {"numpy", "torch", "mlflow", "typst", "streamlit", "contourpy"} <= set(packages)
    unknown = [name for name, one in packages.items() if licence_of(name, one) is None]
    assert not unknown, "name it in BY_HAND with its licence and where that is said"
    for name, one in packages.items():
        assert f"| {name} | {licence_of(name, one)}" in page, "renew the page"


class Package:
    """A distribution that says these things of its licence."""

    def __init__(self, **said):
        self.metadata = Message()
        for name, words in said.items():
            self.metadata[name.replace("_", "-")] = words


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"License_Expression": "MIT"}, "MIT"),
        ({"License_Expression": "Apache-2.0 AND MIT"}, "Apache-2.0 AND MIT"),
        ({"License_Expression": "GPL-3.0-only OR BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, None),
        ({"License_Expression": "AGPL-3.0-only", "License": "MIT"}, None),
        ({"License": "GPLv3"}, None),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD"),
        ({"Classifier": "License :: Other/Proprietary License", "License": "see file"}, None),
        ({}, None),
    ],
)
def test_what_a_package_says_of_its_licence(said, licence):
    assert licence_of("some-package", Package(**said)) == licence


def test_what_is_named_by_hand_is_needed():
    packages = installed()
    for name in BY_HAND:
        assert name in packages
