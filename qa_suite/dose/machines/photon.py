"""A photon machine is a data file: beam quality, profile, output and head, each with its source.

Those that come with the suite lie in ``machines/``; one's own is a YAML file of the same form.
The pencil kernel is that of the beam quality index TPR20,10 (Nyholm T et al. 2006, Radiother
Oncol 78:347), which was fitted to flattened beams.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import parse_yaml, read_yaml

FluenceMode = Literal["STANDARD", "FFF"]
REFERENCE_SIDE_MM = 100.0
_FOLDER = "shipped"
_DUST = 1e-6
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _rising(table: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    for (place, _), (following, _) in itertools.pairwise(table):
        if following <= place:
            raise ValueError(
                f"its first column must rise from line to line, not {place:g}, {following:g}"
            )
    if table[0][0] < 0:
        raise ValueError(f"a length is not negative, got {table[0][0]:g} mm")
    negative = [value for _, value in table if value < 0]
    if negative:
        raise ValueError(f"a ratio is not negative, got {negative[0]:g}")
    return table


Curve = Annotated[tuple[tuple[float, float], ...], Field(min_length=2), AfterValidator(_rising)]
Pair = tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]]


class HeadScatter(BaseModel):
    """Scatter from the head, as a wide Gaussian of the open field.

    Parameters
    ----------
    share
        Of the fluence of a very large field.
    sigma_mm
        Its width in the isocentre plane, along x and y.
    """

    model_config = _STRICT

    share: float = Field(ge=0, le=0.5)
    sigma_mm: tuple[Annotated[float, Field(gt=0, le=200)], Annotated[float, Field(gt=0, le=200)]]


class Calibration(BaseModel):
    """Dose of one monitor unit in water, on the axis.

    What a monitor unit is, every clinic decides: 1 cGy at the depth of maximum in 10×10 cm² at a
    surface distance of 100 cm most often, measured at 10 cm depth (Med Phys 45:4789, 2018).

    Parameters
    ----------
    gy_per_mu
        At ``depth_mm`` in a field of ``field_mm`` squared, in the isocentre plane.
    ssd_mm
        Source to the water's surface; None where the point of measurement is the isocentre.
    """

    model_config = _STRICT

    gy_per_mu: float = Field(default=0.01, gt=0, le=0.1)
    depth_mm: float = Field(default=100.0, ge=50, le=200)
    field_mm: float = Field(default=100.0, ge=40, le=300)
    ssd_mm: float | None = Field(default=None, ge=500, le=2000)

    @property
    def words(self) -> str:
        """The calibration as people say it: ``0.675 cGy at 10 cm, SSD 100 cm``."""
        where = "isocentric" if self.ssd_mm is None else f"SSD {self.ssd_mm / 10:g} cm"
        return f"{100 * self.gy_per_mu:g} cGy at {self.depth_mm / 10:g} cm, {where}"


class PhotonMachine(BaseModel):
    """One energy of one linear accelerator.

    Parameters
    ----------
    nominal_mv
        Nominal energy, as a plan writes it.
    fluence_mode
        ``STANDARD`` (flattened) or ``FFF`` (flattening filter free).
    sad_mm
        Source to axis.
    tpr_20_10
        Tissue phantom ratio of 10×10 cm² at 20 and 10 cm in water, which chooses the kernel.
    leaf_transmission
        Share of the open fluence that passes a closed leaf.
    penumbra_fwhm_mm
        Width of the source as seen in the isocentre plane, x and y; (0, 0) is a point.
    head_scatter
        None where the output factors hold all of it.
    profile
        Distance from the axis in the isocentre plane in mm against the primary fluence relative
        to the axis.
    output_factors
        Side of a square field in mm against the factor on the fluence that makes the output in
        water right, beyond what kernel and head scatter give; 1 at 100 mm.
    calibration
        Dose of one monitor unit.
    source
        What machine it is, where its figures come from, and under which licence.
    sources
        Field to where that figure comes from.
    note
        What must be known by who uses it.
    """

    model_config = _STRICT

    name: str = Field(min_length=1)
    modality: Literal["photons"] = "photons"
    nominal_mv: float = Field(ge=1, le=50)
    fluence_mode: FluenceMode = "STANDARD"
    sad_mm: float = Field(default=1000.0, ge=500, le=2000)
    tpr_20_10: float = Field(ge=0.60, le=0.82)
    leaf_transmission: float = Field(ge=0, le=0.1)
    penumbra_fwhm_mm: Pair = (0.0, 0.0)
    head_scatter: HeadScatter | None = None
    profile: Curve
    output_factors: Curve
    calibration: Calibration = Calibration()
    source: str = Field(min_length=1)
    sources: dict[str, str] = Field(default_factory=dict)
    note: str = ""

    @field_validator("profile")
    @classmethod
    def _one_on_the_axis(cls, table: Curve) -> Curve:
        if max(abs(table[0][0]), abs(table[0][1] - 1.0)) > _DUST:
            raise ValueError(f"it begins on the axis with [0, 1], not {list(table[0])}")
        return table

    @field_validator("output_factors")
    @classmethod
    def _one_at_the_reference_field(cls, table: Curve) -> Curve:
        sides, factors = zip(*table, strict=True)
        at = min(range(len(sides)), key=lambda i: abs(sides[i] - REFERENCE_SIDE_MM))
        if max(abs(sides[at] - REFERENCE_SIDE_MM), abs(factors[at] - 1.0)) > _DUST:
            raise ValueError(f"the factor of the reference field of {REFERENCE_SIDE_MM:g} mm is 1")
        return table

    @field_validator("sources")
    @classmethod
    def _of_its_fields(cls, sources: dict[str, str]) -> dict[str, str]:
        for name in sources:
            if name not in cls.model_fields:
                raise ValueError(unknown_name("field of a machine", name, list(cls.model_fields)))
        return sources

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the dose."""
        said = self.model_dump(mode="json", exclude={"name", "source", "sources", "note"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def quality(self) -> str:
        """Energy and mode, as people say it: ``6 MV`` or ``10 MV FFF``."""
        return quality_words(self.nominal_mv, self.fluence_mode)

    @property
    def caveat(self) -> str:
        """What is wrong with it by kind; empty for a flattened beam."""
        if self.fluence_mode == "STANDARD":
            return ""
        return f"the pencil kernel of {self.name} was fitted to flattened beams, not to FFF"


def unknown_machine(kind: str, name: str, known: Sequence[str]) -> UnknownName:
    """Compose the error for a machine that is not there: the close ones, and all there are."""
    sentence = unknown_name(kind, name, list(known))
    if "known:" not in sentence:
        sentence += f" There are {', '.join(sorted(known))}."
    return UnknownName(sentence)


def quality_words(nominal_mv: float, mode: FluenceMode) -> str:
    """Write an energy and its mode as people do."""
    return f"{nominal_mv:g} MV{'' if mode == 'STANDARD' else ' FFF'}"


def shipped_photon_machines() -> tuple[str, ...]:
    """Names of the photon machines that come with the suite."""
    return tuple(sorted(_shipped()))


def load_photon_machine(name: str | Path) -> PhotonMachine:
    """Load a shipped machine by its name, or one of your own from a YAML file.

    Raises
    ------
    InputError
        If there is no such file, or it is no YAML.
    UnknownName
        If no photon machine of this name is shipped.
    Problems
        With everything that is wrong in it.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"There is no photon machine at {path}.")
        data = read_yaml(path)
    elif str(name) in _shipped():
        data = _shipped()[str(name)]
    else:
        raise unknown_machine("photon machine", str(name), list(_shipped()))
    try:
        return PhotonMachine.model_validate(data)
    except ValidationError as error:
        raise Problems(f"The photon machine {name}", describe_validation(error)) from None


@cache
def _shipped() -> Mapping[str, Any]:
    folder = resources.files("qa_suite.dose.machines").joinpath(_FOLDER)
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    found = {
        file.name.removesuffix(".yaml"): parse_yaml(file.read_text(), file.name)
        for file in files
        if file.name.endswith(".yaml")
    }
    return {name: data for name, data in found.items() if data.get("modality") == "photons"}
