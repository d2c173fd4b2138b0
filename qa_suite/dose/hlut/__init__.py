"""HU to density: the look-up tables (HLUT) of the dose engines, with their sources."""
