"""Drawings as SVG, in physical units."""
