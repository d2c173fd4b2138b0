"""Machines of photons and protons: data files, each figure with its source."""
