"""Downstream utility: how far synthetic images replace real ones in training a segmenter."""

from qa_suite.lab.utility.experiment import UtilityExperiment, measure_utility
from qa_suite.lab.utility.result import RESULT_FILE, UtilityResult, UtilitySettings

__all__ = [
    "RESULT_FILE",
    "UtilityExperiment",
    "UtilityResult",
    "UtilitySettings",
    "measure_utility",
]
