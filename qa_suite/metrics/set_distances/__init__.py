"""Distances between the set of synthetic and the set of real images of a cohort."""
