"""Where instruments registered with version 0.1 look for :mod:`qa_suite.core.volume`."""

from qa_suite.core.volume import Grid, Volume

__all__ = ["Grid", "Volume"]
