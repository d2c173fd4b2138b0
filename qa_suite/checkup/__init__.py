"""The check-up of one new patient without a reference, against the held-out cohort."""
