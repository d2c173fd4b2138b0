"""Whether the judge's intervals hold what they promise: simulated studies, many at once."""
