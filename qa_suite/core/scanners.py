"""Makers of scanners under one name each, whatever a header calls them."""

from __future__ import annotations

import re

_MANUFACTURERS = {
    "siemens": "Siemens",
    "philips": "Philips",
    "ge medical": "GE",
    "ge healthcare": "GE",
    "general electric": "GE",
    "toshiba": "Canon",
    "canon": "Canon",
    "united imaging": "United Imaging",
    "uih": "United Imaging",
    "viewray": "ViewRay",
    "elekta": "Elekta",
    "varian": "Varian",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "accuray": "Accuray",
    "bruker": "Bruker",
}
_NO_MR_SCANNER = ("Varian", "Elekta", "Accuray")
"""Makers of planning and treatment systems: on an MR they are a re-export's stamp.

Elekta's MR-linac carries a Philips scanner and writes Philips.
"""


def normalise_manufacturer(text: str | None, modality: str = "MR") -> str | None:
    """Write a manufacturer as people do: ``SIEMENS / MIM Software`` becomes ``Siemens``.

    Unknown names stay as they are. None where there is none, and for an MR that bears the
    name of a treatment-planning vendor, which is a re-export and hides the scanner.
    """
    if text is None or not text.strip():
        return None
    lower = text.strip().lower()
    known = next((name for key, name in _MANUFACTURERS.items() if key in lower), None)
    if known is None and re.match(r"^ge\b", lower):
        known = "GE"
    if known in _NO_MR_SCANNER and modality == "MR":
        return None
    return known or text.strip()
