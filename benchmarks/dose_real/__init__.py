"""Dose on real images: CT against its faulted twins, and what that costs.

python -m benchmarks.dose_real --write docs/appendix/dose-on-real-images.md
"""
