"""The result, for people: reports and the dashboard. They read records and compute nothing."""
