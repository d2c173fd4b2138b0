"""The result, for people: reports and the dashboard read records and compute nothing."""
