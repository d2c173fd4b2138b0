"""The gamma index of two doses: 3-D, global or local, any criteria at once, exact by default.

>>> results = gamma(reference, evaluated, parse_criteria("2/2,3/3"), GammaSettings())
>>> results[0].pass_rate(structure_mask).share_pct
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
