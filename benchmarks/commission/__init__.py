"""Commissioning of the dose surrogates; see docs/dose/commissioning.md."""
