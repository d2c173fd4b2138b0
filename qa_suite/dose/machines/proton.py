"""What a scanning proton machine delivers: spots, energies, steps and margins."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import parse_yaml, read_yaml
from qa_suite.dose.machines.photon import unknown_machine
from qa_suite.dose.range.pstar import HIGHEST_MEV, range_mm

_FOLDER = "shipped"
_PREFIX = "proton-"
Table = tuple[tuple[float, float], ...]


class ProtonMachine(BaseModel):
    """One machine; tables are linear between their points and constant beyond them.

    Parameters
    ----------
    sad_mm
        From the virtual source to the isocentre; None for parallel spots.
    lowest_mev, highest_mev
        Energies that it delivers, without steps in between.
    spot_sigma_mm
        Energy in MeV against σ of a spot in air in the isocentre plane.
    energy_spread_pct
        Energy in MeV against the standard deviation of a spot's energy in percent.
    tail
        Share of protons in a low-energy tail (ε of Bortfeld 1997).
    layer_step
        Distance of energy layers, in σ of the range.
    layer_least_mm
        But at least this, in water.
    range_margin_pct, range_margin_mm
        How far layers reach beyond the target, before and behind: both together.
    lateral_margin_mm
        How far spots reach beyond the target's outline, at least half a spot's distance.
    least_protons
        Smallest spot that can be delivered, in 10⁶ protons a fraction.
    protons_per_mu
        Energy in MeV against the protons of one monitor unit, for plans of the clinic that count
        monitor units; None where nobody says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    modality: Literal["protons"] = "protons"
    sad_mm: float | None = Field(default=None, gt=500)
    lowest_mev: float = Field(ge=10)
    highest_mev: float = Field(le=HIGHEST_MEV)
    spot_sigma_mm: Table = Field(min_length=1)
    energy_spread_pct: Table = Field(min_length=1)
    tail: float = Field(default=0.0, ge=0, le=0.5)
    layer_step: float = Field(gt=0)
    layer_least_mm: float = Field(gt=0)
    range_margin_pct: float = Field(ge=0, le=20)
    range_margin_mm: float = Field(ge=0)
    lateral_margin_mm: float = Field(ge=0)
    least_protons: float = Field(ge=0)
    protons_per_mu: Table | None = Field(default=None, min_length=1)
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> ProtonMachine:
        if not self.lowest_mev < self.highest_mev:
            raise ValueError(f"{self.lowest_mev:g} to {self.highest_mev:g} MeV is no range")
        for label in ("spot_sigma_mm", "energy_spread_pct"):
            table = np.asarray(getattr(self, label))
            if (np.diff(table[:, 0]) <= 0).any() or (table[:, 1] < 0).any():
                raise ValueError(f"{label} must rise in energy and not be negative")
        if self.protons_per_mu is not None:
            units = np.asarray(self.protons_per_mu)
            if (np.diff(units[:, 0]) <= 0).any() or (units[:, 1] <= 0).any():
                raise ValueError("protons_per_mu must rise in energy and be above 0")
        if min(sigma for _, sigma in self.spot_sigma_mm) <= 0:
            raise ValueError("a spot needs a width above 0")
        return self

    def sigma_mm(self, energy_mev: float) -> float:
        """σ of a spot in air at the isocentre."""
        return float(np.interp(energy_mev, *np.asarray(self.spot_sigma_mm).T))

    def spread_pct(self, energy_mev: float) -> float:
        """Return the standard deviation of a spot's energy, in percent."""
        return float(np.interp(energy_mev, *np.asarray(self.energy_spread_pct).T))

    def margin_mm(self, depth_mm: float) -> float:
        """Margin along the beam at a water-equivalent depth."""
        return self.range_margin_pct / 100 * depth_mm + self.range_margin_mm

    @property
    def reach_mm(self) -> tuple[float, float]:
        """Ranges in water of its lowest and highest energy."""
        low, high = range_mm([self.lowest_mev, self.highest_mev])
        return float(low), float(high)

    @property
    def digest(self) -> str:
        """SHA-256 of what it says."""
        left_out = {"name", "modality", "source"}
        if self.protons_per_mu is None:  # as it was before machines could say it
            left_out |= {"protons_per_mu"}
        return hashlib.sha256(self.model_dump_json(exclude=left_out).encode()).hexdigest()


def shipped_machines() -> tuple[str, ...]:
    """Names of the proton machines that come with the suite."""
    files = resources.files("qa_suite.dose.machines").joinpath(_FOLDER).iterdir()
    names = (f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))
    return tuple(sorted(name for name in names if name.startswith(_PREFIX)))


def load_machine(name: str | Path) -> ProtonMachine:
    """Load a shipped machine by its name, or one of your own from a YAML file.

    Raises
    ------
    InputError
        If there is no such file, or it is no YAML.
    UnknownName
        If no machine of this name is shipped.
    Problems
        With everything that is wrong in it.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"There is no proton machine at {path}.")
        data = read_yaml(path)
    elif str(name) in shipped_machines():
        shipped = resources.files("qa_suite.dose.machines").joinpath(_FOLDER, f"{name}.yaml")
        data = parse_yaml(shipped.read_text(), str(name))
    else:
        raise unknown_machine("proton machine", str(name), shipped_machines())
    try:
        return ProtonMachine.model_validate(data)
    except ValidationError as error:
        raise Problems(f"The proton machine {name}", describe_validation(error)) from None
