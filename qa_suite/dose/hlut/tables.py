"""HU to density: the look-up tables (HLUT) that a dose engine needs, with their sources.

No table is a default. Those of different systems differ by a quarter at 2000 HU, so the table
is an input that the record keeps, with its points and their source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import parse_yaml, read_yaml
from qa_suite.dose.hlut.text import TEXT_SUFFIXES, read_points

HlutQuantity = Literal["relative_electron_density", "relative_stopping_power", "mass_density_g_cm3"]
QUANTITY_WORDS: Mapping[str, HlutQuantity] = {
    "red": "relative_electron_density",
    "rsp": "relative_stopping_power",
    "density": "mass_density_g_cm3",
}
"""Words before a colon that say what the values of a text file are: ``red:scanner.csv``."""

_RENAMED: Mapping[str, str] = {
    "pyradplan-protons": "electron-density-as-rsp",
    "matrad-protons": "matrad-default-rsp",
}
"""Old names that promised more than the tables hold."""
AIR_AT_MOST = 0.01
"""A density up to this is air's, give and take a scanner's noise."""
_END_HU = 1.0  # HU that lie so little beyond an end are at it
_FOLDER = "shipped"
_SHOWN = 3  # of many faults of one kind; the others are counted


class Hlut(BaseModel):
    """One look-up table from HU to a density, linear between its points.

    Parameters
    ----------
    name
        As people call it.
    quantity
        What the values are: relative electron density, relative (proton) stopping power, both
        with water 1, or mass density in g/cm³.
    points
        Pairs (HU, value); HU strictly rising, values not falling. Below the first and above the
        last point the value stays what it is there.
    source
        Paper, report or commissioning sheet that the points come from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    quantity: HlutQuantity
    points: tuple[tuple[float, float], ...] = Field(min_length=2)
    source: str = Field(min_length=1)
    note: str = ""

    @model_validator(mode="after")
    def _monotone(self) -> Hlut:
        faults = []
        for (hu, value), (next_hu, next_value) in zip(self.points, self.points[1:], strict=False):
            if next_hu == hu:
                faults.append(
                    f"its HU must rise from point to point, and {hu:g} HU is there twice "
                    f"({value:g} and {next_value:g})"
                )
            elif next_hu < hu:
                faults.append(f"its HU must rise from point to point, not {hu:g}, {next_hu:g}")
            elif next_value < value:
                faults.append(
                    f"it is not monotone: {value:g} at {hu:g} HU falls to {next_value:g} at "
                    f"{next_hu:g} HU"
                )
        if faults:
            more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
            raise ValueError("; ".join([*faults[:_SHOWN], *more]))
        if self.points[0][1] < 0:
            raise ValueError(f"a density is not negative, got {self.points[0][1]:g}")
        water = self.at(0.0)
        if not 0.9 <= water <= 1.1:
            raise ValueError(f"water (0 HU) must come out near 1, got {water:g}")
        return self

    def at(self, hu: float) -> float:
        """Return the value at one HU."""
        return float(np.interp(hu, *self._columns()))

    def convert(self, hu: NDArray[Any]) -> NDArray[np.float32]:
        """Convert HU of any shape to densities, same shape.

        Raises
        ------
        InputError
            If a voxel is no number.
        """
        if not np.isfinite(hu).all():
            count = int((~np.isfinite(hu)).sum())
            raise InputError(f"The image holds {count} voxels that are no number; mend it first.")
        return np.interp(hu, *self._columns()).astype(np.float32)

    def beyond(self, hu: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Say where HU lie below and above the table's ends, so that a value was only held.

        A table that begins with air is not exceeded below: nothing is lighter.
        """
        (lowest, first), (highest, _) = self.points[0], self.points[-1]
        below = hu < lowest - _END_HU if first > AIR_AT_MOST else np.zeros(hu.shape, dtype=bool)
        return below, hu > highest + _END_HU

    @property
    def digest(self) -> str:
        """SHA-256 of what it says."""
        text = json.dumps([self.quantity, self.points])
        return hashlib.sha256(text.encode()).hexdigest()

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        hu, value = np.asarray(self.points, dtype=float).T
        return hu, value


def shipped_hluts() -> tuple[str, ...]:
    """Names of the tables that come with the suite."""
    files = resources.files("qa_suite.dose.hlut").joinpath(_FOLDER).iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_hlut(name: str | Path, *, quantity: HlutQuantity | None = None) -> Hlut:
    """Load a shipped table by its name, or one of your own from a YAML or two-column text file.

    Parameters
    ----------
    name
        Shipped name, or path of a file. YAML holds the fields of :class:`Hlut`; a text file
        (:mod:`qa_suite.dose.hlut.text`) holds lines of HU and value and does not say what its
        values are: a word of :data:`QUANTITY_WORDS` before it does (``red:scanner.csv``), or
        ``quantity``.
    quantity
        What the caller needs; a table of another quantity is refused.

    Raises
    ------
    InputError
        If there is no such table, it is of another quantity, or nobody says of which.
    Problems
        With everything that is wrong in the file.
    """
    said, place = _said(name)
    path = Path(place)
    if path.suffix.lower() in TEXT_SUFFIXES:
        data = _two_columns(path, said or quantity)
    elif path.suffix.lower() in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"There is no HLUT at {path}.")
        data = read_yaml(path)
    elif place in shipped_hluts():
        file = resources.files("qa_suite.dose.hlut").joinpath(_FOLDER, f"{place}.yaml")
        data = parse_yaml(file.read_text(), place)
    elif place in _RENAMED:
        raise InputError(
            f"The HLUT {place} is called {_RENAMED[place]} now, for what it is; the one with a "
            f"stated scanner and derivation is stoichiometric-schneider."
        )
    elif path.is_file():
        raise InputError(
            f"{path} is no HLUT by its name; a table is YAML (.yaml), or two columns of text "
            f"({', '.join(TEXT_SUFFIXES)})."
        )
    else:
        raise UnknownName(unknown_name("HLUT", place, list(shipped_hluts())))
    try:
        hlut = Hlut.model_validate(data)
    except ValidationError as error:
        raise Problems(f"The HLUT {place}", describe_validation(error)) from None
    if said is not None and hlut.quantity != said:
        raise InputError(
            f"The HLUT {hlut.name} gives {_words(hlut.quantity)}, not {_words(said)} as {name} "
            f"says."
        )
    if quantity is not None and hlut.quantity != quantity:
        raise InputError(
            f"The HLUT {hlut.name} gives {_words(hlut.quantity)} and {_words(quantity)} is needed; "
            f"shipped with it: {', '.join(_shipped_with(quantity))}."
        )
    return hlut


def _said(name: str | Path) -> tuple[HlutQuantity | None, str]:
    """Part ``red:scanner.csv`` into the quantity and the rest."""
    word, colon, rest = str(name).partition(":")
    if not colon or isinstance(name, Path) or len(word) < 2 or Path(name).exists():
        return None, str(name)  # no word, or the letter of a drive
    if word.lower() not in QUANTITY_WORDS:
        raise InputError(
            f"{word!r} before {rest} is no quantity of an HLUT; write {_choices(rest)}."
        )
    return QUANTITY_WORDS[word.lower()], rest


def _choices(file: str) -> str:
    said = [f"{word}:{file} ({_words(quantity)})" for word, quantity in QUANTITY_WORDS.items()]
    return f"{', '.join(said[:-1])} or {said[-1]}"


def _two_columns(path: Path, quantity: HlutQuantity | None) -> dict[str, Any]:
    points = read_points(path)
    if quantity is None:
        raise InputError(
            f"{path} does not say what its second column is; write {_choices(str(path))}."
        )
    return {"name": path.stem, "quantity": quantity, "points": points, "source": path.name}


def _shipped_with(quantity: HlutQuantity) -> list[str]:
    found = [load_hlut(name) for name in shipped_hluts()]
    return [hlut.name for hlut in found if hlut.quantity == quantity]


def _words(quantity: str) -> str:
    return quantity.replace("_g_cm3", "").replace("_", " ")
