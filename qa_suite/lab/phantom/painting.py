"""In which order the parts of a body are painted, and where each ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.lab.phantom.partial_volume import Canvas
from qa_suite.lab.phantom.patients import Anatomy
from qa_suite.lab.phantom.shapes import FAR_MM, Box, Mesh, Points, smooth_union

SKIN_MM = 2.0
MUSCLE_GAP_MM = 0.9
RECTUM_WALL_MM = 3.0
BOWEL_WALL_MM = 2.2


def paint(anatomy: Anatomy, canvas: Canvas) -> None:
    """Paint a patient from the front: what is painted first is not covered by the rest."""
    _skin(anatomy, canvas)
    _hollows(anatomy, canvas)
    _bones(anatomy, canvas)
    _pelvic_organs(anatomy, canvas)
    _vessels(anatomy, canvas)
    _muscles(anatomy, canvas)
    _bowel(anatomy, canvas)
    canvas.paint(canvas.whole(), {"fat": np.ones_like(canvas.left)})


def _skin(anatomy: Anatomy, canvas: Canvas) -> None:
    share, box = canvas.points.share, canvas.whole()
    distance = anatomy.outline.distance(canvas.points, box)
    body = share(distance)
    under = np.minimum(share(distance + np.float32(SKIN_MM)), body)
    canvas.paint(box, {"air": 1 - body, "skin": body - under})
    canvas.mark(box, "Body", body)


def _hollows(anatomy: Anatomy, canvas: Canvas) -> None:
    """Paint the sacral canal and foramina: nerve roots in fat."""
    box = canvas.box(anatomy.canal)
    if box is None:
        return
    distance = anatomy.canal.distance(canvas.points, box)
    fat = canvas.points.share(distance)
    core = np.minimum(canvas.points.share(distance + np.float32(3.0)), fat)
    canvas.paint(box, {"nerve": core, "fat": fat - core})


def _bones(anatomy: Anatomy, canvas: Canvas) -> None:
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


def _femur(anatomy: Anatomy, canvas: Canvas, side: str) -> None:
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


def _beyond_neck(anatomy: Anatomy, points: Points, box: Box, side: str) -> Float32Array:
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


def _hip(anatomy: Anatomy, canvas: Canvas, side: str) -> tuple[Box, Float32Array] | None:
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


def _spine(
    anatomy: Anatomy, canvas: Canvas, hips: Mapping[str, tuple[Box, Float32Array] | None]
) -> None:
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


def _pelvic_organs(anatomy: Anatomy, canvas: Canvas) -> None:
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


def _gut(anatomy: Anatomy, canvas: Canvas) -> None:
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
            box, {"gas": air, "stool": content - air, "rectum_wall": whole - content}, ["Rectum"]
        )
    box = canvas.box(anatomy.anus)
    if box is not None:
        outer = anatomy.anus.distance(points, box)
        wall = share(outer)
        canvas.paint(box, {"rectum_wall": wall})
        ring = share(outer - np.float32(6.0))
        canvas.paint(box, {"muscle": ring})


def _nearest(meshes: Sequence[Mesh], points: Points, box: Box) -> Float32Array:
    nearest = np.full(points.x[box].shape, FAR_MM, dtype=np.float32)
    for mesh in meshes:
        np.minimum(nearest, mesh.distance(points, box), out=nearest)
    return nearest


def _vessels(anatomy: Anatomy, canvas: Canvas) -> None:
    for part, meshes in (("blood", anatomy.vessels), ("nerve", anatomy.nerves)):
        for mesh in meshes:
            box = canvas.box(mesh)
            if box is not None:
                inside = canvas.points.share(mesh.distance(canvas.points, box))
                canvas.paint(box, {part: inside})


def _apart(meshes: Sequence[Mesh], canvas: Canvas) -> tuple[Float32Array, Float32Array]:
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


def _muscles(anatomy: Anatomy, canvas: Canvas) -> None:
    first, half = _apart(anatomy.muscles, canvas)
    np.maximum(first, np.float32(MUSCLE_GAP_MM) - half, out=first)
    share = canvas.points.share(first)
    there = share > 0
    streaks = np.zeros_like(share)
    fibres = _streaks(anatomy, canvas.points, there)
    streaks[there] = share[there] * (fibres * np.float32(anatomy.traits.marbling))
    canvas.paint(canvas.whole(), {"muscle": share - streaks, "fat": streaks})


def _streaks(anatomy: Anatomy, points: Points, there: NDArray[np.bool_]) -> Float32Array:
    """Return where fat lies between the fibres of a muscle, 0 to 1, at some of the points."""
    x, y, z = points.x[there], points.y[there], points.z[there]
    bend = np.float32(0)
    for kx, ky, kz, phase in anatomy.marbling[::-1].astype(np.float32):
        wave = np.sin(kx * x + ky * y + kz * z + (phase + bend))
        bend = wave * np.float32(3.2)
    return np.asarray(wave * np.float32(0.5) + np.float32(0.5))


def _bowel(anatomy: Anatomy, canvas: Canvas) -> None:
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
