"""The family ``image``: the synthetic image against its reference, region by region."""
