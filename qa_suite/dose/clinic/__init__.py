"""The clinic's own plans and doses, and their beams in the surrogate's terms."""
