"""Releases: an alias of the registry is moved by a signed verdict alone, and what becomes of it."""
