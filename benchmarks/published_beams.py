"""Published figures of photon beams, to hold the machines' data files against.

Tissue phantom ratios are of square fields at the isocentre, relative to 10 cm depth; outputs are
in water at 10 cm depth, isocentric, relative to 10×10 cm². Facts only, each set with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TPR_DEPTHS_MM = (16.0, 50.0, 150.0, 200.0, 250.0, 300.0)


@dataclass(frozen=True, kw_only=True)
class BeamData:
    """One published set.

    Parameters
    ----------
    title
        Accelerator and energy.
    tpr
        Side of the field in mm to the ratios at :data:`TPR_DEPTHS_MM`.
    outputs
        Side of the field in mm to its output.
    off_axis
        Distance from the axis in mm to the primary fluence in air.
    pdd
        Depth in mm to percent of the maximum, SSD 1000 mm, 10×10 cm².
    source
        Where it stands.
    """

    title: str
    source: str
    tpr: Mapping[float, tuple[float, ...]] = field(default_factory=dict)
    outputs: Mapping[float, float] = field(default_factory=dict)
    off_axis: tuple[tuple[float, float], ...] = ()
    pdd: Mapping[float, float] = field(default_factory=dict)


SYNERGY = BeamData(
    title="Elekta Synergy, Agility head, 6 MV",
    source=(
        "photonPencilBeamKernelCalc of the German Cancer Research Center (MIT licence; "
        "github.com/e0404/photonPencilBeamKernelCalc, revision c2296dd, folder synergy): tpr.dat "
        "and of.dat of 15 January 2019, primflu.dat of 2 May 2019"
    ),
    tpr={
        40.0: (1.3687, 1.2348, 0.8099, 0.6549, 0.5302, 0.4302),
        100.0: (1.2688, 1.1778, 0.8261, 0.6795, 0.5571, 0.4569),
        200.0: (1.2140, 1.1399, 0.8557, 0.7231, 0.6059, 0.5047),
        300.0: (1.1894, 1.1221, 0.8712, 0.7466, 0.6360, 0.5378),
    },
    outputs={
        30.0: 0.83923,
        40.0: 0.87722,
        50.0: 0.9042,
        70.0: 0.94716,
        100.0: 1,
        150.0: 1.05884,
        200.0: 1.09825,
        300.0: 1.14923,
        360.0: 1.16516,
    },
    off_axis=(
        (20.0, 1.0105),
        (40.0, 1.0269),
        (60.0, 1.0308),
        (80.0, 1.0412),
        (100.0, 1.0560),
        (120.0, 1.0565),
        (140.0, 1.0609),
        (160.0, 1.0608),
        (180.0, 1.0529),
    ),
)
ARTISTE = BeamData(
    title="Siemens Artiste, 6 MV",
    source=(
        "the same, folder referenceData: tpr.dat and primflu.dat of 8 January 2008; its outputs "
        "are of another depth and left out"
    ),
    tpr={
        40.0: (1.3793, 1.2421, 0.7990, 0.6424, 0.5156, 0.4137),
        100.0: (1.2804, 1.1832, 0.8288, 0.6816, 0.5605, 0.4612),
        200.0: (1.2213, 1.1443, 0.8565, 0.7242, 0.6090, 0.5102),
        300.0: (1.1947, 1.1266, 0.8696, 0.7462, 0.6355, 0.5385),
    },
    off_axis=(
        (20.0, 1.0103),
        (40.0, 1.0387),
        (60.0, 1.0487),
        (80.0, 1.0536),
        (100.0, 1.0623),
        (120.0, 1.0714),
        (140.0, 1.0818),
        (160.0, 1.0776),
        (180.0, 1.0532),
    ),
)
RPC_ELEKTA_6MV = BeamData(
    title="Elekta 6 MV, mean of 17 to 22 accelerators",
    source="Followill DS et al. 2012, J Appl Clin Med Phys 13(5):282, table 2 (RPC, 10 cm deep)",
    outputs={20.0: 0.790, 30.0: 0.842, 40.0: 0.878, 60.0: 0.930},
)
RPC_ELEKTA_10MV = BeamData(
    title="Elekta 10 MV, mean of 6 to 8 accelerators",
    source="the same table",
    outputs={20.0: 0.796, 30.0: 0.857, 40.0: 0.890, 60.0: 0.937},
)
BJR25_6MV = BeamData(
    title="6 MV, averaged over makers",
    source="BJR Supplement 25 (1996), quoted from memory",
    pdd={100.0: 67.5},
)
BJR25_10MV = BeamData(
    title="10 MV, averaged over makers",
    source="BJR Supplement 25 (1996)",
    pdd={50.0: 91.0, 100.0: 73.0, 200.0: 46.0},
)
PUBLISHED: Mapping[str, tuple[BeamData, ...]] = {
    "elekta_6MV": (SYNERGY, ARTISTE, RPC_ELEKTA_6MV, BJR25_6MV),
    "elekta_10MV": (RPC_ELEKTA_10MV, BJR25_10MV),
    "varian_10MV": (BJR25_10MV,),
}
"""Machine of the suite to the sets that it is held against; its own first."""
