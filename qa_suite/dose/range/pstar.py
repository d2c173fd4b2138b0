"""Range and energy of protons in water: the CSDA ranges of NIST PSTAR.

References
----------
Berger MJ, Coursey JS, Zucker MA, Chang J (2005) ESTAR, PSTAR and ASTAR: computer programs for
calculating stopping-power and range tables, National Institute of Standards and Technology,
doi:10.18434/T4NC7P. Liquid water, mean excitation energy 75 eV (ICRU Report 49, 1993).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qa_suite.core.arrays import FloatArray

# energy in MeV, CSDA range in g/cm²
_CSDA = (
    (1, 2.458e-3),
    (1.5, 4.698e-3),
    (2, 7.555e-3),
    (2.5, 1.099e-2),
    (3, 1.499e-2),
    (4, 2.458e-2),
    (5, 3.623e-2),
    (6, 4.984e-2),
    (7, 6.537e-2),
    (8, 8.277e-2),
    (9, 0.1020),
    (10, 0.1230),
    (12.5, 0.1832),
    (15, 0.2539),
    (17.5, 0.3350),
    (20, 0.4260),
    (25, 0.6370),
    (27.5, 0.7566),
    (30, 0.8853),
    (35, 1.170),
    (40, 1.489),
    (45, 1.841),
    (50, 2.227),
    (55, 2.644),
    (60, 3.093),
    (65, 3.572),
    (70, 4.080),
    (75, 4.618),
    (80, 5.184),
    (85, 5.777),
    (90, 6.398),
    (95, 7.045),
    (100, 7.718),
    (125, 11.46),
    (150, 15.77),
    (175, 20.62),
    (200, 25.96),
    (225, 31.74),
    (250, 37.94),
    (275, 44.52),
    (300, 51.45),
)
LOWEST_MEV, HIGHEST_MEV = 1.0, 300.0


def range_mm(energy_mev: ArrayLike) -> FloatArray:
    """Return the CSDA range in water, in mm, of any shape.

    Interpolated by a cubic spline through the logarithms of the table.
    """
    return np.asarray(10 * np.exp(_splines()[0](np.log(energy_mev))))


def energy_mev(csda_mm: ArrayLike) -> FloatArray:
    """Return the energy in MeV whose CSDA range in water is given, of any shape."""
    return np.asarray(np.exp(_splines()[1](np.log(np.asarray(csda_mm) / 10))))


@cache
def _splines() -> tuple[Any, Any]:
    from scipy.interpolate import CubicSpline

    energy, csda = np.log(np.asarray(_CSDA, dtype=float)).T
    return CubicSpline(energy, csda), CubicSpline(csda, energy)
