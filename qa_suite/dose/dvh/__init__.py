"""Dose-volume histograms, their metrics, conformity and clinical goals."""
