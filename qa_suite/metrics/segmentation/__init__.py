"""The family ``segmentation``: structures of the two images against each other."""
