"""Rays through the patient: water-equivalent paths, range errors, scenarios of range."""
