"""Structures as fractional weights on cells, from masks, contours or functions."""
