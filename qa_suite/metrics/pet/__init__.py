"""PET measures: uptake of organs and lesions, in SUVbw."""

from __future__ import annotations

from typing import Any

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.metrics.base import Pair, Value, absent, as_value, failed, ok, undefined
from qa_suite.metrics.facts import FAMILIES, FamilyFacts
from qa_suite.metrics.pet.facts import LOST
from qa_suite.metrics.pet.settings import PetSettings
from qa_suite.metrics.pet.uptake import lesion_keys, lesion_values, organ_values, structure_of

__all__ = ["LESIONS", "is_lesion", "pet", "pet_variants"]

LESIONS = "lesions"
"""Region of all lesions of a patient together: the same name in every patient."""


@FAMILIES.add(
    "pet",
    FamilyFacts(
        title="Uptake of organs and lesions: SUV bias and error, SUVmax, SUVpeak, MTV, TLG",
        needs=("reference in SUVbw", "mask", "structures; lesions by their name"),
        quantities=("SUVbw",),
        because="uptake is told in SUVbw",
    ),
)
def pet(pair: Pair, settings: PetSettings) -> list[Value]:
    """Compare the uptake of every structure in the synthetic PET and the real one.

    Parameters
    ----------
    pair
        Both images in SUVbw; organs and lesions among the structures.
    settings
        Which structures are lesions, the sphere, the thresholds and the shell.

    Returns
    -------
    list of Value
        Regions ``structure:NAME`` of organs and lesions, and ``lesions`` for all lesions of the
        patient together; undefined there where the case has none.

    Raises
    ------
    InputError
        If an image is not in SUVbw.
    """
    for what, volume in (("reference", pair.reference), ("synthetic image", pair.synthetic)):
        if volume.quantity != "SUVbw":
            raise InputError(f"PET measures need SUVbw, and the {what} is in {volume.quantity}.")
    lesions = [name for name in sorted(pair.structures) if is_lesion(name, settings)]
    values: list[Value] = []
    for name in sorted(set(pair.structures) - set(lesions)):
        if not _begins(name, settings.other_prefixes):
            values += _organ(pair, name)
    everywhere = np.zeros(pair.grid.shape, dtype=bool)
    for name in lesions:
        everywhere |= pair.structures[name]
    single = [_lesion(pair, f"structure:{n}", [n], everywhere, settings) for n in lesions]
    for rows in single:
        values += rows
    return values + _together(pair, lesions, everywhere, single, settings)


def is_lesion(name: str, settings: PetSettings) -> bool:
    """Whether a structure is a lesion by the prefix of its name."""
    return _begins(name, settings.lesion_prefixes)


def pet_variants(settings: PetSettings) -> dict[str, dict[str, Any]]:
    """Describe the variants of the thresholds for the record."""
    return {
        key: {"mtv_threshold": value, "of": "SUVmax of the image" if unit == "%" else "SUVbw"}
        for key, (value, unit) in settings.thresholds.items()
    }


def _begins(name: str, prefixes: tuple[str, ...]) -> bool:
    return name.lower().startswith(tuple(prefix.lower() for prefix in prefixes))


def _organ(pair: Pair, name: str) -> list[Value]:
    return organ_values(pair, structure_of(pair, f"structure:{name}", pair.structures[name]))


def _lesion(
    pair: Pair, region: str, names: list[str], everywhere: Any, settings: PetSettings
) -> list[Value]:
    structure = structure_of(pair, region, *(pair.structures[name] for name in names))
    try:
        return lesion_values(pair, structure, everywhere, settings)
    except ArithmeticError as error:
        keys = lesion_keys(settings)
        return [failed(metric, region, str(error), variant=variant) for metric, variant in keys]


def _together(
    pair: Pair,
    lesions: list[str],
    everywhere: Any,
    single: list[list[Value]],
    settings: PetSettings,
) -> list[Value]:
    """Measure all lesions as one; how many are lost is counted lesion by lesion."""
    if not lesions:
        asked = " or ".join(settings.lesion_prefixes)
        why = f"the case has no structure whose name begins with {asked}"
        none = absent(why)
        return [as_value(m, LESIONS, none, variant=v) for m, v in lesion_keys(settings)]
    rows = [
        row for row in _lesion(pair, LESIONS, lesions, everywhere, settings) if row.metric != LOST
    ]
    found = [row for rows_of_one in single for row in rows_of_one if row.metric == LOST]
    return [*rows, _count(found)]


def _count(found: list[Value]) -> Value:
    wrong = [row for row in found if row.status == "error"]
    if wrong:
        return failed(LOST, LESIONS, wrong[0].why)
    shown = [row.value for row in found if row.value is not None]
    if not shown:
        gone = all(row.absent_in_reference for row in found)
        return undefined(LOST, LESIONS, found[0].why, absent_in_reference=gone)
    return ok(LOST, LESIONS, float(sum(shown)), coverage=len(shown) / len(found))
