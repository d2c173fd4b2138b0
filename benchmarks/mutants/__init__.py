"""Faults planted in the code, to see whether the tests find them."""

MUTANT_S = 8.0
"""CPU seconds of tests after which a mutant that none has found counts as not found."""
