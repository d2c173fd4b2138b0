"""Commissioning of the dose surrogates against reference engines; see docs/dose/commissioning.md."""
