"""Downstream utility: how far a synthetic image replaces a real one in training."""
