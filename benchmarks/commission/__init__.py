"""Commissioning of the dose surrogates; see docs/appendix/commissioning.md."""
