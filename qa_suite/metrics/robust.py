"""Constants of robust statistics: one home, so that two modules never round differently."""

from __future__ import annotations

MAD_TO_SD = 1.4826
"""From the median of |x| to the standard deviation of a normal distribution; rounded as usual."""

MAD_TO_SD_EXACT = 1.482602218505602
"""The same, 1 / Φ⁻¹(3/4), as ``noise_level`` has had it from the first record on."""

HUBER = 1.345
"""Tuning constant of Huber's estimator, in robust standard deviations (Huber 1981)."""
