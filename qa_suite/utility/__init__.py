"""Downstream utility: how far synthetic images replace real ones in training a segmenter."""

from qa_suite.utility.experiment import UtilityExperiment, measure_utility
from qa_suite.utility.result import RESULT_FILE, UtilityResult
from qa_suite.utility.settings import UtilitySettings

__all__ = [
    "RESULT_FILE",
    "UtilityExperiment",
    "UtilityResult",
    "UtilitySettings",
    "measure_utility",
]
