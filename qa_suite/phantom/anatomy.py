"""Sampling a patient on a grid: which share of every voxel is which part of the body.

The parts are painted from the front: each takes its share of what the parts before it left
of a cell, so that the shares of a voxel add up to one and nothing is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from qa_suite.phantom.patients import Anatomy
from qa_suite.phantom.shapes import FAR_MM, Array, Box, Ellipsoid, Mesh, Points, smooth_union
from qa_suite.volume import Grid, Triple

PARTS = (
    "air", "skin", "fat", "muscle", "bone_cortical", "marrow_pelvis", "marrow_sacrum",
    "marrow_femur", "marrow_shaft", "cartilage", "bladder_wall", "urine", "prostate", "lesion",
    "seminal_vesicles", "rectum_wall", "stool", "gas", "bowel_wall", "bowel_content", "blood",
    "nerve",
)  # fmt: skip
LABELS: Mapping[str, int] = MappingProxyType({name: i for i, name in enumerate(PARTS)})
"""Label values of :attr:`Sample.labels`: the part with the largest share of the voxel."""

STRUCTURES = (
    "Body", "Bladder", "Prostate", "SeminalVes", "Rectum", "GTV", "Femur_Head_L", "Femur_Head_R",
    "Femur_L", "Femur_R", "Sacrum", "Bone_Pelvic", "Bone",
)  # fmt: skip
"""Names of the delineated structures, after AAPM TG-263 where it has one."""

SKIN_MM = 2.0
MUSCLE_GAP_MM = 0.9
RECTUM_WALL_MM = 3.0
BOWEL_WALL_MM = 2.2
SUBSAMPLE_MM = 3.0
_POINTS_A_SLAB = 2_600_000
_EXTENT_MM: Triple = (440.0, 296.0, 198.0)
_MIDDLE_MM: Triple = (0.0, 4.0, 8.0)

Displace = Callable[[Array, Array, Array], tuple[Array, Array, Array]]


def phantom_grid(spacing_mm: Triple, extent_mm: Triple = _EXTENT_MM) -> Grid:
    """Return an axial grid over the pelvis.

    Parameters
    ----------
    spacing_mm
        Voxel size along x, y, z.
    extent_mm
        Field of view, at least; it is rounded up to an even number of voxels.
    """
    shape = [2 * int(np.ceil(e / s / 2 - 1e-9)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    origin = [m - s * (n - 1) / 2 for m, s, n in zip(_MIDDLE_MM, spacing_mm, shape, strict=True)]
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=spacing_mm,
        origin_mm=(origin[0], origin[1], origin[2]),
    )


@dataclass(frozen=True, kw_only=True)
class Slab:
    """Some slices of a sampled patient.

    Parameters
    ----------
    slices
        Which slices of the grid (third index).
    shares
        Share of each voxel by part, shape (len(PARTS), nx, ny, slices).
    structures
        Share of each voxel inside each structure, shape (nx, ny, slices).
    """

    slices: slice
    shares: Array
    structures: Mapping[str, Array]


def sample(anatomy: Anatomy, grid: Grid, *, displace: Displace | None = None) -> Iterator[Slab]:
    """Sample a patient slab by slab.

    Parameters
    ----------
    anatomy
        The patient; his coordinates are the LPS mm of ``grid``.
    grid
        Any grid, oblique ones included.
    displace
        Maps the position of a point in the image to the position it shows, both LPS mm.

    Yields
    ------
    Slab
        In order, together covering the grid.
    """
    factor = tuple(max(1, int(np.ceil(s / SUBSAMPLE_MM - 1e-9))) for s in grid.spacing_mm)
    plane = grid.shape[0] * grid.shape[1] * int(np.prod(factor))
    step = max(1, _POINTS_A_SLAB // plane)
    for start in range(0, grid.shape[2], step):
        slices = slice(start, min(start + step, grid.shape[2]))
        points = _points(anatomy, grid, slices, (factor[0], factor[1], factor[2]), displace)
        canvas = _Canvas(points)
        _paint(anatomy, canvas)
        yield Slab(slices=slices, shares=canvas.shares, structures=canvas.structures)


def _points(
    anatomy: Anatomy,
    grid: Grid,
    slices: slice,
    factor: tuple[int, int, int],
    displace: Displace | None,
) -> Points:
    counts = (grid.shape[0], grid.shape[1], slices.stop - slices.start)
    start = (0, 0, slices.start)
    index = [
        s + (np.arange(n * f) + 0.5) / f - 0.5
        for s, n, f in zip(start, counts, factor, strict=True)
    ]
    i, j, k = np.ix_(*index)
    affine = grid.affine
    world = [
        (row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32) for row in affine[:3]
    ]
    x, y, z = world
    if displace is not None:
        x, y, z = displace(x, y, z)
    shift = [np.zeros(x.shape, dtype=np.float32) for _ in range(3)]
    for kx, ky, kz, phase, *amplitude in anatomy.waves:
        wave = np.sin(
            np.float32(kx) * x + np.float32(ky) * y + np.float32(kz) * z + np.float32(phase)
        )
        for axis in range(3):
            shift[axis] += wave * np.float32(amplitude[axis])
    to_fine = np.diag([*factor, 1.0])
    to_fine[:3, 3] = [(0.5 - s) * f - 0.5 for s, f in zip(start, factor, strict=True)]
    cell = float(np.mean([s / f for s, f in zip(grid.spacing_mm, factor, strict=True)]))
    return Points(
        x=x + shift[0],
        y=y + shift[1],
        z=z + shift[2],
        to_index=to_fine @ np.linalg.inv(affine),
        cell_mm=cell,
        factor=factor,
        slack_mm=float(np.abs(anatomy.waves[:, 4:]).sum(axis=0).max()) * 0.7
        + (0.0 if displace is None else 3.0),
    )


class _Canvas:
    """What is painted so far, and what is left of each sample cell."""

    def __init__(self, points: Points) -> None:
        self.points = points
        shape = tuple(n // f for n, f in zip(points.shape, points.factor, strict=True))
        self.left = np.ones(points.shape, dtype=np.float32)
        self.shares = np.zeros((len(PARTS), *shape), dtype=np.float32)
        self.structures = {name: np.zeros(shape, dtype=np.float32) for name in STRUCTURES}

    def whole(self) -> Box:
        i, j, k = (slice(0, n) for n in self.points.shape)
        return (i, j, k)

    def box(self, *shapes: Mesh | Ellipsoid, margin_mm: float = 6.0) -> Box | None:
        low = np.min([s.bounds[0] for s in shapes], axis=0)
        high = np.max([s.bounds[1] for s in shapes], axis=0)
        return self.points.box((low, high), margin_mm)

    def paint(self, box: Box, layers: Mapping[str, Array], names: Sequence[str] = ()) -> None:
        """Give each layer its share of what is left; the layers do not overlap."""
        left = self.left[box]
        coarse = self._coarse_box(box)
        total = np.zeros_like(left)
        for part, share in layers.items():
            taken = share * left
            total += taken
            self.shares[(LABELS[part], *coarse)] += self._mean(taken)
        if names:
            mean = self._mean(total)
            for name in names:
                self.structures[name][coarse] += mean
        left -= total

    def mark(self, box: Box, name: str, share: Array) -> None:
        """Add to a structure without painting."""
        self.structures[name][self._coarse_box(box)] += self._mean(share)

    def _coarse_box(self, box: Box) -> Box:
        i, j, k = (
            slice(s.start // f, s.stop // f) for s, f in zip(box, self.points.factor, strict=True)
        )
        return (i, j, k)

    def _mean(self, fine: Array) -> Array:
        fx, fy, fz = self.points.factor
        if fx == fy == fz == 1:
            return fine
        for axis, f in enumerate((fx, fy, fz)):
            if f > 1:
                parts = [fine[(slice(None),) * axis + (slice(i, None, f),)] for i in range(f)]
                fine = sum(parts[1:], start=parts[0])
        return np.asarray(fine * np.float32(1 / (fx * fy * fz)))


def _paint(anatomy: Anatomy, canvas: _Canvas) -> None:
    _skin(anatomy, canvas)
    _hollows(anatomy, canvas)
    _bones(anatomy, canvas)
    _pelvic_organs(anatomy, canvas)
    _vessels(anatomy, canvas)
    _muscles(anatomy, canvas)
    _bowel(anatomy, canvas)
    canvas.paint(canvas.whole(), {"fat": np.ones_like(canvas.left)})


def _skin(anatomy: Anatomy, canvas: _Canvas) -> None:
    share, box = canvas.points.share, canvas.whole()
    distance = anatomy.outline.distance(canvas.points, box)
    body = share(distance)
    under = np.minimum(share(distance + np.float32(SKIN_MM)), body)
    canvas.paint(box, {"air": 1 - body, "skin": body - under})
    canvas.mark(box, "Body", body)


def _hollows(anatomy: Anatomy, canvas: _Canvas) -> None:
    """Paint the sacral canal and foramina: nerve roots in fat."""
    box = canvas.box(anatomy.canal)
    if box is None:
        return
    distance = anatomy.canal.distance(canvas.points, box)
    fat = canvas.points.share(distance)
    core = np.minimum(canvas.points.share(distance + np.float32(3.0)), fat)
    canvas.paint(box, {"nerve": core, "fat": fat - core})


def _bones(anatomy: Anatomy, canvas: _Canvas) -> None:
    for side in "LR":
        _femur(anatomy, canvas, side)
    hips = {side: _hip(anatomy, canvas, side) for side in "LR"}
    _spine(anatomy, canvas, hips)
    for shape in (anatomy.symphysis, anatomy.disc):
        box = canvas.box(shape)
        if box is not None:
            canvas.paint(
                box, {"cartilage": canvas.points.share(shape.distance(canvas.points, box))}
            )
    for side in "LR":
        box = canvas.box(anatomy.sockets[side])
        if box is not None:
            inside = canvas.points.share(anatomy.sockets[side].distance(canvas.points, box))
            canvas.paint(box, {"cartilage": inside})


def _femur(anatomy: Anatomy, canvas: _Canvas, side: str) -> None:
    mesh, head = anatomy.femurs[side], anatomy.heads[side]
    box = canvas.box(mesh, head)
    if box is None:
        return
    points, share = canvas.points, canvas.points.share
    outer, inner = mesh.distances(points, box)
    ball = head.distance(points, box)
    whole = smooth_union(outer, ball, 5.0)
    marrow = smooth_union(inner, ball + np.float32(1.6), 5.0)
    bone = share(whole)
    core = np.minimum(share(marrow), bone)
    small = float(mesh.nodes[list(range(len(mesh.nodes)))[5], 2])  # the small trochanter
    shaft = np.clip((np.float32(small + 8) - points.z[box]) / np.float32(16), 0, 1)
    canvas.paint(
        box,
        {
            "bone_cortical": bone - core,
            "marrow_femur": core * (1 - shaft),
            "marrow_shaft": core * shaft,
        },
        [f"Femur_{side}", "Bone"],
    )
    neck = _beyond_neck(anatomy, points, box, side)
    canvas.mark(box, f"Femur_Head_{side}", bone * share(neck))


def _beyond_neck(anatomy: Anatomy, points: Points, box: Box, side: str) -> Array:
    """Signed distance to the plane across the neck that ends the femoral head."""
    centre = anatomy.heads[side].centre_mm
    axis = anatomy.femurs[side].nodes[1, :3] - centre
    axis = axis / np.linalg.norm(axis)
    reach = float(anatomy.heads[side].radii_mm[0]) * 0.95
    along = (
        (points.x[box] - np.float32(centre[0])) * np.float32(axis[0])
        + (points.y[box] - np.float32(centre[1])) * np.float32(axis[1])
        + (points.z[box] - np.float32(centre[2])) * np.float32(axis[2])
    )
    return along - np.float32(reach)


def _hip(anatomy: Anatomy, canvas: _Canvas, side: str) -> tuple[Box, Array] | None:
    mesh, socket = anatomy.hips[side], anatomy.sockets[side]
    box = canvas.box(mesh)
    if box is None:
        return None
    points, share = canvas.points, canvas.points.share
    outer, inner = mesh.distances(points, box)
    hollow = socket.distance(points, box)
    outer = np.maximum(outer, -hollow)
    inner = np.maximum(inner, np.float32(1.8) - hollow)
    bone = share(outer)
    core = np.minimum(share(inner), bone)
    canvas.paint(
        box, {"bone_cortical": bone - core, "marrow_pelvis": core}, ["Bone_Pelvic", "Bone"]
    )
    return box, outer


def _spine(anatomy: Anatomy, canvas: _Canvas, hips: Mapping[str, tuple[Box, Array] | None]) -> None:
    points, share = canvas.points, canvas.points.share
    gap = np.float32(3.0)
    box = canvas.box(anatomy.sacrum)
    if box is not None:
        near = np.full(points.shape, FAR_MM, dtype=np.float32)
        for hip in hips.values():
            if hip is not None:
                near[hip[0]] = np.minimum(near[hip[0]], hip[1])
        outer, inner = anatomy.sacrum.distances(points, box)
        joint = near[box]
        sacrum = np.maximum(outer, gap - joint)
        bone = share(sacrum)
        core = np.minimum(share(np.maximum(inner, gap + np.float32(1.4) - joint)), bone)
        canvas.paint(
            box,
            {"bone_cortical": bone - core, "marrow_sacrum": core},
            ["Sacrum", "Bone_Pelvic", "Bone"],
        )
        canvas.paint(box, {"cartilage": share(np.maximum(outer, joint - gap))})
    box = canvas.box(anatomy.lumbar)
    if box is not None:
        outer, inner = anatomy.lumbar.distances(points, box)
        bone = share(outer)
        core = np.minimum(share(inner), bone)
        canvas.paint(box, {"bone_cortical": bone - core, "marrow_sacrum": core}, ["Bone"])


def _pelvic_organs(anatomy: Anatomy, canvas: _Canvas) -> None:
    points, share = canvas.points, canvas.points.share
    _gut(anatomy, canvas)
    box = canvas.box(anatomy.prostate)
    if box is not None:
        gland = share(anatomy.prostate.distance(points, box))
        lesion = np.minimum(share(anatomy.lesion.distance(points, box)), gland)
        left = canvas.left[box]
        canvas.mark(box, "GTV", lesion * left)
        canvas.paint(box, {"lesion": lesion, "prostate": gland - lesion}, ["Prostate"])
    base, dome = anatomy.bladder
    box = canvas.box(base, dome)
    if box is not None:
        outer = smooth_union(base.distance(points, box), dome.distance(points, box), 12.0)
        whole = share(outer)
        urine = np.minimum(share(outer + np.float32(anatomy.bladder_wall_mm)), whole)
        canvas.paint(box, {"urine": urine, "bladder_wall": whole - urine}, ["Bladder"])
    for vesicle in anatomy.vesicles:
        box = canvas.box(vesicle)
        if box is not None:
            inside = share(vesicle.distance(points, box))
            canvas.paint(box, {"seminal_vesicles": inside}, ["SeminalVes"])


def _gut(anatomy: Anatomy, canvas: _Canvas) -> None:
    points, share = canvas.points, canvas.points.share
    box = canvas.box(anatomy.rectum)
    if box is not None:
        outer = anatomy.rectum.distance(points, box)
        lumen = outer + np.float32(RECTUM_WALL_MM)
        gas = np.maximum(_nearest(anatomy.rectal_gas, points, box), lumen)
        whole = share(outer)
        content = np.minimum(share(lumen), whole)
        air = np.minimum(share(gas), content)
        canvas.paint(
            box,
            {"gas": air, "stool": content - air, "rectum_wall": whole - content},
            ["Rectum"],
        )
    box = canvas.box(anatomy.anus)
    if box is not None:
        outer = anatomy.anus.distance(points, box)
        wall = share(outer)
        canvas.paint(box, {"rectum_wall": wall})
        ring = share(outer - np.float32(6.0))
        canvas.paint(box, {"muscle": ring})


def _nearest(meshes: Sequence[Mesh], points: Points, box: Box) -> Array:
    nearest = np.full(points.x[box].shape, FAR_MM, dtype=np.float32)
    for mesh in meshes:
        np.minimum(nearest, mesh.distance(points, box), out=nearest)
    return nearest


def _vessels(anatomy: Anatomy, canvas: _Canvas) -> None:
    for part, meshes in (("blood", anatomy.vessels), ("nerve", anatomy.nerves)):
        for mesh in meshes:
            box = canvas.box(mesh)
            if box is not None:
                inside = canvas.points.share(mesh.distance(canvas.points, box))
                canvas.paint(box, {part: inside})


def _apart(meshes: Sequence[Mesh], canvas: _Canvas) -> tuple[Array, Array]:
    """Distance to the nearest mesh, and half of what the second nearest is farther away."""
    first = np.full(canvas.points.shape, FAR_MM, dtype=np.float32)
    second = first.copy()
    for mesh in meshes:
        box = canvas.box(mesh)
        if box is None:
            continue
        distance = mesh.distance(canvas.points, box)
        nearest, next_one = first[box], second[box]
        np.minimum(next_one, np.maximum(nearest, distance), out=next_one)
        np.minimum(nearest, distance, out=nearest)
    second -= first
    second *= np.float32(0.5)
    return first, second


def _muscles(anatomy: Anatomy, canvas: _Canvas) -> None:
    first, half = _apart(anatomy.muscles, canvas)
    np.maximum(first, np.float32(MUSCLE_GAP_MM) - half, out=first)
    canvas.paint(canvas.whole(), {"muscle": canvas.points.share(first)})


def _bowel(anatomy: Anatomy, canvas: _Canvas) -> None:
    meshes = [*anatomy.loops, anatomy.sigmoid]
    box = canvas.box(*meshes)
    if box is None:
        return
    first, half = _apart(meshes, canvas)
    share = canvas.points.share
    whole = share(first[box])
    lumen = np.maximum(first[box] + np.float32(BOWEL_WALL_MM), np.float32(1.2) - half[box])
    content = np.minimum(share(lumen), whole)
    gas = np.maximum(_nearest(anatomy.loop_gas, canvas.points, box), lumen)
    air = np.minimum(share(gas), content)
    canvas.paint(box, {"gas": air, "bowel_content": content - air, "bowel_wall": whole - content})
