"""Segmenters: from an image to structures."""
