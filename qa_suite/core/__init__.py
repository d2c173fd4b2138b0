"""What everything stands on: volumes, cohorts, records and their files, registry, errors."""
