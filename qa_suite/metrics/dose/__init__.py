"""The family ``dose``: the same plan computed on the reference and on the synthetic image."""

from qa_suite.metrics.dose.family import dose, dose_variants

__all__ = ["dose", "dose_variants"]
