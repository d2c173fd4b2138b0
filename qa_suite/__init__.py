"""An examiner for medical image translators.

A cohort of real paired scans and a trained translator go in; a tidy table of
measurements, a verdict with its evidence, and a report that a medical physicist
can sign come out.
"""

__version__ = "0.1.0"
