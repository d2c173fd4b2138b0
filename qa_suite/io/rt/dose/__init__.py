"""RTDOSE: read as asked for, held against each other, exported."""
