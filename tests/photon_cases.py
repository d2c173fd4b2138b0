"""Fields, water, a cylinder and a small patient for the photon surrogate."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.photons.fluence import PIXELS, machine_fluence
from qa_suite.dose.plan.plan import PhotonField, Plan, PlannedBeam
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate

MACHINE = "varian_10MV"
ENGINE = PhotonEngine(MACHINE)
HLUT = load_hlut("thomas-1999")


def template(*gantry: float, **more: object) -> PlanTemplate:
    return PlanTemplate.model_validate(
        {
            "name": "test",
            "modality": "photons",
            "anatomy": "box",
            "engine": "photons-pydosert",
            "machine": MACHINE,
            "technique": "conformal",
            "beams": [{"gantry_deg": g} for g in gantry],
            "prescription": {"dose_gy": 60, "fractions": 30},
            "targets": [{"structures": ["PTV"]}],
            "source": "A test.",
            **more,
        }
    )


def opening(x: tuple[int, int], y: tuple[int, int]) -> np.ndarray:
    """An aperture that is open from x[0] to x[1] and y[0] to y[1] mm."""
    out = np.zeros((PIXELS, PIXELS))
    middle = PIXELS // 2
    out[middle + y[0] : middle + y[1], middle + x[0] : middle + x[1]] = 1.0
    return out


def square(side_mm: int) -> np.ndarray:
    half = side_mm // 2
    return opening((-half, half), (-half, half))


def dose_of(
    density: np.ndarray,
    grid: Grid,
    isocentre_mm: Triple,
    aperture: np.ndarray,
    gantry_deg: float = 0.0,
    engine: PhotonEngine = ENGINE,
) -> np.ndarray:
    """Dose of one monitor unit through one aperture."""
    field = PhotonField(fluence=machine_fluence(aperture, engine.machine), pixel_mm=1.0)
    geometry = BeamTemplate(gantry_deg=gantry_deg)
    plan = Plan(
        template=template(gantry_deg),
        engine="test",
        isocentre_mm=isocentre_mm,
        grid=grid,
        target="PTV",
        target_mask=np.zeros(grid.shape, bool),
        hlut=("", ""),
        beams=(PlannedBeam(geometry=geometry, weight=1.0, delivery=field),),
    )
    return engine.recalculate(density, plan).array


def read(dose: np.ndarray, grid: Grid, points_mm: object) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    places = grid.to_index(np.atleast_2d(np.asarray(points_mm, dtype=float)))
    return map_coordinates(dose, places.T, order=1)


def water(
    spacing: float,
    *,
    origin: Triple = (0.0, 0.0, 0.0),
    air: int = 3,
    depth_mm: float = 270.0,
    wide_mm: float = 270.0,
) -> tuple[Grid, np.ndarray, Triple]:
    """A block of water with air around it; the middle of its anterior face."""
    nx, ny = round(wide_mm / spacing), round(depth_mm / spacing)
    grid = Grid(shape=(nx + 2 * air, ny + 2 * air, nx), spacing_mm=(spacing,) * 3, origin_mm=origin)
    density = np.zeros(grid.shape, np.float32)
    density[air:-air, air:-air] = 1.0
    x, _, z = grid.centre_mm
    return grid, density, (x, float(grid.to_world([0, air - 0.5, 0])[1]), z)


def below(surface: Triple, depth_mm: float) -> Triple:
    return surface[0], surface[1] + depth_mm, surface[2]


def cylinder(spacing: float = 4.0, n: int = 49) -> tuple[Grid, np.ndarray]:
    """Water around the z axis through the middle of the grid, which is that of LPS."""
    half = (n - 1) / 2 * spacing
    grid = Grid(shape=(n, n, 31), spacing_mm=(spacing,) * 3, origin_mm=(-half, -half, -60.0))
    x, y = np.meshgrid(*[np.arange(n) * spacing - half] * 2, indexing="ij")
    disc = np.hypot(x, y) <= half - 3 * spacing
    return grid, np.repeat(disc[..., None], 31, axis=2).astype(np.float32)


CENTRE: Triple = (0.0, 0.0, 0.0)


def case(spacing: float = 6.0) -> tuple[Grid, np.ndarray, np.ndarray]:
    grid = Grid(
        shape=(33, 27, 25),
        spacing_mm=(spacing,) * 3,
        origin_mm=(-16 * spacing, -13 * spacing, -12 * spacing),
    )
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    body = (x / 84) ** 2 + (y / 66) ** 2 <= 1
    target = x**2 + y**2 + z**2 <= 25**2
    return grid, body.astype(np.float32), target


def planned(made: PlanTemplate, engine: PhotonEngine = ENGINE, **more: object) -> Plan:
    grid, density, target = case()
    given = {
        "density": density,
        "grid": grid,
        "target": target,
        "avoid": {},
        "isocentre_mm": CENTRE,
        "template": made,
        "hlut": HLUT,
        "target_name": "PTV",
    } | more
    return engine.plan(given.pop("density"), given.pop("grid"), **given)  # type: ignore[arg-type]


def coverage(dose: np.ndarray, target: np.ndarray) -> float:
    return float(np.quantile(dose[target], 0.05))
