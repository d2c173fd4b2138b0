"""The virtual hospitals: scanner, protocol and case mix of each.

A and B run protocols of one kind (T1-weighted gradient echoes with fat and water in phase),
so that a model trained on both should hold at both; D is a third of that kind that a study
may keep unseen. C scans at a field *and* with a sequence that none of the others uses: the
contrast order of its images is another one (urine brightest, not fat).

Each hospital has a PET, a cone-beam CT and a second MR sequence besides. C gives a diuretic
before the PET, so that urine is nearly as dark as the rest of the body there; the cone-beam CT
of D is too narrow for most patients, and that of B for the stoutest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from qa_suite.core.errors import UnknownName
from qa_suite.core.registry import unknown_name
from qa_suite.lab.phantom.cbct import CBCTProtocol
from qa_suite.lab.phantom.ct import CTProtocol
from qa_suite.lab.phantom.mr import MRProtocol
from qa_suite.lab.phantom.pet import PETProtocol
from qa_suite.lab.phantom.traits import CaseMix


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """One virtual hospital; ``mr_second`` is a sequence of the same MR scanner."""

    name: str
    mr_manufacturer: str
    mr_model: str
    mr: MRProtocol
    mr_second: MRProtocol
    ct_manufacturer: str
    ct_model: str
    ct: CTProtocol
    pet_manufacturer: str
    pet_model: str
    pet: PETProtocol
    cbct_manufacturer: str
    cbct_model: str
    cbct: CBCTProtocol
    case_mix: CaseMix = field(default_factory=CaseMix)


_ALL = (
    Hospital(
        name="A",
        mr_manufacturer="Virtual Alpha",
        mr_model="Alpha 1.5T",
        mr=MRProtocol(
            field_t=1.5,
            sequence="T1w spoiled GRE",
            repetition_ms=7.0,
            echo_ms=4.61,  # fat and water in phase at 1.5 T
            flip_deg=14.0,
            noise=0.020,
            bias=0.10,
            distortion_mm=(1.2, 1.0, -1.5),
            gain=620.0,
        ),
        mr_second=MRProtocol(
            field_t=1.5,
            sequence="T2w TSE",
            repetition_ms=4500.0,
            echo_ms=100.0,
            noise=0.025,
            bias=0.10,
            distortion_mm=(1.2, 1.0, -1.5),
            gain=540.0,
        ),
        ct_manufacturer="Virtual Alpha",
        ct_model="Alpha CT 64",
        ct=CTProtocol(kernel="soft 30", noise_hu=11.0, slice_mm=2.0),
        pet_manufacturer="Virtual Alpha",
        pet_model="Alpha PET/CT",
        pet=PETProtocol(fwhm_mm=6.0, noise=0.16, grain_mm=5.0),
        cbct_manufacturer="Virtual Epsilon",
        cbct_model="Epsilon linac",
        cbct=CBCTProtocol(
            diameter_mm=465.0, length_mm=160.0, scatter=0.20, offset_hu=-10.0, noise_hu=28.0
        ),
        case_mix=CaseMix(age_years=(67, 7), fat_mm=(19, 6)),
    ),
    Hospital(
        name="B",
        mr_manufacturer="Virtual Beta",
        mr_model="Beta 3T",
        mr=MRProtocol(
            field_t=3.0,
            sequence="Dixon in-phase",
            repetition_ms=5.6,
            echo_ms=2.46,
            flip_deg=11.0,
            noise=0.030,
            bias=0.18,
            distortion_mm=(-1.8, 1.5, 1.6),
            gain=1150.0,
        ),
        mr_second=MRProtocol(
            field_t=3.0,
            sequence="T2w TSE",
            repetition_ms=5000.0,
            echo_ms=95.0,
            noise=0.025,
            bias=0.18,
            distortion_mm=(-1.8, 1.5, 1.6),
            gain=980.0,
        ),
        ct_manufacturer="Virtual Gamma",
        ct_model="Gamma CT 20",
        ct=CTProtocol(kernel="standard 40", blur_mm=1.1, noise_hu=15.0, grain_mm=1.4, slice_mm=3.0),
        pet_manufacturer="Virtual Gamma",
        pet_model="Gamma PET/CT",
        pet=PETProtocol(
            fwhm_mm=7.2,
            noise=0.20,
            grain_mm=6.0,
            calibration=0.95,
            reconstruction="OSEM, Gaussian 5 mm",
        ),
        cbct_manufacturer="Virtual Zeta",
        cbct_model="Zeta linac",
        cbct=CBCTProtocol(
            diameter_mm=410.0,
            length_mm=260.0,
            scatter=0.40,
            slope=0.96,
            offset_hu=30.0,
            noise_hu=38.0,
            grain_mm=2.0,
        ),
        case_mix=CaseMix(age_years=(70, 7), fat_mm=(23, 7), bladder_ml=(210, 1.4)),
    ),
    Hospital(
        name="C",
        mr_manufacturer="Virtual Delta",
        mr_model="Delta 0.35T Linac",
        mr=MRProtocol(
            field_t=0.35,
            sequence="T2w TSE",
            repetition_ms=2600.0,
            echo_ms=110.0,
            noise=0.050,
            bias=0.08,
            distortion_mm=(2.2, -2.0, 2.6),
            blur_mm=1.6,
            gain=300.0,
        ),
        mr_second=MRProtocol(
            field_t=0.35,
            sequence="T1w spoiled GRE",
            repetition_ms=9.0,
            echo_ms=2.1,
            flip_deg=25.0,
            noise=0.060,
            bias=0.08,
            distortion_mm=(2.2, -2.0, 2.6),
            blur_mm=1.6,
            gain=260.0,
        ),
        ct_manufacturer="Virtual Alpha",
        ct_model="Alpha CT 64",
        ct=CTProtocol(kernel="soft 30", noise_hu=12.0, slice_mm=2.0),
        pet_manufacturer="Virtual Alpha",
        pet_model="Alpha PET/CT digital",
        pet=PETProtocol(
            fwhm_mm=5.0,
            noise=0.14,
            grain_mm=4.0,
            calibration=1.04,
            urine_suv=(1.8, 1.45),
            reconstruction="OSEM TOF, Gaussian 2 mm, diuretic",
        ),
        cbct_manufacturer="Virtual Epsilon",
        cbct_model="Epsilon ring linac",
        cbct=CBCTProtocol(
            diameter_mm=490.0,
            length_mm=240.0,
            scatter=0.30,
            slope=1.03,
            offset_hu=-20.0,
            noise_hu=33.0,
            grain_mm=2.8,
        ),
        case_mix=CaseMix(age_years=(72, 7), fat_mm=(21, 8), bladder_ml=(130, 1.5)),
    ),
    Hospital(
        name="D",
        mr_manufacturer="Virtual Gamma",
        mr_model="Gamma 1.5T",
        mr=MRProtocol(
            field_t=1.5,
            sequence="Dixon in-phase",
            repetition_ms=6.6,
            echo_ms=4.77,
            flip_deg=12.0,
            noise=0.025,
            bias=0.14,
            distortion_mm=(1.4, -1.6, 1.4),
            gain=880.0,
        ),
        mr_second=MRProtocol(
            field_t=1.5,
            sequence="T2w TSE",
            repetition_ms=4000.0,
            echo_ms=105.0,
            noise=0.030,
            bias=0.14,
            distortion_mm=(1.4, -1.6, 1.4),
            gain=760.0,
        ),
        ct_manufacturer="Virtual Gamma",
        ct_model="Gamma CT 20",
        ct=CTProtocol(tube_voltage_kv=120.0, kernel="soft 30", noise_hu=13.0, slice_mm=2.5),
        pet_manufacturer="Virtual Beta",
        pet_model="Beta PET/CT",
        pet=PETProtocol(fwhm_mm=6.6, noise=0.18, grain_mm=5.5, calibration=1.02),
        cbct_manufacturer="Virtual Zeta",
        cbct_model="Zeta linac",
        cbct=CBCTProtocol(
            diameter_mm=360.0,
            length_mm=140.0,
            scatter=0.28,
            slope=0.98,
            offset_hu=15.0,
            noise_hu=31.0,
            grain_mm=2.2,
        ),
        case_mix=CaseMix(age_years=(66, 8), fat_mm=(24, 8)),
    ),
)

HOSPITALS: Mapping[str, Hospital] = MappingProxyType({h.name: h for h in _ALL})


def hospital(name: str) -> Hospital:
    """Return the hospital of that name.

    Raises
    ------
    UnknownName
        If there is none.
    """
    if name not in HOSPITALS:
        raise UnknownName(unknown_name("hospital", name, list(HOSPITALS)))
    return HOSPITALS[name]
