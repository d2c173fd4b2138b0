"""One virtual patient, scanned by the MR and the CT of a hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.lab.phantom import ct, mr
from qa_suite.lab.phantom.anatomy import SUBSAMPLE_MM, phantom_grid, sample
from qa_suite.lab.phantom.hospitals import Hospital, hospital
from qa_suite.lab.phantom.materials import (
    hounsfield,
    relative_electron_density,
    stopping_power_ratio,
)
from qa_suite.lab.phantom.parts import PARTS, STRUCTURES, composition
from qa_suite.lab.phantom.patients import Anatomy, make_anatomy
from qa_suite.lab.phantom.randomness import generator, pseudonym
from qa_suite.lab.phantom.setup import STRAIGHT, Setup
from qa_suite.lab.phantom.traits import Traits


@dataclass(frozen=True, kw_only=True)
class VirtualPatient:
    """A patient with everything that is known of him; all volumes lie on one grid.

    Parameters
    ----------
    case, patient
        Case name (``A-001``) and stable pseudonym.
    seed, index
        Of the cohort, and his number at the hospital: what every further scan is drawn from.
    hospital
        Where he was scanned.
    traits
        His anatomy in numbers.
    mr, ct
        The two scans (arbitrary units; HU).
    ct_noise_free, mr_noise_free
        The same before noise.
    labels
        Part with the largest share of each voxel, see :data:`qa_suite.lab.phantom.LABELS`.
    structures
        Masks by name: voxels of which at least half lies inside.
    distortion_mm
        Where the MR looks: it shows at ``r`` what lies at ``r + distortion_mm``; (..., 3).
    """

    case: str
    patient: str
    seed: int
    index: int
    hospital: Hospital
    traits: Traits
    mr: Volume
    ct: Volume
    ct_noise_free: Volume
    mr_noise_free: Volume
    labels: Volume
    structures: Mapping[str, NDArray[np.bool_]]
    distortion_mm: NDArray[np.float32]
    anatomy: Anatomy = field(repr=False)

    @property
    def grid(self) -> Grid:
        """The grid of all volumes."""
        return self.ct.grid

    @property
    def body(self) -> NDArray[np.bool_]:
        """Mask of the body."""
        return self.structures["Body"]

    @cached_property
    def relative_electron_density(self) -> Volume:
        """True electron density relative to water, without blur."""
        values = {p: _mixed(p, self.traits, relative_electron_density) for p in PARTS}
        return _weighted(self, values, "relative electron density")

    @cached_property
    def stopping_power(self) -> Volume:
        """True proton stopping power relative to water at 100 MeV, without blur."""
        values = {p: _mixed(p, self.traits, stopping_power_ratio) for p in PARTS}
        return _weighted(self, values, "proton stopping power ratio at 100 MeV")


def make_patient(
    hospital_name: str,
    index: int,
    *,
    seed: int,
    grid: Grid | None = None,
    spacing_mm: Triple | None = None,
    setup: Setup | None = None,
    subsample_mm: float = SUBSAMPLE_MM,
) -> VirtualPatient:
    """Make one patient and scan him.

    Parameters
    ----------
    hospital_name
        One of :data:`qa_suite.lab.phantom.HOSPITALS`.
    index
        His number at that hospital, from 1; with the seed it decides everything.
    seed
        Of the whole cohort.
    grid, spacing_mm
        Where to image: any grid, or the pelvic field of view at a voxel size. Just one.
    setup
        How he may lie; None is straight, aligned on his femoral heads.
    subsample_mm
        See :func:`qa_suite.lab.phantom.anatomy.sample`.
    """
    if (grid is None) == (spacing_mm is None):
        raise InputError("A virtual patient needs either a grid or a spacing_mm, not both.")
    where = grid if grid is not None else phantom_grid(spacing_mm or (2.0, 2.0, 3.0))
    site = hospital(hospital_name)
    pose = setup.draw(generator(seed, hospital_name, index, "setup")) if setup else STRAIGHT
    rng = generator(seed, hospital_name, index, "anatomy")
    anatomy = make_anatomy(rng, site.case_mix, pose=pose)
    ct_rng = generator(seed, hospital_name, index, "ct")
    hu_of = _part_hu(anatomy.traits, site.ct.tube_voltage_kv, ct_rng)
    ideal, labels, structures = _truth(anatomy, where, hu_of, subsample_mm)
    noise_free = ct.blurred(ideal, where, site.ct)
    noisy = ct.clip(noise_free + ct.noise(structures["Body"], where, site.ct, ct_rng))
    mr_rng = generator(seed, hospital_name, index, "mr")
    signal = _mr_signal(anatomy, where, site.mr, subsample_mm)
    mr_noisy, mr_clean = mr.expose(signal, where, site.mr, mr_rng)
    step = f"virtual patient {hospital_name}-{index:03d} of seed {seed}"

    def volume(array: NDArray[np.float32], quantity: str) -> Volume:
        return Volume(array=array, grid=where, quantity=quantity, history=(step,))  # type: ignore[arg-type]

    return VirtualPatient(
        case=f"{hospital_name}-{index:03d}",
        patient=pseudonym(seed, hospital_name, index),
        seed=seed,
        index=index,
        hospital=site,
        traits=anatomy.traits,
        mr=volume(mr_noisy, "arbitrary"),
        ct=volume(noisy, "HU"),
        ct_noise_free=volume(noise_free, "HU"),
        mr_noise_free=volume(mr_clean, "arbitrary"),
        labels=Volume(array=labels, grid=where, quantity="label", history=(step,)),
        structures=structures,
        distortion_mm=_distortion(where, site.mr),
        anatomy=anatomy,
    )


def _mixed(part: str, traits: Traits, value: object) -> float:
    mixture = composition(part, traits.bone_density)
    return float(sum(w * value(t) for t, w in mixture.items()))  # type: ignore[operator]


def _part_hu(traits: Traits, kv: float, rng: np.random.Generator) -> dict[str, float]:
    """CT number of each part of this patient: by composition, and his own few HU."""
    own = {part: float(rng.normal(0, 3.0)) for part in PARTS}
    own["air"] = own["gas"] = 0.0
    own["bone_cortical"] *= 12.0
    own["bowel_content"] += 4.0
    return {
        part: own[part] + _mixed(part, traits, lambda name: hounsfield(name, kv)) for part in PARTS
    }


def _truth(
    anatomy: Anatomy, grid: Grid, hu_of: Mapping[str, float], subsample_mm: float
) -> tuple[Float32Array, NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    ideal = np.empty(grid.shape, dtype=np.float32)
    labels = np.empty(grid.shape, dtype=np.uint8)
    structures = {name: np.zeros(grid.shape, dtype=bool) for name in STRUCTURES}
    for slab in sample(anatomy, grid, subsample_mm=subsample_mm):
        ideal[..., slab.slices] = _sum(slab.shares, hu_of)
        labels[..., slab.slices] = slab.shares.argmax(axis=0)
        for name, share in slab.structures.items():
            structures[name][..., slab.slices] = share >= 0.5
    return ideal, labels, structures


def _sum(shares: Float32Array, value_of: Mapping[str, float]) -> Float32Array:
    values = np.array([value_of[part] for part in PARTS], dtype=np.float32)
    return np.asarray(np.tensordot(values, shares, axes=1), dtype=np.float32)


def _weighted(patient: VirtualPatient, values: Mapping[str, float], step: str) -> Volume:
    array = np.empty(patient.grid.shape, dtype=np.float32)
    for slab in sample(patient.anatomy, patient.grid):
        array[..., slab.slices] = _sum(slab.shares, values)
    return Volume(
        array=array, grid=patient.grid, quantity="arbitrary", history=(*patient.ct.history, step)
    )


def scan_again(patient: VirtualPatient, protocol: mr.MRProtocol) -> tuple[Volume, Volume]:
    """Scan a patient with a second sequence of the same session.

    He lies as before, under the same receive coil; the gain and the noise are other ones.

    Parameters
    ----------
    patient
        Who is scanned.
    protocol
        Of the same scanner: its field, gradients and coil.

    Returns
    -------
    image, noise_free
        In arbitrary units, on the patient's grid.

    Raises
    ------
    InputError
        If the protocol is of another scanner.
    """
    first = patient.hospital.mr
    if (protocol.field_t, protocol.distortion_mm, protocol.bias) != (
        first.field_t,
        first.distortion_mm,
        first.bias,
    ):
        raise InputError(
            f"A second sequence at hospital {patient.hospital.name} needs the field, distortion "
            f"and coil of its scanner ({first.field_t:g} T), got {protocol.field_t:g} T."
        )
    purpose = (patient.hospital.name, patient.index)
    coil = mr.coil_sensitivity(generator(patient.seed, *purpose, "mr"), patient.grid, protocol.bias)
    rng = generator(patient.seed, *purpose, "mr", protocol.sequence)
    signal = _mr_signal(patient.anatomy, patient.grid, protocol)
    image, clean = mr.expose(signal, patient.grid, protocol, rng, coil)
    step = f"second sequence: {protocol.sequence}, {protocol.field_t:g} T"
    history = (*patient.ct.history, step)
    return (
        Volume(array=image, grid=patient.grid, quantity="arbitrary", history=history),
        Volume(array=clean, grid=patient.grid, quantity="arbitrary", history=history),
    )


def _mr_signal(
    anatomy: Anatomy, grid: Grid, protocol: mr.MRProtocol, subsample_mm: float = SUBSAMPLE_MM
) -> NDArray[np.complex64]:
    signal_of = {
        part: sum(
            w * mr.tissue_signal(t, protocol)
            for t, w in composition(part, anatomy.traits.bone_density).items()
        )
        for part in PARTS
    }

    def displace(
        x: Float32Array, y: Float32Array, z: Float32Array
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        dx, dy, dz = mr.gradient_displacement(x, y, z, protocol.distortion_mm)
        return x + dx, y + dy, z + dz

    signal = np.empty(grid.shape, dtype=np.complex64)
    real = {part: complex(s).real for part, s in signal_of.items()}
    imaginary = {part: complex(s).imag for part, s in signal_of.items()}
    for slab in sample(anatomy, grid, displace=displace, subsample_mm=subsample_mm):
        signal.real[..., slab.slices] = _sum(slab.shares, real)
        signal.imag[..., slab.slices] = _sum(slab.shares, imaginary)
    return signal


def _distortion(grid: Grid, protocol: mr.MRProtocol) -> NDArray[np.float32]:
    i, j, k = np.ix_(*(np.arange(n) for n in grid.shape))
    x, y, z = (
        (row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32)
        for row in grid.affine[:3]
    )
    parts = mr.gradient_displacement(x, y, z, protocol.distortion_mm)
    return np.stack(np.broadcast_arrays(*parts), axis=-1)
