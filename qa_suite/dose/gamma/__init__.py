"""The gamma index of two doses: 3-D, global or local, any criteria at once, exact by default.

>>> results = gamma(reference, evaluated, parse_criteria("2/2,3/3"), GammaSettings())
>>> results[0].pass_rate(structure_mask).share_pct

The compiled loops of the search call their parameters alike:

``dose``, ``reference``
    Evaluated and reference dose, (i, j, k).
``cells``, ``blocks``, ``extremes``
    Lowest and highest dose of every cell, of every block of cells, and of all.
``i``, ``j``, ``k``
    A cell, by its first corner; its own coordinates ``u``, ``v``, ``t`` run from 0 to 1.
``p``, ``q``
    The reference voxel, in indices of the evaluated grid, and in coordinates of the cell.
``first``, ``last``, ``inner``
    Cells from and to along an axis; what was searched already.
``b``, ``c``
    In blocks: which of them; in a cell: ``c``, the coefficients of its dose.
``choice``, ``todo``
    Which cell beside the voxel comes first, and which follow, as bits an axis.
``step``, ``w``, ``r``
    Size of a cell in mm along each axis, its square, and the inverse of that.
``d``, ``e``
    Dose of the reference voxel; what the evaluated dose has more.
``gx``, ``gy``, ``gz``
    Slope of the dose in the cell.
``low``, ``high``
    The box of a cell within which is searched.
``rho``, ``dta``
    Squared ratio of distance to dose criterion; the distance criterion in mm.
``simplex``
    Whether the dose is linear over tetrahedra instead of trilinear.
``cap``
    How far is searched, in mm.
``floor``
    The squared distance that nothing can be nearer than, in mm².
``best``, ``x``, ``bu``, ``bv``, ``bt``
    The least squared distance so far in mm², and its point, of the grid or of the cell.
``latest``
    The point that was nearest to the voxel before.
"""

from qa_suite.dose.gamma.compute import gamma
from qa_suite.dose.gamma.result import GammaResult, GammaSummary, PassRate, RegionGamma, rest_on
from qa_suite.dose.gamma.settings import GammaCriterion, GammaMode, GammaSettings, parse_criteria

__all__ = [
    "GammaCriterion",
    "GammaMode",
    "GammaResult",
    "GammaSettings",
    "GammaSummary",
    "PassRate",
    "RegionGamma",
    "gamma",
    "parse_criteria",
    "rest_on",
]
