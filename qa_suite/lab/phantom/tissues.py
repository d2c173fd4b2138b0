"""What the virtual patients are made of: composition, density and relaxation of each tissue.

CT number, relative electron density and proton stopping power are not tabulated but follow
from the elemental composition and the mass density in :mod:`qa_suite.lab.phantom.materials`, so
that they agree with each other exactly.

Sources
-------
[ICRU44] ICRU Report 44 (1989), Tissue Substitutes in Radiation Dosimetry and Measurement.
[ICRU46] ICRU Report 46 (1992), Photon, Electron, Proton and Neutron Interaction Data for
    Body Tissues.
[WW86] Woodard HQ, White DR (1986), Br J Radiol 59:1209, composition of body tissues.
[dB04] de Bazelaire CM et al. (2004), Radiology 230:652; 1.5 and 3 T.
[St05] Stanisz GJ et al. (2005), Magn Reson Med 54:507; 1.5 and 3 T.
[Bo84] Bottomley PA et al. (1984), Med Phys 11:425: T1 = A ν^B, T2 independent of the field.
[Bj17] Bojorquez JZ et al. (2017), Magn Reson Imaging 35:69; review at 3 T.
[Du13] Du J, Bydder GM (2013), NMR Biomed 26:489; cortical bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.registry import unknown_name

FIELDS_T = (0.35, 1.5, 3.0)


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """How a tissue's protons answer at one field strength, times in ms."""

    t1_ms: float
    t2_ms: float
    t2_star_ms: float


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """One material.

    Parameters
    ----------
    name
        Its name here.
    mass_percent
        Elemental composition, per cent by mass.
    density_g_cc
        Mass density.
    proton_density
        MR-visible protons relative to water; the short-lived part of bone is included.
    fat_fraction
        Share of the MR signal that precesses at the frequency of fat.
    relaxation
        Relaxation times by field strength in T.
    source, mr_source
        Where the composition and the MR numbers come from; "estimated" where nowhere.
    """

    name: str
    mass_percent: Mapping[str, float]
    density_g_cc: float
    proton_density: float
    fat_fraction: float
    relaxation: Mapping[float, Relaxation]
    source: str
    mr_source: str


def _relaxation(*rows: tuple[float, float, float]) -> Mapping[float, Relaxation]:
    return MappingProxyType(
        {
            field: Relaxation(t1_ms=t1, t2_ms=t2, t2_star_ms=t2s)
            for field, (t1, t2, t2s) in zip(FIELDS_T, rows, strict=True)
        }
    )


def _mass(**percent: float) -> Mapping[str, float]:
    return MappingProxyType(percent)


