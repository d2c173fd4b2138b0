"""Read the real images: a trunk CT with drawn structures, and one head-and-neck patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import InputError
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.plan.template import PlanTemplate, load_template
from qa_suite.io.images import read_image

TARGETS = Path(__file__).resolve().parent.parent / "targets"
_SHAPE = (128, 128, 128)
_HU_AT_ZERO = -1024.0
_NAMES = {
    "Brainstem": "Brainstem",
    "LeftParotid": "Parotid_L",
    "RightParotid": "Parotid_R",
    "Mandible": "Bone_Mandible",
    "SpinalCord": "SpinalCord",
    "PTV70": "PTV_7000",
    "PTV63": "PTV_6300",
    "PTV56": "PTV_5600",
}
"""Names of the OpenKBP files to those of AAPM TG-263."""


@dataclass(frozen=True, kw_only=True)
class RealCase:
    """One real CT, its structures, and the plans to try on it.

    ``gas_below_z_mm`` bounds what counts as gas that could move or vanish: lungs do not.
    ``clinical`` is the dose that the data set ships, where it does.
    """

    name: str
    title: str
    ct: Volume
    structures: Mapping[str, Mask]
    plans: tuple[PlanTemplate, ...]
    gas_below_z_mm: float = np.inf
    clinical: Volume | None = None
    notes: tuple[str, ...] = field(default=())


class Ellipsoid(BaseModel):
    """A structure drawn as an ellipsoid along the patient's axes, LPS mm."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    centre_mm: Triple
    radii_mm: Triple
    why: str = Field(min_length=1)

    def on(self, grid: Grid) -> Mask:
        """Voxels whose centre lies inside."""
        index = np.moveaxis(np.indices(grid.shape), 0, -1)
        away = (grid.to_world(index) - np.asarray(self.centre_mm)) / np.asarray(self.radii_mm)
        return np.asarray((away**2).sum(axis=-1) <= 1)


class DrawnSite(BaseModel):
    """A site drawn on a CT: what, where, why, and the plans for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    title: str
    image: str
    why: str = Field(min_length=1)
    structures: tuple[Ellipsoid, ...] = Field(min_length=1)
    gas_below_z_mm: float | None = None
    plans: tuple[dict[str, Any], ...] = Field(min_length=1)

    def templates(self) -> tuple[PlanTemplate, ...]:
        """Shipped templates with what the site changes."""
        found = []
        for plan in self.plans:
            changes = dict(plan)
            base = load_template(changes.pop("base")).model_dump()
            found.append(PlanTemplate.model_validate(base | changes))
        return tuple(found)


def read_drawn_site(path: Path) -> DrawnSite:
    """Read a drawn site from its YAML file."""
    return DrawnSite.model_validate(yaml.safe_load(path.read_text()))


def trunk_case(data: Path, site_name: str) -> RealCase:
    """Read the trunk CT with the structures drawn for one site (``bladder``, ``pancreas``)."""
    site = read_drawn_site(TARGETS / f"trunk-{site_name}.yaml")
    path = data / site.image
    _require(path)
    ct = read_image(path, "HU")
    return RealCase(
        name=site.name,
        title=site.title,
        ct=ct,
        plans=site.templates(),
        structures={s.name: s.on(ct.grid) for s in site.structures},
        gas_below_z_mm=np.inf if site.gas_below_z_mm is None else site.gas_below_z_mm,
    )


def head_and_neck_case(data: Path) -> RealCase:
    """Read the OpenKBP patient, cropped to the slices that hold a whole cross-section.

    The flat index of the files runs over (128, 128, 128) in C order. Its axes, from where the
    structures lie: the first from front to back (mandible before cord), the second from right
    to left (right to left parotid), the third from head to feet (brainstem above cord). Beyond
    the slices of ``possible_dose_mask`` only delineated voxels have a CT number. The CT is
    interpolated to half the voxel size within the slices, so that an outline can move by less
    than the 3.9 mm of a voxel.

    Raises
    ------
    InputError
        If the folder is not there, or structures do not lie where these axes put them.
    """
    folder = data / "openkbp" / "pt_1"
    _require(folder / "ct.csv")
    y_mm, x_mm, z_mm = np.loadtxt(folder / "voxel_dimensions.csv")[:3]
    body = _sparse(folder / "possible_dose_mask.csv") > 0
    slices = np.flatnonzero(body.any(axis=(0, 1)))
    span = slice(int(slices[0]), int(slices[-1]) + 1)

    def patient(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array[:, :, span].transpose(1, 0, 2)[:, :, ::-1])

    grid = Grid(shape=patient(body).shape, spacing_mm=(x_mm, y_mm, z_mm))
    hu = patient(_sparse(folder / "ct.csv")) + np.float32(_HU_AT_ZERO)
    ct = _halved(Volume(array=hu, grid=grid, quantity="HU"))
    masks = {
        name: patient(_sparse(folder / f"{file}.csv") > 0).repeat(2, axis=0).repeat(2, axis=1)
        for file, name in _NAMES.items()
        if (folder / f"{file}.csv").is_file()
    }
    _require_places(masks, ct.grid)
    return RealCase(
        name="head-and-neck",
        title="Head-and-neck patient",
        ct=ct,
        structures=masks,
        plans=(load_template("photon-head-and-neck"), load_template("proton-head-and-neck")),
        clinical=Volume(array=patient(_sparse(folder / "dose.csv")), grid=grid, quantity="Gy"),
    )


def _halved(volume: Volume) -> Volume:
    """Interpolate to voxels of half the size along x and y."""
    (x_mm, y_mm, z_mm), (x0, y0, z0) = volume.grid.spacing_mm, volume.grid.origin_mm
    nx, ny, nz = volume.grid.shape
    fine = Grid(
        shape=(2 * nx, 2 * ny, nz),
        spacing_mm=(x_mm / 2, y_mm / 2, z_mm),
        origin_mm=(x0 - x_mm / 4, y0 - y_mm / 4, z0),
    )
    return resample(volume, fine, interpolation="linear", outside=_HU_AT_ZERO)


def _sparse(path: Path) -> NDArray[np.float32]:
    """Read a sparse CSV: flat index and value, or flat index alone for a mask."""
    out = np.zeros(_SHAPE, dtype=np.float32)
    flat = out.reshape(-1)
    for line in path.read_text().splitlines()[1:]:
        index, _, value = line.partition(",")
        flat[int(index)] = float(value) if value else 1.0
    return out


def _require(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"There is no {path}; give the folder of the real images with --data.")


def _require_places(masks: Mapping[str, Mask], grid: Grid) -> None:
    """Refuse another orientation: every pair of organs lies as in a patient, LPS."""
    centre = {n: grid.to_world(np.argwhere(m).mean(axis=0)) for n, m in masks.items()}
    for axis, low, high in (
        (0, "Parotid_R", "Parotid_L"),
        (1, "Bone_Mandible", "SpinalCord"),
        (2, "SpinalCord", "Brainstem"),
    ):
        if not centre[low][axis] < centre[high][axis]:
            raise InputError(f"{low} and {high} do not lie as LPS has it; check the orientation.")
