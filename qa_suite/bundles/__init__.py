"""Bundles: what a hospital may give away of an evaluation, so that others audit it with theirs."""