_TABLE = (
    Tissue(
        name="air",
        mass_percent=_mass(C=0.01, N=75.53, O=23.18, Ar=1.28),
        density_g_cc=0.001205,
        proton_density=0.0,
        fat_fraction=0.0,
        relaxation=_relaxation((1000, 1, 1), (1000, 1, 1), (1000, 1, 1)),
        source="ICRU44",
        mr_source="no signal",
    ),
    Tissue(
        name="skin",
        mass_percent=_mass(H=10.0, C=20.4, N=4.2, O=64.5, Na=0.2, P=0.1, S=0.2, Cl=0.3, K=0.1),
        density_g_cc=1.09,
        proton_density=0.70,
        fat_fraction=0.1,
        relaxation=_relaxation((330, 25, 12), (620, 22, 10), (800, 20, 7)),
        source="WW86, ICRU46",
        mr_source="estimated (dermis has short T2)",
    ),
    Tissue(
        name="adipose",
        mass_percent=_mass(H=11.6, C=68.1, N=0.2, O=19.8, Na=0.1, S=0.1, Cl=0.1),
        density_g_cc=0.93,
        proton_density=0.90,
        fat_fraction=0.95,
        relaxation=_relaxation((201, 68, 45), (343, 58, 35), (382, 68, 25)),
        source="WW86 (adipose tissue 3, the fattest)",
        mr_source="dB04 T1, T2 at 1.5 and 3 T; T1 at 0.35 T Bo84 (A=0.0113, B=0.1743), "
        "T2 as at 3 T; T2* and proton density estimated",
    ),
    Tissue(
        name="muscle",
        mass_percent=_mass(H=10.2, C=14.3, N=3.4, O=71.0, Na=0.1, P=0.2, S=0.3, Cl=0.1, K=0.4),
        density_g_cc=1.05,
        proton_density=0.80,
        fat_fraction=0.03,
        relaxation=_relaxation((471, 47, 38), (856, 44, 30), (1412, 50, 24)),
        source="ICRU44 (skeletal muscle)",
        mr_source="T1 dB04 at 1.5 T, St05 at 3 T, Bo84 at 0.35 T (A=0.000455, B=0.4203); "
        "T2 St05 and Bo84; T2* and proton density estimated",
    ),
    Tissue(
        name="cortical_bone",
        mass_percent=_mass(H=3.4, C=15.5, N=4.2, O=43.5, Na=0.1, Mg=0.2, P=10.3, S=0.3, Ca=22.5),
        density_g_cc=1.92,
        proton_density=0.20,
        fat_fraction=0.0,
        relaxation=_relaxation((120, 0.6, 0.5), (190, 0.5, 0.45), (250, 0.45, 0.4)),
        source="ICRU44 (adult cortical bone)",
        mr_source="Du13: water about 20 % by volume, T2* near 0.4 ms; field dependence estimated",
    ),
    Tissue(
        name="red_marrow",
        mass_percent=_mass(H=10.5, C=41.4, N=3.4, O=43.9, P=0.1, S=0.2, Cl=0.2, K=0.2, Fe=0.1),
        density_g_cc=1.03,
        proton_density=0.82,
        fat_fraction=0.40,
        relaxation=_relaxation((330, 52, 20), (549, 49, 12), (586, 49, 8)),
        source="ICRU46, WW86",
        mr_source="dB04 (marrow of L4) at 1.5 and 3 T; 0.35 T scaled by Bo84 with B=0.35; "
        "T2* (trabecular susceptibility) and proton density estimated",
    ),
    Tissue(
        name="yellow_marrow",
        mass_percent=_mass(H=11.5, C=64.4, N=0.7, O=23.1, Na=0.1, S=0.1, Cl=0.1),
        density_g_cc=0.98,
        proton_density=0.90,
        fat_fraction=0.90,
        relaxation=_relaxation((205, 75, 28), (288, 70, 20), (365, 62, 13)),
        source="ICRU46, WW86",
        mr_source="T1 as reported for fatty marrow of the knee (Gold GE et al. 2004, "
        "AJR 183:343) at 1.5 and 3 T; 0.35 T, T2 and T2* estimated",
    ),
    Tissue(
        name="cartilage",
        mass_percent=_mass(H=9.6, C=9.9, N=2.2, O=74.4, Na=0.5, P=2.2, S=0.9, Cl=0.3),
        density_g_cc=1.10,
        proton_density=0.75,
        fat_fraction=0.0,
        relaxation=_relaxation((550, 40, 24), (1024, 30, 20), (1168, 27, 16)),
        source="ICRU46, WW86",
        mr_source="T1 and T2 at 1.5 and 3 T St05 (0 degrees); 0.35 T and T2* estimated",
    ),
    Tissue(
        name="bladder_wall",
        mass_percent=_mass(H=10.5, C=9.6, N=2.6, O=76.1, Na=0.2, P=0.2, S=0.2, Cl=0.3, K=0.3),
        density_g_cc=1.04,
        proton_density=0.82,
        fat_fraction=0.0,
        relaxation=_relaxation((500, 52, 40), (900, 50, 34), (1400, 50, 26)),
        source="WW86, ICRU46 (empty bladder)",
        mr_source="estimated as smooth muscle",
    ),
    Tissue(
        name="urine",
        mass_percent=_mass(H=11.0, C=0.5, N=1.0, O=86.2, Na=0.4, P=0.1, Cl=0.6, K=0.2),
        density_g_cc=1.01,
        proton_density=0.98,
        fat_fraction=0.0,
        relaxation=_relaxation((2200, 900, 500), (2600, 800, 400), (3000, 700, 300)),
        source="WW86, ICRU46; density of dilute urine (specific gravity 1.005 to 1.030)",
        mr_source="estimated from watery fluids (Bj17)",
    ),
    Tissue(
        name="prostate",
        mass_percent=_mass(H=10.5, C=8.9, N=2.5, O=77.4, Na=0.2, P=0.1, S=0.2, K=0.2),
        density_g_cc=1.04,
        proton_density=0.86,
        fat_fraction=0.0,
        relaxation=_relaxation((750, 95, 70), (1317, 88, 60), (1597, 74, 45)),
        source="WW86; AAPM TG-186",
        mr_source="dB04 at 1.5 and 3 T; 0.35 T scaled by Bo84 with B=0.40; T2* estimated",
    ),
    Tissue(
        name="tumour",
        mass_percent=_mass(H=10.5, C=8.9, N=2.5, O=77.4, Na=0.2, P=0.1, S=0.2, K=0.2),
        density_g_cc=1.05,
        proton_density=0.82,
        fat_fraction=0.0,
        relaxation=_relaxation((650, 68, 50), (1180, 65, 45), (1450, 58, 36)),
        source="estimated: prostate with 1 % more density",
        mr_source="estimated: T1 and T2 shorter than in healthy peripheral zone",
    ),
    Tissue(
        name="bowel",
        mass_percent=_mass(H=10.6, C=11.5, N=2.2, O=75.1, Na=0.1, P=0.1, S=0.1, Cl=0.2, K=0.1),
        density_g_cc=1.03,
        proton_density=0.83,
        fat_fraction=0.05,
        relaxation=_relaxation((520, 62, 40), (930, 58, 32), (1250, 55, 22)),
        source="WW86, ICRU46 (gastrointestinal tract)",
        mr_source="estimated as smooth muscle",
    ),
    Tissue(
        name="stool",
        mass_percent=_mass(H=10.6, C=11.5, N=2.2, O=75.1, Na=0.1, P=0.1, S=0.1, Cl=0.2, K=0.1),
        density_g_cc=1.02,
        proton_density=0.70,
        fat_fraction=0.15,
        relaxation=_relaxation((350, 50, 15), (520, 45, 9), (600, 40, 6)),
        source="estimated (as gastrointestinal tract)",
        mr_source="estimated",
    ),
    Tissue(
        name="blood",
        mass_percent=_mass(
            H=10.2, C=11.0, N=3.3, O=74.5, Na=0.1, P=0.1, S=0.2, Cl=0.3, K=0.2, Fe=0.1
        ),
        density_g_cc=1.06,
        proton_density=0.88,
        fat_fraction=0.0,
        relaxation=_relaxation((1100, 300, 150), (1441, 290, 120), (1932, 275, 60)),
        source="ICRU44 (whole blood)",
        mr_source="St05 at 1.5 and 3 T, flow ignored; 0.35 T and T2* estimated",
    ),
)

TISSUES: Mapping[str, Tissue] = MappingProxyType({t.name: t for t in _TABLE})

WATER = Tissue(
    name="water",
    mass_percent=_mass(H=11.19, O=88.81),
    density_g_cc=1.0,
    proton_density=1.0,
    fat_fraction=0.0,
    relaxation=_relaxation((3500, 2000, 2000), (3500, 2000, 2000), (3500, 2000, 2000)),
    source="H2O",
    mr_source="estimated",
)


def tissue(name: str) -> Tissue:
    """Return the tissue of that name.

    Raises
    ------
    UnknownName
        If there is none; the message lists the close matches.
    """
    if name == WATER.name:
        return WATER
    if name not in TISSUES:
        raise UnknownName(unknown_name("tissue", name, list(TISSUES)))
    return TISSUES[name]


def relaxation_at(tissue_name: str, field_t: float) -> Relaxation:
    """Return a tissue's relaxation times at one of :data:`FIELDS_T`."""
    table = tissue(tissue_name).relaxation
    if field_t not in table:
        known = ", ".join(f"{f:g}" for f in FIELDS_T)
        raise InputError(f"No relaxation times are known at {field_t:g} T; known: {known} T.")
    return table[field_t]
