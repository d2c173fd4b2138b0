"""A case as a planning system would hold it: grid, bodies, overrides, densities."""
