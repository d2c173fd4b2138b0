"""Shift: which site's images are unlike the others', whether errors follow, and whose shift it is.

Pure functions over the tables of a record. What they look at are the rows of the family
``appearance``: each image's own looks, measured when the case was evaluated. The patient is the
unit of inference throughout; a site with too few patients for an answer gets none, and is named.
"""

from __future__ import annotations

from qa_suite.judging.shift.distances import Distances, distances_of, source_distances
from qa_suite.judging.shift.expected import EXPECTED_HU, reference_levels
from qa_suite.judging.shift.features import IMAGES, FeatureTable, feature_table
from qa_suite.judging.shift.follows import error_follows_shift, points_of
from qa_suite.judging.shift.moves import image_moves, moves_of, source_shifts
from qa_suite.judging.shift.protocols import site_protocols
from qa_suite.judging.shift.whom import spoken_of
from qa_suite.judging.shift.whose import whose_shift

__all__ = [
    "EXPECTED_HU",
    "IMAGES",
    "Distances",
    "FeatureTable",
    "distances_of",
    "error_follows_shift",
    "feature_table",
    "image_moves",
    "moves_of",
    "points_of",
    "reference_levels",
    "site_protocols",
    "source_distances",
    "source_shifts",
    "spoken_of",
    "whose_shift",
]
