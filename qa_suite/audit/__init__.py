"""An audit of hospitals, by site and stratum and of those never seen: from the record alone."""
