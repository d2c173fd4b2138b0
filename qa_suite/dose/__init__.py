"""Dose on a synthetic image against dose on the real one: plans, engines, DVH, gamma, range."""
